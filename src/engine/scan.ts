import type { Store, Transaction } from '../db/connection.js';
import { identifier } from '../db/sql.js';
import type { Key } from '../ledger/keys.js';
import type { Backfill } from '../steps/define.js';
import { fallbackOf } from '../steps/values.js';
import { clientRows, type Derivation, type GivenRow, isDerivedSql } from './derive.js';
import type { KeyRange } from './dialect.js';
import { withFailingRow } from './expressions.js';
import { partsSql, rowSql } from './rows.js';

// Scans of a table: rows compared with their derived values, counted or one by one.

/** A pass over the rows of a table, by one thread or two. Each thread reads ranges of keys, and their findings are merged. */
export interface Pass<Found> {
  /** Reads these ranges on this thread. */
  over(tx: Transaction, ranges: Iterable<KeyRange>): Promise<Found>;
  /** Data with which another thread does the same; undefined if it cannot. */
  readonly elsewhere: PassElsewhere | undefined;
  /** Merges findings of another thread, for other ranges. Returns whether the result is what a single thread would have found. */
  merge(into: Found, from: Found): boolean;
  /** Findings of a {@link Follower} in rows that need not be read again. Default: none. */
  readonly followed?: Followed | undefined;
}

/** Plain data with which another thread makes a pass. */
export interface PassElsewhere {
  /** URL of a module that exports a {@link PassMaker} as `makePass`. */
  readonly module: string;
  readonly data: unknown;
}

/** Makes a pass on another thread. `transfer` lists the buffers of the result that are moved instead of copied. */
export type PassMaker = (
  tx: Transaction,
  data: unknown,
  ranges: Iterable<KeyRange>,
) => Promise<{ readonly found: unknown; readonly transfer: readonly ArrayBuffer[] }>;

/** The same pass on another thread, over the rows of each batch, while a run writes the next ones. */
export interface Follower {
  /** Reads a range of keys. Returns whether its findings still count: see `end`. */
  read(tx: Transaction, range: KeyRange): Promise<boolean>;
  /** Returns what it has found, with the buffers that are moved; undefined if everything has to be read again at the end of the run. */
  end(): { readonly found: unknown; readonly transfer: readonly ArrayBuffer[] } | undefined;
}

/** Makes a follower on another thread. */
export type FollowerMaker = (data: unknown) => Follower;

/** Findings of a {@link Follower}. They hold for a snapshot with the same version of the store. */
export interface Followed {
  readonly found: unknown;
  /** Number that changes when another connection commits, the same in each batch. */
  readonly version: number;
  /** First and last key that it has read. */
  readonly range: readonly [first: bigint, last: bigint];
}

/** A run that a {@link Follower} can follow. */
export interface Follow {
  /** Its module exports a {@link FollowerMaker} as `makeFollower`. */
  readonly elsewhere: PassElsewhere;
  /** Set after the last batch; undefined if no thread has followed, or another connection has committed during the run. */
  followed: Followed | undefined;
}

/** A callback after a pass, on its snapshot. */
export type AfterPass<Found, Result> = (tx: Transaction, found: Found, threads: 1 | 2) => Promise<Result>;

/**
 * A row of a scan. `state` has two bits per column: 0 NULL and nothing to derive, 1 NULL but derivable, 2 the derived value, 3
 * another value. `fallbacks` has one bit per column: whether the cell equals its fallback.
 */
export type ScanRow = Readonly<Row>;

/** A row as the store returns it, with the client-side input after its values. */
type Row = [key: Key, state: number, group: unknown, fallbacks: number, ...values: unknown[]];

/** SQL for the states of a row's cells; see `ScanRow`. Default: on the columns of a derivation. */
const stateSql = (
  store: Store,
  { backfill, isSame }: Derivation,
  cell = (i: number): string => `c${i}`,
  value = (i: number): string => `v${i}`,
): string => {
  const states = backfill.columns.map(
    (_, i) => `CASE WHEN ${cell(i)} IS NULL THEN CASE WHEN ${value(i)} IS NULL THEN 0 ELSE ${4 ** i} END
      WHEN ${isSame(cell(i), value(i))} THEN ${2 * 4 ** i} ELSE ${3 * 4 ** i} END`,
  );
  return sumSql(store, states);
};

/** Sums as floating point, so that they remain numbers where exact integers are returned as bigint. */
const sumSql = (store: Store, terms: readonly string[]): string =>
  `CAST(${terms.join(` ${store.dialect.operator('+')} `)} AS double precision)`;

/**
 * Compares cells with client-side values in the store, which returns only the rows that do not hold all of them.
 *
 * @returns the state of a row, by its key; undefined for a text that JavaScript cannot hold, because its row is not found again
 */
async function statesOf(
  store: Store,
  derivation: Derivation,
  rows: readonly GivenRow[],
): Promise<(key: Key) => number | undefined> {
  const { backfill, given } = derivation;
  const allHeld = backfill.columns.reduce((sum, _, i) => sum + 2 * 4 ** i, 0);
  // Columns of integers may contain texts, whose rows are returned in any case.
  const areExact = rows.every(({ key }) => typeof key === 'bigint');
  if (rows.length === 0) return () => undefined;
  const { key } = await rowSql(store, backfill);
  const { sql, parameters } = given(rows);
  const cell = (i: number): string => `t.${identifier(backfill.columns[i]?.name ?? '')}`;
  const state = stateSql(store, derivation, cell, (i) => `given.v${i}`);
  const found = await store.project.allExact<{ k: Key; state: number }>(
    `SELECT given.k, ${state} AS state FROM ${sql} CROSS JOIN ${identifier(backfill.table)} AS t
    WHERE ${key} ${store.dialect.operator('=')} given.k${areExact ? ` AND ${state} ${store.dialect.operator('<>')} ${allHeld}` : ''}`,
    ...parameters,
  );
  const states = new Map(found.map(({ k, state: bits }) => [k, bits]));
  return (one) => states.get(one) ?? (areExact ? allHeld : undefined);
}

