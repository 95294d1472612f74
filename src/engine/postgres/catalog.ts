import type { Store } from '../../db/connection.js';
import { type PostgresStatements, requirePostgres } from '../../db/postgres/statements.js';
import { OUR_TABLES } from '../../db/postgres/texts.js';
import { identifier, literal } from '../../db/sql.js';
import { BackfillError } from '../../errors.js';
import { msg, type PlainText } from '../../messages/message.js';
import type { Dialect } from '../dialect.js';
import { connectAs, IS_ME, isSuper } from './rights.js';

// A name is the table that the search path finds first, as an unqualified name in a statement is.

/**
 * SQL for the OID of the relation that an unqualified name means.
 *
 * @param schemas schemas to search, in their order. Default: those of the search path
 */
export function relationSql(store: Store, name: string, schemas = requirePostgres(store).session.schemas) {
  const found = schemas.map((schema) => `to_regclass(${literal([schema, name].map(identifier).join('.'))})`);
  return `coalesce(${found.join(', ')})`;
}

/**
 * WITH clause of a table, the root, with its partitions and the tables that inherit from it: an UPDATE of the table reaches them
 * all.
 */
export const treeSql = (store: Store, table: string): string => `WITH RECURSIVE tree (oid, is_root) AS (
  SELECT ${relationSql(store, table)}::oid, true UNION SELECT i.inhrelid, false FROM pg_inherits AS i JOIN tree ON tree.oid = i.inhparent)`;

/** SQL for a list of texts; for none, a list that contains nothing. */
export const listSql = (texts: readonly string[]): string => texts.map(literal).join(', ') || 'NULL';

/** Relations by their kind in the catalog. */
export const RELATIONS: Readonly<Record<string, PlainText>> = {
  r: 'table',
  p: 'table',
  v: 'view',
  m: 'materialized view',
  i: 'index',
  I: 'index',
  S: 'sequence',
  f: 'foreign table',
  c: 'type',
};

/** A relation in the catalog, and what this role may do with it. */
export interface RelationFacts {
  /** `r` for a table, `p` for a partitioned one. */
  readonly kind: string;
  /** OID and relfilenode. */
  readonly identity: string;
  /** The table that it is a partition of, or null. */
  readonly parent: string | null;
  /** Whether it has partitions, or others inherit from it. */
  readonly hasHeirs: number;
  /** Estimate of the last ANALYZE; at least 1. */
  readonly rows: number;
  readonly isOwned: number;
  readonly mayUpdate: number;
  readonly mayCreate: number;
  readonly hidesRows: number;
}

/** Returns the facts of the relation that a name means; undefined if there is none. */
export const relationFacts = async (store: Store, name: string): Promise<RelationFacts | undefined> =>
  await store.get<RelationFacts>(
    `SELECT c.relkind AS kind, c.oid::text || ' ' || c.relfilenode::text AS identity,
      (SELECT p.relname FROM pg_inherits AS i JOIN pg_class AS p ON p.oid = i.inhparent
        WHERE i.inhrelid = c.oid AND c.relispartition) AS parent,
      EXISTS (SELECT 1 FROM pg_inherits AS i WHERE i.inhparent = c.oid) AS "hasHeirs",
      greatest(1, c.reltuples)::bigint AS rows, pg_has_role(c.relowner, 'USAGE') AS "isOwned",
      has_any_column_privilege(c.oid, 'UPDATE') AS "mayUpdate", has_schema_privilege(c.relnamespace, 'CREATE') AS "mayCreate",
      row_security_active(c.oid) AS "hidesRows"
    FROM pg_class AS c WHERE c.oid = ${relationSql(store, name)}`,
  );

/** Returns the tables that a table is a partition of, nearest first. */
export const parentTables: Dialect['parentTables'] = async (store, table) =>
  await store.pluck<string>(
    `SELECT c.relname FROM pg_class AS t CROSS JOIN LATERAL pg_partition_ancestors(t.oid) WITH ORDINALITY AS a (id, n)
      JOIN pg_class AS c ON c.oid = a.id WHERE t.oid = ${relationSql(store, table)} AND t.relispartition AND c.oid <> t.oid ORDER BY a.n`,
  );

/** Checks whether the store has a table (not a view) of this name. The ledger's own are searched only in its schema. */
export const hasTable: Dialect['hasTable'] = async (store, name) => {
  const postgres = requirePostgres(store);
  const isOurs = OUR_TABLES.includes(name);
  if (!isOurs) await refuseForeignTable(postgres, name);
  const schemas = isOurs ? [await postgres.driver.ledgerSchema()] : undefined;
  const sql = `SELECT 1 FROM pg_class WHERE oid = ${relationSql(store, name, schemas)} AND relkind IN ('r', 'p')`;
  return (await store.get(sql)) !== undefined;
};

