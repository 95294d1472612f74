import type { Store } from '../db/connection.js';
import { endedSql, foldCase, identifier, literal } from '../db/sql.js';
import { BackfillError } from '../errors.js';
import type { Key } from '../ledger/keys.js';
import { LEDGER_TABLES } from '../ledger/tables.js';
import { msg } from '../messages/message.js';
import type { Backfill } from '../steps/define.js';
import { type SqlExpression, sqlFor } from '../steps/values.js';
import type { Dialect } from './dialect.js';

// Which rows of a table a backfill is about, and their keys, in SQL that every engine takes. The table's alias is `t`.

/** What a key is made of. */
export type KeyKind = 'integer' | 'text';

/** A key as SQL. */
export const keyLiteral = (key: Key): string => (typeof key === 'string' ? literal(key) : String(key));

/**
 * Insists that a value of the key's column is a key.
 *
 * @throws {BackfillError} `KEY_UNSUITABLE`
 */
export function asKey(value: unknown, backfill: Backfill): Key {
  if (typeof value === 'bigint' || typeof value === 'string') return value;
  throw unsuitable(backfill, 'it holds values that are neither integers nor texts');
}

/** A hint that offers the index by which batches could go. */
export const indexHint = (statement: string): string =>
  `Make the index that batches can go by: ${statement}; or name another column as \`key\``;

/** The error for a key by which batches can not go. */
export function unsuitable(
  { name, table, key }: Backfill,
  reason: string,
  hint = 'Name a column of integers or texts as `key`, alone in the primary key or in a unique index',
): BackfillError {
  return new BackfillError(
    'KEY_UNSUITABLE',
    msg('{key} of {table} can not be the key of {name}: {reason}', { key, table, name, reason }),
    hint,
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

/** SQL about the rows of a backfill. */
export interface RowSql {
  /** A row's key: what to order and compare by. */
  readonly key: string;
  /** Condition for the rows behind a key: all of them, where there is none. */
  readonly afterKey: (after: Key | null) => string;
  /** Condition for the rows from a key on, and for those up to one. */
  readonly from: (first: Key) => string;
  readonly upTo: (last: Key) => string;
  /** Condition for the rows with one of some keys. */
  readonly isOneOf: (keys: readonly Key[]) => string;
  /** Condition for the rows in scope. */
  readonly inScope: string;
  /** Condition for a row that is recorded as a skip, in whole or for a column. */
  readonly isSkipped: string;
  /** Condition for a row of which a cell is recorded as a skip, or the whole row. */
  readonly isCellSkipped: (column: string) => string;
}

/** Returns the SQL about the rows of a backfill, having asked what its key is. */
export async function rowSql(store: Store, backfill: Backfill): Promise<RowSql> {
  const { operator } = store.dialect;
  const { sql: key, ledgerSql } = await store.dialect.keyOf(store, backfill);
  const compare = (sign: string, to: Key): string => `${key} ${operator(sign)} ${keyLiteral(to)}`;
  const skip = `SELECT 1 FROM ${LEDGER_TABLES.skips} AS s
    WHERE s.backfill ${operator('=')} ${literal(backfill.name)} AND s.key ${operator('=')} ${ledgerSql}`;
  return {
    key,
    afterKey: (after) => (after === null ? 'true' : compare('>', after)),
    from: (first) => compare('>=', first),
    upTo: (last) => compare('<=', last),
    isOneOf: (keys) => `(${keys.map((one) => compare('=', one)).join(' OR ')})`,
    inScope: scopeSql(backfill, store.dialect),
    isSkipped: `EXISTS (${skip})`,
    isCellSkipped: (column) =>
      `EXISTS (${skip} AND (s.target ${operator('=')} '*' OR s.target ${operator('=')} ${literal(column)}))`,
  };
}

/**
 * SQL conditions for the rows behind a key, up to another: for all of them in turn, in parts that are each read in a moment where the
 * engine keeps the event loop waiting.
 *
 * @param upTo null for all
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

/** What recorded skips keep from waiting: their rows, whatever else is NULL in them, only their own cells, or nothing. */
export type WaitingSkips = 'rows' | 'cells' | 'nothing';

/**
 * Whether rows wait for a catch-up: rows in scope with a column to fill behind `after`. Where `after` is null, from
 * the first key on, without what is recorded as a skip.
 *
 * @param probeRows how many rows of the table are read at most. Default: as many as it takes
 * @returns undefined when none of those that were read waits, and there are more
 */
export async function hasRowsToCatchUp(
  store: Store,
  backfill: Backfill,
  { after, skips }: { readonly after: Key | null; readonly skips: WaitingSkips },
  probeRows = Number.POSITIVE_INFINITY,
): Promise<boolean | undefined> {
  const rows = await rowSql(store, backfill);
  const table = `${identifier(backfill.table)} AS t`;
  const behind = rows.afterKey(after);
  const last =
    probeRows === Number.POSITIVE_INFINITY
      ? undefined
      : await store.project.getExact<{ key: Key }>(
          `SELECT ${rows.key} AS key FROM ${table} WHERE ${behind} ORDER BY ${rows.key} LIMIT 1 OFFSET ${probeRows}`,
        );
  const waits = `${rows.inScope} AND ${waitsSql(backfill, rows, after === null ? skips : 'nothing')}`;
  for await (const part of partsSql(store, backfill, after, last?.key))
    if ((await store.project.get(`SELECT 1 FROM ${table} WHERE ${part} AND ${waits} LIMIT 1`)) !== undefined)
      return true;
  return last ? undefined : false;
}

/** SQL condition for a row with a column to fill, but for what is recorded as a skip. */
function waitsSql(backfill: Backfill, rows: RowSql, skips: WaitingSkips): string {
  if (skips === 'nothing') return anyNullSql(backfill);
  if (skips === 'rows') return `NOT ${rows.isSkipped} AND ${anyNullSql(backfill)}`;
  const cells = backfill.columns.map(
    ({ name }) => `(t.${identifier(name)} IS NULL AND NOT ${rows.isCellSkipped(name)})`,
  );
  return `(${cells.join(' OR ')})`;
}
