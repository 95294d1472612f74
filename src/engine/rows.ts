import type { Store } from '../db/connection.js';
import { endedSql, foldCase, identifier, literal } from '../db/sql.js';
import { BackfillError } from '../errors.js';
import type { Key } from '../ledger/keys.js';
import { LEDGER_TABLES } from '../ledger/tables.js';
import { type Message, msg, type PlainText } from '../messages/message.js';
import type { Backfill } from '../steps/define.js';
import { type SqlExpression, sqlFor } from '../steps/values.js';
import type { Dialect } from './dialect.js';

// The rows and keys of a backfill, as SQL for either engine. The table's alias is `t`.

/** Type of a key's values. */
export type KeyKind = 'integer' | 'text';

/** Returns a key as SQL. */
export const keyLiteral = (key: Key): string => (typeof key === 'string' ? literal(key) : String(key));

/**
 * Returns a value of the key's column if it is a key.
 *
 * @throws {BackfillError} `KEY_UNSUITABLE`
 */
export function asKey(value: unknown, backfill: Backfill): Key {
  if (typeof value === 'bigint' || typeof value === 'string') return value;
  throw unsuitable(backfill, 'it contains values that are neither integers nor texts');
}

/** Returns a hint with the statement for an index that makes the key suitable. */
export const indexHint = (statement: string): Message =>
  msg('Create the index that batches need: {statement}; or set `key` to another column', { statement });

/** Returns the error for a key that batches cannot use. */
export function unsuitable({ name, table, key }: Backfill, reason: PlainText, hint?: Message): BackfillError {
  return new BackfillError(
    'KEY_UNSUITABLE',
    msg('{key} of {table} cannot be the key of {name}: {reason}', { key, table, name, reason: msg(reason) }),
    hint ??
      msg(
        'Set `key` to a column of integers or texts that is the only one of the primary key or of a unique index',
      ),
  );
}

/** SQL condition for the rows in scope. */
export function scopeSql({ scope }: Backfill, { engine }: Pick<Dialect, 'engine'>): string {
  return `(${endedSql(sqlFor(scope, engine))})`;
}

/** SQL for the value of an expression on a row. */
export const expressionSql = ({ expression }: SqlExpression, engine: Dialect['engine']): string =>
  `(${endedSql(sqlFor(expression, engine))})`;

/** SQL condition for rows with at least one column to fill. */
export function anyNullSql(backfill: Backfill, absent?: ReadonlySet<string>): string {
  const terms = backfill.columns.map(({ name }) =>
    absent?.has(foldCase(name)) ? 'true' : `t.${identifier(name)} IS NULL`,
  );
  return `(${terms.join(' OR ')})`;
}

/**
 * SQL condition for the rows in scope with at least one column to fill.
 *
 * @param excludeSkips whether to exclude rows that are recorded as skips
 */
export const dueSql = (backfill: Backfill, { inScope, isSkipped }: RowSql, excludeSkips: boolean): string =>
  `${inScope} AND ${anyNullSql(backfill)}${excludeSkips ? ` AND NOT ${isSkipped}` : ''}`;

/** SQL for the rows of a backfill: see {@link rowSql}. */
export type RowSql = Awaited<ReturnType<typeof rowSql>>;

/** Returns the SQL for the rows of a backfill, after reading the facts of its key. */
export async function rowSql(store: Store, backfill: Backfill) {
  const { operator } = store.dialect;
  const { sql: key, ledgerSql } = await store.dialect.keyOf(store, backfill);
  const compare = (sign: string, to: Key): string => `${key} ${operator(sign)} ${keyLiteral(to)}`;
  const skip = `SELECT 1 FROM ${LEDGER_TABLES.skips} AS s
    WHERE s.backfill ${operator('=')} ${literal(backfill.name)} AND s.key ${operator('=')} ${ledgerSql}`;
  return {
    /** The key of a row, to order and compare by. */
    key,
    /** Condition for the rows after a key; for all rows if it is null. */
    afterKey: (after: Key | null) => (after === null ? 'true' : compare('>', after)),
    /** Condition for the rows from a key on, and for those up to a key. */
    from: (first: Key) => compare('>=', first),
    upTo: (last: Key) => compare('<=', last),
    /** Condition for the rows with one of these keys. */
    isOneOf: (keys: readonly Key[]) => `(${keys.map((one) => compare('=', one)).join(' OR ')})`,
    /** Condition for the rows in scope. */
    inScope: scopeSql(backfill, store.dialect),
    /** Condition for a row that is recorded as a skip, as a whole or for a column. */
    isSkipped: `EXISTS (${skip})`,
    /** Condition for a row that is recorded as a skip, as a whole or in this cell. */
    isCellSkipped: (column: string) =>
      `EXISTS (${skip} AND (s.target ${operator('=')} '*' OR s.target ${operator('=')} ${literal(column)}))`,
  };
}

