import type { Store } from '../../db/connection.js';
import { firstWords, literal, tokensOf } from '../../db/sql.js';
import { BackfillError } from '../../errors.js';
import { shellWord } from '../../shell.js';
import type { SchemaObject } from './trial.js';

// A schema is stored as text. SQLite compiles the first statement of each text and ignores the rest, which anyone who can write the
// file can add.

/** First words of the text of each type of object. */
const BEGINNINGS: Readonly<Record<string, RegExp>> = {
  table: /^create (?:virtual )?table\b/,
  index: /^create (?:unique )?index\b/,
  view: /^create view\b/,
  trigger: /^create trigger\b/,
};

/**
 * Returns the objects of a store's schema that have a text, in the order in which they can be made.
 *
 * @throws {BackfillError} `SCHEMA_TAMPERED` naming an object whose text is not exactly one CREATE statement for its type
 */
export async function schemaObjects(store: Store): Promise<SchemaObject[]> {
  const objects = await store.all<SchemaObject>(
    `SELECT type, name, tbl_name, sql FROM sqlite_schema WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'
    ORDER BY CASE type WHEN 'table' THEN 0 WHEN 'index' THEN 1 WHEN 'view' THEN 2 ELSE 3 END, rowid`,
  );
  const found = objects.find((object) => !isOneCreate(object));
  if (found) throw tampered(found);
  return objects;
}

function isOneCreate({ type, sql }: SchemaObject): boolean {
  if (!BEGINNINGS[type]?.test(firstWords(sql))) return false;
  let depth = 0;
  let last = '';
  let hasEnded = false;
  for (const token of tokensOf(sql)) {
    if (token === '(') depth += 1;
    if (token === ')') depth -= 1;
    if (token === ';') hasEnded ||= depth === 0;
    else if (hasEnded && type !== 'trigger') return false;
    else last = token;
  }
  return type !== 'trigger' || last === 'end'; // the driver judges the statements of a trigger
}

/** The error for an object whose text SQLite has not written. */
export const tampered = ({ type, name }: Pick<SchemaObject, 'type' | 'name'>): BackfillError =>
  new BackfillError(
    'SCHEMA_TAMPERED',
    `The text of the ${type} ${name} in the store's schema is not one CREATE ${type.toUpperCase()} statement`,
    `SQLite does not write such a text: look at it with sqlite3 -safe STORE ${shellWord(`SELECT sql FROM sqlite_schema WHERE name = ${literal(name)}`)}, and restore a backup that you trust: umzug-backfill restore FILE; nothing was changed`,
  );
