import { expect } from 'chai';
import { describe, it } from 'mocha';
import { applySchemaStep, checkLosses, checkRevertible, revertSchemaStep } from '../src/schema/run.js';
import { actualCells } from './support/reference.js';
import {
  agentOs,
  type Connected,
  empty,
  fill,
  ledgerCells,
  refusal,
  withV20,
  withV21,
} from './support/run-up.js';
import { dumpSchema, schemaStep } from './support/stores.js';

const options = { audits: 60, rareShare: 0.3 };
const batchRows = 7;

const write = ({ path }: Connected, sql: string): void =>
  agentOs(path, (db) => db.exec(sql)) as unknown as undefined;
const keysOf = (cells: readonly string[], column: string): string[] =>
  cells.filter((cell) => cell.endsWith(` ${column}`)).map((cell) => cell.split(' ')[0] ?? '');
const losses = ({ store, ledger }: Connected, isConfirmed = false): void =>
  checkLosses(store, ledger, schemaStep, { isConfirmed });
const revertible = ({ store, ledger }: Connected): void => checkRevertible(store, ledger, schemaStep);
const revertSchema = ({ store, ledger }: Connected): void =>
  revertSchemaStep(store, ledger, schemaStep, { isConfirmed: true });

describe('checkLosses', () => {
  it('looks only at columns that the step has made', () =>
    withV20(
      options,
      async (at) => {
        applySchemaStep(at.store, at.ledger, schemaStep);
        write(at, 'UPDATE task_audits SET supervisor_processed_at = NULL');
        expect(losses(at)).to.equal(undefined);
        write(at, `UPDATE task_audits SET supervisor_processed_at = 'x' WHERE audit_id = 9`);
        expect(await refusal(() => losses(at))).to.match(/: 1 in supervisor_processed_at$/);
      },
      `ALTER TABLE task_audits ADD COLUMN source_event_ts TEXT; UPDATE task_audits SET source_event_ts = 'x'`,
    ));
});

describe('checkRevertible', () => {
  it('refuses a store that AgentOS has taken further', () =>
    withV21(options, async (at) => {
      expect(revertible(at)).to.equal(undefined);
      write(at, `INSERT INTO schema_version (version) VALUES ('0.21.0-rc1'), ('v0.9.9')`);
      expect(revertible(at)).to.equal(undefined);
      for (const version of ['0.21.0.1', '0.21.1', 'v0.100.0', '1.0-beta']) {
        write(at, `INSERT INTO schema_version (version) VALUES ('${version}')`);
        expect(await refusal(() => revertible(at)))
          .to.match(/^VERSION_TOO_NEW: /)
          .and.include(version);
      }
    }));
});

describe('down', () => {
  it('tells a changed cell by its bytes, whatever the collation of a column that stood before', () =>
    withV20(
      { ...options, rareShare: 0 },
      async (at) => {
        applySchemaStep(at.store, at.ledger, schemaStep);
        await fill(at, { batchRows });
        const [key = ''] = keysOf(ledgerCells(at.ledger), 'source_event_ts');
        write(
          at,
          `UPDATE task_audits SET source_event_ts = lower(source_event_ts),
            supervisor_processed_at = supervisor_processed_at || ' ' WHERE audit_id = ${key}`,
        );
        const changed = actualCells(at.path).get(key);
        expect(await empty(at)).to.include({ kept: 2 });
        expect(actualCells(at.path).get(key)).to.deep.equal(changed);
      },
      `ALTER TABLE task_audits ADD COLUMN source_event_ts TEXT COLLATE NOCASE;
      ALTER TABLE task_audits ADD COLUMN supervisor_processed_at TEXT COLLATE RTRIM`,
    ));

  it('passes over what somebody has removed already', () =>
    withV20(options, async (at) => {
      const before = dumpSchema(at.path);
      applySchemaStep(at.store, at.ledger, schemaStep);
      write(
        at,
        `DROP INDEX idx_task_audits_decision_lag;
        ALTER TABLE task_audits DROP COLUMN supervisor_processed_at;
        DELETE FROM schema_version WHERE version = '0.21.0'`,
      );
      revertible(at);
      revertSchema(at);
      expect(dumpSchema(at.path)).to.deep.equal(before);
    }));
});
