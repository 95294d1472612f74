import type { Store } from '../db/connection.js';
import { foldCase, identifier } from '../db/sql.js';
import { tableBytes } from '../engine/sqlite/inspect.js';

/** Maximum rows that may be changed in one statement: two batches of the default size. */
const SMALL_TABLE_ROWS = 10_000;

/** Facts about the tables of a store. Names are in folded case. */
export interface StoreFacts {
  /** Checks whether the table exists and has a row. */
  readonly hasRows: (table: string) => Promise<boolean>;
  /** Checks whether the table exists and has more rows than one statement may change. */
  readonly hasManyRows: (table: string) => Promise<boolean>;
  /** Returns the bytes of the table without its indexes; 0 if it does not exist. */
  readonly bytes: (table: string) => Promise<number>;
  /** Returns the tables with a foreign key to this one. */
  readonly referrers: (table: string) => Promise<readonly string[]>;
  /** Returns the columns that each identify a row of the table. */
  readonly uniqueColumns: (table: string) => Promise<readonly string[]>;
}

/** Returns functions that read facts from a store. */
export function storeFacts(store: Store): StoreFacts {
  const hasMoreRows = async (table: string, than: number): Promise<boolean> =>
    (await store.dialect.hasTable(store, table)) &&
    (await store.project.get(`SELECT 1 FROM ${identifier(table)} LIMIT 1 OFFSET ${than}`)) !== undefined;
  return {
    hasRows: async (table) => await hasMoreRows(table, 0),
    hasManyRows: async (table) => await hasMoreRows(table, SMALL_TABLE_ROWS),
    bytes: async (table) => await tableBytes(store, table),
    referrers: async (table) =>
      (
        await store.pluck<string>(
          `SELECT DISTINCT m.name FROM sqlite_schema AS m JOIN pragma_foreign_key_list(m.name) AS f
          WHERE m.type = 'table' AND f."table" = ? COLLATE NOCASE AND m.name <> ? COLLATE NOCASE ORDER BY m.name`,
          table,
          table,
        )
      ).map(foldCase),
    uniqueColumns: async (table) =>
      (
        await store.pluck<string>(
          `WITH c AS (SELECT name, pk FROM pragma_table_info(?)),
            i AS (SELECT name FROM pragma_index_list(?) WHERE "unique" AND NOT partial)
          SELECT name FROM c WHERE pk = 1 AND (SELECT max(pk) FROM c) = 1
          UNION SELECT min(x.name) FROM i JOIN pragma_index_info(i.name) AS x GROUP BY i.name HAVING count(*) = 1`,
          table,
          table,
        )
      ).map((name) => foldCase(name ?? '')),
  };
}
