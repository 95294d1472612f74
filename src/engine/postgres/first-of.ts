import type { SqlValue } from '../../db/connection.js';
import { readJson } from '../../db/json-text.js';
import { EQ, GT, LT, NE, needsTryJson, operator, TRY_JSON } from '../../db/postgres/texts.js';
import { foldCase, identifier, literal } from '../../db/sql.js';
import type { Backfill } from '../../steps/define.js';
import type { CellValue, FirstOf } from '../../steps/values.js';
import { firstOfColumns } from '../derive.js';
import { type Derived, withoutInvalid, withProcess } from '../process.js';
import type { Facts } from './derive.js';
import { temporaryMissing } from './rights.js';

// `firstOf()`: by the server's JSON parser, and client-side for rare documents, by our own reader.

/** The part of `firstOf()` in the selects of a derivation. */
interface FirstOfParts {
  /** Columns of the inner select, on `t`, each with an alias. */
  readonly inner: readonly string[];
  /** Columns of the selects around it, each on those within. */
  readonly levels: readonly (readonly string[])[];
  /** Values, by the number of the column, on both. */
  readonly values: ReadonlyMap<number, string>;
  /** SQL that is true for a client-side row. Default: none is, because of its documents. */
  readonly needsClient?: string;
  /** Input of a client-side row, as texts, whatever requires it. */
  readonly clientInput: readonly string[];
  /** SQL for the reason of a skip of the whole row, or NULL. */
  readonly failure?: string;
}

/** Maximum length of a text that cannot be nested too deep, in bytes; longer ones have their brackets counted. */
const SHALLOW_LENGTH = 2000;

/** Maximum nesting that is read. */
const MAX_DEPTH = 1000;

/**
 * Returns the SQL of `firstOf()`, in three selects:
 * 1. the document's text, and the fallbacks;
 * 2. `d`, the document as jsonb: `{}` for NULL and `''`, NULL if it is unreadable or evaluated client-side;
 * 3. values: per column the first usable member.
 *
 * Texts that jsonb would change or reject are evaluated client-side: escapes of unpaired surrogates, of U+0000 and of ASCII (which
 * hide a name), a duplicate of one of the names (jsonb keeps the last), nesting too deep for the server's stack, Python's NaN and
 * Infinity, and numbers that `numeric` cannot hold. Plain searches find them, at a low cost compared to parsing.
 *
 * @see https://www.postgresql.org/docs/current/datatype-json.html
 */
export function firstOfParts(facts: Facts): FirstOfParts {
  const { backfill, columns: types } = facts;
  const { ours, documents } = firstOfColumns(backfill);
  const isBinary = documents.map((name) => types.get(foldCase(name)) === 'jsonb');
  const inner = [
    ...documents.map((name, n) => `t.${identifier(name)}${isBinary[n] ? '' : '::pg_catalog.text'} AS x${n}`),
    ...ours.map(
      ({ value: { fallback }, i }) =>
        `${fallback === undefined ? 'NULL::pg_catalog.text' : fallbackSql(facts, fallback)} AS f${i}`,
    ),
  ];
  const clientInput = [
    ...documents.map((_, n) => `x${n}${isBinary[n] ? '::pg_catalog.text' : ''}`),
    ...ours.map(({ i }) => `f${i}`),
  ];
  const unvalued = { inner, levels: [], values: new Map(), clientInput };
  if (documents.length === 0) return unvalued;
  const tried = triedSql(facts);
  if (backfill.process) return unvalued; // every row is evaluated client-side
  const unread = documents.flatMap((name, n) => (isBinary[n] ? [] : [{ name, n }]));
  const namesOf = (document: string): string[] => [
    ...new Set(ours.filter(({ value }) => value.document === document).flatMap(({ value }) => value.names)),
  ];
  return {
    inner,
    levels: [
      documents.map((_, n) => `${isBinary[n] ? 'false' : unsupportedJsonSql(`x${n}`)} AS odd${n}`),
      documents.map((_, n) => `${isBinary[n] ? binarySql(n) : documentSql(n, tried)} AS d${n}`),
    ],
    values: new Map(ours.map(({ value, i }) => [i, valueSql(documents.indexOf(value.document), value, i)])),
    ...(unread.length > 0 && {
      needsClient: unread.map(({ name, n }) => needsClientSql(n, namesOf(name))).join(' OR '),
      failure: `CASE WHEN ${unread.map(({ n }) => `d${n} IS NULL`).join(' OR ')} THEN ${literal('DOCUMENT_UNREADABLE')} END`,
    }),
    clientInput,
  };
}

/** SQL for the fallback of a column, on `t`. */
export const fallbackSql = ({ columns }: Facts, fallback: string): string =>
  textSql(`t.${identifier(fallback)}`, columns.get(foldCase(fallback)));

