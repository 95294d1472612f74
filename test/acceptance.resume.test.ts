import { expect } from 'chai';
import { before, describe, it } from 'mocha';
import { ENGINES, needEngine, type TestStore, type TestStoreOptions } from './support/engines.js';
import { expectSameMap } from './support/expect-same.js';
import { after as behind, stoppedAfter } from './support/migrate.js';
import {
  expectOnce,
  filled,
  type Left,
  smallStore,
  stopped,
  written,
  writtenCells,
} from './support/resumable.js';
import { umzugEngine } from './support/umzug-engine.js';

/** What an error was caused by. */
const rootOf = (error: unknown): unknown =>
  error instanceof Error && error.cause !== undefined ? rootOf(error.cause) : error;

/** From 1 on. */
const every = (count: number): number[] => Array.from({ length: count }, (_, i) => i + 1);

for (const engine of [...ENGINES, umzugEngine]) {
  const withStore = (act: (store: TestStore) => Promise<void>, changed: TestStoreOptions = {}) =>
    engine.withStore({ ...smallStore, ...changed }, act);

  describe(`${engine.title ?? engine.name}: up, stopped`, () => {
    let whole: Left;

    before(async function () {
      needEngine(this, engine);
      await withStore(async (store) => {
        whole = await filled(store);
      });
      const { batches, runs } = whole.ledger;
      expect(batches).to.have.length.greaterThan(4);
      batches.slice(1).forEach(({ firstKey }, i) => {
        expect(firstKey > (batches[i]?.lastKey ?? firstKey), `batch ${i + 2}`).to.equal(true);
      });
      expect(runs.map(({ cursor }) => cursor)).to.deep.equal([batches.at(-1)?.lastKey]);
    });

    it('ends as an uninterrupted run does, whatever batch it is stopped after', async () => {
      const { length } = whole.ledger.batches;
      for (const k of engine.name === 'SQLite' ? every(length - 1) : [1, 4, length - 1]) {
        await withStore(async (store) => {
          const [cells, expected] = [await store.cells(), await store.expected()];
          const half = await stopped(store, stoppedAfter(k));
          expect(half.error).to.include({ code: 'TERMINATED' });
          expect(half.ledger.batches).to.have.length(k);
          expect(half.ledger.status).to.equal('applying');
          expectOnce(half, cells);

          const end = await filled(store);
          expectOnce(end, cells);
          expectSameMap(end.cells, expected.cells);
          expect(end).to.deep.equal(whole);
        });
      }
    });

    it('ends as an uninterrupted run does when it is thrown out of its loop, even after the last batch', async () => {
      const { length } = whole.ledger.batches;
      for (const k of engine.name === 'SQLite' ? every(length) : [1, length - 1, length]) {
        await withStore(async (store) => {
          const thrown = new Error('thrown by the caller');
          const throwing = behind(k, 'batch_committed', () => {
            throw thrown;
          });
          expect(rootOf((await stopped(store, throwing)).error)).to.equal(thrown);
          expect(await filled(store)).to.deep.equal(whole);
        });
      }
    });

    it('names the signal that has stopped it, and does no batch when it is stopped already', () =>
      withStore(async (store) => {
        const signal = AbortSignal.abort('SIGINT');
        const { error, ledger } = await stopped(store, { signal });
        expect(error).to.include({ code: 'INTERRUPTED' });
        expect(error)
          .to.have.property('message')
          .that.matches(/^Stopped by SIGINT/);
        expect(ledger.batches).to.deep.equal([]);
      }));

    it('resumes with another batch size, over keys at both ends of the range', () => {
      const [least, greatest] = [-(2n ** 63n), 2n ** 63n - 1n];
      // A distance beyond 2^53 ends a batch early, whatever its size.
      const rows = written(least, least + 1n, -1n, 0n, 1n, 2n ** 53n, 2n ** 53n + 1n, greatest);
      return withStore(
        async (store) => {
          const [cells, expected] = [await store.cells(), await store.expected()];
          expect((await stopped(store, { ...stoppedAfter(2), batchRows: 1 })).error).to.include({
            code: 'TERMINATED',
          });
          const end = await filled(store, { batchRows: 4 });
          expectSameMap(end.cells, expected.cells);
          expect(new Set(end.cells.values())).to.have.lengthOf(rows.length);
          expectOnce(end, cells);
        },
        { audits: 0, smallSchema: true, rows },
      );
    });

    // On PostgreSQL, where others may take part, the cursor is read anew, and locked, for each batch: nobody can move it meanwhile.
    if (engine.name === 'SQLite')
      it('refuses to go on when another process has moved the cursor, and rolls its batch back', () =>
        withStore(async (store) => {
          const rivalled = behind(2, 'batch_committed', () =>
            store.changeNow('UPDATE umzug_backfill_ranges SET cursor = cursor + 1'),
          );
          const half = await stopped(store, rivalled);
          expect(half.error).to.include({ code: 'RUN_CONFLICT' });
          expect(half.ledger.batches).to.have.length(2);
          expect(half.ledger.runs.at(-1)).to.include({ status: 'running', batches: 2 });
          expectOnce(half, new Map());
        }));

    it('catches up, at its end, rows that were written between its batches', () =>
      withStore(async (store) => {
        const write = (): void =>
          store.changeNow(
            `INSERT INTO task_audits (task_id, event_type, payload, created_at) VALUES
              ('task_000000', 'SUPERVISOR_PAUSED', '{"source_ts":"s"}', '2026-02-01 10:00:00'),
              ('task_000000', 'SUPERVISOR_PAUSED', '{"source_ts":"s"}', '2026-02-01 10:00:00')`,
          );
        const { ledger, cells } = await filled(store, behind(3, 'batch_committed', write));
        expect(ledger.runs.map(({ kind, watermark }) => [kind, watermark])).to.deep.equal([
          ['first', 60n],
          ['catch-up', 62n],
        ]);
        expect(cells.get('62')).to.deep.equal(writtenCells);
        expectOnce({ ledger, cells }, new Map());
      }));
  });
}
