import type { Store } from '../db/connection.js';
import type { Key } from '../ledger/keys.js';
import type { Backfill } from '../steps/define.js';
import { type ClientRow, clientRows, type DerivedRow, derivedRows, isDerivedSql } from './derive.js';
import { anyNullSql, partsSql, type RowSql, rowSql } from './rows.js';

/** Rows that a fill would find. */
interface PlannedRows {
  readonly rows: number;
  /** By column, in their order: cells to fill, cells without a value, and bytes of the values to fill. */
  readonly columns: readonly { readonly fill: number; readonly none: number; readonly bytes: number }[];
  /** Rows that cannot be derived, by reason. */
  readonly failures: Readonly<Record<string, number>>;
}

/** The rows to plan for. */
export interface PlannedScope {
  /** Columns that the table does not have yet, in folded case. */
  readonly absent: ReadonlySet<string>;
  /** Last key before them; null for all. */
  readonly after: Key | null;
  readonly excludeSkips: boolean;
  /** Only rows with these keys. Default: all. */
  readonly keys?: readonly Key[];
}

/** A row that a fill would find. */
interface SampleRow {
  readonly key: Key;
  readonly values: readonly unknown[];
}

/** SQL condition for the rows that a fill would find. */
function plannedSql(
  backfill: Backfill,
  rows: RowSql,
  part: string,
  { absent, excludeSkips, keys }: PlannedScope,
): string {
  const conditions = [part, rows.inScope, anyNullSql(backfill, absent)];
  if (excludeSkips) conditions.push(`NOT ${rows.isSkipped}`);
  if (keys) conditions.push(rows.isOneOf(keys));
  return conditions.join(' AND ');
}

/** Counts the rows that a fill would find. Only reads. Call it inside a snapshot. */
export async function planRows(store: Store, backfill: Backfill, scope: PlannedScope): Promise<PlannedRows> {
  const { builtIn } = store.dialect;
  const derivation = await store.dialect.derive(store, backfill);
  const about = await rowSql(store, backfill);
  const columns = backfill.columns.map(() => ({ fill: 0, none: 0, bytes: 0 }));
  const failures: Record<string, number> = {};
  let rows = 0;
  const add = (count: number, failure: string | null): void => {
    rows += count;
    if (failure !== null) failures[failure] = (failures[failure] ?? 0) + count;
  };
  const count = `${builtIn('count')}(*)`;
  const addDerived = async (select: string): Promise<void> => {
    const sums = columns.map(
      (_, i) => `${count} FILTER (WHERE c${i} IS NULL AND v${i} IS NOT NULL) AS fill${i},
      ${count} FILTER (WHERE failure IS NULL AND c${i} IS NULL AND v${i} IS NULL) AS none${i},
      coalesce(${builtIn('sum')}(${builtIn('octet_length')}(${derivation.text(`v${i}`)})) FILTER (WHERE c${i} IS NULL), 0) AS bytes${i}`,
    );
    const groups = await store.project.all<Record<string, number> & { failure: string | null; rows: number }>(
      `SELECT failure, ${count} AS rows, ${sums.join(', ')} FROM (${select}) AS derived
      WHERE ${isDerivedSql(derivation)} GROUP BY failure`,
    );
    for (const group of groups) {
      add(group.rows, group.failure);
      columns.forEach((column, i) => {
        column.fill += group[`fill${i}`] ?? 0;
        column.none += group[`none${i}`] ?? 0;
        column.bytes += group[`bytes${i}`] ?? 0;
      });
    }
  };
  const isNull = columns.map((_, i) => `c${i} IS NULL`);
  const addClientRow = ({ values, failure, extra }: ClientRow): void => {
    add(1, failure);
    columns.forEach((column, i) => {
      if (extra[i] !== 1n) return;
      const value = values[i] ?? null;
      if (value !== null) {
        column.fill += 1;
        column.bytes += value instanceof Uint8Array ? value.length : Buffer.byteLength(String(value));
      } else if (failure === null) column.none += 1;
    });
  };
  for await (const part of partsSql(store, backfill, scope.after)) {
    const select = derivation.select({
      absent: scope.absent,
      where: plannedSql(backfill, about, part, scope),
    });
    if (!derivation.isClientSide) await addDerived(select);
    for await (const page of clientRows(store, derivation, select, isNull)) page.forEach(addClientRow);
  }
  return { rows, columns, failures };
}

/** Returns the first rows that a fill would find: their keys, and the value that each column would hold. */
export async function sampleRows(
  store: Store,
  backfill: Backfill,
  scope: PlannedScope,
  limit: number,
): Promise<SampleRow[]> {
  const derivation = await store.dialect.derive(store, backfill);
  const about = await rowSql(store, backfill);
  const rows: DerivedRow[] = [];
  for await (const part of scope.keys
    ? [about.afterKey(scope.after)]
    : partsSql(store, backfill, scope.after)) {
    const where = plannedSql(backfill, about, part, scope);
    const more = { absent: scope.absent, where, limit: limit - rows.length };
    rows.push(...(await derivedRows(store, derivation, more)));
    if (rows.length === limit) break;
  }
  return rows.map(({ key, values, cells }) => ({ key, values: cells.map((cell, i) => cell ?? values[i]) }));
}