/** SQL for a column's value as text. Times become ISO-8601, in UTC if they have an offset, and with `BC` before the year 1. */
function textSql(column: string, type = 'text'): string {
  const isZoned = type.endsWith('with time zone');
  if (!type.startsWith('timestamp')) return `${column}::pg_catalog.text`;
  const time = isZoned ? `(${column} AT TIME ZONE 'UTC')` : column;
  const format = `YYYY-MM-DD"T"HH24:MI:SS.US${isZoned ? '"Z"' : ''}`;
  return `CASE WHEN pg_catalog.isfinite(${column}) THEN pg_catalog.to_char(${time}, CASE WHEN ${time} ${LT} '0001-01-01' THEN '${format} BC' ELSE '${format}' END) END`;
}

/** SQL that is true for a text that must not be parsed as jsonb. The cheapest tests come first: a single byte, the number of bytes. */
const unsupportedJsonSql = (text: string): string =>
  `(pg_catalog.strpos(${text}, '\\') ${GT} 0 AND pg_catalog.strpos(${text}, '\\u') ${GT} 0 AND ${text} ${operator('~')} '\\\\u(00[0-7]|[dD][89a-fA-F])'
      OR pg_catalog.octet_length(${text}) ${GT} ${SHALLOW_LENGTH}
        AND (${lengthSql(text)} ${operator('-')} ${lengthSql(`pg_catalog.translate(${text}, '[{', '')`)}) ${GT} ${MAX_DEPTH})`;

const lengthSql = (text: string): string => `pg_catalog.length(${text})`;

/** SQL that is true for a text that may be readable though jsonb rejects it: `numeric` has up to 16,383 digits after the point. */
const numericOverflowSql = (text: string): string =>
  `(${text} ${operator('~')} 'NaN|Infinity|[eE][-+]?[0-9]{4}' OR ${lengthSql(text)} ${GT} 15000)`;

/** SQL that is true for a client-side row, also if parsing has shown it to be one. */
function needsClientSql(n: number, names: readonly string[]): string {
  const twice = names.map(
    (name) =>
      `(d${n} ${operator('?')} ${literal(name)} AND pg_catalog.split_part(x${n}, ${literal(`"${name}"`)}, 3) ${NE} '')`,
  );
  return `odd${n} OR CASE WHEN d${n} IS NULL THEN ${numericOverflowSql(`x${n}`)} ELSE ${twice.join(' OR ')} END`;
}

const binarySql = (n: number): string => `coalesce(x${n}, '{}'::pg_catalog.jsonb)`;

const documentSql = (n: number, tried: (text: string) => string): string =>
  `CASE WHEN x${n} IS NULL OR x${n} ${EQ} '' THEN '{}'::pg_catalog.jsonb WHEN odd${n} THEN NULL ELSE ${tried(`x${n}`)} END`;

/** Returns SQL that parses a text as jsonb, or returns NULL if it is invalid. */
function triedSql({ version, canMakeFunctions }: Facts): (text: string) => string {
  if (!needsTryJson(version))
    return (text) =>
      `CASE WHEN pg_catalog.pg_input_is_valid(${text}, 'pg_catalog.jsonb') THEN ${text}::pg_catalog.jsonb END`;
  if (canMakeFunctions) return (text) => `${TRY_JSON}(${text})`;
  throw temporaryMissing();
}

function valueSql(n: number, { names }: FirstOf, i: number): string {
  const members = names.map((name) => usableSql(`d${n}`, literal(name)));
  return `coalesce(${members.join(',\n      ')}, CASE WHEN f${i} ${NE} '' THEN f${i} END)`;
}

/** Absolute values that a double rounds to 0, up to the first, and to infinity, from the second. */
const [ZERO_UP_TO, INFINITE_FROM] = ['2.4703282292062327e-324', '1.797693134862315808e308'];

/** SQL for the usable value of one member, or NULL. */
function usableSql(document: string, name: string): string {
  const kind = `pg_catalog.jsonb_typeof(${document} ${operator('->')} ${name})`;
  const text = `(${document} ${operator('->>')} ${name})`;
  const size = `pg_catalog.abs(${text}::pg_catalog.numeric)`;
  return `CASE WHEN ${kind} ${EQ} 'string' THEN CASE WHEN ${text} ${NE} '' THEN ${text} END
        WHEN ${kind} ${EQ} 'number' THEN CASE WHEN ${size} ${GT} ${ZERO_UP_TO} AND ${size} ${LT} ${INFINITE_FROM} THEN ${text} END END`;
}

/**
 * Derives client-side rows: those with rare documents, and those of a `process`.
 *
 * @param inputs the derivation's `client_input` per row: a JSON array of texts, in which each way to derive values has its own
 * @param kinds types of the columns that `process` reads, key first
 */
