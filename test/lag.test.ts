import { expect } from 'chai';
import fc from 'fast-check';
import { describe, it } from 'mocha';
import {
  addLag,
  type LagFacts,
  type LagFigures,
  lagFigures,
  mergeLags,
  noLags,
} from '../src/verification/lag.js';

/** Adds the seconds in their order, with keys from 1 on. */
const figuresOf = (seconds: readonly number[]): LagFigures | undefined => lagFigures(lagsOf(seconds));

function lagsOf(seconds: readonly number[], firstKey = 1): LagFacts {
  const facts = noLags();
  seconds.forEach((value, i) => void addLag(facts, value, BigInt(firstKey + i)));
  return facts;
}

/** Nearest rank, by its definition: the smallest value that at least so many percent of all are not above. */
function nearestRank(percent: number, seconds: readonly number[]): number | undefined {
  return [...seconds]
    .sort((a, b) => a - b)
    .find((value) => seconds.filter((other) => other <= value).length * 100 >= percent * seconds.length);
}

const slowestOf = (seconds: readonly number[]): LagFigures['slowest'] =>
  seconds
    .map((value, i) => ({ key: String(i + 1), seconds: value }))
    // Array's sort is stable: of equal lags the row that came first.
    .sort((a, b) => b.seconds - a.seconds)
    .slice(0, 10);

const naive = (seconds: readonly number[]): unknown => ({
  count: seconds.length,
  p50Seconds: nearestRank(50, seconds),
  p95Seconds: nearestRank(95, seconds),
  p99Seconds: nearestRank(99, seconds),
  maxSeconds: nearestRank(100, seconds),
  slowest: slowestOf(seconds),
});

// Whole milliseconds, negative ones too: exact in both computations. Few different ones give many ties.
const lag = fc.oneof(
  fc.integer({ min: -5_000_000, max: 5_000_000 }),
  fc.integer({ min: -2, max: 2 }),
  fc.constantFrom(4_294_967, 4_294_968, 8_000_000_000_000_000, -8_000_000_000_000_000),
);
const toSeconds = (milliseconds: readonly number[]): number[] => milliseconds.map((value) => value / 1000);

describe('lagFigures', () => {
  it('has no figures of no rows', () => {
    expect(lagFigures(noLags())).to.equal(undefined);
  });

  it('gives a single row for every percentile', () => {
    expect(figuresOf([1.5])).to.deep.equal({
      count: 1,
      p50Seconds: 1.5,
      p95Seconds: 1.5,
      p99Seconds: 1.5,
      maxSeconds: 1.5,
      slowest: [{ key: '1', seconds: 1.5 }],
    });
  });

  it('agrees with a naive computation', () => {
    fc.assert(
      fc.property(fc.array(lag, { minLength: 1, maxLength: 250, size: 'max' }), (milliseconds) => {
        const seconds = toSeconds(milliseconds);
        expect(figuresOf(seconds)).to.deep.equal(naive(seconds));
      }),
    );
  });

  it('gives the same of two parts, in whichever order they are merged', () => {
    fc.assert(
      fc.property(fc.array(lag, { maxLength: 60 }), fc.array(lag, { maxLength: 60 }), (first, second) => {
        const whole = figuresOf(toSeconds([...first, ...second]));
        for (const isFirst of [true, false]) {
          const parts = [lagsOf(toSeconds(first)), lagsOf(toSeconds(second), first.length + 1)] as const;
          const [into, from] = isFirst ? parts : [parts[1], parts[0]];
          mergeLags(into, structuredClone(from));
          expect(lagFigures(into)).to.deep.equal(whole);
        }
      }),
    );
  });

  it('merges more rows than a piece holds', () => {
    const [first, second] = [150_000, 70_000].map((n) => Array.from({ length: n }, (_, i) => i * 1e-6));
    const into = lagsOf(first ?? []);
    mergeLags(into, lagsOf(second ?? [], 150_001));
    expect(lagFigures(into)).to.deep.equal(figuresOf([...(first ?? []), ...(second ?? [])]));
    expect(lagFigures(into)?.count).to.equal(220_000);
  });

  it('takes the exact rank for every number of rows', () => {
    // The n-th value is n, so that a percentile is its own rank; whole numbers divide without error.
    for (let n = 1; n <= 2500; n += 1) {
      const figures = figuresOf(Array.from({ length: n }, (_, i) => n - i));
      const rank = (percent: number): number => Math.floor((percent * n + 99) / 100);
      expect(
        [figures?.p50Seconds, figures?.p95Seconds, figures?.p99Seconds, figures?.maxSeconds],
        `${n} rows`,
      ).to.deep.equal([rank(50), rank(95), rank(99), n]);
    }
  });

  it('keeps every row when there are more than it first has room for', () => {
    const seconds = Array.from({ length: 5000 }, (_, i) => ((i * 7919) % 5000) / 1000);
    expect(figuresOf(seconds)).to.deep.equal({ ...(naive(seconds) as object), count: 5000 });
  });

  it('names the ten slowest, the first of equal ones first', () => {
    const seconds = [5, 1, 5, 9, 2, 5, 5, 5, 5, 5, 5, 5, 5, 3600];
    expect(figuresOf(seconds)?.slowest.map(({ key }) => key)).to.deep.equal([
      '14',
      '4',
      '1',
      '3',
      '6',
      '7',
      '8',
      '9',
      '10',
      '11',
    ]);
  });

  it('keeps keys that a number can not hold', () => {
    const facts = noLags();
    addLag(facts, 1, 9007199254740993n);
    expect(lagFigures(facts)?.slowest).to.deep.equal([{ key: '9007199254740993', seconds: 1 }]);
  });

  it('rounds to microseconds: beyond them a difference of two instants is noise', () => {
    const start = 1768903200000.123;
    const figures = figuresOf([(start + 1.5 - start) / 1000]);
    expect(figures?.maxSeconds).to.equal(0.0015);
    expect(figures?.slowest[0]?.seconds).to.equal(0.0015);
  });
});
