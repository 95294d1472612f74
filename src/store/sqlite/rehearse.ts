import Database from 'better-sqlite3';
import { BackfillError, isSqliteError } from '../../errors.js';
import type { CreatedObject } from '../../ledger/records.js';
import type { SchemaPlan } from '../../schema/plan.js';
import { reverseStatements } from '../../schema/reverse.js';
import type { SchemaStepDefinition } from '../../steps/schema-step.js';
import type { Store } from '../port.js';
import { identifier, isSameName, normaliseSql } from '../sql.js';
import { tableColumns } from './inspect.js';

/** A copy of a store's schema in memory, without rows. */
type SchemaCopy = Database.Database;

interface SchemaObject {
  readonly type: string;
  readonly name: string;
  readonly tbl_name: string;
  readonly sql: string;
}

/**
 * Copies the schema of a store into memory.
 *
 * Tables and indexes are made; views and triggers are written into the schema table as they stand, since making them
 * would check what they refer to. A virtual table becomes a plain one with its columns: without its contents, or the
 * module that only the application has, it could not be opened, and a trigger that writes to it could not be tried.
 */
function copySchema(store: Store): SchemaCopy {
  const copy = new Database(':memory:');
  copy.unsafeMode(true);
  const objects = store.all<SchemaObject>(
    `SELECT type, name, tbl_name, sql FROM sqlite_schema WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'
    ORDER BY CASE type WHEN 'table' THEN 0 WHEN 'index' THEN 1 ELSE 2 END, rowid`,
  );
  const shadows = store.pluck<string>(
    `SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'shadow'`,
  );
  for (const object of objects) {
    if (shadows.includes(object.name)) continue; // its virtual table makes it
    if (object.type === 'table') copyTable(store, copy, object);
    else if (object.type === 'index') copyIndex(copy, object);
    else writeSchema(copy, 'INSERT INTO sqlite_schema VALUES (:type, :name, :tbl_name, 0, :sql)', object);
  }
  copy.pragma('writable_schema = RESET');
  return copy;
}

/** A table that uses what only the application has can not be tried, the others can. */
function copyTable(store: Store, copy: SchemaCopy, { name, sql }: SchemaObject): void {
  if (tryOn(copy, sql) === undefined || !/^create virtual\b/.test(normaliseSql(sql))) return;
  try {
    const columns = tableColumns(store, name).map((column) => identifier(column.name));
    tryOn(copy, `CREATE TABLE ${identifier(name)} (${columns.join(', ')})`);
  } catch (error) {
    if (!isSqliteError(error)) throw error; // its module is not there, or can't open it
  }
}

/**
 * An index whose condition has text in double quotes loads with the schema, but can't be made any more: another index is
 * made in its place, and gets its definition.
 *
 * @see https://www.sqlite.org/quirks.html#dblquote
 */
function copyIndex(copy: SchemaCopy, object: SchemaObject): void {
  const error = tryOn(copy, object.sql);
  if (!error?.message.startsWith('no such column')) return;
  const first = copy.prepare('SELECT name FROM pragma_table_info(?) LIMIT 1').pluck().get(object.tbl_name);
  tryOn(
    copy,
    `CREATE INDEX ${identifier(object.name)} ON ${identifier(object.tbl_name)} (${identifier(String(first))})`,
  );
  writeSchema(
    copy,
    `UPDATE sqlite_schema SET sql = :sql WHERE type = :type AND name = :name AND tbl_name = :tbl_name`,
    object,
  );
}

function writeSchema(copy: SchemaCopy, sql: string, object: SchemaObject): void {
  copy.pragma('writable_schema = ON');
  copy.prepare(sql).run(object);
  copy.pragma('writable_schema = OFF');
}

/** SQLite names the view, trigger or index in which a change of the schema leaves an error. */
const ERROR_IN = /^error in (view|trigger|index|table) (.+?)(?: after .*)?: /;

function tryOn(copy: SchemaCopy, sql: string): Error | undefined {
  try {
    copy.exec(sql);
    return undefined;
  } catch (error) {
    if (isSqliteError(error)) return error;
    throw error;
  }
}

/** The object that stands in the way, as "view late_events", or undefined when SQLite doesn't name it. */
function namedIn(error: Error): string | undefined {
  const match = ERROR_IN.exec(error.message);
  return match ? `${match[1]} ${match[2]}` : undefined;
}

