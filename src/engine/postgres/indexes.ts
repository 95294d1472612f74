import type { Connection, Store, Transaction } from '../../db/connection.js';
import { untilFree } from '../../db/connector.js';
import { requirePostgres } from '../../db/postgres/statements.js';
import { identifier, normaliseSql } from '../../db/sql.js';
import { findEach, mapEach } from '../../each.js';
import { isStoreError } from '../../engine-errors.js';
import { BackfillError } from '../../errors.js';
import { msg } from '../../messages/message.js';
import type { IndexDefinition, SchemaStepDefinition } from '../../steps/schema-step.js';
import type { IndexPlan, IndexStatement } from '../dialect.js';
import { listSql, relationFacts, relationSql, treeBytes, treeSql } from './catalog.js';

/** Returns the index of a table by its name. It is invalid if a killed run left it incomplete. */
const findExisting = async (store: Store, { table, name }: Pick<IndexStatement, 'table' | 'name'>) =>
  await store.get<{ schema: string; isValid: number }>(
    `SELECT n.nspname AS schema, i.indisvalid AS "isValid"
    FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE i.indrelid = ${relationSql(store, table)} AND c.relname = ?`,
    name,
  );

/** Checks whether the store has a valid index of this name; `unfinished` if a killed run left one of this table incomplete. */
export async function hasIndex(store: Store, table: string, name: string): Promise<boolean | 'unfinished'> {
  const own = await findExisting(store, { table, name });
  if (own) return own.isValid === 1 || 'unfinished';
  const schemas = listSql(requirePostgres(store).session.schemas);
  const sql = `SELECT 1 FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace JOIN pg_index AS i ON i.indexrelid = c.oid
    WHERE c.relname = ? AND n.nspname IN (${schemas}) AND i.indisvalid`;
  return (await store.get(sql, name)) !== undefined;
}

/** Returns the name of an index with this table and definition, or undefined. The declared name need not match. */
export async function findIndex(
  store: Store,
  { table }: SchemaStepDefinition,
  wanted: IndexDefinition,
): Promise<string | undefined> {
  // YugabyteDB calls its trees lsm. NULL represents an expression, a column outside the key, and an order other than the default of
  // CREATE INDEX.
  const found = await store.all<{ name: string; condition: string | null }>(
    `SELECT c.relname AS name, pg_get_expr(i.indpred, i.indrelid) AS condition
    FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid JOIN pg_am AS m ON m.oid = c.relam
    WHERE i.indrelid = ${relationSql(store, table)} AND i.indisvalid AND NOT i.indisunique AND NOT i.indisexclusion
      AND m.amname IN ('btree', 'lsm') AND ARRAY[${listSql(wanted.columns)}] = ARRAY(
        SELECT CASE WHEN k.at < i.indnkeyatts AND (i.indoption[k.at] & 3) = 0 AND i.indcollation[k.at] = a.attcollation
          AND coalesce(o.opcdefault, true) THEN a.attname::text END
        FROM generate_series(0, i.indnatts - 1) AS k (at)
          LEFT JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[k.at]
          LEFT JOIN pg_opclass AS o ON o.oid = i.indclass[k.at]
        ORDER BY k.at)
    ORDER BY c.relname`,
  );
  const same = await findEach(
    found,
    async ({ condition }) => await isSameCondition(store, table, condition ?? undefined, wanted.where),
  );
  return same?.name;
}

/** Whether two conditions of partial indexes are the same. PostgreSQL rewrites that of an existing one. */
async function isSameCondition(
  store: Store,
  table: string,
  existing: string | undefined,
  wanted: string | undefined,
): Promise<boolean> {
  if (existing === undefined || wanted === undefined) return existing === wanted;
  if (normaliseSql(existing) === normaliseSql(`(${wanted})`)) return true;
  // PostgreSQL removes the casts, parentheses and quotes in which two may differ. Both are in one statement, because their plans
  // may depend on indexes that another run creates. Each may end in a comment.
  const query = `SELECT (\n${wanted}\n), (\n${existing}\n) FROM ${identifier(table)}`;
  if (await store.compileError(query)) return false;
  const { Output: [first, second] = [] } = await planOf(store, query);
  return first !== undefined && first === second;
}

