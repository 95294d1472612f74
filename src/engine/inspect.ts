import type { Store } from '../db/connection.js';
import { foldCase } from '../db/sql.js';
import type { Backfill } from '../steps/define.js';
import type { IndexDefinition, SchemaStepDefinition } from '../steps/schema-step.js';
import type { ColumnInfo } from './dialect.js';

// What stands in a store's schema.

/** Whether the store has a table (not a view) of this name. */
export const hasTable = async (store: Store, name: string): Promise<boolean> =>
  await store.dialect.hasTable(store, name);

/** Whether the store has an index of this name; `unfinished` where a killed run has left one of this table incomplete. */
export const hasIndex = async (store: Store, table: string, name: string): Promise<boolean | 'unfinished'> =>
  await store.dialect.hasIndex(store, table, name);

/** All columns of a table, generated and hidden ones too; empty when there is no such table. */
export const tableColumns = async (store: Store, table: string): Promise<ColumnInfo[]> =>
  await store.dialect.tableColumns(store, table);

/** Columns of `names` that the table lacks, in folded case. */
export async function absentColumns(
  store: Store,
  table: string,
  names: readonly string[],
): Promise<Set<string>> {
  const present = new Set((await tableColumns(store, table)).map(({ name }) => foldCase(name)));
  return new Set(names.map(foldCase).filter((name) => !present.has(name)));
}

/** Columns of a backfill of which no cell is there any more, in folded case: all of them where the table or its key is gone. */
export async function absentCells(
  store: Store,
  { table, key, columns }: Pick<Backfill, 'table' | 'key' | 'columns'>,
): Promise<Set<string>> {
  const names = columns.map(({ name }) => name);
  const isGone = (await absentColumns(store, table, [key])).size > 0;
  return isGone ? new Set(names.map(foldCase)) : await absentColumns(store, table, names);
}

/** Triggers of a table that an UPDATE of one of `columns` fires. */
export const updateTriggers = async (
  store: Store,
  table: string,
  columns: readonly string[],
): Promise<string[]> => await store.dialect.updateTriggers(store, table, columns);

/** Name of an index with this table and definition, whatever it is called, or undefined. */
export const findIndex = async (
  store: Store,
  step: SchemaStepDefinition,
  index: IndexDefinition,
): Promise<string | undefined> => await store.dialect.findIndex(store, step, index);