/**
 * Yields SQL conditions that together select the rows after a key, up to another. On an engine whose statements block the event
 * loop, each part is read in milliseconds.
 *
 * @param upTo last key; null for all
 */
export async function* partsSql(
  store: Store,
  backfill: Backfill,
  after: Key | null,
  upTo: Key | null = null,
): AsyncGenerator<string> {
  const rows = await rowSql(store, backfill);
  let before = after;
  for await (const end of store.dialect.sliceEnds(store, backfill, after, upTo)) {
    yield end === null ? rows.afterKey(before) : `${rows.afterKey(before)} AND ${rows.upTo(end)}`;
    before = end;
  }
}

/** Whether one of these cells is NULL, in a row in scope, and not recorded as a skip. Reads the rows by their keys. */
export async function hasEmptyCell(
  store: Store,
  backfill: Backfill,
  cells: readonly (readonly [column: string, key: Key])[],
): Promise<boolean> {
  if (cells.length === 0) return false;
  const { inScope, isCellSkipped, isOneOf } = await rowSql(store, backfill);
  const isEmpty = [...new Set(cells.map(([column]) => column))].map((column) => {
    const own = cells.filter(([name]) => name === column).map(([, key]) => key);
    return `(t.${identifier(column)} IS NULL AND ${isOneOf(own)} AND NOT ${isCellSkipped(column)})`;
  });
  const row = await store.project.get(
    `SELECT 1 FROM ${identifier(backfill.table)} AS t
    WHERE ${isOneOf(cells.map(([, key]) => key))} AND (${isEmpty.join(' OR ')}) AND ${inScope}
    LIMIT 1`,
  );
  return row !== undefined;
}

/** Effect of recorded skips on a catch-up: it excludes their rows, even with other columns NULL; only their own cells; or nothing. */
export type WaitingSkips = 'rows' | 'cells' | 'nothing';

/**
 * Checks whether a catch-up is needed: rows in scope after `after` have a column to fill. If `after` is null, all keys count,
 * except for what is recorded as a skip.
 *
 * @param probeRows maximum rows of the table to read. Default: unlimited
 * @returns undefined if none of the rows that were read needs one, and there are more
 */
export async function hasRowsToCatchUp(
  store: Store,
  backfill: Backfill,
  { after, skips }: { readonly after: Key | null; readonly skips: WaitingSkips },
  probeRows = Number.POSITIVE_INFINITY,
): Promise<boolean | undefined> {
  const rows = await rowSql(store, backfill);
  const table = `${identifier(backfill.table)} AS t`;
  const isAfter = rows.afterKey(after);
  const last =
    probeRows === Number.POSITIVE_INFINITY
      ? undefined
      : await store.project.getExact<{ key: Key }>(
          `SELECT ${rows.key} AS key FROM ${table} WHERE ${isAfter} ORDER BY ${rows.key} LIMIT 1 OFFSET ${probeRows}`,
        );
  const waits = `${rows.inScope} AND ${catchUpSql(backfill, rows, after === null ? skips : 'nothing')}`;
  for await (const part of partsSql(store, backfill, after, last?.key))
    if ((await store.project.get(`SELECT 1 FROM ${table} WHERE ${part} AND ${waits} LIMIT 1`)) !== undefined)
      return true;
  return last ? undefined : false;
}

/** SQL condition for a row with a column to fill, except for what is recorded as a skip. */
function catchUpSql(backfill: Backfill, rows: RowSql, skips: WaitingSkips): string {
  if (skips === 'nothing') return anyNullSql(backfill);
  if (skips === 'rows') return `NOT ${rows.isSkipped} AND ${anyNullSql(backfill)}`;
  const cells = backfill.columns.map(
    ({ name }) => `(t.${identifier(name)} IS NULL AND NOT ${rows.isCellSkipped(name)})`,
  );
  return `(${cells.join(' OR ')})`;
}
