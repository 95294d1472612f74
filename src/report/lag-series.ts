import { countWhile } from '../bisect.js';
import type { Store } from '../db/connection.js';
import { identifier } from '../db/sql.js';
import { scopeSql } from '../engine/rows.js';
import type { Backfill } from '../steps/define.js';
import { parseTimestamp } from '../verify/times.js';
import { addTo, emptySketch, type QuantileSketch, quantile } from './quantile-sketch.js';
import { addInstant, bucketWidth, coreRange, emptyHistogram } from './time-range.js';

/** Rows with a lag of at least `fromSeconds` and less than `toSeconds`. */
export interface HistogramBin {
  readonly fromSeconds: number;
  readonly toSeconds: number;
  readonly rows: number;
}

/** Lags of the rows that end in one period. Percentiles are within one percent. */
export interface LagBucket {
  readonly startMs: number;
  readonly rows: number;
  readonly p50Seconds: number;
  readonly p95Seconds: number;
}

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
export async function lagSeries(store: Store, backfill: Backfill): Promise<LagSeries | undefined> {
  if (!backfill.checks.lag) return undefined;
  const times = emptyHistogram();
  for await (const page of lags(store, backfill)) for (const { endMs } of page) addInstant(times, endMs);
  const range = coreRange(times);
  const bars = new Array<number>(EDGES.length).fill(0);
  const sketches = new Map<number, QuantileSketch>();
  let [rows, negative, zero, outside] = [0, 0, 0, 0];
  const bucketMs = range ? bucketWidth(range, MAX_BUCKETS) : 0;
  for await (const page of lags(store, backfill)) {
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
    buckets: bucketsOf(sketches, bucketMs),
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
async function* lags(store: Store, backfill: Backfill): AsyncGenerator<Lag[]> {
  const [from, to] = [backfill.checks.lag?.from ?? '', backfill.checks.lag?.to ?? ''].map(identifier);
  const sql = `SELECT t.${from}, t.${to} FROM ${store.dialect.wholeTable(backfill.table)}
    WHERE t.${from} IS NOT NULL AND t.${to} IS NOT NULL AND ${scopeSql(backfill, store.dialect)}`;
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

function sketchOf(sketches: Map<number, QuantileSketch>, number: number): QuantileSketch {
  let sketch = sketches.get(number);
  if (!sketch) {
    sketch = emptySketch();
    sketches.set(number, sketch);
  }
  return sketch;
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

function bucketsOf(sketches: ReadonlyMap<number, QuantileSketch>, bucketMs: number): LagBucket[] {
  return [...sketches]
    .sort(([a], [b]) => a - b)
    .map(([number, sketch]) => ({
      startMs: number * bucketMs,
      rows: sketch.count,
      p50Seconds: quantile(sketch, 0.5) ?? 0,
      p95Seconds: quantile(sketch, 0.95) ?? 0,
    }));
}