/** The first trigger of the table without which the statement compiles. */
function guiltyTrigger(copy: SchemaCopy, table: string, sql: string): string | undefined {
  const triggers = copy
    .prepare(`SELECT name FROM sqlite_schema WHERE type = 'trigger' AND tbl_name = ? COLLATE NOCASE`)
    .pluck()
    .all(table) as string[];
  return triggers.find((name) => {
    copy.exec('SAVEPOINT without_trigger');
    const isGuilty =
      tryOn(copy, `DROP TRIGGER ${identifier(name)}`) === undefined && tryOn(copy, sql) === undefined;
    copy.exec('ROLLBACK TO without_trigger; RELEASE without_trigger');
    return isGuilty;
  });
}

const blocked = (step: SchemaStepDefinition, what: string, object: string, cause: unknown): BackfillError =>
  new BackfillError(
    'SCHEMA_BLOCKED',
    `${what} on the table ${step.table} is blocked by ${object}`,
    `Drop or mend ${object}, then run the same command again; nothing was changed`,
    { cause },
  );

/**
 * Tries a schema step on a copy of the schema: forward, a no-op UPDATE of its columns, and back.
 *
 * @param plan what the step would run
 * @param made what it has made already, when it resumes
 * @returns warnings: names of objects that will block `down`
 * @throws {BackfillError} `SCHEMA_BLOCKED` naming the object that stands in the way
 */
export function rehearseUp(
  store: Store,
  step: SchemaStepDefinition,
  plan: SchemaPlan,
  made: readonly CreatedObject[],
): string[] {
  for (const column of tableColumns(store, step.table)) {
    if (column.isGenerated && step.columns.some(({ name }) => isSameName(name, column.name))) {
      throw blocked(step, 'Filling', `generated column ${column.name}`, undefined);
    }
  }
  const copy = copySchema(store);
  try {
    const statements = [...plan.first, ...plan.indexes];
    for (const { sql, makes } of statements) {
      if (makes.kind === 'version') continue;
      const error = tryOn(copy, sql);
      if (error) {
        throw blocked(
          step,
          `Making ${makes.kind} ${makes.name}`,
          namedIn(error) ?? clashing(copy, makes),
          error,
        );
      }
    }
    checkUpdate(copy, step);
    const error = reverse(copy, step, [...made, ...statements.map(({ makes }) => makes)]);
    return error ? [`\`down\` will be blocked by ${namedIn(error) ?? 'another object'}`] : [];
  } finally {
    copy.close();
  }
}

/** Another object that has the name already. */
function clashing(copy: SchemaCopy, { name }: CreatedObject): string {
  const type = copy.prepare('SELECT type FROM sqlite_schema WHERE name = ? COLLATE NOCASE').pluck().get(name);
  return typeof type === 'string' ? `another ${type} named ${name}` : 'another object';
}

function checkUpdate(copy: SchemaCopy, step: SchemaStepDefinition): void {
  if (step.columns.length === 0) return;
  const assignments = step.columns.map(({ name }) => `${identifier(name)} = ${identifier(name)}`).join(', ');
  const sql = `UPDATE ${identifier(step.table)} SET ${assignments} WHERE false`;
  const error = tryOn(copy, sql);
  if (!error) return;
  const trigger = guiltyTrigger(copy, step.table, sql);
  throw blocked(step, 'An UPDATE', trigger === undefined ? 'another object' : `trigger ${trigger}`, error);
}

function reverse(
  copy: SchemaCopy,
  step: SchemaStepDefinition,
  objects: readonly CreatedObject[],
): Error | undefined {
  for (const sql of reverseStatements(step, objects)) {
    const error = tryOn(copy, sql);
    if (error) return error;
  }
  return undefined;
}

/**
 * Tries the way back on a copy of the schema.
 *
 * @param objects what `down` would remove
 * @throws {BackfillError} `SCHEMA_BLOCKED` naming the object that stands in the way
 */
export function rehearseDown(
  store: Store,
  step: SchemaStepDefinition,
  objects: readonly CreatedObject[],
): void {
  const copy = copySchema(store);
  try {
    const error = reverse(copy, step, objects);
    if (error) throw blocked(step, '`down`', namedIn(error) ?? 'another object', error);
  } finally {
    copy.close();
  }
}
