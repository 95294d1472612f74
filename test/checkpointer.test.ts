import { existsSync, statSync } from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import threads, { type Worker } from 'node:worker_threads';
import { expect } from 'chai';
import { describe, it } from 'mocha';
import { defineBackfill, sql } from '../src/index.js';
import { numbers } from './support/customers.js';
import { type OwnTable, withOwnTable } from './support/own-table.js';
import type { Extra } from './support/project.js';

// A run moves the WAL into the main file by the way: seen by the sizes of both while it goes on. Pages are the smallest that there are,
// so that many of them are written soon.

const PAGE = 512;

/** Pages that wait when a move is due, and those at which the run waits for the thread that moves. */
const [DUE, FAR] = [4000, 16_000];

/** A batch writes some 450 pages: each value takes four. Nothing is read behind it, because of the subquery. */
const definition = defineBackfill({
  table: 'items',
  key: 'id',
  columns: { value: sql(`printf('%.*c', (SELECT 1900 FROM items LIMIT 1), 'x')`) },
});

const withRows = (count: number, act: (own: OwnTable) => Promise<void>): Promise<void> =>
  withOwnTable(
    `PRAGMA page_size = ${PAGE}; CREATE TABLE items (id INTEGER PRIMARY KEY, value TEXT);
    ${numbers(count)} INSERT INTO items (id) SELECT i FROM n`,
    definition,
    act,
  );

/** Sizes of a store's files after each batch, in pages. */
interface Sizes {
  readonly wal: number;
  readonly main: number;
}

/** Fills at full pace, and looks at the sizes meanwhile. */
async function fill({ path, up }: OwnTable, extra: Extra = {}): Promise<Sizes[]> {
  const sizes: Sizes[] = [];
  const { error, verifications } = await up({
    batchRows: 100,
    pace: 'full',
    ...extra,
    onEvent: ({ event }) => {
      if (event !== 'batch_committed') return;
      const [wal = 0, main = 0] = [`${path}-wal`, path].map((file) => statSync(file).size / PAGE);
      sizes.push({ wal, main });
    },
  });
  expect(error).to.equal(undefined);
  expect(verifications.map(({ verdict }) => verdict)).to.deep.equal(['pass']);
  return sizes;
}

const largest = (sizes: readonly Sizes[], of: keyof Sizes): number =>
  Math.max(...sizes.map((size) => size[of]));

/** Insists that the main file has got most of the pages before the run is over. */
function expectMoved(sizes: readonly Sizes[]): void {
  const [first, last] = [sizes[0], sizes.at(-1)];
  expect((last?.main ?? 0) - (first?.main ?? 0)).to.be.above(2 * DUE);
}

/** Does something to each thread that `act` begins, which must be so many. */
async function withThreads(
  count: number,
  disturb: (worker: Worker) => void,
  act: () => Promise<void>,
): Promise<void> {
  let threads = 0;
  const listen = (worker: Worker): void => {
    threads += 1;
    disturb(worker);
  };
  process.on('worker', listen);
  try {
    await act();
  } finally {
    process.off('worker', listen);
  }
  expect(threads, 'threads begun').to.equal(count);
}

describe('the WAL of a run', () => {
  for (const [how, parallelMinBytes] of [
    ['one thread', Number.POSITIVE_INFINITY],
    ['two threads', 0],
  ] as const) {
    it(`is moved into the main file, but less than is worth it waits (${how})`, () =>
      withRows(6000, async (own) => {
        const sizes = await fill(own, { parallelMinBytes });
        const early = sizes.filter(({ wal }, i) => wal < DUE && i < 8);
        expect(early).to.have.length(8);
        expect(new Set(early.map(({ main }) => main)).size, 'sizes of the main file').to.equal(1);
        expectMoved(sizes);
      }));

    it(`is gone with the last connection (${how})`, () =>
      withRows(1500, async (own) => {
        const sizes = await fill(own, { parallelMinBytes });
        expect(largest(sizes, 'wal')).to.be.above(DUE);
        for (const suffix of ['-wal', '-shm']) expect(existsSync(own.path + suffix), suffix).to.equal(false);
      }));
  }

  it('begins anew as soon as one thread has moved it', () =>
    withRows(6000, async (own) => {
      const sizes = await fill(own, { parallelMinBytes: Number.POSITIVE_INFINITY });
      expect(largest(sizes, 'wal')).to.be.within(DUE, DUE + 1000);
    }));

  it('is waited for when it has grown far beside the other thread, so that it begins anew', () =>
    withRows(10_000, async (own) => {
      const sizes = await fill(own, { parallelMinBytes: 0 });
      expect(largest(sizes, 'wal')).to.be.within(DUE, FAR + 1500);
      expectMoved(sizes);
    }));

  it('is nothing to begin a thread for while less than is worth it waits', () =>
    withRows(800, (own) =>
      // The one is the verification's.
      withThreads(
        1,
        () => undefined,
        async () => {
          expect(largest(await fill(own, { parallelMinBytes: 0 }), 'wal')).to.be.within(DUE / 2, DUE - 1);
        },
      ),
    ));

  it('is moved by the first thread when the other has ended', () =>
    withRows(6000, (own) =>
      // The verification's ends as well, and its work is done all the same.
      withThreads(
        2,
        (worker) => void worker.terminate(),
        async () => {
          const sizes = await fill(own, { parallelMinBytes: 0 });
          expectMoved(sizes);
          expect(largest(sizes, 'wal')).to.be.within(DUE, FAR + 1500);
        },
      ),
    ));

  it('is moved by the first thread when the system gives no other', () =>
    withRows(6000, async (own) => {
      const { Worker: kept } = threads;
      threads.Worker = class {
        constructor() {
          throw new Error('no thread');
        }
      } as unknown as typeof kept;
      syncBuiltinESMExports();
      try {
        const sizes = await fill(own, { parallelMinBytes: 0 });
        expectMoved(sizes);
        expect(largest(sizes, 'wal')).to.be.within(DUE, DUE + 1000);
      } finally {
        threads.Worker = kept;
        syncBuiltinESMExports();
      }
    }));
});
