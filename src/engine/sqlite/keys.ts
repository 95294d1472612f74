import type { Store } from '../../db/connection.js';
import { identifier, isSameName, tokensOf } from '../../db/sql.js';
import { IS_UTF8 } from '../../db/sqlite/store.js';
import type { Key } from '../../ledger/keys.js';
import type { Backfill } from '../../steps/define.js';
import type { Dialect } from '../dialect.js';
import { asKey, indexHint, type KeyKind, partsSql, unsuitable } from '../rows.js';
import { schemaEntry, tableColumns } from './inspect.js';

/** Smaller than every integer key. SQLite compares a real exactly with integers, and it can be bound. */
const BEFORE_ALL_INTEGERS = -1e300;

/**
 * Returns the key of a backfill, by the affinity of its column.
 *
 * @see https://www.sqlite.org/datatype3.html#determination_of_column_affinity
 */
export const keyOf: Dialect['keyOf'] = async (store, { table, key }) => {
  const type = (await tableColumns(store, table)).find(({ name }) => isSameName(name, key))?.type ?? '';
  const kind = /INT/i.test(type) ? 'integer' : /CHAR|CLOB|TEXT/i.test(type) ? 'text' : undefined;
  const sql = `t.${identifier(key)}`;
  return { kind, sql, ledgerSql: sql };
};

/** Returns an SQL condition for the keys of `column` after a cursor, with its parameter; for all keys if the cursor is null. */
export function afterKeySql(
  kind: KeyKind | undefined,
  column: string,
  cursor: Key | null,
): readonly [string, Key | number] {
  if (cursor !== null) return [`${column} > ?`, cursor];
  // The empty text sorts first; a number would be converted to text before it is compared with one.
  return kind === 'text' ? [`${column} >= ?`, ''] : [`${column} > ?`, BEFORE_ALL_INTEGERS];
}

/**
 * Creates a temporary table for rows by their key, or empties the existing one.
 *
 * @param columns columns after the key, `k`
 */
export async function emptyTemporary(store: Store, name: string, kind: KeyKind | undefined, columns: string) {
  const list = `(k ${kind === 'text' ? 'TEXT' : 'INTEGER'} PRIMARY KEY, ${columns})`;
  const existing = await store.get<{ sql: string }>(
    'SELECT sql FROM temp.sqlite_schema WHERE name = ?',
    name,
  );
  if (existing?.sql.endsWith(list)) await store.run(`DELETE FROM temp.${name}`);
  else await store.exec(`DROP TABLE IF EXISTS temp.${name}; CREATE TABLE temp.${name} ${list}`);
}

/**
 * Refuses a key that batches cannot use. Each row needs a different key, in an order that JavaScript shares with SQLite. Throws
 * `KEY_UNSUITABLE`.
 */
export const checkKey: Dialect['checkKey'] = async (store, backfill) => {
  const { table, key } = backfill;
  if (await isRowid(store, backfill)) return;
  const collations = await store.pluck<string>(
    `SELECT max(x.coll) FROM pragma_index_list(?) AS l JOIN pragma_index_xinfo(l.name) AS x ON x.key
    WHERE l."unique" AND NOT l.partial GROUP BY l.name HAVING count(*) = 1 AND max(x.name) = ? COLLATE NOCASE`,
    table,
    key,
  );
  if (collations.length === 0)
    throw unsuitable(backfill, 'it is not the only column of the primary key or of a unique index');
  const { kind } = await keyOf(store, backfill);
  if (kind === undefined)
    throw unsuitable(backfill, 'its declared type is neither an integer nor a text type');
  if (kind === 'integer') return;
  if (await ignoresCase(store, backfill)) throw unsuitable(backfill, 'its collation is not BINARY');
  if (!collations.includes('BINARY')) {
    const index = `${identifier(`${table}_${key}_binary`)} ON ${identifier(table)} (${identifier(key)} COLLATE BINARY)`;
    throw unsuitable(backfill, 'its collation is not BINARY', indexHint(`CREATE UNIQUE INDEX ${index}`));
  }
  const [encoding] = await store.pluck('PRAGMA encoding');
  if (encoding !== 'UTF-8') throw unsuitable(backfill, 'texts in this store are UTF-16');
};

/** Whether the key is an alias of the rowid, which is always an integer. */
async function isRowid(store: Store, { table, key }: Backfill): Promise<boolean> {
  const [isAlias] = await store.pluck<number>(
    `SELECT count(*) = 1 AND max(name) = ? COLLATE NOCASE AND max(type) = 'INTEGER' COLLATE NOCASE
      AND NOT EXISTS (SELECT 1 FROM pragma_index_list(?) WHERE origin = 'pk')
    FROM pragma_table_xinfo(?) WHERE pk > 0`,
    key,
    table,
    table,
  );
  return isAlias === 1;
}

