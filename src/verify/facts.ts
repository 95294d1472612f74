import { compareKeys, type Key } from '../ledger/keys.js';
import { type Message, msg } from '../messages/message.js';
import { MAX_SAMPLES } from './check.js';
import { emptyLags, mergeLags } from './times.js';

/** Maximum number of groups counted separately during the scan. */
const MAX_GROUPS = 5000;

/** Maximum length of a group's name. */
const MAX_GROUP_LENGTH = 100;

/** Name of the group of all values that are not counted separately. */
export const OTHER_GROUPS = '(others)';

/** Returns the display name of a group; without a column to group by, it holds all rows. */
export const groupName = (name: string, groupBy: string | undefined): string | Message => {
  if (groupBy === undefined) return msg('All rows');
  return name === OTHER_GROUPS ? msg(OTHER_GROUPS) : name;
};

/** A number of rows or cells, with the lowest of their keys in ascending order. */
export interface SampledCount {
  count: number;
  readonly keys: Key[];
}

const emptyCount = (): SampledCount => ({ count: 0, keys: [] });

/** A timestamp as text, and as Unix time in milliseconds. */
interface TimestampBound {
  readonly text: string;
  readonly epochMs: number;
  readonly key: Key;
}

/** The earliest and the latest timestamp of a column. */
interface Extremes {
  min?: TimestampBound;
  max?: TimestampBound;
}

/** Rows in scope that share a value of the grouping column. */
export interface GroupFacts {
  /** The lowest of their keys. */
  firstKey: Key;
  total: number;
  readonly filled: number[];
}

/** Facts about one column. */
export type ColumnFacts = ReturnType<typeof emptyColumn>;

const emptyColumn = (name: string) => ({
  name,
  filled: 0,
  /** Filled cells up to the compared watermark that hold their derived value. */
  consistentUpTo: 0,
  /** NULL up to the watermark, though a value can be derived. */
  fillable: emptyCount(),
  /** NULL after the watermark, though a value can be derived. */
  pendingCatchUp: emptyCount(),
  /** NULL and recorded as rejected by a trigger or a constraint, though a value can be derived. */
  rejected: emptyCount(),
  /** NULL because no value can be derived. */
  noValue: emptyCount(),
  timestamps: {
    valid: 0,
    withoutOffset: 0,
    /** Values equal to their fallback. */
    fromFallback: 0,
    invalid: emptyCount(),
    future: emptyCount(),
    extremes: {} as Extremes,
  },
});

/** Result of a scan over rows in scope: plain data, so that threads can exchange it. */
export type ScanFacts = ReturnType<typeof emptyFacts>;

/** Returns the facts of no rows. */
export const emptyFacts = (columns: readonly string[]) => ({
  rows: 0,
  columns: columns.map(emptyColumn),
  groups: new Map<string, GroupFacts>(),
  /** Whether the grouping column has too many values, and some were counted together. */
  hasOtherGroups: false,
  /** Numbers of rows with NULLs, by a mask with a bit for each NULL column. */
  nulls: new Map<number, number>(),
  toBefore: emptyCount(),
  /** Number of those whose first time equals its fallback. */
  toBeforeFallback: 0,
  /** Rows with an offset in only one of the two times. */
  mixedOffsets: emptyCount(),
  lag: emptyLags(),
  /** Cells that differ from the derived value, by their origin. */
  mismatches: {
    /** Filled by a run without a passed verification. */
    thisRun: emptyCount(),
    /** Filled by such a run, in a row that another transaction wrote later. */
    rewritten: emptyCount(),
    /** Filled by a verified run. */
    earlierRun: emptyCount(),
    /** Not filled by the backfill. */
    application: emptyCount(),
    /** Equal to the value that an earlier definition of the backfill derives. */
    declaredOtherwise: emptyCount(),
    /** Filled by a function or an expression that is no longer available. */
    underivable: emptyCount(),
  },
});

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

/** Adds the facts of other rows. The order of the two does not matter. Returns whether the result is what a single scan would have found. */
export function mergeFacts(into: ScanFacts, from: ScanFacts): boolean {
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
  for (const kind of Object.keys(into.mismatches) as (keyof ScanFacts['mismatches'])[])
    mergeCount(into.mismatches[kind], from.mismatches[kind]);
  // With too many groups, each scan has kept others: one scan must count them all.
  return !into.hasOtherGroups && into.groups.size <= MAX_GROUPS;
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
  const { min, max } = theirs.extremes;
  for (const bound of [min, max]) if (bound) keepBounds(ours.extremes, bound);
}

function mergeCount(into: SampledCount, from: SampledCount): void {
  into.count += from.count;
  keepKeys(into, from.keys);
}

/** Adds a group, to the one of the same name if there is one. */
export function addGroup(groups: Map<string, GroupFacts>, name: string, group: GroupFacts): void {
  const { firstKey, total, filled } = groups.get(name) ?? {
    ...group,
    total: 0,
    filled: group.filled.map(() => 0),
  };
  groups.set(name, {
    firstKey: compareKeys(group.firstKey, firstKey) < 0 ? group.firstKey : firstKey,
    total: total + group.total,
    filled: filled.map((count, i) => count + (group.filled[i] ?? 0)),
  });
}

/** Updates the earliest and the latest timestamp. Among equal ones, the row with the lower key wins. */
export function keepBounds(into: Extremes, next: TimestampBound): void {
  const { min, max } = into;
  const isBefore = (other: TimestampBound): boolean => compareKeys(next.key, other.key) < 0;
  if (!min || next.epochMs < min.epochMs || (next.epochMs === min.epochMs && isBefore(min))) into.min = next;
  if (!max || next.epochMs > max.epochMs || (next.epochMs === max.epochMs && isBefore(max))) into.max = next;
}

/** Returns the name of a group: its value, or for a long one the beginning with the length. */
const shortened = (text: string): string =>
  text.length <= MAX_GROUP_LENGTH ? text : `${text.slice(0, MAX_GROUP_LENGTH)}… (${text.length} characters)`;

/** Counts a row in its group, which it returns. */
export function groupOf(facts: ScanFacts, value: unknown, key: Key): GroupFacts {
  const wanted = value === null ? '(NULL)' : shortened(String(value));
  let group = facts.groups.get(wanted);
  if (!group) {
    const isOther = facts.groups.size >= MAX_GROUPS;
    facts.hasOtherGroups ||= isOther;
    const name = isOther ? OTHER_GROUPS : wanted;
    group = facts.groups.get(name) ?? { firstKey: key, total: 0, filled: facts.columns.map(() => 0) };
    facts.groups.set(name, group);
  }
  group.total += 1;
  if (key < group.firstKey) group.firstKey = key;
  return group;
}
