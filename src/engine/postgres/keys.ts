import type { Store } from '../../db/connection.js';
import { requirePostgres } from '../../db/postgres/statements.js';
import { EQ, LT, operator, typeSql } from '../../db/postgres/texts.js';
import { identifier } from '../../db/sql.js';
import { findEach } from '../../each.js';
import type { Key } from '../../ledger/keys.js';
import { msg } from '../../messages/message.js';
import type { Backfill } from '../../steps/define.js';
import type { Dialect, KeyFacts } from '../dialect.js';
import { asKey, indexHint, type KeyKind, keyLiteral, rowSql, unsuitable } from '../rows.js';
import { type RelationFacts, relationFacts, relationSql } from './catalog.js';

type KeyOf = Pick<Backfill, 'table' | 'key'>;

/** Types of keys, as PostgreSQL writes them. UUIDs sort as their texts do. */
const KINDS: Readonly<Record<string, KeyKind>> = {
  smallint: 'integer',
  integer: 'integer',
  bigint: 'integer',
  text: 'text',
  'character varying': 'text',
  uuid: 'text',
};

/** A key's column, with the unique index on it that suits batches best. */
interface KeyColumn {
  /** Type without its length. */
  readonly type: string;
  /** Whether there is such an index. */
  readonly isUnique: number;
  /** Whether it orders texts bytewise in the column's own collation; null if there is no index, or no collation. */
  readonly isBytewise: number | null;
  /** Its collation if that is a built-in one that orders texts bytewise, else null. */
  readonly collation: string | null;
}

/**
 * Name of the memoized facts of a key. They are read once per store, and again when a backfill is checked, because an earlier step
 * may have changed the table.
 */
const factName = ({ table, key }: KeyOf): string => JSON.stringify(['key', table, key]);

async function columnOf(store: Store, of: KeyOf): Promise<KeyColumn | undefined> {
  const { driver } = requirePostgres(store);
  const column = await driver.remember(factName(of), async () => await ask(store, of));
  if (!column) driver.forget(factName(of)); // another process may create it
  return column;
}

/**
 * Reads the column of a key. Bytewise collations are C, POSIX and C.UTF-8, in the order of code points, and all of the built-in
 * provider since PostgreSQL 17. The collation `default` is the database's.
 *
 * @see https://www.postgresql.org/docs/current/locale.html#LOCALE-PROVIDERS
 */
const ask = async (store: Store, { table, key }: KeyOf): Promise<KeyColumn | undefined> =>
  await store.get<KeyColumn>(
    `SELECT format_type(a.atttypid, NULL) AS type, i.indexrelid IS NOT NULL AS "isUnique",
      b."isBytewise" AND c.oid = a.attcollation AS "isBytewise",
      CASE WHEN b."isBytewise" AND c.collnamespace = 'pg_catalog'::regnamespace THEN c.collname END AS collation
    FROM pg_attribute AS a
      LEFT JOIN pg_index AS i ON i.indrelid = a.attrelid AND i.indnkeyatts = 1 AND i.indkey[0] = a.attnum
        AND i.indisunique AND i.indisvalid AND i.indimmediate AND i.indpred IS NULL
      LEFT JOIN pg_collation AS c ON c.oid = i.indcollation[0]
      CROSS JOIN (SELECT coalesce(to_json(d) ->> 'datlocprovider', 'c') AS provider, d.datcollate::text AS locale
        FROM pg_database AS d WHERE d.datname = current_database()) AS d
      CROSS JOIN LATERAL (SELECT CASE c.collprovider WHEN 'd' THEN d.provider ELSE c.collprovider::text END AS provider,
        CASE c.collprovider WHEN 'd' THEN d.locale ELSE c.collcollate::text END AS locale) AS w
      CROSS JOIN LATERAL (SELECT (w.provider = 'b'
        OR w.provider = 'c' AND w.locale ~* '^(c|posix|c[.]utf-?8)$') IS TRUE AS "isBytewise") AS b
    WHERE a.attrelid = ${relationSql(store, table)} AND a.attname = ? AND a.attnum > 0 AND NOT a.attisdropped
    ORDER BY "isBytewise" DESC NULLS LAST, "collation", i.indexrelid LIMIT 1`,
    key,
  );

