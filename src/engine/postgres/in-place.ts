import { internalError, type Store } from '../../db/connection.js';
import { EQ } from '../../db/postgres/texts.js';
import { identifier, literal } from '../../db/sql.js';
import { failpoint } from '../../failpoint.js';
import { countKeys, type Key, type KeySpan } from '../../ledger/keys.js';
import { LEDGER_TABLES } from '../../ledger/tables.js';
import { msg } from '../../messages/message.js';
import type { Backfill } from '../../steps/define.js';
import type { FillOptions } from '../batch.js';
import { type RowSql, rowSql, scopeSql } from '../rows.js';
import { type Group, keyListSql, readKeyList, recordXidsSql } from './batch-record.js';
import { derive, type PostgresDerivation } from './derive.js';
import { keyAt, keyOf, ledgerKeyOf } from './keys.js';

/**
 * Rows whose values are expressions on their own columns are updated where they are found, without a join: on narrow rows that takes half
 * the time. These are the rows of a batch in which every column is NULL and gets a value; the general statement does the others.
 */

/** Due rows of a batch, in the order of their keys. */
interface DueRows {
  readonly rows: bigint;
  readonly first: Key;
  readonly last: Key;
}

/** Rows of a batch that were filled in place. */
export interface FilledInPlace {
  /** Key of the last due row. */
  readonly last: Key;
  /** Number of due rows that were not filled. */
  readonly left: number;
  /**
   * Returns the filled rows.
   *
   * @param others keys of the due rows that were not filled
   */
  group(others: readonly Key[]): Group;
}

/** Whether the rows of a batch may be filled in place: without triggers, and with nothing to exclude but by the scope. */
export const isInPlace = (
  { inPlace }: PostgresDerivation,
  { limit, excludeSkips, hasTriggers, rejected }: FillOptions,
): boolean => inPlace().length > 0 && limit > 1 && !excludeSkips && !hasTriggers && rejected === undefined;

/**
 * Fills rows of a batch in place.
 *
 * @param where condition for the batch's due rows, without their maximum
 * @returns undefined if no row is due
 */
export async function fillInPlace(
  store: Store,
  { backfill, inPlace }: PostgresDerivation,
  rows: RowSql,
  { cursor, limit, batch }: FillOptions,
  where: string,
): Promise<FilledInPlace | undefined> {
  const { table, columns, name } = backfill;
  const { kind } = await keyOf(store, backfill);
  const values = inPlace();
  const due = await dueRows(store, table, rows, where, limit);
  if (due === undefined) return undefined;
  const { first, last } = due;
  const isDense = typeof first === 'bigint' && typeof last === 'bigint' && last - first + 1n === due.rows;
  const each = (of: (name: string, value: string) => string, separator: string): string =>
    columns.map((column, i) => of(identifier(column.name), values[i] ?? 'NULL')).join(separator);
  const isDue = `${rows.afterKey(cursor)} AND ${rows.upTo(last)} AND ${scopeSql(backfill, store.dialect)}
    AND ${each((column) => `t.${column} IS NULL`, ' AND ')}`;
  // CASE keeps the server from computing values of other rows, for which they may be errors. What is in a CASE uses no index.
  const sql = `WITH updated AS (
    UPDATE ${identifier(table)} AS t SET ${each((column, value) => `${column} = ${value}`, ', ')}
    WHERE ${isDue} AND CASE WHEN ${isDue} THEN ${each((_, value) => `${value} IS NOT NULL`, ' AND ')} END
    RETURNING ${rows.key} AS k, ${each((column) => `t.${column} IS NOT NULL`, ' AND ')} AS is_filled, t.xmin AS x, t.tableoid AS o
  ), recorded AS (
    ${recordXidsSql(backfill, batch, 'SELECT x, o FROM updated')}
  ), deleted AS (
    DELETE FROM ${LEDGER_TABLES.skips} AS s USING updated AS u
    WHERE s.backfill ${EQ} ${literal(name)} AND s.key ${EQ} ${ledgerKeyOf(kind, 'u.k')}
  )
  SELECT pg_catalog.count(*) AS filled, ${isDense ? 'NULL' : keyListSql(kind, 'k')} AS keys FROM updated WHERE is_filled`;
  const found = await store.project.get<{ filled: number; keys: string | null }>(sql);
  failpoint('statement', sql);
  const filled = found?.filled ?? 0;
  const mask = 2 ** columns.length - 1;
  return {
    last,
    left: Number(due.rows) - filled,
    group(others) {
      const keys = isDense ? keysBetween(first, last, others) : readKeyList(kind, found?.keys ?? null);
      if (keys.length !== filled)
        throw internalError(msg('The rows of a batch changed between two of its statements'));
      return { nullMask: mask, derivableMask: mask, filledMask: mask, failure: null, keys };
    },
  };
}