/** Whether comparisons with the column use another collation than BINARY: the usual others ignore case, or trailing spaces. */
async function ignoresCase(store: Store, { table, key }: Backfill): Promise<boolean> {
  const column = identifier(key);
  const rows = await store.all(
    `SELECT 1 FROM (SELECT ${column} AS k FROM ${identifier(table)} WHERE false UNION ALL SELECT 'a' UNION ALL SELECT 'A ')
    WHERE k IN ('A', 'a ')`,
  );
  return rows.length > 0;
}

/**
 * Refuses a table with a row whose key is NULL or of another type than its column, which SQLite allows. Integers are checked in
 * slices: their index has no rows. The rowid is always an integer. Throws `KEY_UNSUITABLE`.
 */
export const checkKeyValues: Dialect['checkKeyValues'] = async (store, backfill) => {
  if (await isRowid(store, backfill)) return;
  const [table, column] = [identifier(backfill.table), identifier(backfill.key)];
  const { kind = 'integer' } = await keyOf(store, backfill);
  const refuse = async (rows: string): Promise<void> => {
    if ((await store.get(`SELECT 1 FROM ${rows} LIMIT 1`)) !== undefined)
      throw unsuitable(backfill, 'it contains values that are neither integers nor texts');
  };
  // Values sort by type first: NULL, numbers, texts, blobs.
  const ends = `(SELECT min(${column}) AS k FROM ${table} UNION ALL SELECT max(${column}) FROM ${table})`;
  await refuse(`${ends} WHERE typeof(k) NOT IN ('${kind}', 'null')`);
  await refuse(`${table} WHERE ${column} IS NULL`);
  if (kind === 'text') return;
  for await (const part of partsSql(store, backfill, null))
    await refuse(`${table} AS t WHERE ${part} AND typeof(t.${column}) = 'real'`);
};

/**
 * Refuses texts that JavaScript would change: invalid UTF-8, or with a NUL. Called for the keys of each batch.
 *
 * @param keys a table of this connection with a column `k`
 * @throws {BackfillError} `KEY_UNSUITABLE`
 */
export async function checkTexts(store: Store, backfill: Backfill, keys: string): Promise<void> {
  const found = await store.get(
    `SELECT 1 FROM ${keys} WHERE NOT ${IS_UTF8}(CAST(k AS BLOB)) OR instr(CAST(k AS BLOB), x'00') > 0 LIMIT 1`,
  );
  if (found !== undefined)
    throw unsuitable(backfill, 'it contains texts that are not valid UTF-8, or contain a NUL');
}

/** Returns the first and last key of the table, or undefined if it is empty. */
export const keyRange: Dialect['keyRange'] = async (store, backfill) => {
  const [table, column] = [identifier(backfill.table), identifier(backfill.key)];
  const { first, last = null } =
    (await store.getExact<{ first: unknown; last: unknown }>(
      `SELECT (SELECT min(${column}) FROM ${table}) AS first, (SELECT max(${column}) FROM ${table}) AS last`,
    )) ?? {};
  if (last === null) return undefined;
  // JavaScript would change such a text, and rows after the changed one would never be reached.
  if (typeof last === 'string')
    await checkTexts(store, backfill, `(SELECT max(${column}) AS k FROM ${table})`);
  return [asKey(first, backfill), asKey(last, backfill)];
};

/**
 * Returns how keys continue after `watermark`. With AUTOINCREMENT they grow: the next one is one more than the greatest in the
 * table and in `sqlite_sequence`. That row is lost if the table is recreated, so the next key may be `watermark` or less.
 *
 * @see https://www.sqlite.org/autoinc.html
 */
export const keyGrowth: Dialect['keyGrowth'] = async (store, backfill, watermark) => {
  const { table, key } = backfill;
  const columns = await tableColumns(store, table);
  if (!columns.some(({ name, pk }) => pk > 0 && isSameName(name, key))) return 'unknown';
  const sql = (await schemaEntry(store, 'table', table))?.sql ?? '';
  if (![...tokensOf(sql)].includes('autoincrement')) return 'unknown';
  if (watermark === null) return 'growing';
  const sequence = await store.getExact<{ seq: bigint }>(
    'SELECT seq FROM sqlite_sequence WHERE name = ? COLLATE NOCASE',
    table,
  );
  const given = [(await keyRange(store, backfill))?.[1], sequence?.seq];
  return given.every((last) => last === undefined || last < watermark) ? 'restarted' : 'growing';
};
