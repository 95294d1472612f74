import { expect } from 'chai';
import { before, describe, it } from 'mocha';
import type { VerificationRule } from '../src/index.js';
import { ENGINES, needEngine, type TestStore } from './support/engines.js';
import {
  after,
  backfillStatus,
  type CheckResult,
  checkOf,
  codeOf,
  down,
  expectIdle,
  name,
  onAppliedStore,
  only,
  onPlainStore,
  plain,
  processed,
  project,
  rescan,
  stoppedAfter,
  troubles,
  up,
  verify,
} from './support/migrate.js';
import { commandsOf } from './support/project.js';
import { type Audit, backfillStep, schemaStep } from './support/stores.js';

/** What a check has to say beyond passes: each verdict with its sample keys. */
const found = (check: CheckResult): unknown[] =>
  check.findings.flatMap(({ verdict, sampleKeys }) => (verdict === 'pass' ? [] : [[verdict, sampleKeys]]));

/** A rule that a row can break without a change of a filled cell. */
const isTimely: VerificationRule = {
  title: 'each is timely',
  query: `SELECT audit_id FROM task_audits WHERE created_at = 'late'`,
};
const ruled = {
  ...project,
  steps: [schemaStep, { ...backfillStep, checks: { ...backfillStep.checks, rules: [isTimely] } }],
};

