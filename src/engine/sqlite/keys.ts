import type { Store } from '../../db/connection.js';
import { identifier, isSameName, tokensOf } from '../../db/sql.js';
import { IS_UTF8 } from '../../db/sqlite/store.js';
import type { Key } from '../../ledger/keys.js';
import type { Backfill } from '../../steps/define.js';
import type { KeyFacts, KeyGrowth, KeyRange } from '../dialect.js';
import { asKey, indexHint, type KeyKind, partsSql, unsuitable } from '../rows.js';
import { tableColumns } from './inspect.js';

/** Smaller than every integer key. A real compares exactly with integers in SQLite, and can be bound. */
const BEFORE_ALL_INTEGERS = -1e300;

/**
 * The key of a backfill, by the affinity of its column.
 *
 * @see https://www.sqlite.org/datatype3.html#determination_of_column_affinity
 */
export async function keyOf(
  store: Store,
  { table, key }: Pick<Backfill, 'table' | 'key'>,
): Promise<KeyFacts> {
  const type = (await tableColumns(store, table)).find(({ name }) => isSameName(name, key))?.type ?? '';
  const kind = /INT/i.test(type) ? 'integer' : /CHAR|CLOB|TEXT/i.test(type) ? 'text' : undefined;
  const sql = `t.${identifier(key)}`;
  return { kind, sql, ledgerSql: sql };
}

/** SQL condition for the keys of `column` behind a cursor, with its parameter: all of them, where there is none. */
export function behindSql(
  kind: KeyKind | undefined,
  column: string,
  cursor: Key | null,
): readonly [string, Key | number] {
  if (cursor !== null) return [`${column} > ?`, cursor];
  // An empty text is the least; a number would be made a text before it is compared with one.
  return kind === 'text' ? [`${column} >= ?`, ''] : [`${column} > ?`, BEFORE_ALL_INTEGERS];
}

/**
 * Makes a temporary table for rows by their key, or empties the one that stands.
 *
 * @param columns those behind the key, `k`
 */
export async function emptyTemporary(
  store: Store,
  name: string,
  kind: KeyKind | undefined,
  columns: string,
): Promise<void> {
  const list = `(k ${kind === 'text' ? 'TEXT' : 'INTEGER'} PRIMARY KEY, ${columns})`;
  const stood = await store.get<{ sql: string }>('SELECT sql FROM temp.sqlite_schema WHERE name = ?', name);
  if (stood?.sql.endsWith(list)) await store.run(`DELETE FROM temp.${name}`);
  else await store.exec(`DROP TABLE IF EXISTS temp.${name}; CREATE TABLE temp.${name} ${list}`);
}

/**
 * Refuses a key by which batches can not go: they need each row's key to be another, and in an order that this program
 * shares with SQLite.
 *
 * @throws {BackfillError} `KEY_UNSUITABLE` with the reason
 */
export async function checkKey(store: Store, backfill: Backfill): Promise<void> {
  const { table, key } = backfill;
  const indexes = await uniqueIndexes(store, table);
  if (await isRowid(store, backfill, indexes)) return;
  const parts = 'SELECT name, coll FROM pragma_index_xinfo(?) WHERE key';
  const collations: string[] = [];
  for (const { name } of indexes) {
    const [first, second] = await store.all<{ name: string | null; coll: string }>(parts, name);
    if (first && !second && isSameName(first.name ?? '', key)) collations.push(first.coll);
  }
  if (collations.length === 0)
    throw unsuitable(backfill, 'it is not the only column of the primary key or of a unique index');
  const { kind } = await keyOf(store, backfill);
  if (kind === undefined) throw unsuitable(backfill, 'its declared type is neither of integers nor of texts');
  if (kind === 'integer') return;
  if (await ignoresCase(store, backfill)) throw unsuitable(backfill, 'its collation is not BINARY');
  if (!collations.includes('BINARY')) {
    const index = `${identifier(`${table}_${key}_binary`)} ON ${identifier(table)} (${identifier(key)} COLLATE BINARY)`;
    throw unsuitable(backfill, 'its collation is not BINARY', indexHint(`CREATE UNIQUE INDEX ${index}`));
  }
  const encoding = (await store.get<{ encoding: string }>('SELECT encoding FROM pragma_encoding'))?.encoding;
  if (encoding !== 'UTF-8') throw unsuitable(backfill, 'texts of this store are in UTF-16');
}

type UniqueIndex = { readonly name: string; readonly origin: string };

const uniqueIndexes = async (store: Store, table: string): Promise<UniqueIndex[]> =>
  await store.all<UniqueIndex>(
    'SELECT name, origin FROM pragma_index_list(?) WHERE "unique" AND NOT partial',
    table,
  );

/** Whether the key is the rowid by another name, which is always an integer. */
async function isRowid(
  store: Store,
  { table, key }: Backfill,
  indexes: readonly UniqueIndex[],
): Promise<boolean> {
  const [first, ...others] = (await tableColumns(store, table)).filter(({ pk }) => pk > 0);
  return (
    first !== undefined &&
    others.length === 0 &&
    isSameName(first.name, key) &&
    first.type.toUpperCase() === 'INTEGER' &&
    !indexes.some(({ origin }) => origin === 'pk')
  );
}

