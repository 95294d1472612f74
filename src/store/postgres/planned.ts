import type { Backfill } from '../../backfill/define.js';
import type { Key } from '../../ledger/keys.js';
import { keyLiteral } from '../keys.js';
import type { PlannedRows, PlannedScope, SampleRow, Store } from '../port.js';
import { anyNullSql, behindSql, isSkippedSql, scopeSql } from '../rows.js';
import { derivationSql } from './derive.js';
import { keySql } from './keys.js';
import { resolveRaw } from './resolve.js';
import { EQ } from './texts.js';

const plannedSql = (
  store: Store,
  backfill: Backfill,
  { absent, after, leavesSkips, keys }: PlannedScope,
): string =>
  `WHERE ${behindSql(store, backfill, after)} AND ${scopeSql(backfill, store.dialect)}
    AND ${anyNullSql(backfill, 't', absent)}${leavesSkips ? ` AND NOT ${isSkippedSql(store, backfill)}` : ''}${keys ? ` AND (${keys.map((key) => `${keySql(store, backfill)} ${EQ} ${keyLiteral(key)}`).join(' OR ')})` : ''}`;

/** Rows that are read at once of those that this program has to derive. */
const PAGE = 1000;

/** Counts what a fill would find, reading only. */
export function planRows(store: Store, backfill: Backfill, scope: PlannedScope): PlannedRows {
  const rows = derivationSql(store, backfill, {
    absent: scope.absent,
    tail: plannedSql(store, backfill, scope),
  });
  const sums = backfill.columns.map(
    (_, i) => `pg_catalog.count(*) FILTER (WHERE c${i} IS NULL AND v${i} IS NOT NULL) AS fill${i},
      pg_catalog.count(*) FILTER (WHERE failure IS NULL AND c${i} IS NULL AND v${i} IS NULL) AS none${i},
      coalesce(pg_catalog.sum(pg_catalog.octet_length(v${i}::pg_catalog.text)) FILTER (WHERE c${i} IS NULL), 0) AS bytes${i}`,
  );
  const groups = store.project.all<Record<string, number> & { failure: string | null; rows: number }>(
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
  const raw = addRaw(store, backfill, rows, columns, failures);
  return { rows: total('rows') + raw, columns, failures };
}

/** Adds the rows that this program has to derive, and returns how many there are. */
function addRaw(
  store: Store,
  backfill: Backfill,
  rows: string,
  columns: { fill: number; none: number; bytes: number }[],
  failures: Record<string, number>,
): number {
  const isNull = backfill.columns.map((_, i) => `c${i} IS NULL`);
  const found = store.project.iterateExact<readonly [Key, string, ...bigint[]]>(
    `SELECT k, raw, ${isNull.join(', ')} FROM (${rows}) AS derived WHERE raw IS NOT NULL`,
  );
  let count = 0;
  let page: (readonly [Key, string, ...bigint[]])[] = [];
  const add = (): void => {
    const derived = resolveRaw(
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
    page = [];
  };
  for (const row of found) {
    count += 1;
    page.push(row);
    if (page.length >= PAGE) add();
  }
  if (page.length > 0) add();
  return count;
}

/** The first rows that a fill would find. */
export function sampleRows(
  store: Store,
  backfill: Backfill,
  scope: PlannedScope,
  limit: number,
): SampleRow[] {
  const tail = `${plannedSql(store, backfill, scope)} ORDER BY ${keySql(store, backfill)} LIMIT ${limit}`;
  const rows = store.project.allExact<Record<string, unknown> & { k: Key; raw: string | null }>(
    derivationSql(store, backfill, { absent: scope.absent, tail }),
  );
  return rows.map((row) => {
    const [derived] = row.raw === null ? [] : resolveRaw(store, backfill, [{ key: row.k, raw: row.raw }]);
    const values = backfill.columns.map((_, i) => row[`c${i}`] ?? derived?.values[i] ?? row[`v${i}`]);
    return { key: row.k, values };
  });
}
