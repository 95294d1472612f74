import { expect } from 'chai';
import { before, describe, it } from 'mocha';
import { ENGINES, needEngine, type TestStore, type TestStoreOptions } from './support/engines.js';
import { expectSameMap } from './support/expect-same.js';
import { catchUp, stoppedAfter } from './support/migrate.js';
import {
  caughtUp,
  expectOnce,
  filled,
  type Left,
  leftIn,
  options,
  rescanned,
  smallStore,
  written,
  writtenCells,
} from './support/resumable.js';

for (const engine of ENGINES) {
  const withStore = (act: (store: TestStore) => Promise<void>, changed: TestStoreOptions = {}) =>
    engine.withStore({ ...smallStore, ...changed }, act);

  describe(`${engine.name}: backfill`, () => {
    before(function () {
      needEngine(this, engine);
    });

    it('fills rows behind the watermark and reads no others but those with NULLs', () =>
      withStore(async (store) => {
        const { ledger: first } = await filled(store);
        expect(first.skips).not.to.deep.equal([]);
        await store.insert(...written(null, 100, 101));
        const expected = await store.expected();
        const { hasRun, waited, ledger, cells } = await caughtUp(store);
        expect({ hasRun, waited }).to.deep.equal({ hasRun: true, waited: [true, false] });
        expectSameMap(cells, expected.cells);
        // The skips of the first run are not read again, be they behind its cursor or known.
        expect(ledger.runs.at(-1)).to.include({
          kind: 'catch-up',
          status: 'verified',
          startKey: engine.knowsGrowingKeys ? 60n : null,
          watermark: 101n,
          rowsScanned: 3,
        });
        expect(ledger.batches.slice(0, first.batches.length)).to.deep.equal(first.batches);
        expect(ledger.skips).to.deep.equal(first.skips);
      }));

    for (const smallSchema of [false, true]) {
      it(`writes nothing when no row waits, though skips have NULLs (small schema: ${smallSchema})`, () =>
        withStore(
          async (store) => {
            expect((await filled(store)).ledger.skips).not.to.deep.equal([]);
            const traces = await store.traces();
            const { hasRun, waited } = await caughtUp(store);
            expect({ hasRun, waited }).to.deep.equal({ hasRun: false, waited: [false, false] });
            expect(await store.traces()).to.deep.equal(traces);
          },
          { smallSchema },
        ));
    }

    it('is resumed when it was stopped half way, then catches up what was written since', () =>
      withStore(async (store) => {
        const cells = await store.cells();
        await filled(store);
        await store.insert(...written(...Array(20).fill(null)));
        const { error } = await catchUp(store, { ...options, ...stoppedAfter(1) });
        expect(error).to.include({ code: 'TERMINATED' });
        expect((await leftIn(store)).ledger.runs.at(-1)).to.include({
          kind: 'catch-up',
          status: 'running',
          batches: 1,
        });
        await store.insert(...written(null));
        const expected = await store.expected();

        const end = await caughtUp(store);
        expect(end.hasRun).to.equal(true);
        const runs = end.ledger.runs.map(({ kind, status, rowsScanned }) => [kind, status, rowsScanned]);
        expect(runs.slice(1)).to.deep.equal([
          ['catch-up', 'verified', 20],
          ['catch-up', 'verified', 1],
        ]);
        expectSameMap(end.cells, expected.cells);
        expectOnce(end, cells);
        expect((await caughtUp(store)).hasRun).to.equal(false);
      }));

    for (const smallSchema of [false, true]) {
      const isLeft = engine.knowsGrowingKeys && !smallSchema;

      it(`${isLeft ? 'leaves to a rescan' : 'finds'} rows with smaller keys, also ones used before (small schema: ${smallSchema})`, () =>
        withStore(
          async (store) => {
            await filled(store);
            await store.change('DELETE FROM task_audits WHERE audit_id IN (7, 60)');
            await store.insert(...written(-5, 0, 7));
            const expected = await store.expected();
            const { hasRun, waited, cells, ledger } = await caughtUp(store);
            expect({ hasRun, waited }).to.deep.equal({ hasRun: !isLeft, waited: [!isLeft, false] });
            if (!isLeft) {
              expectSameMap(cells, expected.cells);
              expect(ledger.runs.at(-1)).to.include({ kind: 'catch-up', startKey: null, rowsScanned: 3 });
              return;
            }
            expect(cells.get('7')).to.deep.equal([null, null]);
            const mended = await rescanned(store);
            expectSameMap(mended.cells, expected.cells);
            for (const key of ['-5', '0', '7'])
              expect(mended.cells.get(key), key).to.deep.equal(writtenCells);
            expect(mended.ledger.runs.at(-1)).to.include({ kind: 'rescan', startKey: null, rowsScanned: 3 });
          },
          { smallSchema, rareShare: 0 },
        ));
    }
  });

  describe(`${engine.name}: backfill --rescan`, () => {
    before(function () {
      needEngine(this, engine);
    });

    it('tries skips again in a rescan: what was mended is filled, and its skip forgotten', () =>
      withStore(async (store) => {
        const { skips: wanted } = await store.expected();
        const first = await filled(store);
        const keysOf = ({ skips }: Left['ledger']): string[] => [
          ...new Set(skips.map(({ key }) => String(key))),
        ];
        expect(keysOf(first.ledger)).to.have.members([...wanted.keys()]);
        const [mended = ''] = keysOf(first.ledger);
        await store.change(
          `UPDATE task_audits SET payload = '{"source_ts":"s","timestamp":"t"}' WHERE audit_id = ${mended}`,
        );
        const idle = await caughtUp(store);
        expect(idle.hasRun).to.equal(false);
        const { ledger, cells } = await rescanned(store);
        expect(cells.get(mended)).to.deep.equal(['s', 't']);
        expect(keysOf(ledger)).to.have.members([...wanted.keys()].filter((key) => key !== mended));
        // A skip that stands is recorded by the batch that tried it last, and once.
        const [before, after] = [1, 2].map((run) =>
          ledger.batches.filter((batch) => batch.run === run).reduce((sum, { skipped }) => sum + skipped, 0),
        );
        expect([before, after]).to.deep.equal([0, ledger.skips.length]);
      }));
  });
}
