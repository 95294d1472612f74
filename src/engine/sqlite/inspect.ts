import type { Store } from '../../db/connection.js';
import { foldCase, identifier, isSameName, isVirtual, normaliseSql } from '../../db/sql.js';
import { findEach } from '../../each.js';
import { createIndexSql, type IndexDefinition, type SchemaStepDefinition } from '../../steps/schema-step.js';
import type { ColumnInfo, Estimate, IndexVerdict, TableWork } from '../dialect.js';

/** Whether the store has a table of this name: no view and no virtual table, of which reading would run what the file's author wrote. */
export async function hasTable(store: Store, name: string): Promise<boolean> {
  const table = await store.get<{ sql: string | null }>(
    `SELECT sql FROM sqlite_schema WHERE type = 'table' AND name = ? COLLATE NOCASE`,
    name,
  );
  return table !== undefined && !isVirtual(table.sql ?? '');
}

/** Whether the store has an index of this name. */
export const hasIndex = async (store: Store, _table: string, name: string): Promise<boolean> =>
  (await store.get(`SELECT 1 FROM sqlite_schema WHERE type = 'index' AND name = ? COLLATE NOCASE`, name)) !==
  undefined;

/** By `PRAGMA table_xinfo`. */
export async function tableColumns(store: Store, table: string): Promise<ColumnInfo[]> {
  return (
    await store.all<{ name: string; type: string; pk: number; hidden: number }>(
      'SELECT name, type, pk, hidden FROM pragma_table_xinfo(?)',
      table,
    )
  ).map(({ hidden, ...column }) => ({ ...column, isGenerated: hidden === 2 || hidden === 3 }));
}

/** A name as it stands in normalised SQL: only those that need their quotes still have them. */
const NAME = /(?:"(?:[^"]|"")*"|`(?:[^`]|``)*`|\[[^\]]*\]|'(?:[^']|'')*'|[^\s"'`[,]+)/.source;
const NAMES = new RegExp(NAME, 'g');
/** A trigger's event with its columns, behind its name, which may hold any word. */
const TRIGGER_HEAD = new RegExp(
  `^create trigger ?${NAME} ?(?:before|after|instead of)? ?(?:delete|insert|(update)(?: of ?(${NAME}(?:,${NAME})*))?) ?on\\b`,
);

