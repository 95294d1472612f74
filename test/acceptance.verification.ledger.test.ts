import { expect } from 'chai';
import { before, describe, it } from 'mocha';
import { ENGINES, needEngine } from './support/engines.js';
import {
  backfillStatus,
  catchUp,
  checkOf,
  codeOf,
  down,
  expectIdle,
  name,
  onAppliedStore,
  only,
  plain,
  processed,
  rescan,
  troubles,
  up,
  verify,
} from './support/migrate.js';
import { type Audit, schemaStep } from './support/stores.js';

// One row that can't be read and one without a value: the ledger has skips, too.
const odd: readonly Audit[] = [
  { payload: '{' },
  plain,
  { ...plain, payload: '{"timestamp":1768903200}', createdAt: null },
];
const filled = 97; // of 100 cells
const quiet = { coverage: 'warn' };

const third = '(SELECT min(number) + 2 FROM umzug_backfill_batches)';
const last = '(SELECT max(number) FROM umzug_backfill_batches)';

/** What is removed from the ledger, and how many of the cells that it knew are then nobody's. */
const losses: readonly (readonly [what: string, sql: string, cells: number])[] = [
  [
    'the row of the first batch',
    'DELETE FROM umzug_backfill_batches WHERE number = (SELECT min(number) FROM umzug_backfill_batches)',
    17,
  ],
  ['the row of a batch in the middle', `DELETE FROM umzug_backfill_batches WHERE number = ${third}`, 20],
  ['the row of the last batch', `DELETE FROM umzug_backfill_batches WHERE number = ${last}`, 20],
  ['the rows of every batch', 'DELETE FROM umzug_backfill_batches', filled],
  ['a row of cells', `DELETE FROM umzug_backfill_cells WHERE batch = ${third}`, 20],
  ['the row of cells of the last batch', `DELETE FROM umzug_backfill_cells WHERE batch = ${last}`, 20],
  ['every row of cells', 'DELETE FROM umzug_backfill_cells', filled],
  [
    'the end of a row of cells',
    `UPDATE umzug_backfill_cells SET keys = substr(keys, 1, 1) WHERE batch = ${third}`,
    20,
  ],
  ['a row of skips', `DELETE FROM umzug_backfill_skips WHERE CAST(key AS TEXT) = '1'`, 0],
  ['every row of skips', 'DELETE FROM umzug_backfill_skips', 0],
  ['the row of the run', 'DELETE FROM umzug_backfill_runs', 0],
  ['the rows of the run’s ranges', 'DELETE FROM umzug_backfill_ranges', 0],
  ['a row of what the schema step made', `DELETE FROM umzug_backfill_objects WHERE kind = 'version'`, 0],
];

for (const engine of ENGINES) {
  describe(`${engine.name}: verification, ledger rows removed`, () => {
    before(function () {
      needEngine(this, engine);
    });

    // Which batch it is that lost something is asked of both engines in the same way: PostgreSQL has one in the middle.
    const isInMiddle = (sql: string): boolean => sql.includes(third) || !sql.includes('(SELECT');
    for (const [what, sql, cells] of losses.filter(
      ([, sql]) => engine.name === 'SQLite' || isInMiddle(sql),
    )) {
      it(`fails without ${what}, until a rescan takes the table as it is; \`down\` leaves what the ledger lost`, () =>
        onAppliedStore(
          engine,
          async (store) => {
            await store.change(sql);
            const verification = await verify(store);
            expect(troubles(verification)).to.include({ integrity: 'fail' });
            const integrity = checkOf(verification, 'integrity');
            expect(integrity.hint).to.match(new RegExp(`^Run umzug-backfill backfill ${name} --rescan`));
            expect(integrity.stats.contradictions).to.be.greaterThan(0);

            const mended = await rescan(store);
            expect(codeOf(mended), mended.error?.message).to.equal(undefined);
            expect(troubles(only(mended.verifications))).to.deep.equal(quiet);
            await expectIdle(store);
            const reverted = await down(store);
            expect(codeOf(reverted)).to.equal(undefined);
            expect(reverted.cells).to.deep.equal([
              { backfill: name, reverted: filled - cells, kept: 0, gone: 0, underivable: 0 },
            ]);
            const left = 'SELECT count(source_event_ts) + count(supervisor_processed_at) FROM task_audits';
            expect(await store.query(left)).to.deep.equal([String(cells)]);
          },
          odd,
        ));
    }

    for (const [what, sql] of losses.filter(
      ([, text]) => engine.name === 'SQLite' || /^DELETE FROM \w+$/.test(text),
    )) {
      it(`goes on with rows written since without ${what}`, () =>
        onAppliedStore(
          engine,
          async (store) => {
            await store.change(sql);
            await store.insert(plain);
            // The verification may fail, but nothing that was removed may stop a run on the way.
            for (const run of [catchUp, rescan])
              expect(codeOf(await run(store))).to.be.oneOf([undefined, 'VERIFICATION_FAILED']);
            const cell = 'SELECT supervisor_processed_at FROM task_audits WHERE audit_id = 51';
            expect(await store.query(cell)).to.deep.equal([processed]);
            expect(codeOf(await down(store))).to.equal(undefined);
          },
          odd,
        ));
    }
  });

  describe(`${engine.name}: verification, indexes`, () => {
    before(function () {
      needEngine(this, engine);
    });

    for (const { name: index } of schemaStep.indexes) {
      it(`fails when ${index} was dropped, and the next \`up\` makes it again`, () =>
        onAppliedStore(engine, async (store) => {
          await store.change(`DROP INDEX ${index}`);
          const check = checkOf(await verify(store), 'index-use');
          expect(check.verdict).to.equal('fail');
          expect(check.hint).to.match(/^Run umzug-backfill up /);
          expect(await backfillStatus(store)).to.include({ isPending: true });
          const outcome = await up(store);
          expect(outcome).to.deep.include({ applied: [], recreated: [schemaStep.name], warnings: [] });
          expect(troubles(await verify(store))).to.deep.equal({});
          await expectIdle(store);
        }));
    }
  });
}
