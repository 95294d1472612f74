import type { Store } from '../../db/connection.js';
import { type PostgresStatements, requirePostgres } from '../../db/postgres/statements.js';
import { OUR_TABLES } from '../../db/postgres/texts.js';
import { foldCase, identifier, literal, normaliseSql } from '../../db/sql.js';
import { findEach } from '../../each.js';
import type { IndexDefinition, SchemaStepDefinition } from '../../steps/schema-step.js';
import type { ColumnInfo, Estimate, TableWork } from '../dialect.js';
import { places, relationSql, tree } from './relations.js';
import { refuseForeignTable } from './trust.js';

/** Tables that a table is a partition of, from the nearest. */
export const parentTables = async (store: Store, table: string): Promise<string[]> =>
  await store.pluck<string>(
    `SELECT c.relname FROM pg_class AS t CROSS JOIN LATERAL pg_partition_ancestors(t.oid) WITH ORDINALITY AS a (id, n)
      JOIN pg_class AS c ON c.oid = a.id WHERE t.oid = ${relationSql(store)} AND t.relispartition AND c.oid <> t.oid ORDER BY a.n`,
    table,
  );

/** Whether the store has a table (not a view) of this name. */
export async function hasTable(store: Store, name: string): Promise<boolean> {
  if (OUR_TABLES.includes(name)) return await hasLedgerTable(requirePostgres(store), name);
  await refuseForeignTable(requirePostgres(store), name);
  return (
    (await store.get(
      `SELECT 1 FROM pg_class WHERE oid = ${relationSql(store)} AND relkind IN ('r', 'p')`,
      name,
    )) !== undefined
  );
}

/** The ledger's own are looked for in its schema alone. */
const hasLedgerTable = async (store: PostgresStatements, name: string): Promise<boolean> =>
  (await store.get(
    `SELECT 1 FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE n.nspname = ? AND c.relname = ? AND c.relkind = 'r'`,
    await store.ledgerSchema(),
    name,
  )) !== undefined;

/** Whether the store has an index of this name that is complete, or its table one that a run has left incomplete, as it was killed. */
export async function hasIndex(store: Store, table: string, name: string): Promise<boolean | 'unfinished'> {
  if (await hasUnfinishedIndex(store, table, name)) return 'unfinished';
  const schemas = requirePostgres(store).session.schemas.map(literal).join(', ');
  const sql = `SELECT 1 FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace JOIN pg_index AS i ON i.indexrelid = c.oid
    WHERE c.relname = ? AND n.nspname IN (${schemas}) AND i.indisvalid`;
  return (await store.get(sql, name)) !== undefined;
}

const hasUnfinishedIndex = async (store: Store, table: string, name: string): Promise<boolean> =>
  (await store.get(
    `SELECT 1 FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid
    WHERE i.indrelid = ${relationSql(store)} AND c.relname = ? AND NOT i.indisvalid`,
    table,
    name,
  )) !== undefined;

/** By the catalog. A type is written as PostgreSQL writes it: `character varying(40)`. */
export async function tableColumns(store: Store, table: string): Promise<ColumnInfo[]> {
  await refuseForeignTable(requirePostgres(store), table);
  return (
    await store.all<{ name: string; type: string; pk: number; isGenerated: number }>(
      `SELECT a.attname AS name, format_type(a.atttypid, a.atttypmod) AS type, (a.attgenerated <> '') AS "isGenerated",
        coalesce((SELECT array_position(k.conkey, a.attnum) FROM pg_constraint AS k
          WHERE k.conrelid = a.attrelid AND k.contype = 'p'), 0) AS pk
      FROM pg_attribute AS a WHERE a.attrelid = ${relationSql(store)} AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum`,
      table,
    )
  ).map(({ isGenerated, ...column }) => ({ ...column, isGenerated: Boolean(isGenerated) }));
}

/** The type of each column, by its name in folded case. */
export const columnTypes = async (store: Store, table: string): Promise<Map<string, string>> =>
  new Map((await tableColumns(store, table)).map(({ name, type }) => [foldCase(name), type]));

/**
 * Triggers of a table or its partitions that an UPDATE of one of `columns` fires, and rules that rewrite an UPDATE. Without those
 * that keep foreign keys.
 */
export async function updateTriggers(
  store: Store,
  table: string,
  columns: readonly string[],
): Promise<string[]> {
  return await store.pluck<string>(
    `${tree(store)}
    SELECT t.tgname AS name FROM pg_trigger AS t JOIN tree ON tree.oid = t.tgrelid
    WHERE NOT t.tgisinternal AND t.tgenabled IN ('O', 'A') AND (t.tgtype & 16) <> 0
      AND (t.tgattr::text = '' OR EXISTS (SELECT 1 FROM pg_attribute AS a
        WHERE a.attrelid = t.tgrelid AND a.attnum = ANY (t.tgattr) AND a.attname IN (${places(columns)})))
    UNION
    SELECT r.rulename FROM pg_rewrite AS r
    WHERE r.ev_class = ${relationSql(store)} AND r.ev_type = '2' AND r.ev_enabled IN ('O', 'A')
    ORDER BY name`,
    table,
    ...columns,
    table,
  );
}

