import { expect } from 'chai';
import { before, describe, it } from 'mocha';
import { defineBackfill, sql } from '../src/index.js';
import { ENGINES, needEngine, type TestStore } from './support/engines.js';
import { makeAnew, restartKeys } from './support/made-anew.js';
import {
  backfillStatus,
  catchUp,
  checkOf,
  codeOf,
  down,
  type Extra,
  expectIdle,
  name,
  onAppliedStore,
  only,
  onPlainStore,
  plain,
  processed,
  project,
  rescan,
  source,
  stoppedAfter,
  troubles,
  up,
  verify,
} from './support/migrate.js';
import { NAME, withOwnTable } from './support/own-table.js';
import { commandsOf, type Outcome, projectOf } from './support/project.js';
import { schemaStep } from './support/stores.js';

const NULLS = 'UPDATE task_audits SET source_event_ts = NULL, supervisor_processed_at = NULL';
const again = (cells: number): string =>
  `${cells} cells that ${name} had filled were NULL again, and were filled again`;

const at = (store: TestStore) => commandsOf(project, store.address, { pace: 'full' });
const deploy = (store: TestStore, extra?: Extra) => at(store).deploy([], extra);

/** What a dry run of `down` says of the backfill: cells to revert. */
const cellsToRevert = async (store: TestStore): Promise<unknown> =>
  only((await at(store).plan(['down'])).steps as { cells: { reverted: number } }[]).cells.reverted;

/** Insists that a command has filled again what was lost, says so, and that nothing is left to do. */
async function expectMended(
  store: TestStore,
  cells: Awaited<ReturnType<TestStore['cells']>>,
  outcome: Outcome,
  lost: number,
): Promise<void> {
  expect(codeOf(outcome), outcome.error?.message).to.equal(undefined);
  expect(outcome.warnings).to.deep.equal([again(lost)]);
  expect(troubles(only(outcome.verifications))).to.deep.equal({});
  expect(await store.cells()).to.deep.equal(cells);
  expect(await backfillStatus(store)).to.include({ needsCatchUp: false, isPending: false, verdict: 'pass' });
  await expectIdle(store);
}

const ALL = { up, deploy, backfill: catchUp } as const;
const UPS = { up, deploy } as const;

