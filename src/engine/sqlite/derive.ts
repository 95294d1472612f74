import type { SqlValue, Store } from '../../db/connection.js';
import { foldCase, identifier, literal } from '../../db/sql.js';
import { IS_UTF8, READ_JSON, READ_STRING } from '../../db/sqlite/store.js';
import type { Key } from '../../ledger/keys.js';
import type { Backfill } from '../../steps/define.js';
import type { CellValue, FirstOf } from '../../steps/values.js';
import { type Derivation, firstOfColumns, type Given, type GivenRow, type SelectOptions } from '../derive.js';
import { type Derived, deriveRows, VALUE_INVALID, withoutInvalid, withProcess } from '../process.js';
import { expressionSql, scopeSql } from '../rows.js';
import { tableColumns } from './inspect.js';

/** The derivation on SQLite. */
interface SqliteDerivation extends Derivation {
  /** @param more number of further values after those of the columns */
  given(rows: readonly GivenRow[], more?: number): Given;
}

/**
 * Returns how SQLite derives rows. Rows of a `process` are derived client-side, with the values that SQLite derives for other
 * columns as input; rare documents are read by a function of the connection.
 */
export async function derive(store: Store, backfill: Backfill): Promise<SqliteDerivation> {
  const { process, key, table } = backfill;
  const stored = await affinities(store, backfill);
  const reads = process ? [key, ...process.reads] : [];
  return {
    backfill,
    select: (options) => selectSql(backfill, options, stored),
    clientInput: [...reads.map((_, i) => `p${i}`), ...(process ? extraOf(backfill) : [])],
    isClientSide: process !== undefined,
    derive: (rows) =>
      process ? deriveClientRows(backfill, process, stored, rows as readonly (readonly SqlValue[])[]) : [],
    given: (rows, more = 0) => givenSql([...stored, ...new Array<Affinity>(more).fill('OTHER')], rows),
    ofKeys: (runs) => ({
      // The aliases are ours: an expression of the backfill may name a column as json_each() does, such as `id` and `key`.
      from: `(SELECT value ->> 0 AS umzug_first, value ->> 1 AS umzug_last FROM json_each(?)) AS r CROSS JOIN ${identifier(table)} AS t`,
      where: `t.${identifier(key)} BETWEEN r.umzug_first AND r.umzug_last`,
      parameters: [`[${runs.map((run) => `[${run.map(keyJson).join(',')}]`).join(',')}]`],
    }),
    isSame: (cell, value) => `${cell} IS ${value} COLLATE BINARY`,
    text: (value) => value,
    fallback: (_, column) => `t.${identifier(column)}`,
  };
}

/**
 * Returns the columns of a client-side row that SQLite has derived: the reason of a skip, and the values that `process` does not
 * fill.
 */
function extraOf({ columns }: Backfill): string[] {
  const values = columns.flatMap(({ value }, i) => (value.kind === 'process' ? [] : [`v${i}`]));
  return values.length === 0 ? [] : ['failure', ...values];
}

/** @param rows per row: the key, the columns that `process` reads, and those of {@link extraOf} */
function deriveClientRows(
  backfill: Backfill,
  process: NonNullable<Backfill['process']>,
  stored: readonly Affinity[],
  rows: readonly (readonly SqlValue[])[],
): Derived[] {
  const { columns } = backfill;
  const extra = extraOf(backfill);
  const width = process.reads.length + 1;
  const at = columns.map((_, i) => extra.indexOf(`v${i}`));
  const cellOf = (row: readonly SqlValue[], place: number): SqlValue =>
    place < 0 ? null : (row[width + place] ?? null);
  const othersOf = (row: readonly SqlValue[]): Derived => {
    const reason = cellOf(row, 0);
    return {
      values: at.map((i) => cellOf(row, i)),
      failure: reason === null ? null : String(reason),
    };
  };
  const derived =
    extra.length === 0
      ? deriveRows(backfill, process, rows)
      : withProcess(backfill, process, rows.map(othersOf), rows);
  return derived.map(({ values, failure }) => {
    const held = values.map((value, i) => ((at[i] ?? -1) < 0 ? heldBy(stored[i], value) : value));
    return withoutInvalid({ values: held, failure }, isTooLarge);
  });
}

