import type { SqlValue } from '../db/connection.js';
import type { Key, KeyRun } from '../ledger/keys.js';
import type { Backfill } from '../steps/define.js';
import type { Derived } from './process.js';

/**
 * A row that is looked at: for each column two bits of `state`, what it holds against what its row derives (0 NULL without a value to
 * derive, 1 NULL though there is one, 2 the derived value, 3 another), and one bit of `fallbacks`, whether it holds what its fallback does.
 */
export type ScanRow = readonly [
  key: Key,
  state: number,
  group: unknown,
  fallbacks: number,
  ...values: unknown[],
];

/** What rows a fill would find. */
export interface PlannedRows {
  readonly rows: number;
  /** By column, in their order: cells to fill, cells without a value, and bytes of the values to fill. */
  readonly columns: readonly { readonly fill: number; readonly none: number; readonly bytes: number }[];
  /** Rows that can't be derived, by reason. */
  readonly failures: Readonly<Record<string, number>>;
}

/** Which rows a plan is about. */
export interface PlannedScope {
  /** Columns that the table does not have yet, in folded case. */
  readonly absent: ReadonlySet<string>;
  /** Behind this key; null for all. */
  readonly after: Key | null;
  readonly leavesSkips: boolean;
  /** Only rows with these keys. Default: all. */
  readonly keys?: readonly Key[];
}

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
  readonly raw: readonly string[];
  /** Whether every row is left to this program. */
  readonly isAlwaysLeft: boolean;
  /** Derives rows, of the cells of `raw`. */
  derive(rows: readonly (readonly unknown[])[]): readonly Derived[];
  /** Values that were derived here as a table of SQL, `given`, with the columns `k` and `v<i>`, each NULL where its column can't hold it. */
  given(rows: readonly { readonly key: Key; readonly values: Derived['values'] }[]): Given;
  /** FROM and WHERE of the rows of some keys. */
  ofKeys(
    runs: readonly KeyRun[],
  ): { readonly from: string; readonly where: string } & Pick<Given, 'parameters'>;
  /** SQL condition for a cell that is not NULL and holds a value. */
  isSame(cell: string, value: string): string;
  /** SQL for a value as it is told. */
  text(value: string): string;
  /** SQL for what the i-th column holds where it falls back to another column, on `t`. */
  fallback(i: number, column: string): string;
}

/** What was set to NULL. */
export interface Undone {
  /** Rows that are there. */
  readonly rows: number;
  /** Cells, as in {@link FoundCells}. */
  readonly reverted: number;
  readonly others: number;
}

/** A row that a fill would find. */
export interface SampleRow {
  readonly key: Key;
  readonly values: readonly unknown[];
}