for (const engine of ENGINES) {
  describe(`${engine.name}: verification, failed after one that passed`, () => {
    before(function () {
      needEngine(this, engine);
    });

    it('keeps the backfill unverified until one passes, for `up`, `deploy` and `backfill`', () =>
      onPlainStore(engine, async (store) => {
        const { deploy, backfill, status } = commandsOf(ruled, store.address, { pace: 'full' });
        const upRuled = () => up(store, { project: ruled });
        expect(codeOf(await upRuled())).to.equal(undefined);
        await store.change(`UPDATE task_audits SET created_at = 'late' WHERE audit_id = 3;
          DROP INDEX idx_task_audits_event_source_ts`);
        expect((await upRuled()).recreated).to.deep.equal([schemaStep.name]);
        for (const again of [upRuled, upRuled, deploy, backfill]) {
          const outcome = await again();
          expect(codeOf(outcome)).to.equal('VERIFICATION_FAILED');
          expect(troubles(only(outcome.verifications))).to.deep.equal({ rules: 'fail' });
          const { isPending, steps } = await status();
          expect(isPending).to.equal(true);
          expect(steps.at(-1)?.backfill?.verdict).to.equal('fail');
        }
        await store.change(`UPDATE task_audits SET created_at = '2026-01-20 10:00:00' WHERE audit_id = 3`);
        const mended = await upRuled();
        expect(codeOf(mended)).to.equal(undefined);
        expect(troubles(only(mended.verifications))).to.deep.equal({});
        expect((await status()).isPending).to.equal(false);
        expect(await upRuled()).to.deep.include({ recreated: [], verifications: [] });
      }));
  });

  describe(`${engine.name}: verification, a value changed`, () => {
    before(function () {
      needEngine(this, engine);
    });

    /**
     * Of a change within a run. On PostgreSQL rows tell that another transaction has written them, and it is only a warning, unless the
     * ledger is of a version that did not note its own (see postgres.row-versions.test.ts).
     */
    const within = (sql: string): string =>
      engine.name === 'PostgreSQL' ? `${sql}; DELETE FROM umzug_backfill_xids` : sql;

    /** A run that is stopped, and whose work is changed before it goes on. */
    async function changeWithinRun(store: TestStore, sql: string): Promise<void> {
      expect(codeOf(await up(store, stoppedAfter(2)))).to.equal('TERMINATED');
      await store.change(within(sql));
    }

    it('fails within the run being verified, again and again, until a rescan takes it as AgentOS’s own', () =>
      onPlainStore(engine, async (store) => {
        await changeWithinRun(
          store,
          `UPDATE task_audits SET source_event_ts = '2026-01-20T09:00:00Z' WHERE audit_id = 3`,
        );
        for (const applied of [[name], [], []]) {
          const outcome = await up(store);
          expect(outcome.applied).to.deep.equal(applied);
          expect(outcome.error).to.include({ code: 'VERIFICATION_FAILED', exitCode: 5 });
          expect(outcome.error?.hint).to.match(
            new RegExp(`^Run umzug-backfill down --to ${name}, then umzug-backfill up`),
          );
          const verification = only(outcome.verifications);
          expect(troubles(verification)).to.deep.equal({ consistency: 'fail', integrity: 'warn' });
          expect(found(checkOf(verification, 'consistency'))).to.deep.equal([['fail', ['3']]]);
          expect(checkOf(verification, 'consistency').stats).to.include({
            changedInRun: 1,
            changedSince: 0,
            written: 0,
          });
          expect(await backfillStatus(store)).to.include({ verdict: 'fail', isPending: true });
        }
        expect(troubles(await verify(store))).to.include({ consistency: 'fail' });

        const mended = await rescan(store);
        expect(codeOf(mended)).to.equal(undefined);
        expect(troubles(only(mended.verifications))).to.deep.equal({ consistency: 'warn' });
        expect(await backfillStatus(store)).to.include({ verdict: 'warn', isPending: false });
        await expectIdle(store);
        expect((await down(store)).cells).to.deep.equal([
          { backfill: name, reverted: 99, kept: 1, gone: 0, underivable: 0 },
        ]);
        expect(
          await store.query('SELECT source_event_ts FROM task_audits WHERE source_event_ts IS NOT NULL'),
        ).to.deep.equal(['2026-01-20T09:00:00Z']);
      }));

    it('fails when it was set to NULL within the run being verified, and a rescan fills it again', () =>
      onPlainStore(engine, async (store) => {
        const cell = 'SELECT supervisor_processed_at FROM task_audits WHERE audit_id = 4';
        await changeWithinRun(
          store,
          'UPDATE task_audits SET supervisor_processed_at = NULL WHERE audit_id = 4',
        );
        // Where keys are not taken to grow, the catch-up at its end finds the cell and fills it.
        if (engine.knowsGrowingKeys) {
          const outcome = await up(store);
          expect(codeOf(outcome)).to.equal('VERIFICATION_FAILED');
          expect(troubles(only(outcome.verifications))).to.deep.equal({
            coverage: 'fail',
            integrity: 'warn',
          });
          expect(codeOf(await up(store))).to.equal('VERIFICATION_FAILED');
        } else {
          const outcome = await up(store);
          expect(troubles(only(outcome.verifications))).to.deep.equal({});
          expect(await store.query(cell)).to.deep.equal([processed]);
        }
        const mended = await rescan(store);
        expect(troubles(only(mended.verifications))).to.deep.equal({});
        expect(await store.query(cell)).to.deep.equal([processed]);
        await expectIdle(store);
      }));

    it('fails within a rescan that had filled the cell again', () =>
      onAppliedStore(engine, async (store) => {
        await store.change('UPDATE task_audits SET source_event_ts = NULL WHERE audit_id IN (3, 5)');
        const soon = () =>
          store.changeNow(within(`UPDATE task_audits SET source_event_ts = 'x' WHERE audit_id <= 3`));
        const outcome = await rescan(store, after(1, 'batch_committed', soon));
        expect(codeOf(outcome)).to.equal('VERIFICATION_FAILED');
        // The cells of rows 1 and 2 were filled by the run before, which was verified.
        expect(found(checkOf(only(outcome.verifications), 'consistency'))).to.deep.equal([
          ['fail', ['3']],
          ['warn', ['1', '2']],
        ]);
        expect(codeOf(await rescan(store))).to.equal(undefined);
        await expectIdle(store);
      }));

    it('is a warning after the run was verified', () =>
      onAppliedStore(engine, async (store) => {
        await store.change(`UPDATE task_audits SET source_event_ts = 'hm' WHERE audit_id % 4 = 0`);
        // A payload that changes makes the column wrong just as well.
        await store.change(`UPDATE task_audits SET payload = '{}' WHERE audit_id = 1`);
        const verification = await verify(store);
        expect(troubles(verification)).to.deep.equal({
          consistency: 'warn',
          timestamps: 'warn',
          integrity: 'warn',
        });
        const consistency = checkOf(verification, 'consistency');
        expect(found(consistency)).to.deep.equal([
          ['warn', ['1', '1', '4', '8', '12', '16', '20', '24', '28', '32']],
        ]);
        expect(consistency.findings[1]?.text).to.equal(
          '14 cells filled by an earlier run were changed since',
        );
        await expectIdle(store);
      }));

    it('is a warning where AgentOS had written the cell itself, before the backfill or later', () =>
      onPlainStore(
        engine,
        async (store) => {
          await store.change(`ALTER TABLE task_audits ADD COLUMN source_event_ts TEXT;
          ALTER TABLE task_audits ADD COLUMN supervisor_processed_at TEXT;
          UPDATE task_audits SET source_event_ts = '2026-01-20T09:00:00Z' WHERE audit_id = 7;
          UPDATE task_audits SET supervisor_processed_at = '${processed}' WHERE audit_id = 8`);
          const outcome = await up(store);
          expect(codeOf(outcome)).to.equal(undefined);
          const { 'index-use': indexUse, ...others } = troubles(only(outcome.verifications));
          expect(others).to.deep.equal({ coverage: 'warn', consistency: 'warn' });
          // Which of two indexes PostgreSQL prefers hangs on statistics, of which it has none yet.
          expect(indexUse).to.be.oneOf(engine.name === 'PostgreSQL' ? [undefined, 'warn'] : [undefined]);
          await store.change('ANALYZE');
          await store.insert({ ...plain, cells: ['2026-01-20T09:00:00Z', processed] });
          // A row that was skipped, since its payload can't be read.
          await store.change(
            `UPDATE task_audits SET source_event_ts = '2026-01-20T09:00:00Z' WHERE audit_id = 1`,
          );
          const verification = await verify(store);
          expect(troubles(verification)).to.deep.equal({ coverage: 'warn', consistency: 'warn' });
          const consistency = checkOf(verification, 'consistency');
          expect(found(consistency)).to.deep.equal([['warn', ['1', '7', '51']]]);
          expect(consistency.stats).to.include({ changedInRun: 0, changedSince: 0, written: 3 });
        },
        [{ payload: '{' }],
      ));
  });

  describe(`${engine.name}: verification, cells lost`, () => {
    before(function () {
      needEngine(this, engine);
    });

    it('fails for NULLs below the watermark that can be filled, until a rescan fills them', () =>
      onAppliedStore(engine, async (store) => {
        await store.change(
          'UPDATE task_audits SET source_event_ts = NULL WHERE audit_id BETWEEN 5 AND 30 OR audit_id = 50',
        );
        const verification = await verify(store);
        expect(troubles(verification)).to.deep.equal({ coverage: 'fail', integrity: 'warn' });
        const coverage = checkOf(verification, 'coverage');
        expect(found(coverage)).to.deep.equal([
          ['fail', ['5', '6', '7', '8', '9', '10', '11', '12', '13', '14']],
        ]);
        // 26 in the middle, and the one whose key is the watermark.
        expect(coverage.findings.map(({ text }) => text)).to.include(
          '27 cells of source_event_ts are NULL though a value can be derived',
        );
        expect(coverage.hint).to.match(new RegExp(`^Run: umzug-backfill backfill ${name} --rescan`));

        const mended = await rescan(store);
        expect(mended.ran).to.deep.equal([name]);
        expect(troubles(only(mended.verifications))).to.deep.equal({});
        expect(await verify(store, 100)).to.include({ verdict: 'pass' });
        // Filled twice, taken back once.
        expect((await down(store)).cells).to.deep.equal([
          { backfill: name, reverted: 100, kept: 0, gone: 0, underivable: 0 },
        ]);
      }));

    for (const [rows, where] of [
      ['some rows', 'audit_id % 3 = 0'],
      ['the rows of a whole batch', 'audit_id BETWEEN 11 AND 20'],
      ['the last rows', 'audit_id > 25'],
      ['every row', 'true'],
    ]) {
      it(`warns when ${rows} were deleted by retention`, () =>
        onAppliedStore(engine, async (store) => {
          await store.change(`DELETE FROM task_audits WHERE ${where}`);
          expect(troubles(await verify(store))).to.deep.equal({ integrity: 'warn' });
          await expectIdle(store);
          const accepted = await rescan(store);
          expect(troubles(only(accepted.verifications))).to.deep.equal({});
          const left = Number((await store.query('SELECT count(*) FROM task_audits'))[0]);
          expect((await down(store)).cells).to.deep.equal([
            { backfill: name, reverted: 2 * left, kept: 0, gone: 100 - 2 * left, underivable: 0 },
          ]);
        }));
    }
  });

  describe(`${engine.name}: verification, timestamps as AgentOS writes them`, () => {
    before(function () {
      needEngine(this, engine);
    });

    const zoned = '2026-01-20T10:00:00+00:00';
    /** Only `timestamp`, as its supervisor writes it: the other column is the row's own time. */
    const supervised = (createdAt: string): Audit => ({
      payload: JSON.stringify({ timestamp: zoned }),
      createdAt,
    });

    it('warns of a row with an offset in one of the two and none in the other, which its readers raise on', () =>
      onPlainStore(
        engine,
        async (store) => {
          const outcome = await up(store);
          expect(codeOf(outcome)).to.equal(undefined);
          for (const verification of [only(outcome.verifications), await verify(store)]) {
            expect(troubles(verification)).to.deep.equal({ timestamps: 'warn' });
            const timestamps = checkOf(verification, 'timestamps');
            expect(timestamps.findings.filter(({ verdict }) => verdict !== 'pass')).to.deep.equal([
              {
                verdict: 'warn',
                text: '2 rows have an offset in only one of source_event_ts and supervisor_processed_at',
                sampleKeys: ['1', '3'],
              },
            ]);
            expect(timestamps.stats).to.include({ mixedOffsets: 2, endBeforeStart: 0 });
          }
        },
        [
          supervised('2026-01-20 10:00:00'),
          supervised('2026-01-20T10:00:00Z'),
          { payload: JSON.stringify({ source_ts: zoned, timestamp: '2026-01-20T10:00:01.5' }) },
          {}, // neither has one
        ],
      ));

    it('counts what is its fallback, and says why a lag is slightly negative there', () =>
      onPlainStore(
        engine,
        async (store) => {
          const timestamps = checkOf(only((await up(store)).verifications), 'timestamps');
          expect(timestamps.findings.map(({ text }) => text)).to.include.members([
            'source_event_ts: 4 of 50 hold the value of the fallback created_at',
            'supervisor_processed_at: 1 of 50 hold the value of the fallback created_at',
            '3 rows have supervisor_processed_at before source_event_ts',
          ]);
          expect(timestamps.stats).to.include({ endBeforeStart: 3, endBeforeFallback: 2 });
          expect(timestamps.hint).to.match(
            /^No fix is needed for 2 of the rows with supervisor_processed_at before source_event_ts: /,
          );
        },
        [
          supervised('2026-01-20T10:00:00.020000+00:00'),
          supervised('2026-01-20T10:00:00.017000+00:00'),
          supervised('2026-01-20T09:59:59+00:00'),
          { payload: '{}', createdAt: zoned },
          { payload: JSON.stringify({ source_ts: '2026-01-20T10:00:01Z', timestamp: zoned }) },
        ],
      ));

    if (engine.name === 'PostgreSQL') {
      for (const [createdAt, mixed] of [
        ['timestamp', 50],
        ['timestamptz', 0],
      ] as const)
        it(`tells of a \`${createdAt}\` that it has ${mixed === 0 ? 'an' : 'no'} offset beside a document's`, () =>
          onPlainStore(
            engine,
            async (store) => {
              const { stats } = checkOf(only((await up(store)).verifications), 'timestamps');
              expect(stats).to.include({ mixedOffsets: mixed });
              const columns = stats.columns as readonly { readonly fromFallback: number }[];
              expect(columns.map(({ fromFallback }) => fromFallback)).to.deep.equal([50, 0]);
            },
            Array<Audit>(50).fill(supervised('2026-01-20T10:00:00+00:00')),
            { form: { createdAt } },
          ));
    }
  });
}
