import { expect } from 'chai';
import fc from 'fast-check';
import { describe, it } from 'mocha';
import { defineBackfill, sql } from '../src/index.js';
import { numbers } from './support/customers.js';
import { isLong } from './support/long.js';
import { checkOf, only } from './support/migrate.js';
import { type OwnTable, withOwnTable } from './support/own-table.js';
import type { Extra } from './support/project.js';
import { asAgentOs } from './support/stores.js';

// The figures of the check `lag`, by `verify`, of rows that hold two times.

const definition = defineBackfill({
  table: 'items',
  key: 'id',
  columns: { began: sql('began'), ended: sql('ended') },
  checks: { timestamps: true, lag: { from: 'began', to: 'ended' } },
});

interface Figures {
  readonly count: number;
  readonly p50Seconds: number;
  readonly p95Seconds: number;
  readonly p99Seconds: number;
  readonly maxSeconds: number;
  readonly slowest: readonly { readonly key: string; readonly seconds: number }[];
}

/** A table whose rows are made by the test. */
interface Lags {
  readonly own: OwnTable;
  /** Adds rows of so many milliseconds each, with keys from `firstKey` on. */
  readonly add: (milliseconds: readonly number[], firstKey?: number) => void;
  readonly figures: (extra?: Extra) => Promise<Figures>;
}

/** In the middle of the years that there are timestamps of, so that lags can be large. */
const BEGAN = Date.parse('5000-01-01T00:00:00Z');

const withLags = (act: (lags: Lags) => Promise<void>): Promise<void> =>
  withOwnTable(
    'CREATE TABLE items (id INTEGER PRIMARY KEY, began TEXT, ended TEXT)',
    definition,
    async (own) => {
      expect((await own.up()).error).to.equal(undefined);
      await act({
        own,
        add: (milliseconds, firstKey = 1) =>
          asAgentOs(own.path, (db) => {
            const insert = db.prepare('INSERT INTO items VALUES (?, ?, ?)');
            db.transaction(() =>
              milliseconds.forEach((lag, i) => {
                const [began, ended] = [BEGAN, BEGAN + lag].map((at) => new Date(at).toISOString());
                insert.run(firstKey + i, began, ended);
              }),
            )();
          }),
        figures: async (extra) => checkOf(only(await own.verify(extra)), 'lag').stats as unknown as Figures,
      });
    },
  );

/** Nearest rank, by its definition: the smallest value that at least so many percent of all are not above. */
function nearestRank(percent: number, seconds: readonly number[]): number | undefined {
  return [...seconds]
    .sort((a, b) => a - b)
    .find((value) => seconds.filter((other) => other <= value).length * 100 >= percent * seconds.length);
}

const slowestOf = (seconds: readonly number[]): Figures['slowest'] =>
  seconds
    .map((value, i) => ({ key: String(i + 1), seconds: value }))
    // Array's sort is stable: of equal lags the row that came first.
    .sort((a, b) => b.seconds - a.seconds)
    .slice(0, 10);

const naive = (milliseconds: readonly number[]): object => {
  const seconds = milliseconds.map((value) => value / 1000);
  return {
    count: seconds.length,
    p50Seconds: nearestRank(50, seconds),
    p95Seconds: nearestRank(95, seconds),
    p99Seconds: nearestRank(99, seconds),
    maxSeconds: nearestRank(100, seconds),
    slowest: slowestOf(seconds),
  };
};

// Whole milliseconds, negative ones too: exact in both computations. Few different ones give many ties.
const lag = fc.oneof(
  fc.integer({ min: -5_000_000, max: 5_000_000 }),
  fc.integer({ min: -2, max: 2 }),
  fc.constantFrom(4_294_967, 4_294_968, 120_000_000_000_000, -120_000_000_000_000),
);