for (const engine of ENGINES) {
  /** The commands that are to do the same: on SQLite all of them, on PostgreSQL, where each takes longer, one. */
  const commandsOn = <Command>(commands: Readonly<Record<string, Command>>, first: string) =>
    Object.entries(commands).filter(([each]) => engine.name === 'SQLite' || each === first);

  describe(`${engine.name}: a table that the application has made anew`, () => {
    before(function () {
      needEngine(this, engine);
    });

    for (const [command, run] of commandsOn(UPS, 'up')) {
      it(`is filled again by \`${command}\`, which says so, and \`down\` counts each cell once`, () =>
        onPlainStore(engine, async (store) => {
          const empty = await store.cells();
          expect(codeOf(await up(store))).to.equal(undefined);
          const cells = await store.cells();
          await makeAnew(store);
          expect(await backfillStatus(store)).to.include({ needsCatchUp: true, isPending: true });
          const outcome = await run(store);
          expect(outcome.recreated).to.deep.equal([schemaStep.name]);
          expect(outcome.caughtUp).to.deep.equal([name]);
          await expectMended(store, cells, outcome, 100);
          expect(await cellsToRevert(store)).to.equal(100);
          expect((await down(store)).cells).to.deep.equal([
            { backfill: name, reverted: 100, kept: 0, gone: 0, underivable: 0 },
          ]);
          expect(await store.cells()).to.deep.equal(empty);
        }));
    }

    for (const [command, run] of commandsOn(ALL, 'backfill')) {
      it(`is noticed in place by a few cells of those that were filled, by \`${command}\``, () =>
        onAppliedStore(engine, async (store) => {
          const cells = await store.cells();
          await store.change(`${NULLS} WHERE audit_id BETWEEN 11 AND 30`);
          expect(await backfillStatus(store)).to.include({ needsCatchUp: true, isPending: true });
          await expectMended(store, cells, await run(store), 40);
        }));
    }

    it('is filled again also in a row of which another cell is recorded as a skip', () =>
      onAppliedStore(
        engine,
        async (store) => {
          const cells = await store.cells();
          expect(cells.get('1')).to.deep.equal(['2026-01-20T10:00:00Z', null]);
          await store.change(`${NULLS} WHERE audit_id <= 30`);
          const outcome = await up(store);
          expect(codeOf(outcome), outcome.error?.message).to.equal(undefined);
          expect(outcome.warnings).to.deep.equal([again(59)]);
          expect(await store.cells()).to.deep.equal(cells);
          await expectIdle(store);
        },
        [{ payload: '{"source_ts":"2026-01-20T10:00:00Z"}', createdAt: null }],
      ));

    it('is shown by a dry run, from the first key on', () =>
      onAppliedStore(engine, async (store) => {
        await store.change(`${NULLS} WHERE audit_id BETWEEN 11 AND 30`);
        const [{ fill }] = (await at(store).plan(['up'])).steps;
        expect(fill).to.deep.include({
          kind: 'rescan',
          rows: 20,
          cellsToFill: { source_event_ts: 20, supervisor_processed_at: 20 },
        });
        expect((await at(store).plan(['backfill'])).steps[0].fill).to.deep.include({ rows: 20 });
      }));

    it('is shown by a dry run that would make an index or a column again, too', () =>
      onAppliedStore(engine, async (store) => {
        await makeAnew(store);
        const shown = async () => {
          const { steps, unverified } = await at(store).plan(['up']);
          expect(steps.map(({ step }: { step: string }) => step)).to.deep.equal([schemaStep.name, name]);
          expect(unverified).to.deep.equal([]);
          return steps[1].fill;
        };
        expect(await shown()).to.deep.include({
          kind: 'rescan',
          rows: 50,
          cellsToFill: { source_event_ts: 50, supervisor_processed_at: 50 },
        });
        expect(codeOf(await up(store))).to.equal(undefined);
        await store.change(`DROP INDEX idx_task_audits_source_event_ts; DROP INDEX idx_task_audits_decision_lag;
          DROP INDEX idx_task_audits_event_source_ts; ALTER TABLE task_audits DROP COLUMN source_event_ts`);
        expect(await shown()).to.deep.include({
          rows: 50,
          cellsToFill: { source_event_ts: 50, supervisor_processed_at: 0 },
        });
      }));

    it('is filled again where a column was dropped, which `up` makes again', () =>
      onAppliedStore(engine, async (store) => {
        const cells = await store.cells();
        await store.change(`DROP INDEX idx_task_audits_source_event_ts; DROP INDEX idx_task_audits_decision_lag;
          DROP INDEX idx_task_audits_event_source_ts; ALTER TABLE task_audits DROP COLUMN source_event_ts`);
        expect(await backfillStatus(store)).to.include({ needsCatchUp: true, isPending: true });
        const outcome = await up(store);
        expect(outcome.recreated).to.deep.equal([schemaStep.name]);
        await expectMended(store, cells, outcome, 50);
        expect(await cellsToRevert(store)).to.equal(100);
        expect((await down(store)).cells).to.deep.equal([
          { backfill: name, reverted: 100, kept: 0, gone: 0, underivable: 0 },
        ]);
      }));

    it('is looked at once from the first key on, and a cell that no probe is of is found', () =>
      onAppliedStore(engine, async (store) => {
        const cells = await store.cells();
        await makeAnew(store, 'audit_id = 1');
        await expectMended(store, cells, await up(store), 2);
      }));

    it('is nothing to do where nothing was lost: no run, no backup, and recorded once', () =>
      onAppliedStore(engine, async (store) => {
        await makeAnew(store, 'false');
        await up(store); // makes the indexes
        await (engine.name === 'SQLite'
          ? store.change(
              'CREATE TABLE other (i); DROP TABLE other; ALTER TABLE task_audits ADD COLUMN more TEXT',
            )
          : store.change('CLUSTER task_audits USING task_audits_pkey'));
        const { runs, commands } = await store.ledger();
        const before = [runs(name), commands()];
        for (const run of [up, deploy, catchUp]) {
          expect(await backfillStatus(store)).to.include({ needsCatchUp: false, isPending: false });
          const outcome = await run(store);
          expect(outcome).to.deep.include({ warnings: [], verifications: [] });
          expect(outcome.size).to.equal(undefined);
        }
        const now = await store.ledger();
        expect([now.runs(name), now.commands()]).to.deep.equal(before);
        await expectIdle(store);
      }));

    it('is filled whole by a run that it was made anew under, and that was stopped', () =>
      onPlainStore(engine, async (store) => {
        expect(codeOf(await up(store, stoppedAfter(3)))).to.equal('TERMINATED');
        const { cells } = await store.expected();
        await makeAnew(store);
        const outcome = await up(store);
        expect(outcome.applied).to.deep.equal([name]);
        await expectMended(store, cells, outcome, 60);
      }));

    it('is counted whole by a catch-up that was stopped', () =>
      onAppliedStore(engine, async (store) => {
        const cells = await store.cells();
        await makeAnew(store);
        expect(codeOf(await up(store, stoppedAfter(2)))).to.equal('TERMINATED');
        await expectMended(store, cells, await up(store), 100);
      }));

    it('is noticed by a ledger that has lost its row, and `down` leaves nothing of it', () =>
      onPlainStore(engine, async (store) => {
        const before = await store.dump();
        expect(codeOf(await up(store))).to.equal(undefined);
        const cells = await store.cells();
        await store.change(`DELETE FROM umzug_backfill_tables; ${NULLS}`);
        expect(await backfillStatus(store)).to.include({ needsCatchUp: true, isPending: true });
        await expectMended(store, cells, await up(store), 100);
        await store.change('DELETE FROM umzug_backfill_tables');
        expect(codeOf(await down(store, { to: 0 }))).to.equal(undefined);
        expect((await store.dump()).schema).to.deep.equal(before.schema);
      }));
  });

  describe(`${engine.name}: cells that were filled again and changed since`, () => {
    before(function () {
      needEngine(this, engine);
    });

    it('are each counted once by `down`, also by one that was stopped', () =>
      onAppliedStore(engine, async (store) => {
        await store.change('UPDATE task_audits SET source_event_ts = NULL WHERE audit_id BETWEEN 5 AND 30');
        const { warnings } = await rescan(store);
        expect(warnings).to.deep.equal([again(26)]);
        expect(await cellsToRevert(store)).to.equal(100);
        await store.change(
          `UPDATE task_audits SET source_event_ts = 'own', supervisor_processed_at = 'own' WHERE audit_id IN (4, 7, 30)`,
        );
        expect(codeOf(await down(store, {}, stoppedAfter(2, 'batch_reverted')))).to.equal('TERMINATED');
        expect((await down(store)).cells).to.deep.equal([
          { backfill: name, reverted: 94, kept: 6, gone: 0, underivable: 0 },
        ]);
      }));
  });

  describe(`${engine.name}: keys that begin again`, () => {
    before(function () {
      needEngine(this, engine);
    });

    for (const [command, run] of commandsOn(ALL, 'deploy')) {
      it(`are found at and below the watermark by \`${command}\``, () =>
        onAppliedStore(engine, async (store) => {
          await restartKeys(store, 25);
          await store.insert(...Array(20).fill(plain));
          expect(await backfillStatus(store)).to.include({ needsCatchUp: true, isPending: true });
          const { cells } = await store.expected();
          const outcome = await run(store);
          expect(codeOf(outcome), outcome.error?.message).to.equal(undefined);
          expect(troubles(only(outcome.verifications))).to.deep.equal({});
          expect(outcome.warnings).to.deep.equal([
            `The keys of task_audits begin again: 40 cells were filled in rows with keys that ${name} had filled before`,
          ]);
          expect(await store.cells()).to.deep.equal(cells);
          await expectIdle(store);
          // From here on the watermark is the new one.
          await store.insert(...Array(20).fill(plain));
          expect(codeOf(await run(store))).to.equal(undefined);
          const last = (await store.ledger()).runs(name).at(-1);
          expect(last).to.include({
            startKey: engine.knowsGrowingKeys ? 45n : null,
            watermark: 65n,
            cellsFilled: 40,
          });
          expect(troubles(await verify(store))).to.deep.equal({});
          // 50 rows of the first run, of which 5 are gone for good, and 15 behind them.
          expect(await cellsToRevert(store)).to.equal(130);
          expect((await down(store)).cells).to.deep.equal([
            { backfill: name, reverted: 130, kept: 0, gone: 0, underivable: 0 },
          ]);
        }));
    }

    it('are looked at once where none is written yet, and the next ones wait', () =>
      onAppliedStore(engine, async (store) => {
        await restartKeys(store, 25);
        expect(await up(store)).to.deep.include({ caughtUp: [], verifications: [] });
        await expectIdle(store);
        await store.insert(...Array(20).fill(plain));
        const coverage = (await verify(store)).checks.find(({ id }) => id === 'coverage');
        expect(coverage?.verdict).to.equal('warn'); // they wait
        expect((await up(store)).caughtUp).to.deep.equal([name]);
        const last = (await store.ledger()).runs(name).at(-1);
        expect(last).to.include({ startKey: engine.knowsGrowingKeys ? 25n : null, rowsScanned: 20 });
        expect((await verify(store)).verdict).not.to.equal('fail');
      }));

    it('are not counted as the backfill’s where the application has filled them itself', () =>
      onAppliedStore(engine, async (store) => {
        await restartKeys(store, 10);
        expect((await up(store)).caughtUp).to.deep.equal([]);
        await store.insert(...Array(20).fill(plain));
        await store.change(
          `UPDATE task_audits SET source_event_ts = '${source}', supervisor_processed_at = '${processed}' WHERE audit_id > 10`,
        );
        expect(checkOf(await verify(store), 'integrity').stats).to.include({ held: 20, recorded: 100 });
      }));

    it('are tried again at a key that was skipped, as the skip was of another row', () =>
      onAppliedStore(
        engine,
        async (store) => {
          await restartKeys(store, 0);
          await store.insert(plain, plain);
          const { cells } = await store.expected();
          expect((await up(store)).caughtUp).to.deep.equal([name]);
          expect(await store.cells()).to.deep.equal(cells);
          expect((await store.ledger()).skips(name)).to.deep.equal([]);
          await expectIdle(store);
        },
        [{ payload: '{' }, { payload: '{' }],
      ));
  });
}

