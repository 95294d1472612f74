import type { Store } from '../db/connection.js';
import { foldCase, identifier, isSameName } from '../db/sql.js';
import { BackfillError } from '../errors.js';
import { msg } from '../messages/message.js';
import { shellWord } from '../shell.js';
import type { Backfill } from '../steps/define.js';
import { compareVersions, parseVersion, type Version } from '../version.js';

// Columns and versions of a store.

/** Returns those of `names` that are not columns of the table, in folded case. */
export async function absentColumns(
  store: Store,
  table: string,
  names: readonly string[],
): Promise<Set<string>> {
  const present = new Set((await store.dialect.tableColumns(store, table)).map(({ name }) => foldCase(name)));
  return new Set(names.map(foldCase).filter((name) => !present.has(name)));
}

/** Returns the columns of a backfill that no longer exist, in folded case: all of them if the table or its key does not. */
export async function absentCells(
  store: Store,
  { table, key, columns }: Pick<Backfill, 'table' | 'key' | 'columns'>,
): Promise<Set<string>> {
  const names = columns.map(({ name }) => name);
  const isGone = (await absentColumns(store, table, [key])).size > 0;
  return isGone ? new Set(names.map(foldCase)) : await absentColumns(store, table, names);
}

/** The table and column of a store's versions. */
interface VersionTable {
  readonly table: string;
  readonly column: string;
}

/**
 * Returns all versions of the store, lowest first.
 *
 * @throws {BackfillError} `VERSION_MISSING` if the table does not exist or is empty, `COLUMN_MISSING`, `VERSION_UNREADABLE` if a
 * row is not a version or the column is generated
 */
export async function storeVersions(
  store: Store,
  { table, column }: VersionTable,
): Promise<{ text: string; version: Version }[]> {
  if (!(await store.dialect.hasTable(store, table))) {
    throw new BackfillError(
      'VERSION_MISSING',
      msg('The store has no table {table}, so its version is unknown', { table }),
      msg('Pass the path of a store that the application created: --db-path /path/to/store.db'),
    );
  }
  if ((await absentColumns(store, table, [column])).size > 0) {
    throw new BackfillError(
      'COLUMN_MISSING',
      msg('The table {table} has no column {columns}', { table, columns: column }),
      msg('Inspect it with: sqlite3 STORE {sql}', { sql: shellWord(`.schema ${table}`) }),
    );
  }
  const isComputed = (await store.dialect.tableColumns(store, table)).some(
    ({ name, isGenerated }) => isGenerated && isSameName(name, column),
  );
  if (isComputed && store.files) {
    throw new BackfillError(
      'VERSION_UNREADABLE',
      msg(
        'The column {column} of {table} is generated: reading it would run code of the author of the file',
        { column, table },
      ),
      msg('Set `version.column` to a column that the application writes'),
    );
  }
  const texts = await store.project.pluck<unknown>(`SELECT ${identifier(column)} FROM ${identifier(table)}`);
  if (texts.length === 0) {
    throw new BackfillError(
      'VERSION_MISSING',
      msg("The table {table} is empty, so the store's version is unknown", { table }),
      msg('Open the store with the application once, so that it writes its version'),
    );
  }
  return texts
    .map((text) => {
      const version = parseVersion(text);
      if (version === undefined) {
        throw new BackfillError(
          'VERSION_UNREADABLE',
          msg('The table {table} contains a row that is not a version', { table }),
          msg('Inspect it with: sqlite3 STORE {sql}', {
            sql: shellWord(`SELECT * FROM ${identifier(table)}`),
          }),
        );
      }
      return { text: String(text), version };
    })
    .sort((a, b) => compareVersions(a.version, b.version));
}

/** Returns the highest version of the store. Throws as {@link storeVersions} does. */
export async function storeVersion(
  store: Store,
  where: VersionTable,
): Promise<{ text: string; version: Version }> {
  const greatest = (await storeVersions(store, where)).at(-1);
  if (!greatest) throw new RangeError('storeVersions() returns at least one');
  return greatest;
}

/** Parses a version of a declaration. */
export function declaredVersion(text: string): Version {
  const version = parseVersion(text);
  if (version === undefined) {
    throw new BackfillError(
      'CONFIG_INVALID',
      msg('`{version}` is not a version', { version: text }),
      msg('Write it as 1.2.3'),
    );
  }
  return version;
}
