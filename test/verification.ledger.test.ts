import { expect } from 'chai';
import { describe, it } from 'mocha';
import { defineSqlStep } from '../src/index.js';
import {
  after,
  backfillStatus,
  catchUp,
  checkOf,
  codeOf,
  down,
  type Extra,
  expectIdle,
  fillOnly,
  name,
  only,
  plain,
  project,
  rescan,
  stoppedAfter,
  troubles,
  up,
  verify,
  withAppliedStore,
  withPlainStore,
} from './support/migrate.js';
import { named } from './support/project.js';
import {
  type Audit,
  asAgentOs,
  change,
  failureOf,
  insertAudits,
  query,
  schemaStep,
} from './support/stores.js';

// One row that can't be read and one without a value: the ledger has skips, too.
const odd: readonly Audit[] = [
  { payload: '{' },
  plain,
  { ...plain, payload: '{"timestamp":1768903200}', createdAt: null },
];
const filled = 97; // of 100 cells
const quiet = { coverage: 'warn' };

describe('verification, ledger rows removed', () => {
  it('takes what the application filled in rows that were skipped as its own', () =>
    withAppliedStore(async (path) => {
      // The first row could not be read: now the application has mended it, with the value that it gives.
      change(
        path,
        `UPDATE task_audits SET payload = '{}', source_event_ts = created_at, supervisor_processed_at = created_at
        WHERE audit_id = 1`,
      );
      expect(troubles(await verify(path))).to.not.have.property('integrity');
    }, odd));

  it('takes back cells whose batch is no longer recorded', () =>
    withAppliedStore(async (path) => {
      change(path, 'DELETE FROM umzug_backfill_batches');
      expect((await down(path)).cells).to.deep.equal([
        { backfill: name, reverted: filled, kept: 0, gone: 0, underivable: 0 },
      ]);
    }, odd));

  it('fails when the table shows more of ours than the ledger, which agrees with itself', () =>
    withAppliedStore(async (path) => {
      change(
        path,
        `DELETE FROM umzug_backfill_cells WHERE batch = 4; DELETE FROM umzug_backfill_batches WHERE number = 4;
        UPDATE umzug_backfill_ranges SET batches = 4, rows_scanned = rows_scanned - 10, cells_filled = cells_filled - 20`,
      );
      const integrity = checkOf(await verify(path), 'integrity');
      expect(integrity).to.deep.include({
        verdict: 'fail',
        stats: { batches: 4, contradictions: 0, held: filled, recorded: filled - 20 },
      });
      expect(troubles(only((await rescan(path)).verifications))).to.deep.equal(quiet);
      expect((await down(path)).cells).to.deep.equal([
        { backfill: name, reverted: filled - 20, kept: 0, gone: 0, underivable: 0 },
      ]);
    }, odd));

  for (const by of [-1, 1])
    it(`fails when the cells of a batch are moved by ${by}, beyond its keys`, () =>
      withAppliedStore(async (path) => {
        change(path, `UPDATE umzug_backfill_cells SET first_key = first_key + ${by} WHERE batch = 3`);
        const { verdict, findings } = checkOf(await verify(path), 'integrity');
        expect(verdict).to.equal('fail');
        expect(findings[0]?.text).to.equal('The cells of batch 3 do not match its counts');
      }));

  it('fails without the row of a run that had nothing to do, until a rescan makes one', () =>
    withPlainStore(async (path) => {
      change(path, 'DELETE FROM task_audits');
      await up(path);
      change(path, 'DELETE FROM umzug_backfill_runs');
      expect(troubles(await verify(path))).to.deep.equal({ integrity: 'fail' });
      expect(troubles(only((await rescan(path)).verifications))).to.deep.equal({});
      await expectIdle(path);
    }));

  it('refuses to verify without the row of the step, which `up` makes again with nothing filled twice', () =>
    withAppliedStore(async (path) => {
      const batches = query(path, 'SELECT number || committed_at FROM umzug_backfill_batches');
      change(path, `DELETE FROM umzug_backfill_steps WHERE name = '${name}'`);
      await failureOf('STEP_NOT_APPLIED', () => verify(path));
      expect(codeOf(await up(path))).to.equal(undefined);
      expect(troubles(await verify(path))).to.deep.equal(quiet);
      expect(query(path, 'SELECT number || committed_at FROM umzug_backfill_batches')).to.deep.equal(batches);
      await expectIdle(path);
    }, odd));

  it('makes the row of the schema step again, and `down` still knows what it made', () =>
    withAppliedStore(async (path) => {
      change(path, `DELETE FROM umzug_backfill_steps WHERE name = '${schemaStep.name}'`);
      expect(codeOf(await up(path))).to.equal(undefined);
      expect(troubles(await verify(path))).to.deep.equal(quiet);
      expect(codeOf(await down(path, { to: 0 }))).to.equal(undefined);
      expect(query(path, `SELECT name FROM sqlite_schema WHERE sql LIKE '%source_event_ts%'`)).to.deep.equal(
        [],
      );
    }, odd));
});

