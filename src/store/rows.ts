import type { Backfill } from '../backfill/define.js';
import { type SqlExpression, sqlFor } from '../backfill/values.js';
import { mapEach } from '../each.js';
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
export const behindSql = async (
  store: Store,
  backfill: Pick<Backfill, 'table' | 'key'>,
  after: Key | null,
): Promise<string> =>
  after === null
    ? 'true'
    : `${await store.dialect.keySql(store, backfill)} ${store.dialect.operator('>')} ${keyLiteral(after)}`;

/**
 * SQL conditions for the rows behind a key, up to another: for all of them in turn, in parts that are each read in a moment where the
 * engine keeps the event loop waiting.
 *
 * @param upTo null for all
 */
export async function* partsSql(
  store: Store,
  backfill: Pick<Backfill, 'table' | 'key'>,
  after: Key | null,
  upTo: Key | null = null,
): AsyncGenerator<string> {
  const key = await store.dialect.keySql(store, backfill);
  let before = after;
  for await (const end of store.dialect.sliceEnds(store, backfill, after, upTo)) {
    const behind = await behindSql(store, backfill, before);
    yield end === null ? behind : `${behind} AND ${key} ${store.dialect.operator('<=')} ${keyLiteral(end)}`;
    before = end;
  }
}

/** SQL condition for a row that is recorded as a skip, in whole or for a column. */
export const isSkippedSql = async (store: Store, backfill: Backfill): Promise<string> =>
  `EXISTS (SELECT 1 FROM ${LEDGER_TABLES.skips} AS s WHERE ${await isSkipOfSql(store, backfill)})`;

async function isSkipOfSql(store: Store, backfill: Backfill): Promise<string> {
  const equals = store.dialect.operator('=');
  return `s.backfill ${equals} ${literal(backfill.name)} AND s.key ${equals} ${await store.dialect.ledgerKeySql(store, backfill)}`;
}

/** SQL condition for a row of which a cell is recorded as a skip, or the whole row. */
export async function isCellSkippedSql(store: Store, backfill: Backfill, column: string): Promise<string> {
  const equals = store.dialect.operator('=');
  return `EXISTS (SELECT 1 FROM ${LEDGER_TABLES.skips} AS s
    WHERE ${await isSkipOfSql(store, backfill)} AND (s.target ${equals} '*' OR s.target ${equals} ${literal(column)}))`;
}

/** Whether one of these cells is NULL, in a row in scope, and not recorded as a skip. Reads the rows by their keys. */
export async function hasEmptyCell(
  store: Store,
  backfill: Backfill,
  cells: readonly (readonly [column: string, key: Key])[],
): Promise<boolean> {
  if (cells.length === 0) return false;
  const key = await store.dialect.keySql(store, backfill);
  const isOneOf = (of: readonly (readonly [string, Key])[]): string =>
    `(${of.map(([, value]) => `${key} ${store.dialect.operator('=')} ${keyLiteral(value)}`).join(' OR ')})`;
  const isEmpty = await mapEach([...new Set(cells.map(([column]) => column))], async (column) => {
    const own = cells.filter(([name]) => name === column);
    return `(t.${identifier(column)} IS NULL AND ${isOneOf(own)} AND NOT ${await isCellSkippedSql(store, backfill, column)})`;
  });
  const row = await store.project.get(
    `SELECT 1 FROM ${identifier(backfill.table)} AS t
    WHERE ${isOneOf(cells)} AND (${isEmpty.join(' OR ')}) AND ${scopeSql(backfill, store.dialect)}
    LIMIT 1`,
  );
  return row !== undefined;
}

/** What recorded skips keep from waiting: their rows, whatever else is NULL in them, only their own cells, or nothing. */
export type WaitingSkips = 'rows' | 'cells' | 'nothing';

/**
 * Whether rows wait for a catch-up: rows in scope with a column to fill behind `after`. Where `after` is null, from
 * the first key on, without what is recorded as a skip.
 *
 * @param probeRows how many rows of the table are read at most. Default: as many as it takes
 * @returns undefined when none of those that were read waits, and there are more
 */
export async function hasWaitingRows(
  store: Store,
  backfill: Backfill,
  { after, skips }: { readonly after: Key | null; readonly skips: WaitingSkips },
  probeRows = Number.POSITIVE_INFINITY,
): Promise<boolean | undefined> {
  const key = await store.dialect.keySql(store, backfill);
  const table = `${identifier(backfill.table)} AS t`;
  const behind = await behindSql(store, backfill, after);
  const last =
    probeRows === Number.POSITIVE_INFINITY
      ? undefined
      : await store.project.getExact<{ key: Key }>(
          `SELECT ${key} AS key FROM ${table} WHERE ${behind} ORDER BY ${key} LIMIT 1 OFFSET ${probeRows}`,
        );
  const waits = `${scopeSql(backfill, store.dialect)} AND ${await waitsSql(store, backfill, after === null ? skips : 'nothing')}`;
  for await (const part of partsSql(store, backfill, after, last?.key))
    if ((await store.project.get(`SELECT 1 FROM ${table} WHERE ${part} AND ${waits} LIMIT 1`)) !== undefined)
      return true;
  return last ? undefined : false;
}

/** SQL condition for a row with a column to fill, but for what is recorded as a skip. */
async function waitsSql(store: Store, backfill: Backfill, skips: WaitingSkips): Promise<string> {
  if (skips === 'nothing') return anyNullSql(backfill);
  if (skips === 'rows') return `NOT ${await isSkippedSql(store, backfill)} AND ${anyNullSql(backfill)}`;
  const cells = await mapEach(
    backfill.columns,
    async ({ name }) =>
      `(t.${identifier(name)} IS NULL AND NOT ${await isCellSkippedSql(store, backfill, name)})`,
  );
  return `(${cells.join(' OR ')})`;
}
