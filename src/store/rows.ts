import type { Backfill } from '../backfill/define.js';
import { type SqlExpression, sqlFor } from '../backfill/values.js';
import type { Key } from '../ledger/keys.js';
import { LEDGER_TABLES } from '../ledger/tables.js';
import { keyLiteral } from './keys.js';
import type { Dialect, Store } from './port.js';
import { endedSql, foldCase, identifier, literal } from './sql.js';

// Which rows of a table a backfill is about, in SQL that every engine takes. The table's alias is `t`.

/** SQL condition for the rows in scope. */
export function scopeSql({ scope }: Backfill, { engine }: Pick<Dialect, 'engine'>): string {
  return `(${endedSql(sqlFor(scope, engine))})`;
}

/** SQL for the value of an expression on a row. */
export const expressionSql = ({ expression }: SqlExpression, engine: Dialect['engine']): string =>
  `(${endedSql(sqlFor(expression, engine))})`;

/** SQL condition for rows with at least one column to fill. */
export function anyNullSql(backfill: Backfill, alias = 't', absent?: ReadonlySet<string>): string {
  const terms = backfill.columns.map(({ name }) =>
    absent?.has(foldCase(name)) ? 'true' : `${alias}.${identifier(name)} IS NULL`,
  );
  return `(${terms.join(' OR ')})`;
}

/** SQL condition for the rows behind a key: all of them, where there is none. */
export const behindSql = (store: Store, backfill: Backfill, after: Key | null): string =>
  after === null ? 'true' : `${store.dialect.keySql(store, backfill)} > ${keyLiteral(after)}`;

/** SQL condition for a row that is recorded as a skip. */
export function isSkippedSql(store: Store, backfill: Backfill): string {
  return `EXISTS (SELECT 1 FROM ${LEDGER_TABLES.skips} AS s
    WHERE s.backfill = ${literal(backfill.name)} AND s.key = ${store.dialect.ledgerKeySql(store, backfill)})`;
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
  const key = store.dialect.keySql(store, backfill);
  const table = `${identifier(backfill.table)} AS t`;
  const behind = behindSql(store, backfill, after);
  const last =
    probeRows === Number.POSITIVE_INFINITY
      ? undefined
      : store.getExact<{ key: Key }>(
          `SELECT ${key} AS key FROM ${table} WHERE ${behind} ORDER BY ${key} LIMIT 1 OFFSET ${probeRows}`,
        );
  const row = store.get(
    `SELECT 1 FROM ${table}
    WHERE ${behind}${last ? ` AND ${key} <= ${keyLiteral(last.key)}` : ''} AND ${scopeSql(backfill, store.dialect)} AND ${anyNullSql(backfill)}${after === null ? ` AND NOT ${isSkippedSql(store, backfill)}` : ''}
    LIMIT 1`,
  );
  if (row !== undefined) return true;
  return last ? undefined : false;
}