describe('verification, not reached', () => {
  const third = named(
    'v021-3-late',
    defineSqlStep({ up: ['CREATE VIEW late AS SELECT 1'], down: ['DROP VIEW late'] }),
  );
  const withThird = { project: { ...project, steps: [...project.steps, third] } };
  const hasView = (path: string): boolean =>
    query(path, `SELECT 1 FROM sqlite_schema WHERE name = 'late'`).length > 0;

  it('is made up for by the next `up`, though nothing is pending', () =>
    withPlainStore(async (path) => {
      await fillOnly(path);
      expect(await backfillStatus(path)).to.include({ verdict: 'unverified', isPending: true });
      const outcome = await up(path);
      expect(outcome).to.deep.include({ applied: [], caughtUp: [] });
      expect(troubles(only(outcome.verifications))).to.deep.equal({});
      expect(await backfillStatus(path)).to.include({ verdict: 'pass', isPending: false });
      await expectIdle(path);
    }));

  it('comes before a later step, which it stops when it fails', () =>
    withPlainStore(async (path) => {
      await fillOnly(path);
      change(path, `UPDATE task_audits SET source_event_ts = 'x' WHERE audit_id = 3`);
      const outcome = await up(path, withThird);
      expect(outcome.error).to.include({ code: 'VERIFICATION_FAILED', exitCode: 5 });
      expect(outcome.applied).to.deep.equal([]);
      expect(hasView(path)).to.equal(false);

      expect(codeOf(await rescan(path, withThird))).to.equal(undefined);
      expect((await up(path, withThird)).applied).to.deep.equal([third.name]);
      expect(hasView(path)).to.equal(true);
    }));

  it('stops the steps behind it in the same `up`, too', () =>
    withPlainStore(async (path) => {
      expect(codeOf(await up(path, { ...withThird, ...stoppedAfter(2) }))).to.equal('TERMINATED');
      change(path, `UPDATE task_audits SET source_event_ts = 'x' WHERE audit_id = 3`);
      const outcome = await up(path, withThird);
      expect(codeOf(outcome)).to.equal('VERIFICATION_FAILED');
      expect(outcome.applied).to.deep.equal([name]);
      expect(hasView(path)).to.equal(false);
    }));
});

describe('verification, after a `down` that was stopped', () => {
  /** Options that stop a `down` after its k-th batch. */
  function revertedOnly(k: number): Extra {
    const controller = new AbortController();
    return { ...after(k, 'batch_reverted', () => controller.abort('SIGTERM')), signal: controller.signal };
  }

  for (const smallSchema of [false, true]) {
    for (const k of [1, 2, 3, 4, 5, 6, 7]) {
      it(`passes when \`up\` has filled again, after ${k} batches (small schema: ${smallSchema})`, () =>
        withAppliedStore(
          async (path) => {
            // Three runs, eight batches: a rescan that fills among the keys of the first run, and a catch-up.
            change(path, 'UPDATE task_audits SET source_event_ts = NULL WHERE audit_id % 4 = 0');
            expect(codeOf(await rescan(path))).to.equal(undefined);
            asAgentOs(path, (db) => insertAudits(db, [plain]));
            expect(codeOf(await catchUp(path))).to.equal(undefined);
            expect(codeOf(await down(path, {}, revertedOnly(k)))).to.equal('TERMINATED');

            const outcome = await up(path);
            expect(troubles(only(outcome.verifications))).to.deep.equal({});
            await expectIdle(path);
            expect((await down(path)).cells).to.deep.equal([
              { backfill: name, reverted: 102, kept: 0, gone: 0, underivable: 0 },
            ]);
          },
          [],
          { smallSchema },
        ));
    }
  }
});
