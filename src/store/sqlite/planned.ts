import type { Backfill } from '../../backfill/define.js';
import type { Key } from '../../ledger/keys.js';
import { keyLiteral } from '../keys.js';
import type { PlannedRows, PlannedScope, SampleRow, Store } from '../port.js';
import { anyNullSql, behindSql, isSkippedSql, scopeSql } from '../rows.js';
import { identifier } from '../sql.js';
import { derivationSql } from './derive.js';

const whereSql = async (
  store: Store,
  backfill: Backfill,
  { absent, after, leavesSkips, keys }: PlannedScope,
): Promise<string> =>
  `WHERE ${await behindSql(store, backfill, after)} AND ${scopeSql(backfill, store.dialect)}
    AND ${anyNullSql(backfill, 't', absent)}${leavesSkips ? ` AND NOT ${await isSkippedSql(store, backfill)}` : ''}${keys ? ` AND t.${identifier(backfill.key)} IN (${keys.map(keyLiteral).join(', ')})` : ''}`;

/** Counts what a fill would find, reading only. */
export async function planRows(store: Store, backfill: Backfill, scope: PlannedScope): Promise<PlannedRows> {
  const perColumn = backfill.columns.flatMap((_, i) => [
    `total(c${i} IS NULL AND v${i} IS NOT NULL) AS fill${i}`,
    `total(failure IS NULL AND c${i} IS NULL AND v${i} IS NULL) AS none${i}`,
    `total(CASE WHEN c${i} IS NULL THEN octet_length(v${i}) END) AS bytes${i}`,
  ]);
  const tail = `${await whereSql(store, backfill, scope)} LIMIT -1`;
  const groups = await store.all<Record<string, number> & { failure: string | null; rows: number }>(
    `SELECT failure, count(*) AS rows, ${perColumn.join(', ')}
    FROM (${await derivationSql(store, backfill, { absent: scope.absent, tail })}) GROUP BY failure`,
  );
  const total = (name: string): number => groups.reduce((sum, group) => sum + (group[name] ?? 0), 0);
  return {
    rows: total('rows'),
    columns: backfill.columns.map((_, i) => ({
      fill: total(`fill${i}`),
      none: total(`none${i}`),
      bytes: total(`bytes${i}`),
    })),
    failures: Object.fromEntries(
      groups.flatMap(({ failure, rows }) => (failure === null ? [] : [[failure, rows]])),
    ),
  };
}

/** The first rows that a fill would find. */
export async function sampleRows(
  store: Store,
  backfill: Backfill,
  scope: PlannedScope,
  limit: number,
): Promise<SampleRow[]> {
  const tail = `${await whereSql(store, backfill, scope)} ORDER BY t.${identifier(backfill.key)} LIMIT ${limit}`;
  return (
    await store.allExact<Record<string, unknown> & { k: Key }>(
      await derivationSql(store, backfill, { absent: scope.absent, tail }),
    )
  ).map((row) => ({ key: row.k, values: backfill.columns.map((_, i) => row[`c${i}`] ?? row[`v${i}`]) }));
}
