import type { Backfill } from '../../backfill/define.js';
import type { Key } from '../../ledger/keys.js';
import { LEDGER_TABLES } from '../../ledger/tables.js';
import { tableColumns } from '../../schema/inspect.js';
import { anyNullSql, derivationSql, scopeSql } from './derive.js';
import { explained } from './expressions.js';
import { asKey, behindSql, checkTexts, keyKind } from './keys.js';
import { identifier, isSameName, literal } from './sql.js';
import type { Store } from './store.js';

/** The last key of the table, or null when it is empty: the watermark of a run that starts now. */
export function lastKey(store: Store, backfill: Backfill): Key | null {
  const sql = `SELECT max(${identifier(backfill.key)}) AS key FROM ${identifier(backfill.table)}`;
  const last = store.getExact<{ key: unknown }>(sql)?.key ?? null;
  if (last === null) return null;
  // A text that JavaScript can't hold would come back as another, and rows behind that would never be reached.
  if (typeof last === 'string') checkTexts(store, backfill, `(${sql.replace('AS key', 'AS k')})`);
  return asKey(last, backfill);
}

/** First and last key of the table, or undefined when it is empty. */
export function keyRange(store: Store, backfill: Backfill): readonly [Key, Key] | undefined {
  const last = lastKey(store, backfill);
  if (last === null) return undefined;
  const sql = `SELECT min(${identifier(backfill.key)}) AS key FROM ${identifier(backfill.table)}`;
  return [asKey(store.getExact<{ key: unknown }>(sql)?.key ?? last, backfill), last];
}

/** Whether the table's keys only grow, so that rows written later are found behind the watermark. */
export function hasGrowingKeys(store: Store, backfill: Backfill): boolean {
  const isPrimary = tableColumns(store, backfill.table).some(
    ({ name, pk }) => pk > 0 && isSameName(name, backfill.key),
  );
  if (!isPrimary) return false;
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
  after: Key | null,
  probeRows = Number.POSITIVE_INFINITY,
): boolean | undefined {
  const key = identifier(backfill.key);
  const table = identifier(backfill.table);
  const [behind, from] = behindSql(keyKind(store, backfill), `t.${key}`, after);
  const last =
    probeRows === Number.POSITIVE_INFINITY
      ? undefined
      : store.getExact<{ key: Key }>(
          `SELECT t.${key} AS key FROM ${table} AS t WHERE ${behind} ORDER BY t.${key} LIMIT 1 OFFSET ?`,
          from,
          probeRows,
        );
  const row = store.get(
    `SELECT 1 FROM ${table} AS t
    WHERE ${behind}${last ? ` AND t.${key} <= ?` : ''} AND ${scopeSql(backfill)} AND ${anyNullSql(backfill)}${after === null ? ` AND NOT ${isSkippedSql(backfill)}` : ''}
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
  watermark: Key,
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
  const row = explained(store, backfill, () =>
    store.get<{ cells: number | null }>(
      `SELECT sum(${matches.join(' + ')}) AS cells FROM (${derivationSql(store, backfill, { tail: `${where} LIMIT -1` })})`,
      watermark,
    ),
  );
  return row?.cells ?? 0;
}
