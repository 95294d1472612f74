import type { Store } from '../db/connection.js';
import type { KeyRange } from '../engine/dialect.js';
import { withFailingRow } from '../engine/expressions.js';
import {
  type Follow,
  type Followed,
  type FollowerMaker,
  type Pass,
  type PassElsewhere,
  type PassMaker,
  type ScanRow,
  scanRows,
} from '../engine/scan.js';
import { compareKeys, type Key } from '../ledger/keys.js';
import { type Ledger, openLedger } from '../ledger/ledger.js';
import type { RunRecord } from '../ledger/records.js';
import { lookedUpTo } from '../ledger/runs.js';
import type { Backfill } from '../steps/define.js';
import {
  addKey,
  type ColumnFacts,
  emptyFacts,
  type GroupFacts,
  groupOf,
  keepBounds,
  mergeFacts,
  type ScanFacts,
} from './facts.js';
import { type Cell, mismatchClassifier } from './mismatches.js';
import { addLag, type Instant, lagBuffers, parseTimestamp } from './times.js';

/** Milliseconds from which on a timestamp ahead counts as future: clocks and offsets may be off by a day. */
const FUTURE_MS = 24 * 3600 * 1000;

/** State of a cell, two bits: its value compared with the derived one. */
const [EMPTY, FILLABLE, CONSISTENT] = [0, 1, 2];

/** Index of the first value in a row. */
const FIRST_VALUE = 4;

/** Data of a scan for another thread. */
interface ScanData {
  readonly backfill: Backfill;
  /** The current time, as Unix time in milliseconds. */
  readonly nowMs: number;
}

/** Returns the scan of every row in scope, which the engine runs. */
export const scanPass = (
  ledger: Ledger,
  backfill: Backfill,
  nowMs: number,
  followed?: Followed,
): Pass<ScanFacts> => ({
  over: (tx, ranges) => scan(tx, ledger.in(tx), backfill, ranges, nowMs),
  elsewhere: elsewhere(backfill, nowMs),
  merge: mergeFacts,
  followed,
});

/** Returns what another thread needs for the scan; undefined if it cannot make it, as functions cannot be sent to it. */
const elsewhere = (backfill: Backfill, nowMs: number): PassElsewhere | undefined =>
  backfill.process
    ? undefined
    : {
        module: new URL('./scan-pass.js', import.meta.url).href,
        data: { backfill, nowMs } satisfies ScanData,
      };

/** Returns the scan of each batch of a run, right after it; undefined if another thread cannot make it. */
export function followRun(backfill: Backfill, nowMs: number): Follow | undefined {
  const pass = elsewhere(backfill, nowMs);
  return pass && { elsewhere: pass, followed: undefined };
}

/** Runs the same scan on some of the ranges in another thread. */
export const makePass: PassMaker = async (tx, data, ranges) => {
  const { backfill, nowMs } = data as ScanData;
  const found = await scan(tx, openLedger(tx), backfill, ranges, nowMs);
  return { found, transfer: lagBuffers(found.lag) };
};

/** Makes the same scan on another thread, range by range, while a run fills the next ones. */
export const makeFollower: FollowerMaker = (data) => {
  const { backfill, nowMs } = data as ScanData;
  const names = backfill.columns.map(({ name }) => name);
  let facts: ScanFacts | undefined = emptyFacts(names);
  return {
    async read(tx, range) {
      if (!facts) return false;
      const found = await scan(tx, openLedger(tx), backfill, [range], nowMs);
      // A future time may have passed at the end of the run.
      const isLasting = found.columns.every(({ timestamps }) => timestamps.future.count === 0);
      if (!mergeFacts(facts, found) || !isLasting) facts = undefined;
      return facts !== undefined;
    },
    end: () => facts && { found: facts, transfer: lagBuffers(facts.lag) },
  };
};

/**
 * Reads the rows in scope in some key ranges, each once, and counts what the checks need. The store derives and compares, so a payload
 * never leaves it; it returns keys, states, groups and the values of the columns.
 *
 * @param ranges taken one by one, so that two threads can share them
 * @param nowMs the current time, as Unix time in milliseconds
 */
async function scan(
  store: Store,
  ledger: Ledger,
  backfill: Backfill,
  ranges: Iterable<KeyRange>,
  nowMs: number,
): Promise<ScanFacts> {
  const facts = emptyFacts(backfill.columns.map(({ name }) => name));
  const cells = await cellClassifier(store, ledger, backfill, facts);
  const judgeTimes = backfill.checks.timestamps ? timestampClassifier(backfill, facts, nowMs) : undefined;
  const rowsOf = await scanRows(store, backfill);
  await withFailingRow(store, backfill, async () => {
    for (const range of ranges) {
      for await (const page of rowsOf(range)) {
        facts.rows += page.length;
        for (const row of page) {
          const [key, state, value] = row;
          cells.classify(key, state, groupOf(facts, value, key));
          judgeTimes?.(key, row);
        }
        await cells.classifyLater();
      }
      await cells.settle();
    }
  });
  return facts;
}