/** Whether a key is ordered bytewise only with an explicit collation. */
const wantsCollation = ({ type, isBytewise }: KeyColumn): boolean =>
  KINDS[type] === 'text' && type !== 'uuid' && isBytewise !== 1;

/** A key, with its column's type as SQL. */
export interface PostgresKey extends KeyFacts {
  readonly type: string;
}

/** Returns the key of a backfill, by the type of its column. */
export async function keyOf(store: Store, backfill: KeyOf): Promise<PostgresKey> {
  const column = await columnOf(store, backfill);
  const kind = column && KINDS[column.type];
  const collation =
    column && wantsCollation(column) ? ` COLLATE pg_catalog.${identifier(column.collation ?? 'C')}` : '';
  const sql = `t.${identifier(backfill.key)}${collation}`;
  return { kind, sql, ledgerSql: ledgerKeyOf(kind, `(${sql})`), type: typeSql(column?.type ?? 'text') };
}

/**
 * Converts a key's SQL to the ledger's form. Texts get the collation of the ledger's columns, because different ones cannot be
 * compared, or not by the ledger's index.
 */
export const ledgerKeyOf = (kind: KeyKind | undefined, sql: string): string =>
  kind === 'text'
    ? `(('''' ${operator('||')} ${sql}::pg_catalog.text) COLLATE pg_catalog."default")`
    : `${sql}::pg_catalog.text`;

/** Refuses a key that batches cannot use. Each row needs a different key, in an order that JavaScript shares with PostgreSQL. */
export const checkKey: Dialect['checkKey'] = async (store, backfill) => {
  requirePostgres(store).driver.forget(factName(backfill));
  const column = await columnOf(store, backfill);
  const table: Partial<RelationFacts> = (await relationFacts(store, backfill.table)) ?? {};
  if (column?.isUnique !== 1)
    throw unsuitable(
      backfill,
      'it is not the only column of the primary key or of a unique index',
      partitionHint(backfill, table),
    );
  // A read includes the rows of inheriting tables, which this table's indexes do not contain.
  if (table.kind === 'r' && table.hasHeirs === 1)
    throw unsuitable(backfill, 'other tables inherit from this one, and their rows may have the same key');
  if (KINDS[column.type] === undefined)
    throw unsuitable(backfill, 'its declared type is neither an integer nor a text type');
  if (wantsCollation(column) && column.collation === null) {
    const on = `${identifier(backfill.table)} (${identifier(backfill.key)} COLLATE "C")`;
    const hint = indexHint(`CREATE UNIQUE INDEX CONCURRENTLY ON ${on}`);
    throw unsuitable(backfill, 'its collation is not C', hint);
  }
};

/**
 * Returns a hint for partitioned tables, whose keys include the partition key: a column that is unique alone is the key of a
 * partition.
 */
function partitionHint({ table, key }: Backfill, { kind, parent }: Partial<RelationFacts>) {
  if (typeof parent === 'string')
    return indexHint(`CREATE UNIQUE INDEX CONCURRENTLY ON ${identifier(table)} (${identifier(key)})`);
  if (kind !== 'p') return undefined;
  return msg(
    'Declare a backfill for each partition of {table}, and a schema step for {table} itself; each partition needs the index for batches: CREATE UNIQUE INDEX CONCURRENTLY ON PARTITION ({key})',
    { table, key: identifier(key) },
  );
}

/** Refuses a table with a row whose key is NULL. The column's type allows nothing else. */
export const checkKeyValues: Dialect['checkKeyValues'] = async (store, backfill) => {
  const { table, key } = backfill;
  const sql = `SELECT 1 FROM ${identifier(table)} WHERE ${identifier(key)} IS NULL LIMIT 1`;
  if ((await store.project.get(sql)) !== undefined)
    throw unsuitable(backfill, 'it contains values that are neither integers nor texts');
};

