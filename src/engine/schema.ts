import type { Store } from '../db/connection.js';
import { foldCase, identifier, isSameName, literal } from '../db/sql.js';
import { filterEach } from '../each.js';
import { BackfillError } from '../errors.js';
import type { CreatedObject } from '../ledger/records.js';
import { type Message, msg, type PlainText } from '../messages/message.js';
import { shellWord } from '../shell.js';
import type { Backfill } from '../steps/define.js';
import {
  addColumnSql,
  createIndexSql,
  type SchemaStepDefinition,
  type VersionOptions,
} from '../steps/schema-steps.js';
import { compareVersions, parseVersion } from '../version.js';

// Columns and versions of a store, and the statements of a schema step that it still needs.

/** Returns those of `names` that are not columns of the table, in folded case. */
export async function absentColumns(store: Store, table: string, names: readonly string[]) {
  const present = new Set((await store.dialect.tableColumns(store, table)).map(({ name }) => foldCase(name)));
  return new Set(names.map(foldCase).filter((name) => !present.has(name)));
}

/** Returns the columns of a backfill that no longer exist, in folded case: all of them if the table or its key does not. */
export async function absentCells(store: Store, { table, key, columns }: Backfill): Promise<Set<string>> {
  const names = columns.map(({ name }) => name);
  const isGone = (await absentColumns(store, table, [key])).size > 0;
  return isGone ? new Set(names.map(foldCase)) : await absentColumns(store, table, names);
}

/** Returns the error for columns that a table needs. */
export const columnMissing = (table: string, columns: string | readonly string[]): BackfillError =>
  new BackfillError(
    'COLUMN_MISSING',
    msg('The table {table} has no column {columns}', { table, columns }),
    inspectHint(`.schema ${table}`),
  );

const inspectHint = (sql: string): Message =>
  msg('Inspect it with: sqlite3 STORE {sql}', { sql: shellWord(sql) });

/**
 * Compares the greatest version of the store with a declared one, number by number.
 *
 * @returns the greatest version, and its order relative to `declared`: negative if it is lower, positive if it is higher
 * @throws {BackfillError} `VERSION_MISSING` if the table does not exist or is empty, `COLUMN_MISSING`, `VERSION_UNREADABLE` if a
 *   row is not a version or the column is generated, `CONFIG_INVALID` if `declared` is not a version
 */
export async function compareStoreVersion(
  store: Store,
  { table, column }: Pick<VersionOptions, 'table' | 'column'>,
  declared: string,
): Promise<{ readonly greatest: string; readonly order: number }> {
  if (!(await store.dialect.hasTable(store, table)))
    throw new BackfillError(
      'VERSION_MISSING',
      msg('The store has no table {table}, so its version is unknown', { table }),
      msg('Pass the path of a store that the application created: --db-path /path/to/store.db'),
    );
  const found = (await store.dialect.tableColumns(store, table)).filter((one) =>
    isSameName(one.name, column),
  );
  if (found.length === 0) throw columnMissing(table, column);
  if (found.some(({ isGenerated }) => isGenerated) && store.files)
    throw new BackfillError(
      'VERSION_UNREADABLE',
      msg(
        'The column {column} of {table} is generated: reading it would run code of the author of the file',
        { column, table },
      ),
      msg('Set `version.column` to a column that the application writes'),
    );
  const texts = await store.project.pluck<unknown>(`SELECT ${identifier(column)} FROM ${identifier(table)}`);
  const versions = texts.map((text) => {
    const version = parseVersion(text);
    if (version === undefined)
      throw new BackfillError(
        'VERSION_UNREADABLE',
        msg('The table {table} contains a row that is not a version', { table }),
        inspectHint(`SELECT * FROM ${identifier(table)}`),
      );
    return { text: String(text), version };
  });
  const greatest = versions.sort((a, b) => compareVersions(a.version, b.version)).at(-1);
  if (!greatest)
    throw new BackfillError(
      'VERSION_MISSING',
      msg("The table {table} is empty, so the store's version is unknown", { table }),
      msg('Open the store with the application once, so that it writes its version'),
    );
  const wanted = parseVersion(declared);
  if (wanted === undefined)
    throw new BackfillError(
      'CONFIG_INVALID',
      msg('`{version}` is not a version', { version: declared }),
      msg('Write it as 1.2.3'),
    );
  return { greatest: greatest.text, order: compareVersions(greatest.version, wanted) };
}

