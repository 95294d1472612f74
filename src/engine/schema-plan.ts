import type { Store } from '../db/connection.js';
import { identifier, isSameName, literal } from '../db/sql.js';
import { filterEach } from '../each.js';
import { BackfillError } from '../errors.js';
import type { CreatedObject } from '../ledger/records.js';
import { type Message, msg, type PlainText } from '../messages/message.js';
import {
  addColumnSql,
  createIndexSql,
  dropColumnSql,
  type SchemaStepDefinition,
} from '../steps/schema-step.js';
import { compareVersions } from '../version.js';
import { declaredVersion, storeVersion } from './inspect.js';

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
 * @throws {BackfillError} as `storeVersions` does, if the step declares a version
 */
export async function planSchemaStep(store: Store, step: SchemaStepDefinition): Promise<SchemaPlan> {
  const present = await store.dialect.tableColumns(store, step.table);
  const columns = step.columns
    .filter(({ name }) => !present.some((column) => isSameName(column.name, name)))
    .map(
      (column): PlannedStatement => ({
        sql: addColumnSql(step, column),
        creates: { kind: 'column', name: column.name },
      }),
    );
  const indexes = (
    await filterEach(
      step.indexes,
      async (index) => (await store.dialect.findIndex(store, step, index)) === undefined,
    )
  ).map(
    (index): PlannedStatement => ({
      sql: createIndexSql(step, index),
      creates: { kind: 'index', name: index.name },
    }),
  );
  return { first: [...columns, ...(await versionRow(store, step))], indexes };
}

async function versionRow(store: Store, { version }: SchemaStepDefinition): Promise<PlannedStatement[]> {
  if (!version) return [];
  const exists =
    compareVersions((await storeVersion(store, version)).version, declaredVersion(version.to)) >= 0;
  if (exists) return [];
  const sql = `INSERT INTO ${identifier(version.table)} (${identifier(version.column)}) VALUES (${literal(version.to)})`;
  return [{ sql, creates: { kind: 'version', name: version.to } }];
}

/**
 * Returns the statements that drop the objects of a step, in the order of `down`: indexes first, because a column in use cannot be
 * dropped.
 */
export function reverseStatements(step: SchemaStepDefinition, objects: readonly CreatedObject[]): string[] {
  const named = (kind: string): string[] =>
    objects.filter((object) => object.kind === kind).map(({ name }) => name);
  return [
    ...named('index').map((name) => `DROP INDEX ${identifier(name)}`),
    ...named('column').map((name) => dropColumnSql(step, name)),
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