/** A node of a plan, in EXPLAIN's JSON. */
interface PlanNode {
  readonly 'Index Name'?: string;
  readonly Output?: readonly string[];
  readonly Plans?: readonly PlanNode[];
}

async function planOf(store: Store, query: string): Promise<PlanNode> {
  const [text = '[]'] = await store.project.pluck<string>(
    `EXPLAIN (VERBOSE, COSTS OFF, FORMAT JSON) ${query}`,
  );
  return (JSON.parse(text) as readonly { readonly Plan?: PlanNode }[])[0]?.Plan ?? {};
}

// A concurrent build blocks no writer, but is not part of a transaction: a killed process leaves an invalid index. So the ledger
// records the index before it is created, and deletes the row after it is dropped.

/** Creates an index. See the `Dialect`. Throws `STATEMENT_REJECTED` if PostgreSQL leaves it invalid. */
export async function createIndex(
  store: Connection,
  index: IndexStatement,
  isStillNeeded: (tx: Transaction) => Promise<boolean>,
  recordIntent: (tx: Transaction) => Promise<void>,
  recordDone: (tx: Transaction) => Promise<void>,
): Promise<void> {
  const isConcurrent = !(await isPartitioned(store, index));
  const isRecorded = await store.write(async (tx) => {
    const isNeeded = await isStillNeeded(tx);
    if (isNeeded) await recordIntent(tx);
    if (isNeeded && !isConcurrent) await tx.project.exec(index.sql);
    if (!isConcurrent) await recordDone(tx);
    return isNeeded;
  });
  if (!isConcurrent) return;
  if (isRecorded) await retryOnLockTimeout(store, async () => await build(store, index));
  await store.write(recordDone);
}

/** Drops an index and deletes its ledger row. See the `Dialect`. */
export async function dropIndex(
  store: Connection,
  index: IndexStatement,
  deleteRecord: (tx: Transaction) => Promise<void>,
): Promise<void> {
  const isConcurrent = !(await isPartitioned(store, index));
  if (isConcurrent)
    await retryOnLockTimeout(store, async () => await drop(store, index, 'DROP INDEX CONCURRENTLY'));
  await store.write(async (tx) => {
    if (!isConcurrent) await drop(tx, index, 'DROP INDEX');
    await deleteRecord(tx);
  });
}

/** Whether the table is partitioned: its indexes cannot be created concurrently. */
const isPartitioned = async (store: Store, { table }: IndexStatement): Promise<boolean> =>
  (await relationFacts(store, table))?.kind === 'p';

async function build(store: Store, index: IndexStatement): Promise<void> {
  await dropInvalid(store, index);
  try {
    await store.project.exec(index.sql.replace(/^CREATE INDEX /, 'CREATE INDEX CONCURRENTLY '));
  } catch (error) {
    await cleanUp(store, index);
    throw error;
  }
  if ((await findExisting(store, index))?.isValid === 1) return;
  await cleanUp(store, index);
  throw new BackfillError(
    'STATEMENT_REJECTED',
    msg('PostgreSQL did not complete the index {name}', { name: index.name }),
    msg('Run the same command again; it recreates the index'),
  );
}

/**
 * Drops the incomplete index, which writers would maintain for nothing. If that fails, the next run drops it, because it is in the
 * ledger.
 */
async function cleanUp(store: Store, index: IndexStatement): Promise<void> {
  try {
    await dropInvalid(store, index);
  } catch (error) {
    if (!isStoreError(error)) throw error;
  }
}

async function dropInvalid(store: Store, index: IndexStatement): Promise<void> {
  if ((await findExisting(store, index))?.isValid === 0) await drop(store, index, 'DROP INDEX CONCURRENTLY');
}

/** Drops the index in the schema of its table: the search path may have another index of this name. */
async function drop(store: Store, index: IndexStatement, command: string): Promise<void> {
  const found = await findExisting(store, index);
  if (found)
    await store.project.exec(`${command} IF EXISTS ${identifier(found.schema)}.${identifier(index.name)}`);
}

/**
 * Lock timeout of one attempt, in milliseconds. It waits for all older transactions, and blocks none: a long wait costs less than
 * another attempt, which reads the table again.
 */
const LOCK_TIMEOUT_MS = 15_000;