const keyJson = (key: Key): string => (typeof key === 'string' ? JSON.stringify(key) : String(key));

/** Returns SQL for the rows in scope in a shell without our functions: rare texts count as unreadable, and `process` has no values. */
export const plainDerivationSql = (
  backfill: Backfill,
  extra: Readonly<Record<string, string>> = {},
): string => selectSql(backfill, { where: scopeSql(backfill, { engine: 'SQLite' }), extra });

/**
 * Returns two nested selects, each computed once per row: the columns of the row, and the values derived from them. A LIMIT inside
 * and a WHERE outside keep SQLite from merging them, which would compute each expression wherever it is named.
 *
 * @see https://www.sqlite.org/optoverview.html#subquery_flattening rule 19
 */
function selectSql(
  backfill: Backfill,
  { from = `${identifier(backfill.table)} AS t`, where, limit, extra = {}, absent }: SelectOptions,
  stored?: readonly Affinity[],
): string {
  const { columns, key, process } = backfill;
  const forShell = stored === undefined;
  const documents = documentsOf(backfill);
  const reads = process && stored ? [key, ...process.reads] : [];
  const inner = [
    `t.${identifier(key)} AS k`,
    ...columns.map(({ name }, i) =>
      absent?.has(foldCase(name)) ? `NULL AS c${i}` : `t.${identifier(name)} AS c${i}`,
    ),
    ...documentColumns(backfill, forShell),
    ...columns.flatMap(({ value }, i) =>
      value.kind === 'sql' ? [`${expressionSql(value, 'SQLite')} AS e${i}`] : [],
    ),
    ...reads.map((name, i) => `t.${identifier(name)} AS p${i}`),
    ...Object.entries(extra).map(([alias, sql]) => `${sql} AS ${alias}`),
  ];
  const isDerivable = documents.map(({ first }) => `s${first} IS NOT x''`).join(' AND ');
  const values = columns.map(({ value }, i): string => {
    if (value.kind === 'process') return 'NULL';
    if (value.kind === 'sql') return storedSql(`+e${i}`, stored?.[i]); // the plus removes the affinity of a column
    const n = documents.findIndex(({ name }) => name === value.document);
    return storedSql(valueSql(value, i, `d${n}`, `s${documents[n]?.first}`, forShell), stored?.[i]);
  });
  const reasons = isDerivable === '' ? [] : [`WHEN NOT (${isDerivable}) THEN 'DOCUMENT_UNREADABLE'`];
  // JavaScript would change a text that is not valid UTF-8.
  for (const sql of reads.length === 0 ? [] : values.filter((value) => value !== 'NULL'))
    reasons.push(
      `WHEN typeof(${sql}) = 'text' AND NOT ${IS_UTF8}(CAST(${sql} AS BLOB)) THEN ${literal(VALUE_INVALID)}`,
    );
  const onlyIfWell = (value: string): string =>
    isDerivable === '' ? value : `CASE WHEN ${isDerivable} THEN ${value} END`;
  const outer = [
    'k',
    ...columns.map((_, i) => `c${i}`),
    ...values.map((value, i) => `${onlyIfWell(value)} AS v${i}`),
    `${reasons.length === 0 ? 'NULL' : `CASE ${reasons.join(' ')} END`} AS failure`,
    ...reads.map((_, i) => `p${i}`),
    ...Object.keys(extra),
  ];
  const order = limit === undefined ? '' : `ORDER BY t.${identifier(key)}`;
  return `SELECT ${outer.join(', ')}
  FROM (SELECT ${inner.join(', ')} FROM ${from} WHERE ${where} ${order} LIMIT ${limit ?? -1})
  WHERE k IS NOT NULL`;
}

/** Sizes of statements with values, in rows. Each size is compiled once, and padded with NULL rows. */
const GIVEN_ROWS = [1, 8, 64, 1000];

/** Returns values as a table of SQL. */
function givenSql(stored: readonly Affinity[], rows: readonly GivenRow[]): Given {
  const size = GIVEN_ROWS.find((least) => least >= rows.length) ?? rows.length;
  const row = `(${['k', ...stored].map(() => '?').join(', ')})`;
  const values = stored.map((affinity, i) => `${storedSql(`column${i + 2}`, affinity)} AS v${i}`);
  const cells = new Array<CellValue>(size * (stored.length + 1)).fill(null);
  let at = 0;
  for (const { key, values: own } of rows) {
    cells[at++] = key;
    for (let i = 0; i < stored.length; i += 1) cells[at++] = own[i] ?? null;
  }
  return {
    sql: `(SELECT column1 AS k, ${values.join(', ')} FROM (VALUES ${new Array(size).fill(row).join(', ')}) WHERE column1 IS NOT NULL) AS given`,
    parameters: cells as SqlValue[],
  };
}

