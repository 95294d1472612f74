import { readFileSync } from 'node:fs';
import { Worker } from 'node:worker_threads';
import Database from 'better-sqlite3';
import { foldCase, identifier, isVirtual, noUpdateSql } from '../../db/sql.js';
import { altering, connect } from '../../db/sqlite/connection.js';
import type { CreatedObject } from '../../ledger/records.js';

// A process that runs one trial, from stdin to stdout. A thread ends it at its limits: SQLite cannot be interrupted, and the
// command that waits for it may be killed.

/** A copy of a store's schema in memory, without rows. */
type SchemaCopy = Database.Database;

/** Types of the objects of a schema. */
export type SchemaType = 'table' | 'index' | 'view' | 'trigger';

/** An object of a store's schema that has a text. */
export interface SchemaObject {
  readonly type: string;
  readonly name: string;
  readonly tbl_name: string;
  readonly sql: string;
}

/** Statements to try on a copy of a store's schema: plain data, for another process. */
export interface Trial {
  readonly objects: readonly SchemaObject[];
  /** The step's table. */
  readonly table: string;
  /** Tried first, in order. */
  readonly forward: readonly (CreatedObject & { readonly sql: string })[];
  /** Columns to update after that. */
  readonly columns: readonly string[];
  /** Tried last, in order. */
  readonly reverse: readonly string[];
}

/** The end of a trial, with SQLite's own message, which may name objects of the schema. */
export type TrialResult =
  /** All statements can be run. */
  | { readonly ended: 'done' }
  /** An object's text is several statements. */
  | { readonly ended: 'tampered'; readonly object: SchemaObject }
  /** A statement of `forward` cannot be run; `clash` is the type of an existing object with its name. */
  | {
      readonly ended: 'forward';
      readonly failed: Trial['forward'][number];
      readonly message: string;
      readonly clash: SchemaType | undefined;
    }
  /** The columns cannot be updated. */
  | { readonly ended: 'update'; readonly message: string; readonly trigger: string | undefined }
  /** A statement of `reverse` cannot be run. */
  | { readonly ended: 'reverse'; readonly message: string };

/** Maximum pages of the copy, for 64 MiB. */
const MAX_PAGES = 16_384;

/** Tries statements on a copy of a schema. */
function runTrial({ objects, table, forward, columns, reverse }: Trial): TrialResult {
  const copy = connect(':memory:');
  copy.pragma(`max_page_count = ${MAX_PAGES}`);
  const object = copySchema(copy, objects);
  if (object) return { ended: 'tampered', object };
  for (const failed of forward) {
    const message = refusal(copy, failed.sql);
    if (message === undefined) continue;
    const named = copy.prepare('SELECT type FROM sqlite_schema WHERE name = ? COLLATE NOCASE').pluck();
    return { ended: 'forward', failed, message, clash: named.get(failed.name) as SchemaType | undefined };
  }
  if (columns.length > 0) {
    const update = noUpdateSql(table, columns);
    const message = refusal(copy, update);
    if (message !== undefined)
      return { ended: 'update', message, trigger: blockingTrigger(copy, table, update) };
  }
  for (const sql of reverse) {
    const message = refusal(copy, sql);
    if (message !== undefined) return { ended: 'reverse', message };
  }
  return { ended: 'done' };
}

/** Runs a statement as on the store. Returns SQLite's message if it fails. */
function refusal(copy: SchemaCopy, sql: string): string | undefined {
  try {
    altering(copy, sql, () => copy.exec(sql));
    return undefined;
  } catch (error) {
    if (error instanceof Database.SqliteError) return error.message;
    throw error;
  }
}

/** Returns the first trigger of the table without which the statement compiles. */
function blockingTrigger(copy: SchemaCopy, table: string, sql: string): string | undefined {
  const triggers = copy
    .prepare(`SELECT name FROM sqlite_schema WHERE type = 'trigger' AND tbl_name = ? COLLATE NOCASE`)
    .pluck()
    .all(table) as string[];
  return triggers.find((name) => {
    copy.exec('SAVEPOINT without_trigger');
    const blocks =
      refusal(copy, `DROP TRIGGER ${identifier(name)}`) === undefined && refusal(copy, sql) === undefined;
    copy.exec('ROLLBACK TO without_trigger; RELEASE without_trigger');
    return blocks;
  });
}