/** Reads the columns of a table from the catalog. Types are written as PostgreSQL writes them: `character varying(40)`. */
export const tableColumns: Dialect['tableColumns'] = async (store, table) => {
  await refuseForeignTable(requirePostgres(store), table);
  return (
    await store.all<{ name: string; type: string; pk: number; isGenerated: number }>(
      `SELECT a.attname AS name, format_type(a.atttypid, a.atttypmod) AS type, (a.attgenerated <> '') AS "isGenerated",
        coalesce((SELECT array_position(k.conkey, a.attnum) FROM pg_constraint AS k
          WHERE k.conrelid = a.attrelid AND k.contype = 'p'), 0) AS pk
      FROM pg_attribute AS a WHERE a.attrelid = ${relationSql(store, table)} AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum`,
    )
  ).map(({ isGenerated, ...column }) => ({ ...column, isGenerated: Boolean(isGenerated) }));
};

/**
 * Returns the triggers of a table or its partitions that an UPDATE of one of `columns` fires, and the rules that rewrite an UPDATE.
 * Triggers of foreign keys are excluded.
 */
export const updateTriggers: Dialect['updateTriggers'] = async (store, table, columns) => {
  return await store.pluck<string>(
    `${treeSql(store, table)}
    SELECT t.tgname AS name FROM pg_trigger AS t JOIN tree ON tree.oid = t.tgrelid
    WHERE NOT t.tgisinternal AND t.tgenabled IN ('O', 'A') AND (t.tgtype & 16) <> 0
      AND (t.tgattr::text = '' OR EXISTS (SELECT 1 FROM pg_attribute AS a
        WHERE a.attrelid = t.tgrelid AND a.attnum = ANY (t.tgattr) AND a.attname IN (${listSql(columns)})))
    UNION
    SELECT r.rulename FROM pg_rewrite AS r JOIN tree ON tree.oid = r.ev_class AND tree.is_root
    WHERE r.ev_type = '2' AND r.ev_enabled IN ('O', 'A')
    ORDER BY name`,
  );
};

/** Returns the OID and relfilenode of a table. TRUNCATE, VACUUM FULL and other rewrites change the second. */
export const tableIdentity: Dialect['tableIdentity'] = async (store, table) =>
  (await relationFacts(store, table))?.identity ?? '';

/** Returns the bytes of a table and its partitions, without their indexes; with `pg_relation_size` also without out-of-line values. */
export async function treeBytes(store: Store, table: string, size: 'pg_table_size' | 'pg_relation_size') {
  const [bytes = 0] = await store.pluck<number>(
    `${treeSql(store, table)} SELECT coalesce(sum(${size}(tree.oid)), 0)::bigint FROM tree WHERE tree.oid IS NOT NULL`,
  );
  return bytes;
}

/** Lock time of a statement that only changes the catalog, in milliseconds. */
const CATALOG_ONLY_MS = 5;

/**
 * Estimates the cost of work on a table. PostgreSQL marks columns as dropped and does not rewrite the rows, and concurrent index
 * builds block no writer. An update writes a new row version, whose size is estimated from the table's.
 */
export const estimate: Dialect['estimate'] = async (store, table, work) => {
  if (!('updatesRows' in work)) return { lockMs: CATALOG_ONLY_MS, diskBytes: 0 };
  const bytes = await treeBytes(store, table, 'pg_table_size');
  const { rows = work.updatesRows } = (await relationFacts(store, table)) ?? {};
  return { lockMs: 0, diskBytes: Math.round(bytes * Math.min(1, work.updatesRows / Math.max(1, rows))) };
};

/**
 * Refuses a table that another role owns if this user is a superuser: triggers, index expressions and types of the owner would run
 * with superuser rights. Owners of partitions, inheriting tables and parents count too. Does nothing if the table does not exist,
 * or this is confirmed.
 *
 * @throws {BackfillError} `SUPERUSER_REFUSED`
 */
async function refuseForeignTable(store: PostgresStatements, table: string): Promise<void> {
  if (store.driver.trustsOthers) return;
  const isSuperuser = `SELECT ${isSuper('me.oid')} AS "isSuper" FROM pg_roles AS me WHERE ${IS_ME}`;
  if (
    (await store.driver.remember(isSuperuser, async () => (await store.pluck<number>(isSuperuser))[0])) !== 1
  )
    return;
  const found = await store.get<{ name: string; owner: string }>(
    `${treeSql(store, table)} SELECT c.relname AS name, o.rolname AS owner FROM pg_class AS c JOIN pg_roles AS o ON o.oid = c.relowner
    WHERE (c.oid IN (SELECT tree.oid FROM tree) OR c.oid IN (SELECT pg_partition_ancestors(${relationSql(store, table)})))
      AND NOT ${isSuper('o.oid')} ORDER BY c.relname <> ?, c.relname LIMIT 1`,
    table,
  );
  if (!found) return;
  throw new BackfillError(
    'SUPERUSER_REFUSED',
    msg(
      'The table {table} belongs to {owner}, whose triggers and indexes could run code as this user, a superuser',
      { table: found.name, owner: found.owner },
    ),
    connectAs(found.owner),
  );
}