describe('the figures of a lag', () => {
  it('are those of the one row for every percentile', () =>
    withLags(async ({ add, figures }) => {
      add([1500]);
      expect(await figures()).to.deep.equal({
        count: 1,
        p50Seconds: 1.5,
        p95Seconds: 1.5,
        p99Seconds: 1.5,
        maxSeconds: 1.5,
        slowest: [{ key: '1', seconds: 1.5 }],
      });
    }));

  it('agree with a naive computation, whether one thread reads or two', () =>
    withLags(({ own, add, figures }) =>
      fc.assert(
        fc.asyncProperty(
          fc.array(lag, { minLength: 1, maxLength: 250, size: 'max' }),
          fc.constantFrom(0, Number.POSITIVE_INFINITY),
          async (milliseconds, parallelMinBytes) => {
            own.exec('DELETE FROM items');
            add(milliseconds);
            expect(await figures({ parallelMinBytes })).to.deep.equal(naive(milliseconds));
          },
        ),
        { numRuns: isLong ? 60 : 20 },
      ),
    ));

  it('are those of more rows than are kept together, of either thread', () =>
    withLags(async ({ own, figures }) => {
      const count = 220_000;
      // The n-th lag is n microseconds.
      own.exec(`${numbers(count)} INSERT INTO items
        SELECT i, '2026-01-20T10:00:00.000000Z', printf('2026-01-20T10:00:00.%06dZ', i) FROM n`);
      for (const parallelMinBytes of [0, Number.POSITIVE_INFINITY]) {
        const { slowest, ...rest } = await figures({ parallelMinBytes });
        expect(rest).to.deep.equal({
          count,
          p50Seconds: 0.11,
          p95Seconds: 0.209,
          p99Seconds: 0.2178,
          maxSeconds: 0.22,
        });
        expect(slowest[0]).to.deep.equal({ key: '220000', seconds: 0.22 });
      }
    }));

  it('take the exact rank for every number of rows', () =>
    withLags(async ({ own, add, figures }) => {
      // The n-th value is n, so that a percentile is its own rank; whole numbers divide without error.
      const expectRanks = async (n: number): Promise<void> => {
        const { p50Seconds, p95Seconds, p99Seconds, maxSeconds } = await figures();
        const rank = (percent: number): number => Math.floor((percent * n + 99) / 100);
        expect([p50Seconds, p95Seconds, p99Seconds, maxSeconds], `${n} rows`).to.deep.equal([
          ...[rank(50), rank(95), rank(99), n],
        ]);
      };
      for (let n = 1; n <= 205; n += 1) {
        add([n * 1000], n);
        await expectRanks(n);
      }
      own.exec('DELETE FROM items');
      add(Array.from({ length: 2500 }, (_, i) => (2500 - i) * 1000));
      for (const n of [2500, 2499, 2401, 2400, 2399, 1001, 1000, 999]) {
        own.exec(`DELETE FROM items WHERE id <= ${2500 - n}`);
        await expectRanks(n);
      }
    }));

  it('name the ten slowest, the first of equal ones first', () =>
    withLags(async ({ add, figures }) => {
      add([5, 1, 5, 9, 2, 5, 5, 5, 5, 5, 5, 5, 5, 3600].map((seconds) => seconds * 1000));
      expect((await figures()).slowest.map(({ key }) => key)).to.deep.equal([
        ...['14', '4', '1', '3', '6', '7', '8', '9', '10', '11'],
      ]);
    }));

  it('keep keys that a number can not hold', () =>
    withLags(async ({ own, figures }) => {
      own.exec(`INSERT INTO items VALUES (9007199254740993, '2026-01-20 10:00:00', '2026-01-20 10:00:01')`);
      expect((await figures()).slowest).to.deep.equal([{ key: '9007199254740993', seconds: 1 }]);
    }));

  it('are rounded to microseconds: beyond them a difference of two instants is noise', () =>
    withLags(async ({ own, figures }) => {
      own.exec(`INSERT INTO items VALUES (1, '2026-01-20T10:00:00.000123Z', '2026-01-20T10:00:00.001623Z')`);
      const { maxSeconds, slowest } = await figures();
      expect(maxSeconds).to.equal(0.0015);
      expect(slowest[0]?.seconds).to.equal(0.0015);
    }));
});
