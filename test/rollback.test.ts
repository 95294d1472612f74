import { expect } from 'chai';
import { describe, it } from 'mocha';
import { runAgain } from '../src/backfill/runner.js';
import { applySchemaStep, checkLosses, checkRevertible, revertSchemaStep } from '../src/schema/run.js';
import { actualCells, type Cells, expectedCells } from './support/reference.js';
import {
  agentOs,
  type Connected,
  changedCells,
  connected,
  empty,
  fill,
  ledgerCells,
  name,
  refusal,
  stoppedAfter,
  withV20,
  withV21,
} from './support/run-up.js';
import { backfillStep, dumpSchema, dumpTable, schemaStep } from './support/stores.js';

const options = { audits: 60, rareShare: 0.3 };
const batchRows = 7;

const write = ({ path }: Connected, sql: string): void =>
  agentOs(path, (db) => db.exec(sql)) as unknown as undefined;
const keysOf = (cells: readonly string[], column: string): string[] =>
  cells.filter((cell) => cell.endsWith(` ${column}`)).map((cell) => cell.split(' ')[0] ?? '');
const tables = ({ path }: Connected): unknown =>
  ['task_audits', 'schema_version', 'sqlite_sequence'].map((table) => dumpTable(path, table));

const losses = ({ store, ledger }: Connected, isConfirmed = false): void =>
  checkLosses(store, ledger, schemaStep, { isConfirmed });
const revertible = ({ store, ledger }: Connected): void => checkRevertible(store, ledger, schemaStep);
const revertSchema = ({ store, ledger }: Connected): void =>
  revertSchemaStep(store, ledger, schemaStep, { isConfirmed: true });

/** Insists that each cell that differs from `before` stands in the ledger once, and no other. */
function expectLedger({ path, ledger }: Connected, before: Map<string, Cells>): void {
  const cells = ledgerCells(ledger);
  expect(new Set(cells).size).to.equal(cells.length);
  expect(cells).to.have.members(changedCells(before, actualCells(path)));
}