/**
 * Returns functions that classify cells: filled with the derived value or another one, NULL and why.
 *
 * @returns `classify` takes each row, in key order; `classifyLater`, called after each page, classifies the cells for which it reads the
 * ledger; `settle` is called after the last page
 */
async function cellClassifier(store: Store, ledger: Ledger, backfill: Backfill, facts: ScanFacts) {
  const watermark = await lookedUpTo(store, ledger, backfill.name);
  const compared = baselineRun(await ledger.runs(backfill.name));
  const isUpTo = (key: Key, last: Key | null): boolean => last !== null && compareKeys(key, last) <= 0;
  const comparedUpTo = compared?.watermark ?? null;
  // If keys start over, those after the new watermark belong to rows that the run has not seen.
  const compareUpTo = watermark !== null && isUpTo(watermark, comparedUpTo) ? watermark : comparedUpTo;
  // Cells that other definitions filled before that run were not prefilled when it started.
  const isCompared = (key: Key, run: number): boolean => run === compared?.run && isUpTo(key, compareUpTo);
  const mismatch = await mismatchClassifier(store, ledger, backfill, facts, isCompared);
  const { columns } = facts;

  /** Cells of a page that are NULL and can be filled, and cells with another value than the derived one. */
  let [nulls, others]: [Cell[], Cell[]] = [[], []];
  const classify = (key: Key, state: number, group: GroupFacts): void => {
    let nullMask = 0;
    for (let i = 0; i < columns.length; i += 1) {
      const column = columns[i] as ColumnFacts;
      const cell = (state >> (2 * i)) & 3;
      if (cell === EMPTY || cell === FILLABLE) {
        nullMask |= 1 << i;
        if (cell === FILLABLE) nulls.push({ key, column });
        else addKey(column.noValue, key);
        continue;
      }
      column.filled += 1;
      group.filled[i] = (group.filled[i] ?? 0) + 1;
      if (cell !== CONSISTENT) others.push({ key, column });
      else if (isUpTo(key, compareUpTo)) column.consistentUpTo += 1;
    }
    if (nullMask !== 0) facts.nulls.set(nullMask, (facts.nulls.get(nullMask) ?? 0) + 1);
  };
  const classifyLater = async (): Promise<void> => {
    const keys = nulls.map(({ key }) => key);
    const refused = await ledger.rejectedCells(backfill.name, keys);
    for (const { key, column } of nulls) {
      const targets = refused.get(key);
      if (targets?.has('*') || targets?.has(column.name)) addKey(column.rejected, key);
      else addKey(isUpTo(key, watermark) ? column.fillable : column.pendingCatchUp, key);
    }
    await mismatch.classify(others);
    [nulls, others] = [[], []];
  };
  return { classify, classifyLater, settle: mismatch.settle };
}

/**
 * Returns the run whose counts consistent cells are compared with, up to its watermark: the last one that started at the first key. It
 * counted the prefilled cells.
 */
export const baselineRun = (runs: readonly RunRecord[]): RunRecord | undefined =>
  runs.findLast(({ startKey }) => startKey === null);

function timestampClassifier({ checks, columns }: Backfill, facts: ScanFacts, nowMs: number) {
  const names = columns.map(({ name }) => name);
  const [from, to] = [names.indexOf(checks.lag?.from ?? ''), names.indexOf(checks.lag?.to ?? '')];
  const classify = (found: ColumnFacts['timestamps'], key: Key, value: unknown): Instant | undefined => {
    if (value === null) return undefined;
    const text = typeof value === 'string' ? value : Buffer.isBuffer(value) ? '' : String(value);
    const instant = parseTimestamp(text);
    if (!instant) {
      addKey(found.invalid, key);
      return undefined;
    }
    const { epochMs } = instant;
    found.valid += 1;
    if (!instant.hasOffset) found.withoutOffset += 1;
    if (epochMs > nowMs + FUTURE_MS) addKey(found.future, key);
    const { min, max } = found.extremes;
    if (!min || !max || epochMs <= min.epochMs || epochMs >= max.epochMs)
      keepBounds(found.extremes, { text, epochMs, key });
    return instant;
  };
  return (key: Key, row: ScanRow): void => {
    const [, , , fallbacks] = row;
    let [start, end]: (Instant | undefined)[] = [];
    for (let i = 0; i < facts.columns.length; i += 1) {
      const { timestamps } = facts.columns[i] as ColumnFacts;
      const instant = classify(timestamps, key, row[FIRST_VALUE + i]);
      if (instant && (fallbacks >> i) & 1) timestamps.fromFallback += 1;
      if (i === from) start = instant;
      if (i === to) end = instant;
    }
    if (!start || !end) return;
    if (start.hasOffset !== end.hasOffset) addKey(facts.mixedOffsets, key);
    if (end.epochMs < start.epochMs) {
      addKey(facts.toBefore, key);
      facts.toBeforeFallback += (fallbacks >> from) & 1;
    }
    addLag(facts.lag, (end.epochMs - start.epochMs) / 1000, key);
  };
}