describe('cells that were filled again, with text keys', () => {
  it('are each counted once by `down` and its dry run', () =>
    withOwnTable(
      `CREATE TABLE words (word TEXT PRIMARY KEY, upper TEXT, size INTEGER);
      WITH RECURSIVE n (i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 40)
      INSERT INTO words (word) SELECT printf('w%02d', i) FROM n`,
      defineBackfill({
        table: 'words',
        key: 'word',
        columns: { upper: sql('upper(word)'), size: sql('length(word)') },
      }),
      async (own) => {
        await own.up();
        own.exec(`UPDATE words SET upper = NULL WHERE word BETWEEN 'w05' AND 'w34'`);
        expect((await own.up()).warnings).to.deep.equal([
          `30 cells that ${NAME} had filled were NULL again, and were filled again`,
        ]);
        own.exec(`UPDATE words SET upper = 'x', size = 0 WHERE word IN ('w04', 'w05', 'w20', 'w34', 'w35')`);
        const { steps } = await commandsOf(projectOf([own.step]), own).plan(['down']);
        const found = { reverted: 70, kept: 10, gone: 0, underivable: 0 };
        expect(steps[0].cells).to.deep.equal(found);
        expect((await own.down()).cells).to.deep.equal([{ backfill: NAME, ...found }]);
      },
    ));
});
