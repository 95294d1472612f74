import type { Store } from '../db/connection.js';
import { identifier } from '../db/sql.js';
import { scopeSql } from '../engine/rows.js';
import type { Backfill } from '../steps/define.js';
import { parseTimestamp } from '../verify/times.js';
import { addTo, emptySketch, type QuantileSketch, quantile } from './quantile-sketch.js';
import { addInstant, bucketWidth, coreRange, emptySpread } from './time-range.js';

/** Rows with a lag of `fromSeconds` or more, and less than `toSeconds`. */
export interface HistogramBin {
  readonly fromSeconds: number;
  readonly toSeconds: number;
  readonly rows: number;
}

/** The lags of rows that ended in one stretch of time; percentiles are within one percent. */
export interface LagBucket {
  readonly startMs: number;
  readonly rows: number;
  readonly p50Seconds: number;
  readonly p95Seconds: number;
}

/** How the lags between two columns are spread, and how they went over time. */
export interface LagSeries {
  /** Rows where both columns are timestamps. */
  readonly rows: number;
  /** Rows whose second time is before the first. */
  readonly negative: number;
  /** Rows whose two times are the same to the microsecond. */
  readonly zero: number;
  /** The lags above zero, in rising order, from the first bar with rows to the last. */
  readonly bars: readonly HistogramBin[];
  /** By the second column's instant; stretches without a row are left out. */
  readonly buckets: readonly LagBucket[];
  /** Width of each. */
  readonly bucketMs: number;
  /** Rows too far from the others in time to be in a bucket. */
  readonly outside: number;
}

/** At most this many buckets over time. */
const MAX_BUCKETS = 48;

/** Where bars end, in microseconds: from one up to some 30,000 years, six a decade. */
const EDGES = Array.from({ length: 18 }, (_, power) =>
  [1, 1.5, 2, 3, 5, 7].map((step) => step * 10 ** power),
).flat();

/**
 * Reads how a backfill's lags are spread: two passes over the rows where both columns stand, which keep counts only.
 *
 * @returns undefined when the backfill asks for no lag
 */
export async function lagSeries(store: Store, backfill: Backfill): Promise<LagSeries | undefined> {
  if (!backfill.checks.lag) return undefined;
  const spread = emptySpread();
  for await (const page of lags(store, backfill)) for (const { endMs } of page) addInstant(spread, endMs);
  const range = coreRange(spread);
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

/** Such rows, in pages. */
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

/** The last bar that begins at or below; undefined for what is not above zero. */
function barOf(seconds: number): number | undefined {
  const micros = Math.round(seconds * 1e6);
  if (micros <= 0) return undefined;
  let [low, high] = [0, EDGES.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((EDGES[middle] as number) <= micros) low = middle + 1;
    else high = middle;
  }
  return low - 1;
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
