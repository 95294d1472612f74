import { compareKeys, type Key } from '../ledger/keys.js';
import { MAX_SAMPLES } from './check.js';
import { emptyLags, type LagFacts, mergeLags } from './times.js';

/** A number of rows or cells, with the lowest of their keys in ascending order. */
export interface SampledCount {
  count: number;
  readonly keys: Key[];
}

/** A timestamp as text, and as Unix time in milliseconds. */
export interface TimestampBound {
  readonly text: string;
  readonly epochMs: number;
  readonly key: Key;
}

/** The earliest and the latest timestamp of a column. */
interface Extremes {
  min: TimestampBound | undefined;
  max: TimestampBound | undefined;
}

/** Facts about one column. */
export interface ColumnFacts {
  readonly name: string;
  filled: number;
  /** Filled cells up to the compared watermark that hold their derived value. */
  consistentUpTo: number;
  /** NULL up to the watermark, though a value can be derived. */
  readonly fillable: SampledCount;
  /** NULL after the watermark, though a value can be derived. */
  readonly pendingCatchUp: SampledCount;
  /** NULL and recorded as rejected by a trigger or a constraint, though a value can be derived. */
  readonly rejected: SampledCount;
  /** NULL because no value can be derived. */
  readonly noValue: SampledCount;
  readonly timestamps: Extremes & {
    valid: number;
    withoutOffset: number;
    /** Values equal to their fallback. */
    fromFallback: number;
    readonly invalid: SampledCount;
    readonly future: SampledCount;
  };
}

/** Rows in scope that share a value of the grouping column. */
export interface GroupFacts {
  /** The lowest of their keys. */
  firstKey: Key;
  total: number;
  readonly filled: number[];
}

/** Cells that differ from the derived value, by their origin. */
export interface MismatchFacts {
  /** Filled by a run without a passed verification. */
  readonly thisRun: SampledCount;
  /** Filled by such a run, in a row that another transaction wrote later. */
  readonly rewritten: SampledCount;
  /** Filled by a verified run. */
  readonly earlierRun: SampledCount;
  /** Not filled by the backfill. */
  readonly application: SampledCount;
  /** Equal to the value that an earlier definition of the backfill derives. */
  readonly declaredOtherwise: SampledCount;
  /** Filled by a function or an expression that is no longer available. */
  readonly underivable: SampledCount;
}

/** Result of a scan over rows in scope: plain data, so that threads can exchange it. */
export interface ScanFacts {
  rows: number;
  readonly columns: readonly ColumnFacts[];
  readonly groups: Map<string, GroupFacts>;
  /** Whether the grouping column has too many values, and some were counted together. */
  hasOtherGroups: boolean;
  /** Numbers of rows with NULLs, by a mask with a bit for each NULL column. */
  readonly nulls: Map<number, number>;
  readonly toBefore: SampledCount;
  /** Number of those whose first time equals its fallback. */
  toBeforeFallback: number;
  /** Rows with an offset in only one of the two times. */
  readonly mixedOffsets: SampledCount;
  readonly lag: LagFacts;
  readonly mismatches: MismatchFacts;
}

const emptyCount = (): SampledCount => ({ count: 0, keys: [] });

/** Counts a row. Fastest if rows come in key order. */
export function addKey(sampled: SampledCount, key: Key): void {
  sampled.count += 1;
  const last = sampled.keys.at(-1);
  if (sampled.keys.length < MAX_SAMPLES || last === undefined || compareKeys(key, last) < 0)
    keepKeys(sampled, [key]);
}

function keepKeys({ keys }: SampledCount, more: readonly Key[]): void {
  keys.push(...more);
  keys.sort(compareKeys);
  keys.length = Math.min(keys.length, MAX_SAMPLES);
}

/** Returns the facts of no rows. */
export function emptyFacts(columns: readonly string[]): ScanFacts {
  return {
    rows: 0,
    columns: columns.map((name) => ({
      name,
      filled: 0,
      consistentUpTo: 0,
      fillable: emptyCount(),
      pendingCatchUp: emptyCount(),
      rejected: emptyCount(),
      noValue: emptyCount(),
      timestamps: {
        valid: 0,
        withoutOffset: 0,
        fromFallback: 0,
        invalid: emptyCount(),
        future: emptyCount(),
        min: undefined,
        max: undefined,
      },
    })),
    groups: new Map(),
    hasOtherGroups: false,
    nulls: new Map(),
    toBefore: emptyCount(),
    toBeforeFallback: 0,
    mixedOffsets: emptyCount(),
    lag: emptyLags(),
    mismatches: {
      thisRun: emptyCount(),
      rewritten: emptyCount(),
      earlierRun: emptyCount(),
      application: emptyCount(),
      declaredOtherwise: emptyCount(),
      underivable: emptyCount(),
    },
  };
}

/** Adds the facts of other rows. The order of the two does not matter. */
export function mergeFacts(into: ScanFacts, from: ScanFacts): void {
  into.rows += from.rows;
  into.columns.forEach((column, i) => {
    mergeColumn(column, from.columns[i] as ColumnFacts);
  });
  for (const [name, group] of from.groups) addGroup(into.groups, name, group);
  into.hasOtherGroups ||= from.hasOtherGroups;
  for (const [mask, count] of from.nulls) into.nulls.set(mask, (into.nulls.get(mask) ?? 0) + count);
  mergeCount(into.toBefore, from.toBefore);
  into.toBeforeFallback += from.toBeforeFallback;
  mergeCount(into.mixedOffsets, from.mixedOffsets);
  mergeLags(into.lag, from.lag);
  for (const kind of Object.keys(into.mismatches) as (keyof MismatchFacts)[])
    mergeCount(into.mismatches[kind], from.mismatches[kind]);
}

function mergeColumn(into: ColumnFacts, from: ColumnFacts): void {
  into.filled += from.filled;
  into.consistentUpTo += from.consistentUpTo;
  for (const kind of ['fillable', 'pendingCatchUp', 'rejected', 'noValue'] as const)
    mergeCount(into[kind], from[kind]);
  const [ours, theirs] = [into.timestamps, from.timestamps];
  ours.valid += theirs.valid;
  ours.withoutOffset += theirs.withoutOffset;
  ours.fromFallback += theirs.fromFallback;
  mergeCount(ours.invalid, theirs.invalid);
  mergeCount(ours.future, theirs.future);
  for (const extreme of [theirs.min, theirs.max]) if (extreme) keepBounds(ours, extreme);
}

function mergeCount(into: SampledCount, from: SampledCount): void {
  into.count += from.count;
  keepKeys(into, from.keys);
}

/** Adds a group, to the one of the same name if there is one. */
export function addGroup(groups: Map<string, GroupFacts>, name: string, group: GroupFacts): void {
  const known = groups.get(name);
  groups.set(
    name,
    known
      ? {
          firstKey: compareKeys(group.firstKey, known.firstKey) < 0 ? group.firstKey : known.firstKey,
          total: known.total + group.total,
          filled: known.filled.map((count, i) => count + (group.filled[i] ?? 0)),
        }
      : group,
  );
}

/** Updates the earliest and the latest timestamp. Among equal ones, the row with the lower key wins. */
export function keepBounds(into: Extremes, next: TimestampBound): void {
  const { min, max } = into;
  const isBefore = (other: TimestampBound): boolean => compareKeys(next.key, other.key) < 0;
  if (!min || next.epochMs < min.epochMs || (next.epochMs === min.epochMs && isBefore(min))) into.min = next;
  if (!max || next.epochMs > max.epochMs || (next.epochMs === max.epochMs && isBefore(max))) into.max = next;
}
