import type { Backfill } from '../backfill/define.js';
import { derivationSql } from '../store/sqlite/derive.js';
import { identifier } from '../store/sqlite/sql.js';
import type { Store } from '../store/sqlite/store.js';
import { LagStatistics } from './lag.js';
import { type Instant, parseTimestamp } from './timestamps.js';

/** At most this many keys are shown as samples of one finding. */
export const MAX_SAMPLES = 10;

/** At most this many values of the grouping column are told apart; the rest is counted together. */
const MAX_GROUPS = 200;

/** A timestamp further ahead than this is in the future, in milliseconds: clocks and offsets may be off by a day. */
const FUTURE_MS = 24 * 3600 * 1000;

/** Keys of rows with one finding: how many, and the first few. */
export class Finding {
  count = 0;
  readonly keys: string[] = [];

  add(key: bigint): void {
    this.count += 1;
    if (this.keys.length < MAX_SAMPLES) this.keys.push(String(key));
  }
}

/** What one pass found of one column. */
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
  readonly timestamps: {
    valid: number;
    withoutOffset: number;
    readonly invalid: Finding;
    readonly future: Finding;
    min: { text: string; epochMs: number } | undefined;
    max: { text: string; epochMs: number } | undefined;
  };
}

/** Rows in scope that share a value of the grouping column. */
export interface GroupFacts {
  total: number;
  readonly filled: number[];
}

/** A filled cell that does not hold its derived value. */
export interface Mismatch {
  readonly key: bigint;
  readonly column: string;
}

/** Everything that one pass over the rows in scope finds. */
export interface ScanFacts {
  rows: number;
  readonly columns: readonly ColumnFacts[];
  readonly groups: Map<string, GroupFacts>;
  /** Rows with NULLs, by which columns are NULL: a bit for each column. */
  readonly nulls: Map<number, number>;
  readonly toBefore: Finding;
  readonly lag: LagStatistics;
}

/** What the pass needs to know. */
export interface ScanOptions {
  /** NULLs up to this key count as missing, behind it as waiting; null when no run had a row. */
  readonly watermark: bigint | null;
  /** Consistent cells are counted up to this key. */
  readonly compareUpTo: bigint | null;
  /** The present, as Unix time in milliseconds. */
  readonly nowMs: number;
  /** Whether a cell is recorded as a skip though a value can be derived for it. */
  readonly isRefused: (key: bigint, column: string) => boolean;
  /** Called for each filled cell that does not hold its derived value, in key order. */
  readonly onMismatch: (mismatch: Mismatch) => void;
}

/** State of a cell, two bits: what it holds against what its row derives. */
const [EMPTY, FILLABLE, CONSISTENT] = [0, 1, 2];

type ScanRow = readonly [key: bigint, state: number, group: unknown, ...values: unknown[]];

/** Where the values begin in a row. */
const FIRST_VALUE = 3;

/**
 * Reads every row in scope once and counts what the checks judge. SQLite derives and compares, so that a payload never
 * leaves it; keys, states, groups and the columns' own values come out.
 */
export function scan(store: Store, backfill: Backfill, options: ScanOptions): ScanFacts {
  const { checks, columns } = backfill;
  const facts: ScanFacts = {
    rows: 0,
    columns: columns.map(({ name }) => ({
      name,
      filled: 0,
      consistentUpTo: 0,
      fillable: new Finding(),
      waiting: new Finding(),
      refused: new Finding(),
      withoutValue: new Finding(),
      timestamps: {
        valid: 0,
        withoutOffset: 0,
        invalid: new Finding(),
        future: new Finding(),
        min: undefined,
        max: undefined,
      },
    })),
    groups: new Map(),
    nulls: new Map(),
    toBefore: new Finding(),
    lag: new LagStatistics(),
  };
  const judgeTimes = checks.areTimestamps ? timestampJudge(backfill, facts, options.nowMs) : undefined;
  const count = columns.length;
  for (const row of store.iterateExact<ScanRow>(scanSql(backfill))) {
    const [key, state] = row;
    facts.rows += 1;
    const groupFacts = groupOf(facts, row[2], count);
    groupFacts.total += 1;
    let nullMask = 0;
    for (let i = 0; i < count; i += 1) {
      const column = facts.columns[i] as ColumnFacts;
      const cell = (state >> (2 * i)) & 3;
      if (cell === EMPTY || cell === FILLABLE) {
        nullMask |= 1 << i;
        const isRefused = cell === FILLABLE && options.isRefused(key, column.name);
        if (isRefused) column.refused.add(key);
        else judgeNull(column, key, cell === FILLABLE, options.watermark);
        continue;
      }
      column.filled += 1;
      groupFacts.filled[i] = (groupFacts.filled[i] ?? 0) + 1;
      if (cell !== CONSISTENT) options.onMismatch({ key, column: column.name });
      else if (options.compareUpTo !== null && key <= options.compareUpTo) column.consistentUpTo += 1;
    }
    if (nullMask !== 0) facts.nulls.set(nullMask, (facts.nulls.get(nullMask) ?? 0) + 1);
    judgeTimes?.(key, row);
  }
  return facts;
}

