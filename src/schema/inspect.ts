import type { Backfill } from '../backfill/define.js';
import type { IndexDefinition, SchemaStepDefinition } from '../steps/schema-step.js';
import type { ColumnInfo, Store } from '../store/port.js';
import { foldCase } from '../store/sql.js';

// What stands in a store's schema.

/** Whether the store has a table (not a view) of this name. */
export const hasTable = (store: Store, name: string): boolean => store.dialect.hasTable(store, name);

/** Whether the store has an index of this name. */
export const hasIndex = (store: Store, name: string): boolean => store.dialect.hasIndex(store, name);

/** All columns of a table, generated and hidden ones too; empty when there is no such table. */
export const tableColumns = (store: Store, table: string): ColumnInfo[] =>
  store.dialect.tableColumns(store, table);

/** Columns of `names` that the table lacks, in folded case. */
export function absentColumns(store: Store, table: string, names: readonly string[]): Set<string> {
  const present = new Set(tableColumns(store, table).map(({ name }) => foldCase(name)));
  return new Set(names.map(foldCase).filter((name) => !present.has(name)));
}

/** Columns of a backfill of which no cell is there any more, in folded case: all of them where the table or its key is gone. */
export function absentCells(
  store: Store,
  { table, key, columns }: Pick<Backfill, 'table' | 'key' | 'columns'>,
): Set<string> {
  const names = columns.map(({ name }) => name);
  const isGone = absentColumns(store, table, [key]).size > 0;
  return isGone ? new Set(names.map(foldCase)) : absentColumns(store, table, names);
}

/** Triggers of a table that an UPDATE of one of `columns` fires. */
export const updateTriggers = (store: Store, table: string, columns: readonly string[]): string[] =>
  store.dialect.updateTriggers(store, table, columns);

/** Name of an index with this table and definition, whatever it is called, or undefined. */
export const findIndex = (
  store: Store,
  step: SchemaStepDefinition,
  index: IndexDefinition,
): string | undefined => store.dialect.findIndex(store, step, index);

/** Bytes of the pages that a table occupies, without its indexes. */
export const tableBytes = (store: Store, table: string): number => store.dialect.tableBytes(store, table);
