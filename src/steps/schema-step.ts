import { identifier } from '../db/sql.js';
import { BackfillError } from '../errors.js';
import { msg } from '../messages/message.js';
import { optionOf, refuseUnknownOptions, requireText } from '../options.js';
import { parseVersion } from '../version.js';
import { requireOneStatement } from './sql-step.js';

/** An index that a schema step creates. */
export interface IndexOptions {
  /** Columns, in order. */
  readonly columns: readonly string[];
  /** SQL condition of a partial index. */
  readonly where?: string;
}

/** A row with the schema's version. */
export interface VersionOptions {
  /** Table with one row per version. */
  readonly table: string;
  /** Column with the version, such as `0.21.0`. */
  readonly column: string;
  /** Version of the store after this step. */
  readonly to: string;
}

/** Options of {@link defineSchemaStep}. */
export interface SchemaStepOptions {
  /** Table to change. */
  readonly table: string;
  /** Columns to add if they are missing, by name, with their types. They start as NULL. */
  readonly columns?: Readonly<Record<string, string>>;
  /** Indexes to create unless one with the same definition exists, by name. */
  readonly indexes?: Readonly<Record<string, IndexOptions>>;
  /** Version row to add if the store's version is lower. */
  readonly version?: VersionOptions;
}

/** An index with its name. */
export interface IndexDefinition extends IndexOptions {
  readonly name: string;
}

/** A validated schema step. */
export interface SchemaStepDefinition {
  readonly kind: 'schema';
  readonly table: string;
  readonly columns: readonly { readonly name: string; readonly type: string }[];
  readonly indexes: readonly IndexDefinition[];
  readonly version: VersionOptions | undefined;
}

/**
 * Declares a schema change of one table. `up` creates only missing objects, and `down` drops exactly those.
 *
 * @param options see {@link SchemaStepOptions}
 * @returns a step, for the default export of a file in a step folder
 * @throws {BackfillError} `STEP_INVALID` naming the option that is missing, unknown or of the wrong kind
 *
 * @example
 * export default defineSchemaStep({
 *   table: 'events',
 *   columns: { ordered_at: 'TEXT' },
 *   indexes: { idx_events_ordered_at: { columns: ['ordered_at'], where: 'ordered_at IS NOT NULL' } },
 * });
 */
export function defineSchemaStep(options: SchemaStepOptions): SchemaStepDefinition {
  const what = 'defineSchemaStep()';
  refuseUnknownOptions(options, ['table', 'columns', 'indexes', 'version'], what, 'STEP_INVALID');
  const columns = Object.entries(options.columns ?? {}).map(([name, type]) => {
    if (!/^[A-Za-z]\w*$/.test(type)) {
      throw new BackfillError(
        'STEP_INVALID',
        msg('Expected `columns.{column}` in {what} to be a type name, got `{type}`', {
          column: name,
          what,
          type,
        }),
        msg('Pass only a type, such as TEXT; constraints and defaults cannot be reverted exactly'),
      );
    }
    return { name: requireText(name, 'columns', what, 'STEP_INVALID'), type };
  });
  const indexes = Object.entries(options.indexes ?? {}).map(([name, index]) => {
    refuseUnknownOptions(index, ['columns', 'where'], optionOf(`indexes.${name}`, what), 'STEP_INVALID');
    const names: unknown = index.columns;
    if (!Array.isArray(names) || names.length === 0) {
      throw new BackfillError(
        'STEP_INVALID',
        msg('Expected `indexes.{index}.columns` in {what} to be a list of column names', {
          index: name,
          what,
        }),
        msg('List the columns of the index, in order'),
      );
    }
    for (const column of names) requireText(column, `indexes.${name}.columns`, what, 'STEP_INVALID');
    if (index.where !== undefined) {
      requireText(index.where, `indexes.${name}.where`, what, 'STEP_INVALID');
      requireOneStatement(`SELECT 1 WHERE ${index.where}`, optionOf(`indexes.${name}.where`, what));
    }
    return { name, ...index };
  });
  if (options.version) {
    const { version } = options;
    refuseUnknownOptions(version, ['table', 'column', 'to'], optionOf('version', what), 'STEP_INVALID');
    requireText(version.table, 'version.table', what, 'STEP_INVALID');
    requireText(version.column, 'version.column', what, 'STEP_INVALID');
    if (parseVersion(version.to) === undefined) {
      throw new BackfillError(
        'STEP_INVALID',
        msg('Expected `version.to` in {what} to be a version, got `{version}`', {
          what,
          version: version.to,
        }),
        msg('Write it as 1.2.3'),
      );
    }
  }
  return {
    kind: 'schema',
    table: requireText(options.table, 'table', what, 'STEP_INVALID'),
    columns,
    indexes,
    version: options.version,
  };
}

/** Returns the statement that adds a column. */
export function addColumnSql(step: SchemaStepDefinition, column: { name: string; type: string }): string {
  return `ALTER TABLE ${identifier(step.table)} ADD COLUMN ${identifier(column.name)} ${column.type}`;
}

/** Returns the statement that drops a column. */
export function dropColumnSql(step: SchemaStepDefinition, name: string): string {
  return `ALTER TABLE ${identifier(step.table)} DROP COLUMN ${identifier(name)}`;
}

/** Returns the statement that creates an index. */
export function createIndexSql(step: SchemaStepDefinition, index: IndexDefinition): string {
  const columns = index.columns.map(identifier).join(', ');
  const where = index.where === undefined ? '' : ` WHERE ${index.where}`;
  return `CREATE INDEX ${identifier(index.name)} ON ${identifier(step.table)} (${columns})${where}`;
}