async function dueRows(
  store: Store,
  table: string,
  { key }: RowSql,
  where: string,
  limit: number,
): Promise<DueRows | undefined> {
  const end = (order: string): string => `(SELECT k FROM due ORDER BY k ${order} LIMIT 1)`;
  const found = await store.project.getExact<{ rows: bigint; first: Key | null; last: Key | null }>(
    `WITH due AS MATERIALIZED (SELECT ${key} AS k FROM ${identifier(table)} AS t WHERE ${where} ORDER BY ${key} LIMIT ${limit})
    SELECT (SELECT pg_catalog.count(*) FROM due) AS rows, ${end('ASC')} AS first, ${end('DESC')} AS last`,
  );
  const { rows = 0n, first = null, last = null } = found ?? {};
  return first === null || last === null ? undefined : { rows, first, last };
}

/** Returns the integers from one to another, except for some. */
function keysBetween(first: bigint, last: bigint, others: readonly Key[]): bigint[] {
  const excluded = new Set(others);
  const keys: bigint[] = [];
  for (let key = first; key <= last; key += 1n) if (!excluded.has(key)) keys.push(key);
  return keys;
}

/**
 * Sets cells to NULL in place, in the rows in which all of some columns hold their derived values.
 *
 * @param columns numbers of the columns
 * @param runs keys of the rows
 * @returns number of rows
 */
export async function revertInPlace(
  store: Store,
  backfill: Backfill,
  columns: readonly number[],
  runs: readonly KeySpan[],
): Promise<number> {
  const derivation = await derive(store, backfill);
  const [[first] = [], [, last] = []] = [runs[0], runs.at(-1)];
  if (first === undefined || last === undefined) return 0;
  const { from, upTo } = await rowSql(store, backfill);
  const values = derivation.inPlace(from(first));
  if (values.length === 0) return 0;
  const isOurs = columns.map((i) => {
    const cell = `t.${identifier(backfill.columns[i]?.name ?? '')}`;
    return `${cell} IS NOT NULL AND ${derivation.isSame(cell, values[i] ?? 'NULL')}`;
  });
  const assignments = columns.map((i) => `${identifier(backfill.columns[i]?.name ?? '')} = NULL`);
  const isWithin = `${from(first)} AND ${upTo(last)}`;
  const isOne = runs.length > 1 ? derivation.isOneOf(runs) : isWithin;
  const isRead = (await hasFewOthers(store, backfill, runs, isWithin))
    ? isWithin
    : `${isWithin} AND ${isOne}`;
  const sql = `WITH updated AS (
    UPDATE ${identifier(backfill.table)} AS t SET ${assignments.join(', ')}
    WHERE ${isRead} AND CASE WHEN ${isOne} THEN ${isOurs.join(' AND ')} END
    RETURNING 1
  )
  SELECT pg_catalog.count(*) AS rows FROM updated`;
  const found = await store.project.get<{ rows: number }>(sql);
  failpoint('statement', sql);
  return found?.rows ?? 0;
}

/** Rows per key up to which all rows from the first to the last key are read: to look each key up takes several times as long. */
const READ_PER_KEY = 4;

/** Whether a table has few other rows between the first and the last key, for which `isWithin` holds, too. */
async function hasFewOthers(
  store: Store,
  backfill: Backfill,
  runs: readonly KeySpan[],
  isWithin: string,
): Promise<boolean> {
  const most = countKeys(runs) * READ_PER_KEY;
  const [[first] = [], [, last] = []] = [runs[0], runs.at(-1)];
  if (typeof first === 'bigint' && typeof last === 'bigint' && last - first < most) return true;
  return runs.length === 1 || (await keyAt(store, backfill, isWithin, most)) === undefined;
}
