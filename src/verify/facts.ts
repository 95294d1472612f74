import { compareKeys, type Key } from '../ledger/keys.js';
import { MAX_SAMPLES } from './check.js';
import { type LagFacts, mergeLags, noLags } from './times.js';

/** Keys of rows with one finding: how many, and the least of them, in rising order. */
export interface Finding {
  count: number;
  readonly keys: Key[];
}

/** A timestamp: as the row has it, and as Unix time in milliseconds. */
export interface Extreme {
  readonly text: string;
  readonly epochMs: number;
  readonly key: Key;
}

/** The earliest and the latest timestamp of a column. */
interface Extremes {
  min: Extreme | undefined;
  max: Extreme | undefined;
}

/** What was found of one column. */
export interface ColumnFacts {
  readonly name: string;
  filled: number;
  /** Filled cells up to the compared watermark that hold their derived value. */
  consistentUpTo: number;
  /** NULL up to the watermark though a value can be derived. */
  readonly fillable: Finding;
  /** NULL behind the watermark though a value can be derived. */
  readonly waiting: Finding;
  /** NULL though a value can be derived, and recorded as such: a trigger or a constraint keeps it so. */
  readonly refused: Finding;
  /** NULL since no value can be derived. */
  readonly withoutValue: Finding;
  readonly timestamps: Extremes & {
    valid: number;
    withoutOffset: number;
    /** Those whose text is that of their fallback. */
    fromFallback: number;
    readonly invalid: Finding;
    readonly future: Finding;
  };
}

/** Rows in scope that share a value of the grouping column. */
export interface GroupFacts {
  /** The least of their keys. */
  firstKey: Key;
  total: number;
  readonly filled: number[];
}

/** Cells that do not hold their derived value, by who wrote them. */
export interface MismatchFacts {
  /** Filled by a run that no verification has passed yet. */
  readonly thisRun: Finding;
  /** Filled by such a run, in a row that another transaction has written since. */
  readonly rewritten: Finding;
  /** Filled by a run that was verified. */
  readonly earlierRun: Finding;
  /** Not filled by the backfill. */
  readonly foreign: Finding;
  /** Filled by a declaration that was another then, and holding what that derives. */
  readonly declaredOtherwise: Finding;
  /** Filled by what can't be asked any more. */
  readonly underivable: Finding;
}

/** What a pass over rows in scope finds: plain data, so that it can be handed from thread to thread. */
export interface ScanFacts {
  rows: number;
  readonly columns: readonly ColumnFacts[];
  readonly groups: Map<string, GroupFacts>;
  /** Whether some values of the grouping column were counted together, as there are too many. */
  hasOtherGroups: boolean;
  /** Rows with NULLs, by which columns are NULL: a bit for each column. */
  readonly nulls: Map<number, number>;
  readonly toBefore: Finding;
  /** How many of those have the first time from its fallback. */
  toBeforeFallback: number;
  /** Rows of which one of the two times states its offset, and the other none. */
  readonly mixedOffsets: Finding;
  readonly lag: LagFacts;
  readonly mismatches: MismatchFacts;
}

const noFinding = (): Finding => ({ count: 0, keys: [] });

/** Counts a row; it is soonest done when rows come in key order. */
export function note(finding: Finding, key: Key): void {
  finding.count += 1;
  const last = finding.keys.at(-1);
  if (finding.keys.length < MAX_SAMPLES || last === undefined || compareKeys(key, last) < 0)
    keepKeys(finding, [key]);
}

function keepKeys({ keys }: Finding, more: readonly Key[]): void {
  keys.push(...more);
  keys.sort(compareKeys);
  keys.length = Math.min(keys.length, MAX_SAMPLES);
}

/** The facts of no rows. */
export function noFacts(columns: readonly string[]): ScanFacts {
  return {
    rows: 0,
    columns: columns.map((name) => ({
      name,
      filled: 0,
      consistentUpTo: 0,
      fillable: noFinding(),
      waiting: noFinding(),
      refused: noFinding(),
      withoutValue: noFinding(),
      timestamps: {
        valid: 0,
        withoutOffset: 0,
        fromFallback: 0,
        invalid: noFinding(),
        future: noFinding(),
        min: undefined,
        max: undefined,
      },
    })),
    groups: new Map(),
    hasOtherGroups: false,
    nulls: new Map(),
    toBefore: noFinding(),
    toBeforeFallback: 0,
    mixedOffsets: noFinding(),
    lag: noLags(),
    mismatches: {
      thisRun: noFinding(),
      rewritten: noFinding(),
      earlierRun: noFinding(),
      foreign: noFinding(),
      declaredOtherwise: noFinding(),
      underivable: noFinding(),
    },
  };
}

/** Adds the facts of other rows: the same, whichever of the two was gathered first. */
export function mergeFacts(into: ScanFacts, from: ScanFacts): void {
  into.rows += from.rows;
  into.columns.forEach((column, i) => {
    mergeColumn(column, from.columns[i] as ColumnFacts);
  });
  for (const [name, group] of from.groups) addGroup(into.groups, name, group);
  into.hasOtherGroups ||= from.hasOtherGroups;
  for (const [mask, count] of from.nulls) into.nulls.set(mask, (into.nulls.get(mask) ?? 0) + count);
  mergeFinding(into.toBefore, from.toBefore);
  into.toBeforeFallback += from.toBeforeFallback;
  mergeFinding(into.mixedOffsets, from.mixedOffsets);
  mergeLags(into.lag, from.lag);
  for (const kind of Object.keys(into.mismatches) as (keyof MismatchFacts)[])
    mergeFinding(into.mismatches[kind], from.mismatches[kind]);
}

function mergeColumn(into: ColumnFacts, from: ColumnFacts): void {
  into.filled += from.filled;
  into.consistentUpTo += from.consistentUpTo;
  for (const kind of ['fillable', 'waiting', 'refused', 'withoutValue'] as const)
    mergeFinding(into[kind], from[kind]);
  const [ours, theirs] = [into.timestamps, from.timestamps];
  ours.valid += theirs.valid;
  ours.withoutOffset += theirs.withoutOffset;
  ours.fromFallback += theirs.fromFallback;
  mergeFinding(ours.invalid, theirs.invalid);
  mergeFinding(ours.future, theirs.future);
  for (const extreme of [theirs.min, theirs.max]) if (extreme) noteExtremes(ours, extreme);
}

function mergeFinding(into: Finding, from: Finding): void {
  into.count += from.count;
  keepKeys(into, from.keys);
}

/** Adds a group to the one that has its name by now, if there is one. */
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

/** Keeps the earliest and the latest of timestamps; of equal ones that of the row that comes first. */
export function noteExtremes(into: Extremes, next: Extreme): void {
  const { min, max } = into;
  const isBefore = (other: Extreme): boolean => compareKeys(next.key, other.key) < 0;
  if (!min || next.epochMs < min.epochMs || (next.epochMs === min.epochMs && isBefore(min))) into.min = next;
  if (!max || next.epochMs > max.epochMs || (next.epochMs === max.epochMs && isBefore(max))) into.max = next;
}