/** One statement that a schema step would run on this store, and the object it creates. */
interface PlannedStatement {
  readonly sql: string;
  readonly creates: CreatedObject;
}

/** Statements that a schema step would run on this store, without those for objects that already exist. */
export interface SchemaPlan {
  /** Columns and the version row, in one transaction. */
  readonly first: readonly PlannedStatement[];
  /** Indexes, each in its own transaction: three at once held the write lock for 0.9 s on a million rows. */
  readonly indexes: readonly PlannedStatement[];
}

/**
 * Finds the missing objects of a schema step.
 *
 * @throws {BackfillError} as {@link compareStoreVersion} does, if the step declares a version
 */
export async function planSchemaStep(store: Store, step: SchemaStepDefinition): Promise<SchemaPlan> {
  const present = await store.dialect.tableColumns(store, step.table);
  const first: PlannedStatement[] = step.columns
    .filter(({ name }) => !present.some((column) => isSameName(column.name, name)))
    .map((column) => ({ sql: addColumnSql(step, column), creates: { kind: 'column', name: column.name } }));
  const missing = await filterEach(
    step.indexes,
    async (index) => (await store.dialect.findIndex(store, step, index)) === undefined,
  );
  const indexes = missing.map(
    (index): PlannedStatement => ({
      sql: createIndexSql(step, index),
      creates: { kind: 'index', name: index.name },
    }),
  );
  const { version } = step;
  if (version && (await compareStoreVersion(store, version, version.to)).order < 0) {
    const sql = `INSERT INTO ${identifier(version.table)} (${identifier(version.column)}) VALUES (${literal(version.to)})`;
    first.push({ sql, creates: { kind: 'version', name: version.to } });
  }
  return { first, indexes };
}

/** Returns the statements that drop objects of a step: indexes first, because a column in use cannot be dropped. */
export function reverseStatements(step: SchemaStepDefinition, objects: readonly CreatedObject[]): string[] {
  const named = (kind: string): string[] =>
    objects.filter((object) => object.kind === kind).map(({ name }) => name);
  return [
    ...named('index').map((name) => `DROP INDEX ${identifier(name)}`),
    ...named('column').map((name) => `ALTER TABLE ${identifier(step.table)} DROP COLUMN ${identifier(name)}`),
  ];
}

/** Returns an object of a schema for a message, such as `view late_events`. */
export const objectText = (kind: PlainText, name: string): Message =>
  msg('{kind} {name}', { kind: msg(kind), name });

/** Returns the creation of an object for a message, such as `Creating index lag`. */
export const creatingText = ({ kind, name }: Pick<CreatedObject, 'kind' | 'name'>): Message =>
  msg('Creating {kind} {name}', { kind: msg(kind === 'index' ? 'index' : 'column'), name });

/**
 * Returns the error for an object that blocks a schema step.
 *
 * @param what the blocked change
 * @param hint default: to drop or fix the object
 */
export function schemaBlocked(
  table: string,
  what: Message,
  object: Message,
  hint: Message = msg('Drop or fix {object}, then run the same command again; nothing was changed', {
    object,
  }),
  options?: { readonly cause?: unknown },
): BackfillError {
  const message = msg('{what} on the table {table} is blocked by {object}', { what, table, object });
  return new BackfillError('SCHEMA_BLOCKED', message, hint, options);
}