/** Returns the first and last key of the table, or undefined if it is empty. */
export const keyRange: Dialect['keyRange'] = async (store, backfill) => {
  const { sql: key } = await keyOf(store, backfill);
  const end = (direction: 'ASC' | 'DESC'): string =>
    `(SELECT ${key} FROM ${identifier(backfill.table)} AS t
      WHERE t.${identifier(backfill.key)} IS NOT NULL ORDER BY ${key} ${direction} LIMIT 1)`;
  const [ends] = await store.project.allExact<{ first: unknown; last: unknown }>(
    `SELECT ${end('ASC')} AS first, ${end('DESC')} AS last`,
  );
  if (!ends || ends.last === null) return undefined;
  return [asKey(ends.first, backfill), asKey(ends.last, backfill)];
};

/**
 * Returns how keys continue. They are never known to grow, because numbers of a sequence become visible out of order. They have
 * restarted if both the greatest key and the sequence are below `watermark`.
 */
export const keyGrowth: Dialect['keyGrowth'] = async (store, backfill, watermark) => {
  if (watermark === null) return 'unknown';
  const sequence = await store.getExact<{ last: bigint | null }>(
    `SELECT pg_sequence_last_value(s.oid) AS last FROM (SELECT pg_get_serial_sequence(${relationSql(store, backfill.table)}::text, ?)::regclass AS oid) AS s
    WHERE s.oid IS NOT NULL AND has_sequence_privilege(s.oid, 'SELECT, USAGE')`,
    backfill.key,
  );
  if (!sequence) return 'unknown';
  const greatest = [(await keyRange(store, backfill))?.[1] ?? null, sequence.last];
  return greatest.every((key) => key === null || key < watermark) ? 'restarted' : 'unknown';
};

/**
 * Returns a key among the rows for which `where` holds, in their order; undefined if there are not so many.
 *
 * @param row number of rows before it. Default 0
 */
export async function keyAt(store: Store, backfill: Backfill, where: string, row = 0) {
  const { sql: key } = await keyOf(store, backfill);
  const rows = `FROM ${identifier(backfill.table)} AS t WHERE ${where}`;
  const sql = `SELECT ${key} AS k ${rows} ORDER BY ${key} LIMIT 1 OFFSET ${row}`;
  return (await store.project.getExact<{ k: Key }>(sql))?.k;
}

/** Number of ranges of a run by its minimum rows. Smaller runs have one. */
const RANGES: readonly (readonly [rows: number, ranges: number])[] = [
  [100_000, 64],
  [2000, 8],
];

/** Returns the last keys of the ranges of a run: integers are divided by value, texts by number. See the `Dialect`. */
export const rangeEnds: Dialect['rangeEnds'] = async (store, backfill, start) => {
  const [, end] = (await keyRange(store, backfill)) ?? [];
  if (end === undefined) return [];
  const { key, afterKey, upTo } = await rowSql(store, backfill);
  const table = `${identifier(backfill.table)} AS t`;
  const where = `${afterKey(start)} AND ${upTo(end)}`;
  const first = await keyAt(store, backfill, where);
  const hasRow = async (row: number): Promise<boolean> =>
    (await keyAt(store, backfill, where, row)) !== undefined;
  const [, ranges] = (await findEach(RANGES, async ([rows]) => await hasRow(rows))) ?? [];
  if (first === undefined || ranges === undefined) return [end];
  if (typeof first === 'bigint' && typeof end === 'bigint') {
    const width = (end - first) / BigInt(ranges) + 1n;
    const within: bigint[] = [];
    for (let last = first + width - 1n; last < end; last += width) within.push(last);
    return [...within, end];
  }
  const ends = await store.project.allExact<{ k: Key }>(
    `SELECT k FROM (SELECT ${key} AS k, pg_catalog.row_number() OVER w AS n, pg_catalog.count(*) OVER () AS rows FROM ${table} WHERE ${where}
      WINDOW w AS (ORDER BY ${key})) AS numbered WHERE (n ${operator('%')} greatest(1, rows ${operator('/')} ${ranges})) ${EQ} 0 AND k ${LT} ${keyLiteral(end)} ORDER BY k`,
  );
  return [...ends.map(({ k }) => k), end];
};
