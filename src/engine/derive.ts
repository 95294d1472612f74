import type { SqlValue, Store } from '../db/connection.js';
import type { Key, KeySpan } from '../ledger/keys.js';
import type { Backfill } from '../steps/define.js';
import type { Derived } from './process.js';
import { anyNullSql, partsSql, type RowSql, rowSql } from './rows.js';

// How rows are derived, and what a fill would find. The store derives rows in sets. Those that it cannot derive are read in pages,
// derived client-side, and sent back as a table of values to be written, compared or reverted.

/** The rows to derive. */
export interface SelectOptions {
  /** FROM clause, with the table under the alias `t`. Default: only the table. */
  readonly from?: string;
  /** Condition on `t`. */
  readonly where: string;
  /** Maximum rows, in the order of their keys; `?` for a parameter. Default: all rows, in any order. */
  readonly limit?: number | '?';
  /** Further columns, by alias: SQL on `t`. */
  readonly extra?: Readonly<Record<string, string>>;
  /** Columns of the backfill that the table does not have yet, in folded case: they count as NULL. */
  readonly absent?: ReadonlySet<string>;
}

/** SQL with its parameters. */
export interface Given {
  readonly sql: string;
  readonly parameters: readonly SqlValue[];
}

/** A row with values for it. */
export interface GivenRow {
  readonly key: Key;
  readonly values: Derived['values'];
}

/** The derivation of a backfill's rows: by the store, or client-side. */
export interface Derivation {
  readonly backfill: Backfill;
  /**
   * Returns a SELECT that yields, for each row: `k`, the key; for the i-th column `c<i>`, its current value, and `v<i>`, the
   * derived value, NULL if there is none; `failure`, the reason if the row cannot be derived, else NULL; the columns of
   * `clientInput`; and the extra ones.
   */
  select(options: SelectOptions): string;
  /** Columns with the input for client-side rows. The first is NULL in all other rows. Empty if no row is client-side. */
  readonly clientInput: readonly string[];
  /** Whether every row is derived client-side. */
  readonly isClientSide: boolean;
  /** Derives rows from the cells of `clientInput`. */
  derive(rows: readonly (readonly unknown[])[]): readonly Derived[];
  /** Returns client-side values as a table of SQL, `given`, with the columns `k` and `v<i>`, each NULL if its column cannot hold it. */
  given(rows: readonly GivenRow[]): Given;
  /** FROM and WHERE for the rows with these keys. */
  ofKeys(
    runs: readonly KeySpan[],
  ): { readonly from: string; readonly where: string } & Pick<Given, 'parameters'>;
  /** SQL condition for a cell that is not NULL and holds a value. */
  isSame(cell: string, value: string): string;
  /** SQL for the text of a value, for output. */
  text(value: string): string;
  /** SQL for the value of the i-th column if it falls back to another column, on `t`. */
  fallback(i: number, column: string): string;
}

/** A row that was derived client-side. */
export interface ClientRow extends Derived {
  readonly key: Key;
  /** Values of the further columns. */
  readonly extra: readonly unknown[];
}

/**
 * Yields the client-side rows of a derivation, in pages. Call it inside a snapshot.
 *
 * @param rows the derivation's SELECT
 * @param extra SQL for further columns, on its columns
 */
export async function* clientRows(
  store: Store,
  { clientInput, derive }: Derivation,
  rows: string,
  extra: readonly string[] = [],
  parameters: readonly SqlValue[] = [],
): AsyncGenerator<ClientRow[]> {
  const [first] = clientInput;
  if (first === undefined) return;
  const pages = store.project.pages<readonly [Key, ...unknown[]]>(
    `SELECT ${['k', ...clientInput, ...extra].join(', ')} FROM (${rows}) AS derived WHERE ${first} IS NOT NULL`,
    ...parameters,
  );
  for await (const page of pages) {
    const derived = derive(page.map((row) => row.slice(1, clientInput.length + 1)));
    yield page.map((row, at) => ({
      key: row[0],
      extra: row.slice(clientInput.length + 1),
      values: derived[at]?.values ?? [],
      failure: derived[at]?.failure ?? null,
    }));
  }
}

/** SQL condition, on the columns of a derivation, for the rows that the store derives. */
export const isDerivedSql = ({ clientInput: [first] }: Derivation): string =>
  first === undefined ? 'true' : `${first} IS NULL`;

/** Returns the columns of a backfill that are filled by `firstOf()`, with their numbers, and the documents that they read. */
export function firstOfColumns({ columns }: Backfill) {
  const ours = columns.flatMap(({ value }, i) => (value.kind === 'first-of' ? [{ value, i }] : []));
  return { ours, documents: [...new Set(ours.map(({ value }) => value.document))] };
}

/** Returns rows with their current cells and derived values, by the store or client-side, all at once. */
export async function derivedRows(
  store: Store,
  { backfill: { columns }, clientInput, select, derive }: Derivation,
  options: SelectOptions,
) {
  const rows = await store.project.allExact<Record<string, unknown> & { k: Key; failure: string | null }>(
    select(options),
  );
  const left = rows.filter((row) => clientInput[0] !== undefined && row[clientInput[0]] !== null);
  const derived = derive(left.map((row) => clientInput.map((name) => row[name])));
  const own = new Map(left.map((row, at) => [row.k, derived[at]]));
  return rows.map((row) => ({
    key: row.k,
    cells: columns.map((_, i) => row[`c${i}`]),
    values: columns.map((_, i): unknown => own.get(row.k)?.values[i] ?? row[`v${i}`] ?? null),
    failure: own.get(row.k)?.failure ?? row.failure,
  }));
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

/** SQL condition for the rows that a fill would find. */
function plannedSql(backfill: Backfill, rows: RowSql, part: string, scope: PlannedScope): string {
  const { absent, excludeSkips, keys } = scope;
  const conditions = [part, rows.inScope, anyNullSql(backfill, absent)];
  if (excludeSkips) conditions.push(`NOT ${rows.isSkipped}`);
  if (keys) conditions.push(rows.isOneOf(keys));
  return conditions.join(' AND ');
}

/** Counts the rows that a fill would find, their cells, and the underivable ones by reason. Only reads. Call it inside a snapshot. */
export async function planRows(store: Store, backfill: Backfill, scope: PlannedScope) {
  const { builtIn } = store.dialect;
  const derivation = await store.dialect.derive(store, backfill);
  const about = await rowSql(store, backfill);
  // By column, in their order: cells to fill, cells without a value, and bytes of the values to fill.
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
    const where = plannedSql(backfill, about, part, scope);
    const select = derivation.select({ absent: scope.absent, where });
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
): Promise<{ readonly key: Key; readonly values: readonly unknown[] }[]> {
  const { after, absent, keys } = scope;
  const derivation = await store.dialect.derive(store, backfill);
  const about = await rowSql(store, backfill);
  const rows: Awaited<ReturnType<typeof derivedRows>> = [];
  for await (const part of keys ? [about.afterKey(after)] : partsSql(store, backfill, after)) {
    const where = plannedSql(backfill, about, part, scope);
    rows.push(...(await derivedRows(store, derivation, { absent, where, limit: limit - rows.length })));
    if (rows.length === limit) break;
  }
  return rows.map(({ key, values, cells }) => ({ key, values: cells.map((cell, i) => cell ?? values[i]) }));
}