function scanSql(backfill: Backfill): string {
  const { checks, columns } = backfill;
  const group = checks.groupBy === undefined ? 'NULL' : `t.${identifier(checks.groupBy)}`;
  const states = columns.map(
    (_, i) =>
      `(CASE WHEN c${i} IS NULL THEN v${i} IS NOT NULL WHEN c${i} IS v${i} COLLATE BINARY THEN 2 ELSE 3 END) * ${4 ** i}`,
  );
  const values = checks.areTimestamps ? columns.map((_, i) => `c${i}`) : [];
  // The state as a real: among exact integers, which come as bigint, it stays a number.
  return `SELECT k, ${states.join(' + ')} + 0.0, g${values.map((value) => `, ${value}`).join('')}
    FROM (${derivationSql(backfill, { extra: { g: group } })})`;
}

function groupOf(facts: ScanFacts, value: unknown, columns: number): GroupFacts {
  const wanted = value === null ? '(NULL)' : String(value);
  const known = facts.groups.get(wanted);
  if (known) return known;
  const name = facts.groups.size < MAX_GROUPS ? wanted : '(others)';
  let group = facts.groups.get(name);
  if (!group) {
    group = { total: 0, filled: new Array<number>(columns).fill(0) };
    facts.groups.set(name, group);
  }
  return group;
}

function judgeNull(column: ColumnFacts, key: bigint, isFillable: boolean, watermark: bigint | null): void {
  if (!isFillable) column.withoutValue.add(key);
  else if (watermark !== null && key <= watermark) column.fillable.add(key);
  else column.waiting.add(key);
}

function timestampJudge(
  { checks, columns }: Backfill,
  facts: ScanFacts,
  nowMs: number,
): (key: bigint, row: ScanRow) => void {
  const indexOf = (name: string | undefined): number => columns.findIndex((column) => column.name === name);
  const [from, to] = [indexOf(checks.lag?.from), indexOf(checks.lag?.to)];
  return (key, row) => {
    let [start, end]: (Instant | undefined)[] = [];
    for (let i = 0; i < facts.columns.length; i += 1) {
      const { timestamps } = facts.columns[i] as ColumnFacts;
      const instant = judgeTimestamp(timestamps, key, row[FIRST_VALUE + i], nowMs);
      if (i === from) start = instant;
      if (i === to) end = instant;
    }
    if (!start || !end) return;
    if (end.epochMs < start.epochMs) facts.toBefore.add(key);
    facts.lag.add((end.epochMs - start.epochMs) / 1000, key);
  };
}

function judgeTimestamp(
  facts: ColumnFacts['timestamps'],
  key: bigint,
  value: unknown,
  nowMs: number,
): Instant | undefined {
  if (value === null) return undefined;
  const text = typeof value === 'string' ? value : Buffer.isBuffer(value) ? '' : String(value);
  const instant = parseTimestamp(text);
  if (!instant) {
    facts.invalid.add(key);
    return undefined;
  }
  const { epochMs } = instant;
  facts.valid += 1;
  if (!instant.hasOffset) facts.withoutOffset += 1;
  if (epochMs > nowMs + FUTURE_MS) facts.future.add(key);
  if (!facts.min || epochMs < facts.min.epochMs) facts.min = { text, epochMs };
  if (!facts.max || epochMs > facts.max.epochMs) facts.max = { text, epochMs };
  return instant;
}
