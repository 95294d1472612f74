import { identifier } from '../db/sql.js';
import { countWhile } from '../each.js';
import { scopeSql } from '../engine/rows.js';
import type { BackfillStep, Session } from '../migrate/session.js';
import { parseTimestamp } from '../verify/times.js';
import { addInstant, bucketWidth, coreRange, emptyHistogram } from './time-range.js';

/** Lags between two columns: their distribution, and their course over time. */
export interface LagSeries {
  /** Rows where both columns are timestamps. */
  readonly rows: number;
  /** Rows whose second time is before the first. */
  readonly negative: number;
  /** Rows whose two times are equal to the microsecond. */
  readonly zero: number;
  /** Lags above zero, in ascending order, from the first bar with rows to the last. */
  readonly bars: readonly HistogramBin[];
  /** By the second column's time; periods without rows are left out. */
  readonly buckets: readonly LagBucket[];
  /** Length of a period. */
  readonly bucketMs: number;
  /** Rows too far from the others in time, which are in no bucket. */
  readonly outside: number;
}

/** Rows with a lag of at least `fromSeconds` and less than `toSeconds`. */
interface HistogramBin {
  readonly fromSeconds: number;
  readonly toSeconds: number;
  readonly rows: number;
}

/** Lags of the rows that end in one period. Percentiles are within one percent. */
interface LagBucket {
  readonly startMs: number;
  readonly rows: number;
  readonly p50Seconds: number;
  readonly p95Seconds: number;
}

/** Maximum number of buckets over time. */
const MAX_BUCKETS = 48;

/** Ends of the bars, in microseconds: from one to some 30,000 years, six per decade. */
const EDGES = Array.from({ length: 18 }, (_, power) =>
  [1, 1.5, 2, 3, 5, 7].map((step) => step * 10 ** power),
).flat();

/**
 * Reads a backfill's lags in two passes over the rows where both columns have values. Keeps only counts.
 *
 * @returns undefined if the backfill does not configure `checks.lag`
 */
export async function lagSeries(session: Session, step: BackfillStep): Promise<LagSeries | undefined> {
  if (!step.checks.lag) return undefined;
  const times = emptyHistogram();
  for await (const page of lags(session, step)) for (const { endMs } of page) addInstant(times, endMs);
  const range = coreRange(times);
  const bars = new Array<number>(EDGES.length).fill(0);
  const sketches = new Map<number, QuantileSketch>();
  let [rows, negative, zero, outside] = [0, 0, 0, 0];
  const bucketMs = range ? bucketWidth(range, MAX_BUCKETS) : 0;
  for await (const page of lags(session, step)) {
    rows += page.length;
    for (const { seconds, endMs } of page) {
      const bar = barOf(seconds);
      if (bar !== undefined) bars[bar] = (bars[bar] ?? 0) + 1;
      else if (seconds < 0) negative += 1;
      else zero += 1;
      if (!range || endMs < range.minMs || endMs > range.maxMs) outside += 1;
      else addTo(sketchOf(sketches, Math.floor(endMs / bucketMs)), seconds);
    }
  }
  return {
    rows,
    negative,
    zero,
    bars: barsOf(bars),
    buckets: [...sketches]
      .sort(([a], [b]) => a - b)
      .map(([number, sketch]) => ({ startMs: number * bucketMs, ...summaryOf(sketch) })),
    bucketMs,
    outside,
  };
}

/** A row where both columns are timestamps. */
interface Lag {
  readonly seconds: number;
  readonly endMs: number;
}

/** Yields such rows in pages. */
async function* lags({ store }: Session, step: BackfillStep): AsyncGenerator<Lag[]> {
  const [from, to] = [step.checks.lag?.from ?? '', step.checks.lag?.to ?? ''].map(identifier);
  const sql = `SELECT t.${from}, t.${to} FROM ${store.dialect.wholeTable(step.table)}
    WHERE t.${from} IS NOT NULL AND t.${to} IS NOT NULL AND ${scopeSql(step, store.dialect)}`;
  for await (const page of store.project.pages<readonly [unknown, unknown]>(sql))
    yield page.flatMap(([start, end]) => {
      const [startMs, endMs] = [epochMs(start), epochMs(end)];
      return startMs === undefined || endMs === undefined
        ? []
        : [{ seconds: (endMs - startMs) / 1000, endMs }];
    });
}

function epochMs(value: unknown): number | undefined {
  if (Buffer.isBuffer(value)) return undefined;
  return parseTimestamp(typeof value === 'string' ? value : String(value))?.epochMs;
}

/** Returns the bar of a lag; undefined if the lag is not above zero. */
function barOf(seconds: number): number | undefined {
  const micros = Math.round(seconds * 1e6);
  return micros <= 0 ? undefined : countWhile(EDGES.length, (i) => (EDGES[i] as number) <= micros) - 1;
}

function barsOf(counts: readonly number[]): HistogramBin[] {
  const first = counts.findIndex((rows) => rows > 0);
  if (first < 0) return [];
  const last = counts.findLastIndex((rows) => rows > 0);
  return counts.slice(first, last + 1).map((rows, i) => {
    const [from = 0, to = from * 1.5] = EDGES.slice(first + i, first + i + 2);
    return { fromSeconds: from / 1e6, toSeconds: to / 1e6, rows };
  });
}

/**
 * Numbers counted in bins of growing width: quantiles within one percent, in memory that does not grow with the count. The bins are in the
 * order of their numbers: those of numbers below zero are negative, bin 0 has the numbers that are zero to the microsecond.
 *
 * @see https://www.vldb.org/pvldb/vol12/p2195-masson.pdf DDSketch
 */
type QuantileSketch = Map<number, number>;

/** Ratio of the ends of a bin; the middle is within one percent of every number in it. */
const RATIO = 1.02;

/** Minimum magnitude in seconds; smaller ones are zero. */
const MIN_VALUE = 1e-6;

/** Returns the power of {@link RATIO} at the upper end of a magnitude's bin. */
const powerOf = (size: number): number => Math.ceil(Math.log(size) / Math.log(RATIO));

/** Power of the bin next to zero, less one: the first bin is 1. */
const BASE = powerOf(MIN_VALUE) - 1;

function sketchOf(sketches: Map<number, QuantileSketch>, number: number): QuantileSketch {
  let sketch = sketches.get(number);
  if (!sketch) {
    sketch = new Map();
    sketches.set(number, sketch);
  }
  return sketch;
}

/** Adds a number. */
function addTo(sketch: QuantileSketch, value: number): void {
  const size = Math.abs(value);
  const bin = size < MIN_VALUE ? 0 : Math.sign(value) * (powerOf(size) - BASE);
  sketch.set(bin, (sketch.get(bin) ?? 0) + 1);
}

/** Returns the middle of a bin. */
const middleOf = (bin: number): number =>
  (Math.sign(bin) * 2 * RATIO ** (Math.abs(bin) + BASE)) / (RATIO + 1);

/** Returns the count of the numbers, and two nearest-rank quantiles. */
function summaryOf(sketch: QuantileSketch): Omit<LagBucket, 'startMs'> {
  const ascending = [...sketch].sort(([a], [b]) => a - b);
  const rows = ascending.reduce((sum, [, count]) => sum + count, 0);
  const quantile = (fraction: number): number => {
    let left = Math.max(1, Math.ceil(fraction * rows));
    for (const [bin, count] of ascending) {
      left -= count;
      if (left <= 0) return middleOf(bin);
    }
    return 0;
  };
  return { rows, p50Seconds: quantile(0.5), p95Seconds: quantile(0.95) };
}