/** Whether comparisons with the column go by another collation than BINARY: the usual others ignore case, or trailing spaces. */
async function ignoresCase(store: Store, { table, key }: Backfill): Promise<boolean> {
  const column = identifier(key);
  const rows = await store.all(
    `SELECT 1 FROM (SELECT ${column} AS k FROM ${identifier(table)} WHERE false UNION ALL SELECT 'a' UNION ALL SELECT 'A ')
    WHERE k IN ('A', 'a ')`,
  );
  return rows.length > 0;
}

/**
 * Refuses a table in which the key of some row is none: NULL, or of another type than its column's, as SQLite lets it be. Reads
 * an index of integers in parts: it holds no row of the table. The rowid is never anything else.
 *
 * @throws {BackfillError} `KEY_UNSUITABLE`
 */
export async function checkKeyValues(store: Store, backfill: Backfill): Promise<void> {
  if (await isRowid(store, backfill, await uniqueIndexes(store, backfill.table))) return;
  const [table, column] = [identifier(backfill.table), identifier(backfill.key)];
  const { kind = 'integer' } = await keyOf(store, backfill);
  const types = await store.get<{ least: string; greatest: string }>(
    `SELECT typeof((SELECT min(${column}) FROM ${table})) AS least, typeof((SELECT max(${column}) FROM ${table})) AS greatest`,
  );
  // Values sort by their type first: NULL, numbers, texts, blobs.
  const isMixed = [types?.least, types?.greatest].some((type) => type !== kind && type !== 'null');
  const hasNull = (await store.get(`SELECT 1 FROM ${table} WHERE ${column} IS NULL LIMIT 1`)) !== undefined;
  const hasReal = async (): Promise<boolean> => {
    for await (const part of partsSql(store, backfill, null))
      if (
        await store.get(`SELECT 1 FROM ${table} AS t WHERE ${part} AND typeof(t.${column}) = 'real' LIMIT 1`)
      )
        return true;
    return false;
  };
  if (isMixed || hasNull || (kind === 'integer' && (await hasReal())))
    throw unsuitable(backfill, 'it holds values that are neither integers nor texts');
}

/**
 * Refuses texts that JavaScript can't hold as they are: invalid UTF-8, or a NUL within. Asked of each batch's keys.
 *
 * @param keys a table of this connection with a column `k`
 * @throws {BackfillError} `KEY_UNSUITABLE`
 */
export async function checkTexts(store: Store, backfill: Backfill, keys: string): Promise<void> {
  const found = await store.get(
    `SELECT 1 FROM ${keys} WHERE NOT ${IS_UTF8}(CAST(k AS BLOB)) OR instr(CAST(k AS BLOB), x'00') > 0 LIMIT 1`,
  );
  if (found !== undefined)
    throw unsuitable(backfill, 'it holds texts that are no valid UTF-8, or have a NUL within');
}

/** First and last key of the table, or undefined when it is empty. */
export async function keyRange(store: Store, backfill: Backfill): Promise<KeyRange | undefined> {
  const sql = (end: 'min' | 'max', name: string): string =>
    `SELECT ${end}(${identifier(backfill.key)}) AS ${name} FROM ${identifier(backfill.table)}`;
  const keyAt = async (end: 'min' | 'max'): Promise<unknown> =>
    (await store.getExact<{ key: unknown }>(sql(end, 'key')))?.key ?? null;
  const last = await keyAt('max');
  if (last === null) return undefined;
  // A text that JavaScript can't hold would come back as another, and rows behind that would never be reached.
  if (typeof last === 'string') await checkTexts(store, backfill, `(${sql('max', 'k')})`);
  return [asKey(await keyAt('min'), backfill), asKey(last, backfill)];
}

/** Whether the table's keys only grow, so that rows written later are found behind the watermark. */
async function hasGrowingKeys(store: Store, backfill: Backfill): Promise<boolean> {
  const isPrimary = (await tableColumns(store, backfill.table)).some(
    ({ name, pk }) => pk > 0 && isSameName(name, backfill.key),
  );
  if (!isPrimary) return false;
  const row = await store.get<{ sql: string }>(
    `SELECT sql FROM sqlite_schema WHERE type = 'table' AND name = ? COLLATE NOCASE`,
    backfill.table,
  );
  return [...tokensOf(row?.sql ?? '')].includes('autoincrement');
}

/**
 * Whether the next key of a table with AUTOINCREMENT may be `watermark` or less: it is one more than the greatest of the keys in the
 * table and of `sqlite_sequence`, which is lost when the table is made anew.
 *
 * @see https://www.sqlite.org/autoinc.html
 */
async function hasRestartedKeys(store: Store, backfill: Backfill, watermark: Key): Promise<boolean> {
  const sequence = await store.getExact<{ seq: bigint }>(
    'SELECT seq FROM sqlite_sequence WHERE name = ? COLLATE NOCASE',
    backfill.table,
  );
  return [(await keyRange(store, backfill))?.[1], sequence?.seq].every(
    (key) => key === undefined || key < watermark,
  );
}

/** How keys go on: they grow where AUTOINCREMENT gives them. */
export async function keyGrowth(store: Store, backfill: Backfill, watermark: Key | null): Promise<KeyGrowth> {
  if (!(await hasGrowingKeys(store, backfill))) return 'unknown';
  return watermark !== null && (await hasRestartedKeys(store, backfill, watermark)) ? 'restarted' : 'growing';
}
