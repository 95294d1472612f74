import type { Backfill } from '../../backfill/define.js';
import { LEDGER_TABLES } from '../../ledger/tables.js';
import { anyNullSql, derivationSql, scopeSql } from './derive.js';
import { identifier, literal } from './sql.js';
import type { Store } from './store.js';

/** Smaller than every integer key. A real compares exactly with integers in SQLite, and can be bound. */
export const BEFORE_ALL_KEYS = -1e300;

/** The last key of the table, or null when it is empty: the watermark of a run that starts now. */
export function lastKey(store: Store, backfill: Backfill): bigint | null {
  const sql = `SELECT max(${identifier(backfill.key)}) AS key FROM ${identifier(backfill.table)}`;
  return store.getExact<{ key: bigint | null }>(sql)?.key ?? null;
}

/** First and last key of the table, or undefined when it is empty. */
export function keyRange(store: Store, backfill: Backfill): readonly [bigint, bigint] | undefined {
  const last = lastKey(store, backfill);
  if (last === null) return undefined;
  const sql = `SELECT min(${identifier(backfill.key)}) AS key FROM ${identifier(backfill.table)}`;
  return [store.getExact<{ key: bigint }>(sql)?.key ?? last, last];
}

/** Whether the table's keys only grow, so that rows written later are found behind the watermark. */
export function hasGrowingKeys(store: Store, backfill: Backfill): boolean {
  const row = store.get<{ sql: string }>(
    `SELECT sql FROM sqlite_schema WHERE type = 'table' AND name = ? COLLATE NOCASE`,
    backfill.table,
  );
  return /\bautoincrement\b/.test(
    row?.sql
      .replace(/'(?:[^']|'')*'|"(?:[^"]|"")*"|`(?:[^`]|``)*`|\[[^\]]*\]|--[^\n]*|\/\*[\s\S]*?\*\//g, ' ')
      .toLowerCase() ?? '',
  );
}

/** SQL condition for a row of the table, as `t`, that is recorded as a skip. */
export function isSkippedSql(backfill: Backfill): string {
  return `EXISTS (SELECT 1 FROM ${LEDGER_TABLES.skips} AS s
    WHERE s.backfill = ${literal(backfill.name)} AND s.key = t.${identifier(backfill.key)})`;
}

/**
 * Whether rows wait for a catch-up: rows in scope with a column to fill behind `after`. Where `after` is null, from
 * the first key on, those left out that are recorded as skips.
 *
 * @param probeRows how many rows of the table are read at most. Default: as many as it takes
 * @returns undefined when none of those that were read waits, and there are more
 */
export function hasWaitingRows(
  store: Store,
  backfill: Backfill,
  after: bigint | null,
  probeRows = Number.POSITIVE_INFINITY,
): boolean | undefined {
  const key = identifier(backfill.key);
  const table = identifier(backfill.table);
  const from = after ?? BEFORE_ALL_KEYS;
  const last =
    probeRows === Number.POSITIVE_INFINITY
      ? undefined
      : store.getExact<{ key: bigint }>(
          `SELECT ${key} AS key FROM ${table} WHERE ${key} > ? ORDER BY ${key} LIMIT 1 OFFSET ?`,
          from,
          probeRows,
        );
  const row = store.get(
    `SELECT 1 FROM ${table} AS t
    WHERE t.${key} > ?${last ? ` AND t.${key} <= ?` : ''} AND ${scopeSql(backfill)} AND ${anyNullSql(backfill)}${after === null ? ` AND NOT ${isSkippedSql(backfill)}` : ''}
    LIMIT 1`,
    from,
    ...(last ? [last.key] : []),
  );
  if (row !== undefined) return true;
  return last ? undefined : false;
}

/**
 * How many cells in scope up to `watermark` hold their derived value already, before a run: with what the run fills,
 * as many must hold it afterwards.
 *
 * @param onlySkipped whether to count only in rows that are recorded as skips: what the application has mended itself
 */
export function countFound(
  store: Store,
  backfill: Backfill,
  watermark: bigint,
  { onlySkipped = false } = {},
): number {
  const filled = backfill.columns.map(({ name }) => `t.${identifier(name)} IS NOT NULL`).join(' OR ');
  const skipped = onlySkipped ? ` AND ${isSkippedSql(backfill)}` : '';
  const where = `WHERE t.${identifier(backfill.key)} <= ? AND ${scopeSql(backfill)} AND (${filled})${skipped}`;
  const any = store.get(`SELECT 1 FROM ${identifier(backfill.table)} AS t ${where} LIMIT 1`, watermark);
  if (any === undefined) return 0;
  const matches = backfill.columns.map(({ name }, i) => {
    const isSkip = `EXISTS (SELECT 1 FROM ${LEDGER_TABLES.skips} AS s
      WHERE s.backfill = ${literal(backfill.name)} AND s.key = k AND s.target IN ('*', ${literal(name)}))`;
    return `(c${i} IS NOT NULL AND c${i} IS v${i} COLLATE BINARY${onlySkipped ? ` AND ${isSkip}` : ''})`;
  });
  const row = store.get<{ cells: number | null }>(
    `SELECT sum(${matches.join(' + ')}) AS cells FROM (${derivationSql(backfill, { tail: `${where} LIMIT -1` })})`,
    watermark,
  );
  return row?.cells ?? 0;
}
