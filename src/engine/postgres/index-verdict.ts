import type { Store } from '../../db/connection.js';
import { mapEach } from '../../each.js';
import type { IndexVerdict } from '../dialect.js';
import { relationSql, tree } from './relations.js';

/** A table of fewer pages is read whole with good reason: 8 MB. */
const SMALL_PAGES = 1000;

/** A part of a plan. */
interface PlanNode {
  readonly 'Index Name'?: string;
  readonly Plans?: readonly PlanNode[];
}

/** Ways to read a table that are taken from PostgreSQL, until it takes the one that is asked for. */
const WITHOUT: readonly (readonly string[])[] = [
  ['enable_seqscan'],
  ['enable_seqscan', 'enable_sort'],
  ['enable_seqscan', 'enable_bitmapscan'],
  ['enable_seqscan', 'enable_indexscan', 'enable_indexonlyscan'],
];

/**
 * Whether PostgreSQL uses an index for a query: of its own accord, or, where the table is small or it prefers another index, if other
 * ways are taken from it.
 *
 * @see https://www.postgresql.org/docs/current/runtime-config-query.html#RUNTIME-CONFIG-QUERY-ENABLE
 */
export async function indexVerdict(
  store: Store,
  query: string,
  table: string,
  index: string,
): Promise<IndexVerdict> {
  return await store.snapshot(async (tx) => {
    const names = await namesOf(tx, table, index);
    const plan = await indexesIn(tx, query);
    if (plan.some((name) => names.get(name) === 1)) return 'used';
    const others = await mapEach(WITHOUT, async (settings) => await indexesWithout(tx, settings, query));
    const canBeUsed = others.some((found) => found.some((name) => names.get(name) === 1));
    const isServed = [plan, ...others].some((found) => found.some((name) => names.has(name)));
    // What it prefers depends on its statistics, and on which pages a vacuum has seen since: neither is a fault. That it could not
    // use the index can be told only where it uses none: one can't be taken from it alone.
    if (canBeUsed && (await isSmall(tx, table))) return 'used';
    return canBeUsed || isServed ? 'passed over' : 'unused';
  });
}

/** The indexes of a table and its partitions, each with whether it is the one of this name, or its part in a partition. */
async function namesOf(store: Store, table: string, index: string): Promise<Map<string, number>> {
  const rows = await store.all<{ name: string; isIt: number }>(
    `${tree(store)}, parts (oid) AS (
      SELECT i.indexrelid FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid
      WHERE i.indrelid = ${relationSql(store)} AND c.relname = ?
      UNION SELECT h.inhrelid FROM pg_inherits AS h JOIN parts ON parts.oid = h.inhparent)
    SELECT c.relname AS name, c.oid IN (SELECT oid FROM parts) AS "isIt"
    FROM tree JOIN pg_index AS i ON i.indrelid = tree.oid JOIN pg_class AS c ON c.oid = i.indexrelid`,
    table,
    table,
    index,
  );
  return new Map(rows.map(({ name, isIt }) => [name, isIt]));
}

/** What the plan is when some ways to read a table are not to be taken. */
async function indexesWithout(store: Store, settings: readonly string[], query: string): Promise<string[]> {
  await store.exec('SAVEPOINT umzug_backfill_plan');
  for (const setting of settings) await store.exec(`SET LOCAL ${setting} = off`);
  const names = await indexesIn(store, query);
  // The settings go with it. A failure ends the snapshot, and them.
  await store.exec('ROLLBACK TO SAVEPOINT umzug_backfill_plan; RELEASE SAVEPOINT umzug_backfill_plan');
  return names;
}

/** Names of the indexes in the plan of a query. */
async function indexesIn(store: Store, query: string): Promise<string[]> {
  const [text = '[]'] = await store.project.pluck<string>(`EXPLAIN (FORMAT JSON) ${query}`);
  const plans = JSON.parse(text) as readonly { readonly Plan?: PlanNode }[];
  return plans.flatMap(({ Plan }) => (Plan ? indexesOf(Plan) : []));
}

function indexesOf(node: PlanNode): string[] {
  const own = node['Index Name'];
  return [...(own === undefined ? [] : [own]), ...(node.Plans ?? []).flatMap(indexesOf)];
}

async function isSmall(store: Store, table: string): Promise<boolean> {
  const row = await store.get<{ pages: number }>(
    `${tree(store)} SELECT coalesce(sum(pg_relation_size(tree.oid)), 0)::bigint / current_setting('block_size')::int AS pages
    FROM tree WHERE tree.oid IS NOT NULL`,
    table,
  );
  return (row?.pages ?? 0) < SMALL_PAGES;
}