/** One column of an index. */
interface IndexColumn {
  readonly index: string;
  /** Null for an expression. */
  readonly name: string | null;
  /** Whether it is a part of the key that is ordered as CREATE INDEX orders when nothing is said. */
  readonly isPlain: number;
  readonly condition: string | null;
}

/** Name of an index with this table and definition, whatever it is called, or undefined. */
export async function findIndex(
  store: Store,
  { table }: SchemaStepDefinition,
  wanted: IndexDefinition,
): Promise<string | undefined> {
  // YugabyteDB's trees are called lsm.
  const columns = await store.all<IndexColumn>(
    `SELECT c.relname AS index, a.attname AS name, pg_get_expr(i.indpred, i.indrelid) AS condition,
      (k.at < i.indnkeyatts AND (i.indoption[k.at] & 3) = 0 AND i.indcollation[k.at] = a.attcollation
        AND coalesce(o.opcdefault, true)) AS "isPlain"
    FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid JOIN pg_am AS m ON m.oid = c.relam
      CROSS JOIN LATERAL generate_series(0, i.indnatts - 1) AS k (at)
      LEFT JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[k.at]
      LEFT JOIN pg_opclass AS o ON o.oid = i.indclass[k.at]
    WHERE i.indrelid = ${relationSql(store)} AND i.indisvalid AND NOT i.indisunique AND NOT i.indisexclusion
      AND m.amname IN ('btree', 'lsm') ORDER BY c.relname, k.at`,
    table,
  );
  return await findEach([...new Set(columns.map(({ index }) => index))], async (index) => {
    const own = columns.filter((column) => column.index === index);
    const isSameList =
      own.length === wanted.columns.length &&
      own.every(({ name, isPlain }, i) => Boolean(isPlain) && name === wanted.columns[i]);
    return isSameList && (await isSameCondition(store, table, own[0]?.condition ?? undefined, wanted.where));
  });
}

/** Whether two conditions of partial indexes are the same, of which PostgreSQL writes a standing one in its own way. */
async function isSameCondition(
  store: Store,
  table: string,
  standing: string | undefined,
  wanted: string | undefined,
): Promise<boolean> {
  if (standing === undefined || wanted === undefined) return standing === wanted;
  if (normaliseSql(standing) === normaliseSql(`(${wanted})`)) return true;
  // PostgreSQL itself takes the casts, parentheses and quotes away in which two may differ. Both in one statement: what it makes of them
  // may depend on indexes that another run makes meanwhile. Each may end in a comment.
  const query = `SELECT (\n${wanted}\n), (\n${standing}\n) FROM ${identifier(table)}`;
  if (await store.compileError(query)) return false;
  const [plan = '[]'] = await store.project.pluck<string>(
    `EXPLAIN (VERBOSE, COSTS OFF, FORMAT JSON) ${query}`,
  );
  const [first, second] = (JSON.parse(plan) as Explained)[0]?.Plan.Output ?? [];
  return first !== undefined && first === second;
}

/** What EXPLAIN answers as JSON. */
type Explained = readonly { readonly Plan: { readonly Output?: readonly string[] } }[];

/** OID and relfilenode of a table: TRUNCATE, VACUUM FULL, and whatever else writes its rows anew, change the second. */
export async function tableIdentity(store: Store, table: string): Promise<string> {
  const [identity = ''] = await store.pluck<string>(
    `SELECT oid::text || ' ' || relfilenode::text FROM pg_class WHERE oid = ${relationSql(store)}`,
    table,
  );
  return identity;
}

/** Bytes of the pages that a table and its partitions occupy, without their indexes. */
async function tableBytes(store: Store, table: string): Promise<number> {
  const row = await store.get<{ bytes: number }>(
    `${tree(store)} SELECT coalesce(sum(pg_table_size(tree.oid)), 0)::bigint AS bytes FROM tree WHERE tree.oid IS NOT NULL`,
    table,
  );
  return Number(row?.bytes ?? 0);
}

/** Lock time of a statement that only changes the catalog, in milliseconds. */
const CATALOG_ONLY_MS = 5;

/**
 * What work on a table is expected to cost: PostgreSQL marks columns as dropped and leaves the rows as they are, and an index that is made
 * concurrently keeps no writer waiting.
 */
export const estimate = async (store: Store, table: string, work: TableWork): Promise<Estimate> =>
  'updatesRows' in work
    ? { lockMs: 0, diskBytes: await updateBytes(store, table, work.updatesRows) }
    : { lockMs: CATALOG_ONLY_MS, diskBytes: 0 };

/** Each update writes its row anew: by the size of the others, as the last ANALYZE has counted them. */
async function updateBytes(store: Store, table: string, rows: number): Promise<number> {
  const known = await store.get<{ rows: number }>(
    `SELECT greatest(1, reltuples)::bigint AS rows FROM pg_class WHERE oid = ${relationSql(store)}`,
    table,
  );
  return Math.round((await tableBytes(store, table)) * Math.min(1, rows / Math.max(1, known?.rows ?? rows)));
}