/** Triggers of a table that an UPDATE of one of `columns` fires. */
export async function updateTriggers(
  store: Store,
  table: string,
  columns: readonly string[],
): Promise<string[]> {
  const triggers = await store.all<{ name: string; sql: string }>(
    `SELECT name, sql FROM sqlite_schema WHERE type = 'trigger' AND tbl_name = ? COLLATE NOCASE ORDER BY name`,
    table,
  );
  return triggers
    .filter(({ sql }) => {
      const head = TRIGGER_HEAD.exec(normaliseSql(sql)); // one that is not understood counts
      if (head && head[1] === undefined) return false;
      const named = head?.[2]
        ?.match(NAMES)
        ?.map((name) => foldCase(name.replace(/^["'`[](.*)["'`\]]$/, '$1')));
      return named === undefined || columns.some((column) => named.includes(foldCase(column)));
    })
    .map(({ name }) => name);
}

/**
 * Returns the first words of an UPDATE that fails where a row violates a constraint. A constraint with a conflict clause would
 * delete other rows (`REPLACE`) or keep this one as it was (`IGNORE`), which `OR ABORT` prevents. Other tables are updated
 * without `OR ABORT`, because it also overrides the conflict clauses of statements in triggers.
 *
 * @see https://www.sqlite.org/lang_createtrigger.html
 */
export async function updateOf(store: Store, table: string): Promise<string> {
  const definition = await store.get<{ sql: string }>(
    `SELECT sql FROM sqlite_schema WHERE type = 'table' AND name = ? COLLATE NOCASE`,
    table,
  );
  const hasConflictClause = /\bon conflict\b/.test(normaliseSql(definition?.sql ?? ''));
  return `UPDATE ${hasConflictClause ? 'OR ABORT ' : ''}${identifier(table)}`;
}

/** Name of an index with this table and definition, whatever it is called, or undefined. */
export async function findIndex(
  store: Store,
  step: SchemaStepDefinition,
  index: IndexDefinition,
): Promise<string | undefined> {
  const candidates = await store.all<{ name: string; sql: string }>(
    `SELECT l.name, s.sql FROM pragma_index_list(?) AS l JOIN sqlite_schema AS s ON s.type = 'index' AND s.name = l.name
    WHERE l."unique" = 0`,
    step.table,
  );
  const wanted = index.where === undefined ? '' : withoutParentheses(normaliseSql(index.where));
  return (
    await findEach(candidates, async ({ name, sql }) => {
      const columns = await store.all<{ name: string | null; desc: number; coll: string }>(
        'SELECT name, "desc", coll FROM pragma_index_xinfo(?) WHERE key = 1 ORDER BY seqno',
        name,
      );
      const isSameList =
        columns.length === index.columns.length &&
        columns.every(
          (column, i) =>
            column.name !== null &&
            isSameName(column.name, index.columns[i] ?? '') &&
            column.desc === 0 &&
            column.coll === 'BINARY',
        );
      const isOurs = normaliseSql(sql) === normaliseSql(createIndexSql(step, { ...index, name }));
      return isOurs || (isSameList && indexCondition(sql) === wanted);
    })
  )?.name;
}

/** A condition without the parentheses around the whole of it, however many. */
function withoutParentheses(condition: string): string {
  const open: number[] = [];
  const closing = new Map<number, number>();
  for (let at = 0; at < condition.length; at += 1) {
    if (condition[at] === '(') open.push(at);
    if (condition[at] === ')') closing.set(open.pop() ?? -1, at);
  }
  let outer = 0;
  while (closing.get(outer) === condition.length - 1 - outer) outer += 1;
  return condition.slice(outer, condition.length - outer);
}

/** The normalised condition of a partial index, or '' when it has none. */
function indexCondition(sql: string): string {
  // Names in quotes may hold parentheses; those before the list of columns are the index's and the table's.
  const name = /(?:"(?:[^"]|"")*"|`(?:[^`]|``)*`|\[[^\]]*\]|[^\s"`[(]+)/.source;
  const text = normaliseSql(sql).replace(
    new RegExp(`^create index(?: if not exists)? ?${name} ?on ?${name}`),
    '',
  );
  let depth = 0;
  for (let at = text.indexOf('('); at < text.length; at += 1) {
    if (text[at] === '(') depth += 1;
    if (text[at] === ')') depth -= 1;
    if (depth === 0) return withoutParentheses(text.slice(at + 1).replace(/^ ?where ?/, ''));
  }
  return '';
}

/** Root page and SQL of a table: another root page is that of another table, or of the same behind a VACUUM. */
export async function tableIdentity(store: Store, table: string): Promise<string> {
  const row = await store.get<{ root: number; sql: string }>(
    `SELECT rootpage AS root, sql FROM sqlite_schema WHERE type = 'table' AND name = ? COLLATE NOCASE`,
    table,
  );
  return row ? `${row.root} ${row.sql}` : '';
}

/** Bytes of the pages that a table occupies, without its indexes. */
export async function tableBytes(store: Store, table: string): Promise<number> {
  const row = await store.get<{ bytes: number | null }>(
    `SELECT sum(pgsize) AS bytes FROM dbstat WHERE aggregate = true
      AND name = (SELECT name FROM sqlite_schema WHERE type = 'table' AND name = ? COLLATE NOCASE)`,
    table,
  );
  return row?.bytes ?? 0;
}

/**
 * Whether SQLite uses an index for a query: of its own accord, or if it is told to while it prefers another one.
 *
 * @see https://www.sqlite.org/eqp.html
 */
export async function indexVerdict(
  store: Store,
  query: string,
  name: string,
  index: string,
): Promise<IndexVerdict> {
  const plan = await queryPlan(store, query);
  if (usesIndex(plan, index)) return 'used';
  const table = identifier(name);
  const [plain, quoted] = [name, table].map((text) => text.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&'));
  const forced = query.replace(
    new RegExp(`\\bFROM\\s+(?:${plain}\\b|${quoted})`, 'i'),
    () => `FROM ${table} INDEXED BY ${identifier(index)}`,
  );
  const canBeUsed =
    (await store.compileError(forced)) === undefined && usesIndex(await queryPlan(store, forced), index);
  const isServed = plan.some((line) => /\bUSING (?:COVERING )?INDEX /.test(line));
  return canBeUsed && isServed ? 'passed over' : 'unused';
}

async function queryPlan(store: Store, query: string): Promise<string[]> {
  return (await store.all<{ detail: string }>(`EXPLAIN QUERY PLAN ${query}`)).map(({ detail }) => detail);
}

function usesIndex(plan: readonly string[], name: string): boolean {
  return plan.some((line) => line.includes(` INDEX ${name} `) || line.endsWith(` INDEX ${name}`));
}

/**
 * Rates by which lock times are foretold, in bytes of the table a millisecond. Measured on a million rows (875 MB) of
 * about 800 bytes, on two shared cores: DROP COLUMN 8.5 s for two, CREATE INDEX 0.3 s for one on empty columns.
 * One on a filled column of some 15 characters took 0.3 s for 300,000 such rows.
 */
const DROP_COLUMN_BYTES_PER_MS = 200_000;
const CREATE_INDEX_BYTES_PER_MS = 2_500_000;
const FULL_INDEX_BYTES_PER_MS = 800_000;

/** Lock time of a statement that only changes the schema, in milliseconds. */
export const SCHEMA_ONLY_MS = 5;

/** What rewriting a table so many times is expected to cost. */
export function rewriteEstimate(bytes: number, times: number): Estimate {
  return { lockMs: SCHEMA_ONLY_MS + (times * bytes) / DROP_COLUMN_BYTES_PER_MS, diskBytes: bytes };
}

/** What a partial index on columns that are still NULL is expected to cost: SQLite reads the table once. */
export function createIndexEstimate(bytes: number): Estimate {
  return { lockMs: SCHEMA_ONLY_MS + bytes / CREATE_INDEX_BYTES_PER_MS, diskBytes: 0 };
}

/** What an index on columns that hold values is expected to cost: SQLite reads the table, sorts, and writes the index. */
export function fullIndexEstimate(bytes: number): Estimate {
  return { lockMs: SCHEMA_ONLY_MS + bytes / FULL_INDEX_BYTES_PER_MS, diskBytes: 0 };
}

/** What work on a table is expected to cost. A row that is updated stays where it is. */
export async function estimate(store: Store, table: string, work: TableWork): Promise<Estimate> {
  if ('updatesRows' in work) return { lockMs: 0, diskBytes: 0 };
  const bytes = await tableBytes(store, table);
  return 'createsIndex' in work ? createIndexEstimate(bytes) : rewriteEstimate(bytes, work.dropsColumns);
}
