import type { Backfill } from '../../backfill/define.js';
import type { Key } from '../../ledger/keys.js';
import { keyLiteral } from '../keys.js';
import type { PlannedRows, PlannedScope, SampleRow, Store } from '../port.js';
import { anyNullSql, isSkippedSql, partsSql, scopeSql } from '../rows.js';
import { identifier } from '../sql.js';
import { derivationSql } from './derive.js';

const whereSql = async (
  store: Store,
  backfill: Backfill,
  part: string,
  { absent, leavesSkips, keys }: PlannedScope,
): Promise<string> =>
  `WHERE ${part} AND ${scopeSql(backfill, store.dialect)}
    AND ${anyNullSql(backfill, 't', absent)}${leavesSkips ? ` AND NOT ${await isSkippedSql(store, backfill)}` : ''}${keys ? ` AND t.${identifier(backfill.key)} IN (${keys.map(keyLiteral).join(', ')})` : ''}`;

/** Counts what a fill would find, reading only. */
export async function planRows(store: Store, backfill: Backfill, scope: PlannedScope): Promise<PlannedRows> {
  const perColumn = backfill.columns.flatMap((_, i) => [
    `total(c${i} IS NULL AND v${i} IS NOT NULL) AS fill${i}`,
    `total(failure IS NULL AND c${i} IS NULL AND v${i} IS NULL) AS none${i}`,
    `total(CASE WHEN c${i} IS NULL THEN octet_length(v${i}) END) AS bytes${i}`,
  ]);
  const groups: (Record<string, number> & { failure: string | null; rows: number })[] = [];
  for await (const part of partsSql(store, backfill, scope.after)) {
    const tail = `${await whereSql(store, backfill, part, scope)} LIMIT -1`;
    const rows = await derivationSql(store, backfill, { absent: scope.absent, tail });
    groups.push(
      ...(await store.all<(typeof groups)[number]>(
        `SELECT failure, count(*) AS rows, ${perColumn.join(', ')} FROM (${rows}) GROUP BY failure`,
      )),
    );
  }
  const total = (name: string): number => groups.reduce((sum, group) => sum + (group[name] ?? 0), 0);
  const failures: Record<string, number> = {};
  for (const { failure, rows } of groups)
    if (failure !== null) failures[failure] = (failures[failure] ?? 0) + rows;
  return {
    rows: total('rows'),
    columns: backfill.columns.map((_, i) => ({
      fill: total(`fill${i}`),
      none: total(`none${i}`),
      bytes: total(`bytes${i}`),
    })),
    failures,
  };
}

/** The first rows that a fill would find. */
export async function sampleRows(
  store: Store,
  backfill: Backfill,
  scope: PlannedScope,
  limit: number,
): Promise<SampleRow[]> {
  const found: SampleRow[] = [];
  for await (const part of partsSql(store, backfill, scope.after)) {
    const where = await whereSql(store, backfill, part, scope);
    const tail = `${where} ORDER BY t.${identifier(backfill.key)} LIMIT ${limit - found.length}`;
    const rows = await store.allExact<Record<string, unknown> & { k: Key }>(
      await derivationSql(store, backfill, { absent: scope.absent, tail }),
    );
    for (const row of rows)
      found.push({ key: row.k, values: backfill.columns.map((_, i) => row[`c${i}`] ?? row[`v${i}`]) });
    if (found.length === limit) break;
  }
  return found;
}