/**
 * The type that a column prefers to store: `TEXT` stores a number as text, `REAL` an integer as floating point. Derived values are
 * compared as the column stores them.
 *
 * @see https://www.sqlite.org/datatype3.html#determination_of_column_affinity
 */
type Affinity = 'TEXT' | 'REAL' | 'OTHER';

const affinityOf = (type: string): Affinity => {
  if (/int/i.test(type)) return 'OTHER';
  if (/char|clob|text/i.test(type)) return 'TEXT';
  return /real|floa|doub/i.test(type) && !/blob/i.test(type) ? 'REAL' : 'OTHER';
};

/** Returns the affinities of the columns of a backfill, in their order; `OTHER` for a column that does not exist yet. */
async function affinities(store: Store, { table, columns }: Backfill): Promise<Affinity[]> {
  const types = new Map((await tableColumns(store, table)).map(({ name, type }) => [foldCase(name), type]));
  return columns.map(({ name }) => affinityOf(types.get(foldCase(name)) ?? ''));
}

/** Returns SQL for a derived value as its column stores it, unless a comparison with the column converts it anyway. */
const storedSql = (value: string, affinity: Affinity | undefined): string =>
  affinity === 'REAL'
    ? `CASE WHEN (${value}) IS CAST((${value}) AS NUMERIC) THEN CAST(CAST((${value}) AS NUMERIC) AS REAL) ELSE (${value}) END`
    : value;

/** Converts a number to the form that JavaScript and PostgreSQL give it: SQLite would bind each as floating point. */
function heldBy(affinity: Affinity | undefined, value: CellValue): CellValue {
  if (typeof value !== 'number' && typeof value !== 'bigint') return value;
  if (affinity === 'TEXT') return String(value);
  if (affinity === 'REAL') return Number(value);
  return Number.isSafeInteger(value) ? BigInt(value) : value;
}

const isTooLarge = (value: CellValue): boolean =>
  typeof value === 'bigint' && BigInt.asIntN(64, value) !== value;

/** Returns the documents that `firstOf()` reads, with their columns; the first one's candidate marks what `->>` may misread. */
function documentsOf(backfill: Backfill) {
  const { ours, documents } = firstOfColumns(backfill);
  const columnsOf = (name: string) => ours.filter(({ value }) => value.document === name);
  return documents.map((name) => ({ name, columns: columnsOf(name), first: columnsOf(name)[0]?.i }));
}

/**
 * Returns the columns of `firstOf()` in the inner select: the document `d`, and per column a fallback `f` and a candidate `s`, the first
 * member that is not null, as `->>` returns it. The outer select uses a candidate that is certainly the value; for any other, it reads
 * the names one after another.
 *
 * The candidate of a document's first column is a BLOB, which `->>` never returns, if `->>` may misread the document: what our reader
 * makes of it, or `x''` if it is unreadable. Then the other candidates may be wrong, but `->>` does not fail. The
 * outer select uses only candidates for a usual row, because each use of a text copies it.
 *
 * @param forShell whether it is for a shell without our functions
 */
function documentColumns(backfill: Backfill, forShell: boolean): string[] {
  return documentsOf(backfill).flatMap(({ name, columns, first }, n) => {
    const document = `t.${identifier(name)}`;
    const names = columns.flatMap(({ value }) => value.names);
    return [
      `${document} AS d${n}`,
      ...columns.flatMap(({ value, i }) => {
        const members = value.names.map((member) => `${document} ->> ${path(member)}`);
        const candidate = members.length > 1 ? `coalesce(${members.join(', ')})` : `${members[0]}`;
        return [
          `${value.fallback === undefined ? 'NULL' : `t.${identifier(value.fallback)}`} AS f${i}`,
          i === first
            ? `${markedSql(document, names, candidate, forShell)} AS s${i}`
            : `CASE WHEN json_valid(${document}) THEN ${candidate} END AS s${i}`,
        ];
      }),
    ];
  });
}

