import type { Store } from '../../db/connection.js';
import { firstWords, foldCase, identifier, literal, normaliseSql, tokensOf } from '../../db/sql.js';
import { BackfillError } from '../../errors.js';
import { LEDGER_TABLES, ledgerDdl, SQLITE_TYPES } from '../../ledger/tables.js';
import { type Message, msg } from '../../messages/message.js';
import { shellWord } from '../../shell.js';
import type { SchemaObject, SchemaType } from './trial-process.js';

/** DDL of the ledger's tables and indexes. */
export const LEDGER_DDL = ledgerDdl(SQLITE_TYPES);

/** DDL of the ledger's tables and indexes by name, as SQLite stores it. */
const DEFINITIONS: ReadonlyMap<string, string> = new Map(
  [
    ...LEDGER_DDL.matchAll(
      /^CREATE (TABLE|INDEX) IF NOT EXISTS (\w+)((?: ON .*|[\s\S]*?\n)\)(?: WITHOUT ROWID)?);/gm,
    ),
  ].map(([, kind = '', name = '', rest = '']) => [name, `CREATE ${kind} ${name}${rest}`]),
);

const TYPES: readonly SchemaType[] = ['table', 'index', 'view', 'trigger'];

/** Returns a type for a message; as it is if it is not one of SQLite's, because the file's author may have written it. */
function typeText(type: string): Message | string {
  const known = TYPES.find((one) => one === type);
  return known ? msg(known) : type;
}

interface Entry extends Omit<SchemaObject, 'sql'> {
  readonly sql: string | null;
  readonly isText: 0 | 1;
}

// SQLite compiles entries whose columns are BLOBs as if they were texts; comparisons with a text find none of them.

const IS_TEXT = `typeof(type) = 'text' AND typeof(name) = 'text' AND typeof(tbl_name) = 'text' AND typeof(sql) IN ('text', 'null')`;

/** Columns of an {@link Entry}, all as text. */
const ENTRY = `CAST(type AS TEXT) AS type, CAST(name AS TEXT) AS name, CAST(tbl_name AS TEXT) AS tbl_name, CAST(sql AS TEXT) AS sql,
  ${IS_TEXT} AS isText`;

/** @throws {BackfillError} `SCHEMA_TAMPERED` naming the first entry with columns that are not text */
function refuseOtherThanText(entries: readonly Entry[]): void {
  const found = entries.find(({ isText }) => isText === 0);
  if (!found) return;
  throw new BackfillError(
    'SCHEMA_TAMPERED',
    msg("An entry of the store's schema has a type, name or SQL that is not text: {name}", {
      name: found.name ?? 'NULL',
    }),
    inspectHint(`SELECT * FROM sqlite_schema WHERE NOT (${IS_TEXT})`),
  );
}

/**
 * Refuses a store that has anything but this program's tables under the ledger's names, or objects that act when they are written.
 * The author of the file could otherwise run SQL whenever the ledger is read or written.
 *
 * @param tables tables to check. Default: all
 * @throws {BackfillError} `LEDGER_UNTRUSTED` naming the object; `SCHEMA_TAMPERED` naming an entry that is not text
 */
export async function checkLedger(
  store: Store,
  tables: readonly string[] = Object.values(LEDGER_TABLES),
): Promise<void> {
  const names = tables.map(literal).join(', ');
  const entries = await store.all<Entry>(
    `SELECT * FROM (SELECT ${ENTRY} FROM sqlite_schema) WHERE name COLLATE NOCASE IN (${names})
      OR tbl_name COLLATE NOCASE IN (${names}) OR (type = 'table' AND sql LIKE '%umzug\\_backfill\\_%' ESCAPE '\\') OR NOT isText`,
  );
  refuseOtherThanText(entries);
  const strange = entries.find((entry) => !isPlain(entry, tables));
  if (!strange) return;
  const { type, name } = strange;
  throw new BackfillError(
    'LEDGER_UNTRUSTED',
    msg(
      'The {type} {name} is not part of the ledger that this program creates, and would act when the ledger is read or written',
      { type: typeText(type), name },
    ),
    tables.includes(foldCase(name))
      ? msg('Restore a backup that you trust: umzug-backfill restore FILE; nothing was changed')
      : msg(
          'Drop it if you know it: sqlite3 STORE {sql}; else restore a backup that you trust: umzug-backfill restore FILE; nothing was changed',
          { sql: shellWord(`DROP ${type.toUpperCase()} ${identifier(name)}`) },
        ),
  );
}

function isPlain({ type, name, tbl_name, sql }: Entry, tables: readonly string[]): boolean {
  const [own, owner] = [foldCase(name), foldCase(tbl_name)];
  if (tables.includes(own)) return type === 'table' && isDefinition(sql ?? '', own);
  // An index of a primary key, or one of the ledger's.
  if (tables.includes(owner)) return type === 'index' && (sql === null || isDefinition(sql, own));
  // A foreign key to the ledger has actions, and those fire triggers.
  return ![...tokensOf(sql ?? '')].some((token) => tables.includes(token.replace(/^["'`[]|["'`\]]$/g, '')));
}

/** Whether SQL defines the ledger's table or index of that name; normalises it only if it is not the very text. */
function isDefinition(sql: string, name: string): boolean {
  const own = DEFINITIONS.get(name);
  return own !== undefined && (sql === own || normaliseSql(sql) === normaliseSql(own));
}

// SQLite compiles the first statement of each text of a schema and ignores the rest, which anyone who can write the file can add.

/** First words of the text of each type of object. */
const BEGINNINGS: Readonly<Record<string, RegExp>> = {
  table: /^create (?:virtual )?table\b/,
  index: /^create (?:unique )?index\b/,
  view: /^create view\b/,
  trigger: /^create trigger\b/,
};

/**
 * Returns the objects of a store's schema that have a text, in an order in which they can be created.
 *
 * @throws {BackfillError} `SCHEMA_TAMPERED` naming an entry that is not text, or whose text is not exactly one CREATE statement for its type
 */
export async function schemaObjects(store: Store): Promise<SchemaObject[]> {
  const objects = await store.all<SchemaObject & Entry>(
    `SELECT ${ENTRY} FROM sqlite_schema WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'
    ORDER BY CASE type WHEN 'table' THEN 0 WHEN 'index' THEN 1 WHEN 'view' THEN 2 ELSE 3 END, rowid`,
  );
  refuseOtherThanText(objects);
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
  return type !== 'trigger' || last === 'end'; // the driver checks the statements of a trigger
}

/** Returns the error for an object whose text SQLite did not write. */
export const tampered = ({ type, name }: Pick<SchemaObject, 'type' | 'name'>): BackfillError =>
  new BackfillError(
    'SCHEMA_TAMPERED',
    msg("The text of the {type} {name} in the store's schema is not one CREATE {word} statement", {
      type: typeText(type),
      name,
      word: type.toUpperCase(),
    }),
    inspectHint(`SELECT sql FROM sqlite_schema WHERE name = ${literal(name)}`),
  );

const inspectHint = (sql: string): Message =>
  msg(
    'Inspect it, as SQLite does not write such a text: sqlite3 -safe STORE {sql}; then restore a backup that you trust: umzug-backfill restore FILE; nothing was changed',
    { sql: shellWord(sql) },
  );
