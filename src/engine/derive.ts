import type { SqlValue, Store } from '../db/connection.js';
import type { Key, KeySpan } from '../ledger/keys.js';
import type { Backfill } from '../steps/define.js';
import type { Derived } from './process.js';

// How rows are derived. The store derives in sets; rows that it leaves to this program come out in pages, are derived here, and go back in as
// a table of values: to be written, compared or taken back.

/** Which rows are derived. */
export interface SelectOptions {
  /** FROM clause, with the table under the alias `t`. Default: the table alone. */
  readonly from?: string;
  /** Condition on `t`. */
  readonly where: string;
  /** How many rows at most, by the order of their keys; `?` for a parameter. Default: all of them, in any order. */
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

/** How the rows of a backfill are derived: by the store, and where it can't, here. */
export interface Derivation {
  readonly backfill: Backfill;
  /**
   * A SELECT that yields, for each row: `k` the key; for the i-th column `c<i>` its present value and `v<i>` the value derived for it,
   * NULL when there is none; `failure`, the reason where the row can't be derived at all, else NULL; the columns of `raw`; and the extra ones.
   */
  select(options: SelectOptions): string;
  /** Columns with what this program needs to derive a row that is left to it; the first is NULL in any other row. Empty where none is. */
  readonly clientInput: readonly string[];
  /** Whether every row is left to this program. */
  readonly isAlwaysLeft: boolean;
  /** Derives rows, of the cells of `raw`. */
  derive(rows: readonly (readonly unknown[])[]): readonly Derived[];
  /** Values that were derived here as a table of SQL, `given`, with the columns `k` and `v<i>`, each NULL where its column can't hold it. */
  given(rows: readonly { readonly key: Key; readonly values: Derived['values'] }[]): Given;
  /** FROM and WHERE of the rows of some keys. */
  ofKeys(
    runs: readonly KeySpan[],
  ): { readonly from: string; readonly where: string } & Pick<Given, 'parameters'>;
  /** SQL condition for a cell that is not NULL and holds a value. */
  isSame(cell: string, value: string): string;
  /** SQL for a value as it is told. */
  text(value: string): string;
  /** SQL for what the i-th column holds where it falls back to another column, on `t`. */
  fallback(i: number, column: string): string;
}

/** A row that the store has left to this program, as it was derived here. */
export interface LeftRow extends Derived {
  readonly key: Key;
  /** What was asked for beside. */
  readonly beside: readonly unknown[];
}

/**
 * The rows of a derivation that are left to this program, in pages. In a snapshot.
 *
 * @param rows the derivation's SELECT
 * @param beside SQL for further columns, on its own
 */
export async function* leftRows(
  store: Store,
  { clientInput, derive }: Derivation,
  rows: string,
  beside: readonly string[] = [],
  parameters: readonly SqlValue[] = [],
): AsyncGenerator<LeftRow[]> {
  const [first] = clientInput;
  if (first === undefined) return;
  const pages = store.project.pages<readonly [Key, ...unknown[]]>(
    `SELECT ${['k', ...clientInput, ...beside].join(', ')} FROM (${rows}) AS derived WHERE ${first} IS NOT NULL`,
    ...parameters,
  );
  for await (const page of pages) {
    const derived = derive(page.map((row) => row.slice(1, clientInput.length + 1)));
    yield page.map((row, at) => ({
      key: row[0],
      beside: row.slice(clientInput.length + 1),
      values: derived[at]?.values ?? [],
      failure: derived[at]?.failure ?? null,
    }));
  }
}

/** The rows of a derivation that the store derives itself: SQL condition on its columns. */
export const isDerivedSql = ({ clientInput: [first] }: Derivation): string =>
  first === undefined ? 'true' : `${first} IS NULL`;

/** A row with what its columns hold, and what is derived for them. */
export interface DerivedRow {
  readonly key: Key;
  readonly cells: readonly unknown[];
  readonly values: readonly unknown[];
  readonly failure: string | null;
}

/** Rows as they are derived, whoever derives them; all at once. */
export async function derivedRows(
  store: Store,
  { backfill: { columns }, clientInput, select, derive }: Derivation,
  options: SelectOptions,
): Promise<DerivedRow[]> {
  const rows = await store.project.allExact<Record<string, unknown> & { k: Key; failure: string | null }>(
    select(options),
  );
  const left = rows.filter((row) => clientInput[0] !== undefined && row[clientInput[0]] !== null);
  const derived = derive(left.map((row) => clientInput.map((name) => row[name])));
  const own = new Map(left.map((row, at) => [row.k, derived[at]]));
  return rows.map((row) => ({
    key: row.k,
    cells: columns.map((_, i) => row[`c${i}`]),
    values: columns.map((_, i) => own.get(row.k)?.values[i] ?? row[`v${i}`] ?? null),
    failure: own.get(row.k)?.failure ?? row.failure,
  }));
}