/**
 * Copies a schema into memory. Each text is compiled as one statement, which creates the object. Some objects cannot be created
 * here, though they load with the store's schema: those that need functions, collations or modules of the application, or have text
 * in double quotes. They are written into the schema as text, which SQLite loads.
 *
 * @returns an object whose text is not one statement that creates it
 * @see https://www.sqlite.org/quirks.html#dblquote
 */
function copySchema(copy: SchemaCopy, objects: readonly SchemaObject[]): SchemaObject | undefined {
  const tables = objects.filter(({ type }) => type === 'table');
  const virtual = tables.filter(({ sql }) => isVirtual(sql));
  // A virtual table creates its own shadow tables; an existing table of that name would block it.
  const isPart = ({ name }: SchemaObject): boolean =>
    virtual.some((table) => foldCase(name).startsWith(`${foldCase(table.name)}_`));
  const plain = tables.filter((table) => !virtual.includes(table));
  const ordered = [
    ...plain.filter((table) => !isPart(table)),
    ...virtual,
    ...plain.filter(isPart),
    ...objects.filter(({ type }) => type !== 'table'),
  ];
  copy.unsafeMode(true); // a trigger may write to a shadow table; whether it can is tried later
  copy.exec('BEGIN');
  const asText: SchemaObject[] = [];
  for (const object of ordered) {
    const made = make(copy, object);
    if (made === 'tampered') return object;
    if (made === 'place') asText.push(object);
  }
  copy.exec('COMMIT');
  copy.pragma('writable_schema = ON');
  for (const object of asText) writeText(copy, object);
  copy.pragma('writable_schema = RESET');
  copy.unsafeMode(false);
  return undefined;
}

/** Creates an object from its text in the store; if that fails, a placeholder for it, where possible. */
function make(copy: SchemaCopy, object: SchemaObject): 'object' | 'place' | 'tampered' {
  try {
    copy.prepare(object.sql).run();
    return 'object';
  } catch (error) {
    // The driver compiles one statement, and refuses a text with several, or with parameters.
    if (error instanceof RangeError || error instanceof TypeError) return 'tampered';
    if (!(error instanceof Database.SqliteError)) throw error;
    // A shadow table. A view in its place would be read whenever the virtual table is opened.
    if (/already exists$/.test(error.message)) return object.type === 'table' ? 'object' : 'tampered';
  }
  const [name, table] = [identifier(object.name), identifier(object.tbl_name)];
  if (object.type === 'table') refusal(copy, `CREATE TABLE ${name} (x)`);
  if (object.type === 'index') {
    const first = copy.prepare('SELECT name FROM pragma_table_info(?) LIMIT 1').pluck().get(object.tbl_name);
    refusal(copy, `CREATE INDEX ${name} ON ${table} (${identifier(String(first))})`);
  }
  return 'place';
}

function writeText(copy: SchemaCopy, object: SchemaObject): void {
  const { changes } = copy
    .prepare(
      'UPDATE sqlite_schema SET sql = :sql WHERE type = :type AND name = :name AND tbl_name = :tbl_name',
    )
    .run(object);
  if (changes > 0) return;
  copy.prepare('INSERT INTO sqlite_schema VALUES (:type, :name, :tbl_name, 0, :sql)').run(object);
}

const [, , limitMs, limitBytes] = process.argv;
const kill = `process.kill(process.pid, 'SIGKILL')`;
new Worker(
  `setTimeout(() => ${kill}, ${Number(limitMs)});
  setInterval(() => process.memoryUsage.rss() > ${Number(limitBytes)} && ${kill}, 20);`,
  { eval: true },
).unref();

const result = runTrial(JSON.parse(readFileSync(0, 'utf8')) as Trial);
process.stdout.write(JSON.stringify(result), () => process.exit(0));
