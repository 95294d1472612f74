import type { Store } from '../../db/connection.js';
import { identifier } from '../../db/sql.js';
import type { IndexVerdict } from '../dialect.js';

/**
 * Whether SQLite uses an index for a query: of its own accord, or if it is told to while it prefers another one.
 *
 * @see https://www.sqlite.org/eqp.html
 */
export async function indexVerdict(
  store: Store,
  query: string,
  name: string,
  index: string,
): Promise<IndexVerdict> {
  const plan = await queryPlan(store, query);
  if (usesIndex(plan, index)) return 'used';
  const table = identifier(name);
  const [plain, quoted] = [name, table].map((text) => text.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&'));
  const forced = query.replace(
    new RegExp(`\\bFROM\\s+(?:${plain}\\b|${quoted})`, 'i'),
    () => `FROM ${table} INDEXED BY ${identifier(index)}`,
  );
  const canBeUsed =
    (await store.compileError(forced)) === undefined && usesIndex(await queryPlan(store, forced), index);
  const isServed = plan.some((line) => /\bUSING (?:COVERING )?INDEX /.test(line));
  return canBeUsed && isServed ? 'passed over' : 'unused';
}

async function queryPlan(store: Store, query: string): Promise<string[]> {
  return (await store.all<{ detail: string }>(`EXPLAIN QUERY PLAN ${query}`)).map(({ detail }) => detail);
}

function usesIndex(plan: readonly string[], name: string): boolean {
  return plan.some((line) => line.includes(` INDEX ${name} `) || line.endsWith(` INDEX ${name}`));
}