/** Runs `act`, with retries for a bounded time while other transactions hold a lock for longer than the timeout. */
async function retryOnLockTimeout(store: Store, act: () => Promise<void>): Promise<void> {
  const { driver, session } = requirePostgres(store);
  const setWait = async (ms: number): Promise<void> =>
    void (await store.get(`SELECT set_config('lock_timeout', ?, false)`, `${ms}ms`));
  await setWait(LOCK_TIMEOUT_MS);
  try {
    const isBusy = (error: unknown): boolean => store.dialect.retryReason(error) !== undefined;
    await untilFree(act, isBusy, session.client.signal);
  } finally {
    await setWait(driver.lockTimeoutMs);
  }
}

/** Maximum size of a table that is rightly read as a whole: 1000 pages. */
const SMALL_BYTES = 1000 * 8192;

/** Planner settings that are turned off, until the index is used. */
const PLANNER_OVERRIDES: readonly (readonly string[])[] = [
  ['enable_seqscan'],
  ['enable_seqscan', 'enable_sort'],
  ['enable_seqscan', 'enable_bitmapscan'],
  ['enable_seqscan', 'enable_indexscan', 'enable_indexonlyscan'],
];

/**
 * Checks whether PostgreSQL uses an index for a query: by itself, or, if the table is small or it prefers another index, with other
 * plans turned off.
 *
 * @see https://www.postgresql.org/docs/current/runtime-config-query.html#RUNTIME-CONFIG-QUERY-ENABLE
 */
export async function explainIndex(
  store: Store,
  query: string,
  table: string,
  index: string,
): Promise<IndexPlan> {
  return await store.snapshot(async (tx) => {
    const names = await namesOf(tx, table, index);
    const plan = await indexesIn(tx, query);
    if (plan.some((name) => names.get(name) === 1)) return 'used';
    const others = await mapEach(
      PLANNER_OVERRIDES,
      async (settings) => await indexesWithout(tx, settings, query),
    );
    const canBeUsed = others.some((found) => found.some((name) => names.get(name) === 1));
    const isServed = [plan, ...others].some((found) => found.some((name) => names.has(name)));
    // Its preference depends on statistics, and on which pages a vacuum has visited since: neither is a fault. That it cannot use
    // the index is only known if it uses none, because a single index cannot be turned off.
    if (canBeUsed && (await treeBytes(tx, table, 'pg_relation_size')) < SMALL_BYTES) return 'used';
    return canBeUsed || isServed ? 'usable' : 'unused';
  });
}

/** Returns the indexes of a table and its partitions, each with whether it is the named one or its part in a partition. */
async function namesOf(store: Store, table: string, index: string): Promise<Map<string, number>> {
  const rows = await store.all<{ name: string; isIt: number }>(
    `${treeSql(store, table)}, parts (oid) AS (
      SELECT i.indexrelid FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid
        JOIN tree ON tree.oid = i.indrelid AND tree.is_root
      WHERE c.relname = ?
      UNION SELECT h.inhrelid FROM pg_inherits AS h JOIN parts ON parts.oid = h.inhparent)
    SELECT c.relname AS name, c.oid IN (SELECT oid FROM parts) AS "isIt"
    FROM tree JOIN pg_index AS i ON i.indrelid = tree.oid JOIN pg_class AS c ON c.oid = i.indexrelid`,
    index,
  );
  return new Map(rows.map(({ name, isIt }) => [name, isIt]));
}

/** Returns the indexes in a plan with some planner settings turned off. */
async function indexesWithout(store: Store, settings: readonly string[], query: string): Promise<string[]> {
  await store.exec('SAVEPOINT umzug_backfill_plan');
  for (const setting of settings) await store.exec(`SET LOCAL ${setting} = off`);
  const names = await indexesIn(store, query);
  // This also resets the settings. A failure ends the snapshot, and them.
  await store.exec('ROLLBACK TO SAVEPOINT umzug_backfill_plan; RELEASE SAVEPOINT umzug_backfill_plan');
  return names;
}

/** Returns the names of the indexes in the plan of a query. */
const indexesIn = async (store: Store, query: string): Promise<string[]> =>
  indexesOf(await planOf(store, query));

function indexesOf({ 'Index Name': own, Plans = [] }: PlanNode): string[] {
  return [...(own === undefined ? [] : [own]), ...Plans.flatMap(indexesOf)];
}
