import type { Store } from '../../db/connection.js';
import { foldCase, identifier, isSameName, isVirtual, normaliseSql } from '../../db/sql.js';
import { findEach } from '../../each.js';
import { createIndexSql } from '../../steps/schema-steps.js';
import type { Dialect } from '../dialect.js';

/** Returns the schema entry of a table or index: its SQL and its root page; undefined if it does not exist. */
export const schemaEntry = async (
  store: Store,
  type: 'table' | 'index',
  name: string,
): Promise<{ readonly sql: string; readonly rootpage: number } | undefined> =>
  await store.get(
    `SELECT coalesce(sql, '') AS sql, rootpage FROM sqlite_schema WHERE type = ? AND name = ? COLLATE NOCASE`,
    type,
    name,
  );

/**
 * Checks whether the store has a table of this name. Views and virtual tables do not count: reading them would run code of the file's
 * author.
 */
export const hasTable: Dialect['hasTable'] = async (store, name) => {
  const table = await schemaEntry(store, 'table', name);
  return table !== undefined && !isVirtual(table.sql);
};

/** Checks whether the store has an index of this name. */
export const hasIndex: Dialect['hasIndex'] = async (store, _table, name) =>
  (await schemaEntry(store, 'index', name)) !== undefined;

/** Reads the columns of a table by `PRAGMA table_xinfo`. */
export const tableColumns: Dialect['tableColumns'] = async (store, table) => {
  return (
    await store.all<{ name: string; type: string; pk: number; hidden: number }>(
      'SELECT name, type, pk, hidden FROM pragma_table_xinfo(?)',
      table,
    )
  ).map(({ hidden, ...column }) => ({ ...column, isGenerated: hidden === 2 || hidden === 3 }));
};

/** A name in normalised SQL. Only names that need quotes still have them. */
const NAME = /(?:"(?:[^"]|"")*"|`(?:[^`]|``)*`|\[[^\]]*\]|'(?:[^']|'')*'|[^\s"'`[,()]+)/.source;
const NAMES = new RegExp(NAME, 'g');
/** The event of a trigger with its columns, after its name, which may contain any word. */
const TRIGGER_HEAD = new RegExp(
  `^create trigger ?${NAME} ?(?:before|after|instead of)? ?(?:delete|insert|(update)(?: of ?(${NAME}(?:,${NAME})*))?) ?on\\b`,
);