describe('checkLosses', () => {
  it('refuses while a column that would go has values, and counts them', () =>
    withV21(options, async (at) => {
      await fill(at, { batchRows });
      const filled = ledgerCells(at.ledger);
      const [sources, processed] = backfillStep.columns.map((column) => keysOf(filled, column.name).length);
      expect(await refusal(() => losses(at))).to.match(
        new RegExp(
          `^COLUMN_HAS_VALUES: .*: ${sources} in source_event_ts, ${processed} in supervisor_processed_at$`,
        ),
      );
      expect(losses(at, true)).to.equal(undefined);

      await empty(at);
      expect(losses(at)).to.equal(undefined);
      // An empty text is a value, too.
      write(at, `UPDATE task_audits SET source_event_ts = '' WHERE audit_id <= 3`);
      expect(await refusal(() => losses(at))).to.include(
        '3 in source_event_ts, 0 in supervisor_processed_at',
      );
    }));

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
  it('keeps columns that stood before, with all that stood in them', () =>
    withV20(
      options,
      async (at) => {
        const before = { schema: dumpSchema(at.path), tables: tables(at) };
        const expected = expectedCells(at.path);
        applySchemaStep(at.store, at.ledger, schemaStep);
        await fill(at, { batchRows });
        expect(actualCells(at.path)).to.deep.equal(expected);
        expect(actualCells(at.path).get('3')?.[0]).to.equal('own');
        await empty(at);
        expect(tables(at)).not.to.deep.equal(before.tables); // the version row
        revertSchema(at);
        expect({ schema: dumpSchema(at.path), tables: tables(at) }).to.deep.equal(before);
      },
      `ALTER TABLE task_audits ADD COLUMN source_event_ts TEXT;
      ALTER TABLE task_audits ADD COLUMN supervisor_processed_at TEXT;
      CREATE INDEX idx_task_audits_lag ON task_audits (source_event_ts, supervisor_processed_at);
      UPDATE task_audits SET source_event_ts = 'own' WHERE audit_id % 3 = 0;
      UPDATE task_audits SET supervisor_processed_at = created_at WHERE audit_id % 4 = 0`,
    ));

  it('stopped after any batch, and followed by up, fills again what it had taken back', () =>
    withV21(options, async (at) => {
      const before = actualCells(at.path);
      const expected = expectedCells(at.path);
      await fill(at, { batchRows });
      const skips = at.ledger.skips(name);
      const count = at.ledger.batches(name).length;
      for (let k = 1; k < count; k += 1) {
        expect(await refusal(() => empty(at, stoppedAfter(k, batchRows)))).to.match(/^TERMINATED/);
        expect(at.ledger.step(name)?.status).to.equal('reverting');
        expect(at.ledger.batches(name)).to.have.length(count - k);
        expectLedger(at, before);
        expect(Math.max(0, ...at.ledger.skipsByBatch(name).keys()), 'last batch with skips').to.be.at.most(
          count - k,
        );
        await connected(at.path, (next) => fill(next, { batchRows }));
        expect(actualCells(at.path)).to.deep.equal(expected);
        expect(at.ledger.skips(name)).to.deep.equal(skips);
        expect(at.ledger.step(name)?.status).to.equal('applied');
        expectLedger(at, before);
      }
    }));

  it('stopped within a rescan, a catch-up or the first run, and followed by up, ends as before', () =>
    withV21(options, async (at) => {
      const before = actualCells(at.path);
      await fill(at, { batchRows });
      const insert = `INSERT INTO task_audits (audit_id, task_id, event_type, payload) VALUES`;
      write(
        at,
        `${insert} (71, 't', 'SUPERVISOR_ERROR', '{"source_ts":"s"}'), (72, 't', 'SUPERVISOR_ERROR', '')`,
      );
      await fill(at, { batchRows: 1 });
      write(
        at,
        `${insert} (-1, 't', 'SUPERVISOR_ERROR', '{"source_ts":"s"}'), (-2, 't', 'SUPERVISOR_ERROR', '')`,
      );
      const expected = expectedCells(at.path);
      await runAgain(at.store, at.ledger, backfillStep, 'rescan', { batchRows });
      expect(new Set(at.ledger.batches(name).map(({ run }) => run))).to.deep.equal(new Set([1, 2, 3]));
      const count = at.ledger.batches(name).length;
      for (let k = 1; k < count; k += 1) {
        if (at.ledger.batches(name).length <= k) break;
        expect(await refusal(() => empty(at, stoppedAfter(k, batchRows)))).to.match(/^TERMINATED/);
        expectLedger(at, before);
        await fill(at, { batchRows });
        expect(actualCells(at.path)).to.deep.equal(expected);
        expectLedger(at, before);
      }
      expect(await empty(at)).to.include({ kept: 0 });
      expect(changedCells(before, actualCells(at.path))).to.deep.equal([]);
    }));

  it('leaves cells that AgentOS has changed, and counts them, over stops too', () =>
    withV21({ ...options, rareShare: 0 }, async (at) => {
      await fill(at, { batchRows });
      const filled = ledgerCells(at.ledger);
      const [first, second] = keysOf(filled, 'source_event_ts');
      const last = keysOf(filled, 'supervisor_processed_at').at(-1);
      write(
        at,
        `UPDATE task_audits SET source_event_ts = 'theirs' WHERE audit_id IN (${first}, ${last});
        UPDATE task_audits SET supervisor_processed_at = 'theirs' WHERE audit_id = ${last};
        UPDATE task_audits SET source_event_ts = NULL WHERE audit_id = ${second}`,
      );
      const count = at.ledger.batches(name).length;
      await refusal(() => empty(at, stoppedAfter(1, batchRows)));
      expect(at.ledger.step(name)?.keptCells).to.equal(2);
      await refusal(() => empty(at, stoppedAfter(count - 2, batchRows)));
      const result = await connected(at.path, (next) => empty(next));
      // A cell that is NULL already is neither taken back nor kept.
      expect(result).to.deep.equal({ reverted: filled.length - 4, kept: 3 });
      const left = [...actualCells(at.path)].filter(([, cells]) => cells.some((cell) => cell !== null));
      expect(left).to.deep.equal([
        [first, ['theirs', null]],
        [last, ['theirs', 'theirs']],
      ]);
      expect(at.ledger.step(name)).to.equal(undefined);
    }));

  it('leaves cells whose payload can not be read any more, or says something else', () =>
    withV21({ ...options, rareShare: 0 }, async (at) => {
      await fill(at, { batchRows });
      const [a = '', b = '', c = '', d = ''] = keysOf(ledgerCells(at.ledger), 'source_event_ts');
      const full = actualCells(at.path);
      write(
        at,
        `UPDATE task_audits SET payload = substr(payload, 2) WHERE audit_id = ${a};
        UPDATE task_audits SET payload = CAST(payload AS BLOB) WHERE audit_id = ${b};
        UPDATE task_audits SET payload = '{"source_event_ts":"new","timestamp":"new"}' WHERE audit_id = ${c};
        UPDATE task_audits SET event_type = 'TASK_CREATED' WHERE audit_id = ${d}`,
      );
      expect(await empty(at)).to.include({ kept: 6 });
      for (const key of [a, b, c]) expect(actualCells(at.path).get(key)).to.deep.equal(full.get(key));
      // It was NULL before up, and in scope or not it can be told from its payload.
      expect(actualCells(at.path).get(d)).to.deep.equal([null, null]);
    }));

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

  it('leaves nothing of ours behind, so that up can begin anew', () =>
    withV20(options, async (at) => {
      const before = { schema: dumpSchema(at.path), tables: tables(at) };
      const expected = expectedCells(at.path);
      for (let i = 0; i < 2; i += 1) {
        applySchemaStep(at.store, at.ledger, schemaStep);
        await fill(at, { batchRows });
        expect(actualCells(at.path)).to.deep.equal(expected);
        expect(await empty(at)).to.include({ kept: 0 });
        revertSchema(at);
        expect({ schema: dumpSchema(at.path), tables: tables(at) }).to.deep.equal(before);
      }
    }));
});