/**
 * Counts the cells in scope up to `watermark` that hold their derived value before a run. Verification expects these, and those
 * that the run fills.
 *
 * @param options `onlySkipped`: whether to count only in rows that are recorded as skips, which the application has fixed itself
 */
export async function countPrefilled(
  store: Store,
  backfill: Backfill,
  watermark: Key,
  { onlySkipped = false } = {},
): Promise<number> {
  const { columns } = backfill;
  const rows = await rowSql(store, backfill);
  const filled = columns.map(({ name }) => `t.${identifier(name)} IS NOT NULL`).join(' OR ');
  const isFound = `${rows.inScope} AND (${filled})${onlySkipped ? ` AND ${rows.isSkipped}` : ''}`;
  const derivation = await store.dialect.derive(store, backfill);
  const skips = onlySkipped ? columns.map(({ name }, i) => [`skipped${i}`, rows.isCellSkipped(name)]) : [];
  const extra = Object.fromEntries(skips) as Record<string, string>;
  const matches = columns.map((_, i) => {
    const isSame = `c${i} IS NOT NULL AND ${derivation.isSame(`c${i}`, `v${i}`)}`;
    return `CASE WHEN ${isSame}${onlySkipped ? ` AND skipped${i}` : ''} THEN 1 ELSE 0 END`;
  });
  const sum = `${store.dialect.builtIn('sum')}(${sumSql(store, matches)})`;
  const countIn = async (tx: Transaction): Promise<number> => {
    let cells = 0;
    for await (const part of partsSql(tx, backfill, null, watermark)) {
      const where = `${part} AND ${isFound}`;
      const any = `SELECT 1 AS found FROM ${identifier(backfill.table)} AS t WHERE ${where} LIMIT 1`;
      if ((await tx.project.get(any)) === undefined) continue;
      const select = derivation.select({ where, extra });
      const counted = `SELECT ${sum} AS cells FROM (${select}) AS derived WHERE ${isDerivedSql(derivation)}`;
      if (!derivation.isClientSide)
        cells += (await tx.project.get<{ cells: number | null }>(counted))?.cells ?? 0;
      for await (const page of clientRows(tx, derivation, select, Object.keys(extra))) {
        const states = await statesOf(tx, derivation, page);
        for (const { key, extra } of page)
          cells += columns.filter(
            (_, i) => isHeld(states(key) ?? 0, i) && (!onlySkipped || extra[i] === 1n),
          ).length;
      }
    }
    return cells;
  };
  return await withFailingRow(store, backfill, () => store.snapshot(countIn));
}

/** Whether the state of a row says that a cell holds the derived value. */
const isHeld = (state: number, i: number): boolean => ((state >> (2 * i)) & 3) === 2;

/**
 * Returns a function that reads the rows in scope of a key range, in pages. The store derives and compares them, so a payload
 * leaves it only for client-side rows. Call it inside a snapshot.
 */
export async function scanRows(store: Store, backfill: Backfill) {
  const { checks, columns } = backfill;
  const derivation = await store.dialect.derive(store, backfill);
  const { inScope, from, afterKey, upTo } = await rowSql(store, backfill);
  const isHolding = columns.map(({ name, value }, i) => {
    const fallback = fallbackOf(value);
    if (fallback === undefined || !checks.timestamps) return '0';
    const cell = `t.${identifier(name)}`;
    const isSame = derivation.isSame(cell, derivation.fallback(i, fallback));
    return `CASE WHEN ${cell} IS NOT NULL AND ${isSame} THEN ${2 ** i} ELSE 0 END`;
  });
  const group = checks.groupBy === undefined ? 'NULL' : `t.${identifier(checks.groupBy)}`;
  const extra = { g: group, same: sumSql(store, isHolding) };
  const state = stateSql(store, derivation);
  const values = checks.timestamps ? columns.map((_, i) => derivation.text(`c${i}`)) : [];
  const list = ['k', state, derivation.text('g'), 'same', ...values, ...derivation.clientInput].join(', ');
  return async function* ([first, last]: KeyRange): AsyncGenerator<readonly ScanRow[]> {
    let start = from(first);
    const ends = first === last ? [last] : store.dialect.sliceEnds(store, backfill, first, last, true);
    for await (const end of ends) {
      const where = `${inScope} AND ${start} AND ${upTo(end ?? last)}`;
      const sql = `SELECT ${list} FROM (${derivation.select({ where, extra })}) AS derived`;
      const pages = store.project.pages<Row>(sql);
      if (derivation.clientInput.length === 0) yield* pages;
      else yield* comparedRows(store, derivation, pages, values.length + 4);
      start = afterKey(end);
    }
  };
}

/**
 * Yields the pages of a scan with the states of client-side rows.
 *
 * @param width number of columns before their client-side input
 */
async function* comparedRows(
  store: Store,
  derivation: Derivation,
  pages: AsyncIterable<readonly Row[]>,
  width: number,
): AsyncGenerator<readonly ScanRow[]> {
  for await (const page of pages) {
    const left = page.filter((row) => row[width] !== null);
    const derived = derivation.derive(left.map((row) => row.slice(width)));
    const given = left.map(([key], at) => ({ key, values: derived[at]?.values ?? [] }));
    const states = await statesOf(store, derivation, given);
    for (const row of left) row[1] = states(row[0]) ?? row[1];
    for (const row of page) row.length = width;
    yield page;
  }
}