function valueSql({ names }: FirstOf, i: number, document: string, mark: string, forShell: boolean): string {
  const candidate = `s${i}`;
  const readable = `CAST(CASE WHEN ${mark} >= x'' THEN ${mark} ELSE nullif(${document}, '') END AS TEXT)`;
  const members = names.map((name) => usableSql(readable, name, forShell));
  const fallback = `CASE WHEN f${i} <> '' THEN f${i} END`;
  // Only a BLOB sorts after x''. A time has no other characters than ASCII; 0 and 1 may be booleans, which julianday reads as days.
  return `coalesce(CASE ${mark === candidate ? '' : `WHEN ${mark} >= x'' THEN NULL`}
        WHEN ${candidate} IS NULL THEN ${fallback}
        WHEN julianday(${candidate}) >= 2 OR ${candidate} BETWEEN 2 AND 1e300 THEN CAST(${candidate} AS TEXT)
        WHEN ${isPlainText(candidate)} THEN ${candidate} END,
      ${members.join(',\n      ')}, ${fallback})`;
}

/** Path of a top-level member; for a duplicate name, SQLite reads the first. */
const path = (name: string): string => literal(`$."${name}"`);

/**
 * Returns SQL for a candidate if `->>` reads its document as we do; NULL if the document is NULL or empty; else a BLOB, see
 * {@link documentColumns}. Four things require our own reader:
 * - `json_valid` with one argument is strict (RFC 8259), so it rejects Python tokens;
 * - it reads a text only up to its first NUL, as `format` does;
 * - it may read a BLOB, which never equals a text;
 * - names with escapes are compared wrongly: U+0000 in one, or bytes that are not UTF-8, end it. To match one of `names`, its
 *   escapes must be ASCII. (In GLOB a backslash is literal; unlike instr, GLOB searches with strcspn.)
 *
 * @see https://www.sqlite.org/json1.html#jvalid
 */
function markedSql(column: string, names: readonly string[], candidate: string, forShell: boolean): string {
  const mark = names.every((name) => /^[\w .$-]+$/.test(name)) ? '*\\u00[0-7]*' : '*\\*';
  const isUnicode = forShell ? '' : ` AND ${IS_UTF8}(CAST(${column} AS BLOB))`;
  const rare = forShell ? "x''" : `CAST(coalesce(${READ_JSON}(CAST(${column} AS BLOB)), '') AS BLOB)`;
  return `CASE WHEN json_valid(${column}) AND format('%s', ${column}) = ${column} COLLATE BINARY
        AND (${column} NOT GLOB '*\\*' OR (${column} NOT GLOB ${literal(mark)}${isUnicode})) THEN ${candidate}
      WHEN ${column} IS NULL OR ${column} = '' THEN NULL
      WHEN typeof(${column}) = 'blob' THEN x''
      ELSE ${rare} END`;
}

/**
 * SQL for whether a candidate is a non-empty string, all ASCII, so that `->>` returned its text. An array or object starts with a
 * bracket; numbers and booleans, which are numbers here, sort before all texts. The class is slow.
 */
const isPlainText = (candidate: string): string =>
  `${candidate} > '' AND (${candidate} < '[' OR ${candidate} BETWEEN ']' AND 'z~') AND ${candidate} NOT GLOB '*[^ -~]*'`;

/** SQL for the usable value of one member, or NULL. */
function usableSql(document: string, name: string, forShell: boolean): string {
  const json = `${document} -> ${path(name)}`;
  const number = `${document} ->> ${path(name)}`;
  const string = forShell ? `nullif(${number}, '')` : `${READ_STRING}(CAST(${json} AS BLOB))`;
  // In strict JSON any other first character starts a number.
  return `CASE substr(${json}, 1, 1) WHEN '"' THEN ${string}
        WHEN 'n' THEN NULL WHEN 't' THEN NULL WHEN 'f' THEN NULL WHEN '[' THEN NULL WHEN '{' THEN NULL
        ELSE CASE WHEN (${number}) <> 0 AND (${number}) BETWEEN -1.7976931348623157e308 AND 1.7976931348623157e308
          THEN CAST(${number} AS TEXT) END END`;
}
