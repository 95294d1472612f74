import { expect } from 'chai';
import { describe, it } from 'mocha';
import { ledgeredCells, readLedger } from './support/ledger.js';
import { codeOf, down, name, only, up } from './support/migrate.js';
import { actualCells } from './support/reference.js';
import { change, dumpSchema, failureOf, withGeneratedStore } from './support/stores.js';

const generated = { audits: 60, rareShare: 0.3 };
const extra = { batchRows: 7, backup: false } as const;

/** Insists that a step, or both, can be applied. */
async function apply(path: string, step?: number): Promise<void> {
  expect(codeOf(await up(path, extra, step === undefined ? {} : { step }))).to.equal(undefined);
}

describe('down', () => {
  it('looks for values only in columns that the step has made', () =>
    withGeneratedStore(generated, async (path) => {
      change(
        path,
        `ALTER TABLE task_audits ADD COLUMN source_event_ts TEXT; UPDATE task_audits SET source_event_ts = 'x'`,
      );
      await apply(path, 1);
      change(path, `UPDATE task_audits SET supervisor_processed_at = 'x' WHERE audit_id = 9`);
      const { message } = await failureOf('COLUMN_HAS_VALUES', () => down(path, {}, extra));
      expect(message).to.match(/: 1 in supervisor_processed_at$/);
      change(path, 'UPDATE task_audits SET supervisor_processed_at = NULL');
      expect(codeOf(await down(path, {}, extra))).to.equal(undefined);
    }));

  it('refuses a store that AgentOS has taken further', () =>
    withGeneratedStore(generated, async (path) => {
      await apply(path, 1);
      for (const version of ['0.21.0.1', '0.21.1', 'v0.100.0', '1.0-beta']) {
        change(path, `INSERT INTO schema_version (version) VALUES ('${version}')`);
        const { message } = await failureOf('VERSION_TOO_NEW', () => down(path, {}, extra));
        expect(message).to.include(version);
        change(path, `DELETE FROM schema_version WHERE version = '${version}'`);
      }
      change(path, `INSERT INTO schema_version (version) VALUES ('0.21.0-rc1'), ('v0.9.9')`);
      expect(codeOf(await down(path, {}, extra))).to.equal(undefined);
    }));

  it('tells a changed cell by its bytes, whatever the collation of a column that stood before', () =>
    withGeneratedStore({ ...generated, rareShare: 0 }, async (path) => {
      change(
        path,
        `ALTER TABLE task_audits ADD COLUMN source_event_ts TEXT COLLATE NOCASE;
        ALTER TABLE task_audits ADD COLUMN supervisor_processed_at TEXT COLLATE RTRIM`,
      );
      await apply(path);
      const [key = ''] = ledgeredCells(readLedger(path), name).map((cell) => cell.split(' ')[0] ?? '');
      change(
        path,
        `UPDATE task_audits SET source_event_ts = lower(source_event_ts),
          supervisor_processed_at = supervisor_processed_at || ' ' WHERE audit_id = ${key}`,
      );
      const changed = actualCells(path).get(key);
      expect(only((await down(path, {}, extra)).cells)).to.include({ kept: 2 });
      expect(actualCells(path).get(key)).to.deep.equal(changed);
    }));

  it('passes over what somebody has removed already', () =>
    withGeneratedStore(generated, async (path) => {
      const before = dumpSchema(path);
      await apply(path, 1);
      change(
        path,
        `DROP INDEX idx_task_audits_decision_lag;
        ALTER TABLE task_audits DROP COLUMN supervisor_processed_at;
        DELETE FROM schema_version WHERE version = '0.21.0'`,
      );
      expect(codeOf(await down(path, {}, extra))).to.equal(undefined);
      expect(dumpSchema(path)).to.deep.equal(before);
    }));
});