/** The columns of an index. Each text matches in only one way, so matching is fast. */
const LIST = /\((?:"[^"]*"|`[^`]*`|\[[^\]]*\]|'[^']*'|[^"'`[])*?\)/.source;
/** An index with its optional condition, after names and a list of columns that may contain any word. */
const INDEX = new RegExp(
  `^create index(?: if not exists)? ?${NAME} ?on ?${NAME} ?${LIST}(?: ?where ?(.*))?$`,
  's',
);

/** Returns the triggers of a table that an UPDATE of one of `columns` fires. */
export const updateTriggers: Dialect['updateTriggers'] = async (store, table, columns) => {
  const triggers = await store.all<{ name: string; sql: string }>(
    `SELECT name, sql FROM sqlite_schema WHERE type = 'trigger' AND tbl_name = ? COLLATE NOCASE ORDER BY name`,
    table,
  );
  return triggers
    .filter(({ sql }) => {
      const head = TRIGGER_HEAD.exec(normaliseSql(sql)); // a trigger that does not match counts
      if (head && head[1] === undefined) return false;
      const named = head?.[2]
        ?.match(NAMES)
        ?.map((name) => foldCase(name.replace(/^["'`[](.*)["'`\]]$/, '$1')));
      return named === undefined || columns.some((column) => named.includes(foldCase(column)));
    })
    .map(({ name }) => name);
};

/**
 * Returns the first words of an UPDATE that fails if a row violates a constraint. A constraint with a conflict clause would delete
 * other rows (`REPLACE`) or leave this one unchanged (`IGNORE`), which `OR ABORT` prevents. Other tables are updated without `OR
 * ABORT`, because it also overrides the conflict clauses of statements in triggers.
 *
 * @see https://www.sqlite.org/lang_createtrigger.html
 */
export async function updateOf(store: Store, table: string): Promise<string> {
  const sql = (await schemaEntry(store, 'table', table))?.sql ?? '';
  const hasConflictClause = /\bon conflict\b/.test(normaliseSql(sql));
  return `UPDATE ${hasConflictClause ? 'OR ABORT ' : ''}${identifier(table)}`;
}

/** Returns the name of an index with this table and definition, or undefined. The declared name need not match. */
export const findIndex: Dialect['findIndex'] = async (store, step, index) => {
  // An index names its columns, so its SQL rules it out before its columns are read; a name in quotes can be written in several ways.
  const names = index.columns.filter((column) => /^\w+$/.test(column)).map(foldCase);
  const isPossible = ({ sql }: { readonly sql: string }): boolean =>
    names.every((name) => normaliseSql(sql).includes(name));
  const all = await store.all<{ sql: string }>(
    `SELECT sql FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL`,
  );
  if (!all.some(isPossible)) return undefined;
  const candidates = await store.all<{ name: string; sql: string }>(
    `SELECT l.name, s.sql FROM pragma_index_list(?) AS l JOIN sqlite_schema AS s ON s.type = 'index' AND s.name = l.name
    WHERE l."unique" = 0`,
    step.table,
  );
  const wanted = index.where === undefined ? '' : withoutParentheses(normaliseSql(index.where));
  return (
    await findEach(candidates.filter(isPossible), async ({ name, sql }) => {
      const columns = await store.all<{ name: string | null; desc: number; coll: string }>(
        'SELECT name, "desc", coll FROM pragma_index_xinfo(?) WHERE key = 1 ORDER BY seqno',
        name,
      );
      const isSameList =
        columns.length === index.columns.length &&
        columns.every(({ name: column, desc, coll }, i) => {
          const isSameColumn = column !== null && isSameName(column, index.columns[i] ?? '');
          return isSameColumn && desc === 0 && coll === 'BINARY';
        });
      const own = normaliseSql(sql);
      const parts = INDEX.exec(own);
      const isAlike = isSameList && parts !== null && withoutParentheses(parts[1] ?? '') === wanted;
      return isAlike || own === normaliseSql(createIndexSql(step, { ...index, name }));
    })
  )?.name;
};

/** Removes all parentheses around the whole of a condition. */
function withoutParentheses(condition: string): string {
  let depth = 0;
  const end = condition.split('').findIndex((sign) => {
    if (sign === '(') depth += 1;
    if (sign === ')') depth -= 1;
    return depth === 0;
  });
  return end > 0 && end === condition.length - 1 ? withoutParentheses(condition.slice(1, -1)) : condition;
}

/** Returns the root page and SQL of a table. The root page changes when the table is recreated, and with a VACUUM. */
export const tableIdentity: Dialect['tableIdentity'] = async (store, table) => {
  const entry = await schemaEntry(store, 'table', table);
  return entry ? `${entry.rootpage} ${entry.sql}` : '';
};

/** Returns the bytes of a table's pages, without its indexes. */
export async function tableBytes(store: Store, table: string): Promise<number> {
  const [bytes] = await store.pluck<number | null>(
    `SELECT sum(pgsize) FROM dbstat WHERE aggregate = true
      AND name = (SELECT name FROM sqlite_schema WHERE type = 'table' AND name = ? COLLATE NOCASE)`,
    table,
  );
  return bytes ?? 0;
}

/**
 * Checks whether SQLite uses an index for a query, or can use it with INDEXED BY while it prefers another one.
 *
 * @see https://www.sqlite.org/eqp.html
 */
export const explainIndex: Dialect['explainIndex'] = async (store, query, name, index) => {
  const planOf = async (sql: string): Promise<string[]> =>
    (await store.all<{ detail: string }>(`EXPLAIN QUERY PLAN ${sql}`)).map(({ detail }) => `${detail} `);
  const isUsed = (steps: readonly string[]): boolean =>
    steps.some((detail) => detail.includes(` INDEX ${index} `));
  const plan = await planOf(query);
  if (isUsed(plan)) return 'used';
  const table = identifier(name);
  const [plain, quoted] = [name, table].map((text) => text.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&'));
  const forced = query.replace(
    new RegExp(`\\bFROM\\s+(?:${plain}\\b|${quoted})`, 'i'),
    () => `FROM ${table} INDEXED BY ${identifier(index)}`,
  );
  const canBeUsed = (await store.compileError(forced)) === undefined && isUsed(await planOf(forced));
  const isServed = plan.some((detail) => /\bUSING (?:COVERING )?INDEX /.test(detail));
  return canBeUsed && isServed ? 'usable' : 'unused';
};

/**
 * Throughput used to estimate lock times, in table bytes per millisecond. Measured on a million rows (875 MB) of about 800 bytes,
 * on two shared cores: DROP COLUMN 8.5 s for two columns, CREATE INDEX 0.3 s for one on empty columns. One on a filled column of
 * about 15 characters took 0.3 s for 300,000 such rows.
 */
const BYTES_PER_MS = { rewrite: 200_000, emptyIndex: 2_500_000, filledIndex: 800_000 };

/** Lock time of a statement that only changes the schema, in milliseconds. */
const SCHEMA_ONLY_MS = 5;

/**
 * Estimates the lock time of work on a table, in milliseconds: rewriting it, or creating an index on columns with or without
 * values.
 */
export const lockMsOf = (work: keyof typeof BYTES_PER_MS, tableBytes: number): number =>
  SCHEMA_ONLY_MS + tableBytes / BYTES_PER_MS[work];

/** Estimates the cost of work on a table. Updated rows stay in place. */
export const estimate: Dialect['estimate'] = async (store, table, work) => {
  if ('updatesRows' in work) return { lockMs: 0, diskBytes: 0 };
  const bytes = await tableBytes(store, table);
  return 'createsIndex' in work
    ? { lockMs: lockMsOf('emptyIndex', bytes), diskBytes: 0 }
    : { lockMs: lockMsOf('rewrite', work.dropsColumns * bytes), diskBytes: bytes };
};
