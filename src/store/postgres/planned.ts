import type { Backfill } from '../../backfill/define.js';
import { mapEach } from '../../each.js';
import type { Key } from '../../ledger/keys.js';
import { keyLiteral } from '../keys.js';
import type { PlannedRows, PlannedScope, SampleRow, Store } from '../port.js';
import { anyNullSql, behindSql, isSkippedSql, scopeSql } from '../rows.js';
import { derivationSql } from './derive.js';
import { keySql } from './keys.js';
import { resolveRaw } from './resolve.js';
import { EQ } from './texts.js';

const plannedSql = async (
  store: Store,
  backfill: Backfill,
  { absent, after, leavesSkips, keys }: PlannedScope,
): Promise<string> =>
  `WHERE ${await behindSql(store, backfill, after)} AND ${scopeSql(backfill, store.dialect)}
    AND ${anyNullSql(backfill, 't', absent)}${leavesSkips ? ` AND NOT ${await isSkippedSql(store, backfill)}` : ''}${keys ? ` AND (${(await mapEach(keys, async (key) => `${await keySql(store, backfill)} ${EQ} ${keyLiteral(key)}`)).join(' OR ')})` : ''}`;

/** Counts what a fill would find, reading only. */
export async function planRows(store: Store, backfill: Backfill, scope: PlannedScope): Promise<PlannedRows> {
  const rows = await derivationSql(store, backfill, {
    absent: scope.absent,
    tail: await plannedSql(store, backfill, scope),
  });
  const sums = backfill.columns.map(
    (_, i) => `pg_catalog.count(*) FILTER (WHERE c${i} IS NULL AND v${i} IS NOT NULL) AS fill${i},
      pg_catalog.count(*) FILTER (WHERE failure IS NULL AND c${i} IS NULL AND v${i} IS NULL) AS none${i},
      coalesce(pg_catalog.sum(pg_catalog.octet_length(v${i}::pg_catalog.text)) FILTER (WHERE c${i} IS NULL), 0) AS bytes${i}`,
  );
  const groups = await store.project.all<Record<string, number> & { failure: string | null; rows: number }>(
    `SELECT failure, pg_catalog.count(*) AS rows, ${sums.join(', ')} FROM (${rows}) AS derived WHERE raw IS NULL GROUP BY failure`,
  );
  const total = (name: string): number => groups.reduce((sum, group) => sum + (group[name] ?? 0), 0);
  const columns = backfill.columns.map((_, i) => ({
    fill: total(`fill${i}`),
    none: total(`none${i}`),
    bytes: total(`bytes${i}`),
  }));
  const failures: Record<string, number> = {};
  for (const { failure, rows: count } of groups) if (failure !== null) failures[failure] = count;
  const raw = await addRaw(store, backfill, rows, columns, failures);
  return { rows: total('rows') + raw, columns, failures };
}

/** Adds the rows that this program has to derive, and returns how many there are. */
async function addRaw(
  store: Store,
  backfill: Backfill,
  rows: string,
  columns: { fill: number; none: number; bytes: number }[],
  failures: Record<string, number>,
): Promise<number> {
  const isNull = backfill.columns.map((_, i) => `c${i} IS NULL`);
  type Row = readonly [Key, string, ...bigint[]];
  const pages = store.project.pages<Row>(
    `SELECT k, raw, ${isNull.join(', ')} FROM (${rows}) AS derived WHERE raw IS NOT NULL`,
  );
  let count = 0;
  for await (const page of pages) {
    count += page.length;
    const derived = await resolveRaw(
      store,
      backfill,
      page.map(([key, raw]) => ({ key, raw })),
    );
    page.forEach(([, , ...nulls], at) => {
      const { values = [], failure = null } = derived[at] ?? {};
      if (failure !== null) failures[failure] = (failures[failure] ?? 0) + 1;
      columns.forEach((column, i) => {
        if (nulls[i] !== 1n) return;
        const value = values[i] ?? null;
        if (value !== null) {
          column.fill += 1;
          column.bytes += Buffer.byteLength(String(value));
        } else if (failure === null) column.none += 1;
      });
    });
  }
  return count;
}

/** The first rows that a fill would find. */
export async function sampleRows(
  store: Store,
  backfill: Backfill,
  scope: PlannedScope,
  limit: number,
): Promise<SampleRow[]> {
  const tail = `${await plannedSql(store, backfill, scope)} ORDER BY ${await keySql(store, backfill)} LIMIT ${limit}`;
  const rows = await store.project.allExact<Record<string, unknown> & { k: Key; raw: string | null }>(
    await derivationSql(store, backfill, { absent: scope.absent, tail }),
  );
  return await mapEach(rows, async (row) => {
    const [derived] =
      row.raw === null ? [] : await resolveRaw(store, backfill, [{ key: row.k, raw: row.raw }]);
    const values = backfill.columns.map((_, i) => row[`c${i}`] ?? derived?.values[i] ?? row[`v${i}`]);
    return { key: row.k, values };
  });
}
