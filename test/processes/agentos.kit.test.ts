import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { describe, it } from 'mocha';
import { hostilePayloads } from '../../demo/store-generator.js';
import schemaStep from '../../migrations/v021-1-decision-columns.js';
import { root } from '../support/cli.js';
import { testBackfill } from '../support/kit.js';

// This project's own backfills, by the testing kit that it gives to others.

const folder = join(root, 'dist/backfills');

const V20 = `
  CREATE TABLE schema_version (version TEXT PRIMARY KEY, applied_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP);
  INSERT INTO schema_version (version) VALUES ('0.20.0');
  CREATE TABLE tasks (task_id TEXT PRIMARY KEY);
  CREATE TABLE task_audits (
    audit_id INTEGER PRIMARY KEY AUTOINCREMENT, task_id TEXT NOT NULL REFERENCES tasks(task_id), level TEXT DEFAULT 'info',
    event_type TEXT NOT NULL, payload TEXT, created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP, decision_id TEXT
  );`;

const usual = { source_ts: '2026-01-20T09:59:58.25', timestamp: '2026-01-20T10:00:01.5' };
const created_at = '2026-01-20 10:00:00';

/** Every form of a payload that JavaScript can bind, then some of which the cells are known, then some out of scope. */
const rows = [
  ...[...hostilePayloads]
    .filter(({ asText }) => !asText)
    .map(({ payload, createdAt }) => ({
      payload,
      created_at: createdAt === undefined ? created_at : createdAt,
    })),
  { audit_id: 1001, payload: JSON.stringify(usual), created_at },
  { audit_id: 1002, payload: null, created_at },
  { audit_id: 1003, payload: '{', created_at },
  { audit_id: 1004, payload: '{"timestamp":1768903200}', created_at: null },
  { audit_id: 1005, payload: JSON.stringify(usual), created_at, source_event_ts: '2025-12-31T00:00:00Z' },
  { audit_id: 1006, payload: JSON.stringify(usual), created_at, event_type: 'repo_commit' },
].map((row) => ({ task_id: 't', event_type: 'SUPERVISOR_DECISION', ...row }));

const cells = (audit_id: number, source_event_ts: string | null, supervisor_processed_at: string | null) => ({
  ...{ audit_id, source_event_ts, supervisor_processed_at },
});

describe('backfills of this project', () => {
  const files = readdirSync(folder).filter((name) => name.endsWith('.js'));

  it('are those that are tested here', () => {
    expect(files).to.deep.equal(['v021-2-decision-fields.js']);
  });

  it('v021-2-decision-fields passes the testing kit', async () => {
    const outcome = await testBackfill({
      file: join(folder, 'v021-2-decision-fields.js'),
      schema: [V20, schemaStep, `INSERT INTO tasks VALUES ('t')`],
      rows,
      expected: [
        cells(1001, usual.source_ts, usual.timestamp),
        cells(1002, created_at, created_at),
        cells(1003, null, null),
        cells(1004, null, '1768903200'),
        cells(1005, '2025-12-31T00:00:00Z', usual.timestamp),
        cells(1006, null, null),
      ],
    });
    expect(outcome).to.deep.include({
      rowsInScope: rows.length - 1,
      batches: 5,
      interruptedBy: 'SIGKILL',
      expectedCells: 12,
      valuesKept: 4,
    });
    expect(outcome.interruptions).to.be.at.least(20);
    const reasons = new Set(outcome.skips.map(({ reason }) => reason));
    expect([...reasons]).to.have.members(['DOCUMENT_UNREADABLE', 'NO_USABLE_VALUE']);
  });
});