export function deriveClientSide(
  backfill: Backfill,
  inputs: readonly (readonly unknown[])[],
  kinds: readonly string[],
): readonly Derived[] {
  const { process } = backfill;
  const rows = inputs.map(([input]) => JSON.parse(String(input)) as (string | null)[]);
  const derived = rows.map((row) => deriveDocuments(backfill, process ? row.slice(kinds.length) : row));
  if (!process) return derived;
  const cells = rows.map((row) => kinds.map((kind, i) => cellOf(row[i] ?? null, kind)));
  return withProcess(backfill, process, derived, cells).map((row) =>
    withoutInvalid(row, (value) => typeof value === 'string' && value.includes('\0')),
  );
}

/** Converts a cell for `process`: numbers for numeric columns, bytes for bytea, text for all others. */
function cellOf(cell: string | null, type: string): SqlValue {
  if (cell === null) return null;
  if (/^(?:smallint|integer|bigint)$/.test(type)) return BigInt(cell);
  if (/^(?:real|double precision)$/.test(type)) return Number(cell);
  if (type === 'boolean') return cell === 'true' ? 1n : 0n;
  return type === 'bytea' ? Buffer.from(cell.slice(2), 'hex') : cell;
}

/** @param cells texts in the order of `firstOfParts`: documents, fallbacks, values of `sql()` */
function deriveDocuments(backfill: Backfill, cells: readonly (string | null)[]): Derived {
  const { ours, documents } = firstOfColumns(backfill);
  const read = new Map(documents.map((name, n) => [name, membersOf(cells[n] ?? null)]));
  if ([...read.values()].includes(undefined)) return { values: [], failure: 'DOCUMENT_UNREADABLE' };
  const fallbacks = cells.slice(documents.length, documents.length + ours.length).values();
  const others = cells.slice(documents.length + ours.length).values();
  const next = (of: Iterator<string | null>): string | null =>
    (of.next().value as string | null | undefined) ?? null;
  const values = backfill.columns.map(({ value }): CellValue => {
    if (value.kind === 'process') return null;
    if (value.kind === 'sql') return next(others);
    const fallback = next(fallbacks);
    return firstUsable(read.get(value.document), value.names) ?? (fallback === '' ? null : fallback);
  });
  return { values, failure: null };
}

/**
 * Returns top-level members by name, each as its JSON; undefined if the document is unreadable. For a duplicate name, the first
 * counts.
 */
function membersOf(document: string | null): ReadonlyMap<string, string> | undefined {
  if (document === null || document === '') return new Map();
  const plain = readJson(Buffer.from(document))?.toString('utf8');
  if (plain === undefined) return undefined;
  const members = new Map<string, string>();
  // Our reader returns one flat object without white space, whose names have no escapes.
  for (let at = 1; plain[at] === '"'; ) {
    const colon = plain.indexOf('":', at);
    const [name, from] = [plain.slice(at + 1, colon), colon + 2];
    SCALAR.lastIndex = from;
    const end = plain[from] === '"' ? stringEnd(plain, from) : from + (SCALAR.exec(plain)?.[0].length ?? 0);
    if (!members.has(name)) members.set(name, plain.slice(from, end));
    at = end + 1;
  }
  return members;
}

const SCALAR = /[^,}]*/y;

/**
 * Returns the end of the JSON string that starts at `from`. A pattern that matches each character would overflow the stack on some
 * megabytes.
 */
function stringEnd(json: string, from: number): number {
  for (let quote = json.indexOf('"', from + 1); ; quote = json.indexOf('"', quote + 1)) {
    let start = quote;
    while (json[start - 1] === '\\') start -= 1;
    if ((quote - start) % 2 === 0) return quote + 1;
  }
}

function firstUsable(members: ReadonlyMap<string, string> | undefined, names: readonly string[]) {
  for (const name of names) {
    const text = usable(members?.get(name) ?? '');
    if (text !== undefined) return text;
  }
  return undefined;
}

/** Returns the usable value of a member, or undefined. */
function usable(json: string): string | undefined {
  if (json.startsWith('"')) {
    const text = JSON.parse(json) as string;
    return text !== '' && !text.includes('\u0000') && text.isWellFormed() ? text : undefined;
  }
  if (!/^[-\d]/.test(json)) return undefined;
  const number = Number(json);
  return number !== 0 && Number.isFinite(number) ? numericText(json) : undefined;
}

/** Returns a number's text as PostgreSQL's `numeric` prints it: without an exponent, with all its digits. */
function numericText(json: string): string {
  const [, sign = '', whole = '', fraction = '', exponent = '0'] =
    /^(-?)(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d+))?$/.exec(json) ?? [];
  const digits = whole + fraction;
  const point = whole.length + Number(exponent);
  const padded = digits.padEnd(point, '0').padStart(digits.length - point, '0');
  const at = Math.max(0, point);
  const before = padded.slice(0, at).replace(/^0+(?=\d)/, '') || '0';
  const after = padded.slice(at);
  return `${sign}${before}${after === '' ? '' : `.${after}`}`;
}
