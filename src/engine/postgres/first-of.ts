import { EQ, GT, LT, NE, needsTryJson, operator, TRY_JSON } from '../../db/postgres/texts.js';
import { foldCase, identifier, literal } from '../../db/sql.js';
import type { DerivationParts, Facts } from './derive.js';
import { temporaryMissing } from './rights.js';

/** Texts up to this length can't be nested too deep, in characters; longer ones have their brackets counted. */
const SHALLOW_LENGTH = 2000;

/** Deepest nesting that is read. */
const MAX_DEPTH = 1000;

/**
 * The SQL of `firstOf()`, in three selects:
 * 1. the document's text, and what to fall back to;
 * 2. `d`, the document as jsonb: `{}` for NULL and `''`, NULL where it can't be read, or is left to this program;
 * 3. values: of each column the first usable member.
 *
 * Left to this program is what jsonb would read otherwise than it says, or not at all: escapes of half a character, of U+0000
 * and of ASCII (in a name they hide what it is), a name that is looked for and stands there twice (jsonb keeps the last), texts nested too
 * deep for the server's stack, Python's NaN and Infinity, and numbers that `numeric` can't hold. All are told by plain searches, which
 * cost little beside the reading.
 *
 * @see https://www.postgresql.org/docs/current/datatype-json.html
 */
export function firstOfParts(facts: Facts): DerivationParts {
  const { backfill, columns: types } = facts;
  const ours = backfill.columns.flatMap(({ value }, i) => (value.kind === 'first-of' ? [{ value, i }] : []));
  if (ours.length === 0) return { inner: [], values: new Map() };
  const documents = [...new Set(ours.map(({ value }) => value.document))];
  const isBinary = documents.map((name) => types.get(foldCase(name)) === 'jsonb');
  const tried = triedSql(facts);
  const inner = [
    ...documents.map((name, n) => `t.${identifier(name)}${isBinary[n] ? '' : '::pg_catalog.text'} AS x${n}`),
    ...ours.map(
      ({ value: { fallback }, i }) =>
        `${fallback === undefined ? 'NULL::pg_catalog.text' : fallbackSql(facts, fallback)} AS f${i}`,
    ),
  ];
  const namesOf = (document: string): string[] => [
    ...new Set(ours.filter(({ value }) => value.document === document).flatMap(({ value }) => value.names)),
  ];
  const unread = documents.map((_, n) => n).filter((n) => !isBinary[n]);
  const clientInput = [
    ...documents.map((_, n) => `x${n}${isBinary[n] ? '::pg_catalog.text' : ''}`),
    ...ours.map(({ i }) => `f${i}`),
  ];
  if (backfill.process) return { inner, values: new Map(), clientInput }; // every row is left to this program
  return {
    inner,
    levels: [
      documents.map((_, n) => `${isBinary[n] ? 'false' : unsupportedJsonSql(`x${n}`)} AS odd${n}`),
      documents.map(
        (_, n) =>
          `${isBinary[n] ? `coalesce(x${n}, '{}'::pg_catalog.jsonb)` : documentSql(n, tried)} AS d${n}`,
      ),
    ],
    values: new Map(
      ours.map(({ value, i }) => [
        i,
        valueSql(`d${documents.indexOf(value.document)}`, value.names, `f${i}`),
      ]),
    ),
    ...(unread.length > 0
      ? {
          needsClient: unread.map((n) => needsClientSql(n, namesOf(documents[n] ?? ''))).join(' OR '),
          failure: `CASE WHEN ${unread.map((n) => `d${n} IS NULL`).join(' OR ')} THEN ${literal('DOCUMENT_UNREADABLE')} END`,
        }
      : { failure: 'NULL::pg_catalog.text' }),
    clientInput,
  };
}

/** SQL for what a column falls back to, on `t`. */
export const fallbackSql = ({ columns }: Facts, fallback: string): string =>
  textSql(`t.${identifier(fallback)}`, columns.get(foldCase(fallback)));

/** A column's value as text; a time as ISO-8601, in UTC where it knows its offset, and with `BC` where it is before the year 1. */
function textSql(column: string, type = 'text'): string {
  const isZoned = type.endsWith('with time zone');
  if (!type.startsWith('timestamp')) return `${column}::pg_catalog.text`;
  const time = isZoned ? `(${column} AT TIME ZONE 'UTC')` : column;
  const format = `YYYY-MM-DD"T"HH24:MI:SS.US${isZoned ? '"Z"' : ''}`;
  return `CASE WHEN pg_catalog.isfinite(${column}) THEN pg_catalog.to_char(${time}, CASE WHEN ${time} ${LT} '0001-01-01' THEN '${format} BC' ELSE '${format}' END) END`;
}

/** What is not to be read as jsonb at all. */
const unsupportedJsonSql = (text: string): string =>
  `(pg_catalog.strpos(${text}, '\\u') ${GT} 0 AND ${text} ${operator('~')} '\\\\u(00[0-7]|[dD][89a-fA-F])'
      OR ${lengthSql(text)} ${GT} ${SHALLOW_LENGTH}
        AND (${lengthSql(text)} ${operator('-')} ${lengthSql(`pg_catalog.translate(${text}, '[{', '')`)}) ${GT} ${MAX_DEPTH})`;

const lengthSql = (text: string): string => `pg_catalog.length(${text})`;

/** SQL that is true for a text that may be readable though it is no jsonb: `numeric` has up to 16,383 digits behind the point. */
const numericOverflowSql = (text: string): string =>
  `(${text} ${operator('~')} 'NaN|Infinity|[eE][-+]?[0-9]{4}' OR ${lengthSql(text)} ${GT} 15000)`;

/** What is left to this program: also what has become known by reading it, or by its being unreadable. */
function needsClientSql(n: number, names: readonly string[]): string {
  const twice = names.map(
    (name) =>
      `(d${n} ${operator('?')} ${literal(name)} AND pg_catalog.split_part(x${n}, ${literal(`"${name}"`)}, 3) ${NE} '')`,
  );
  return `odd${n} OR CASE WHEN d${n} IS NULL THEN ${numericOverflowSql(`x${n}`)} ELSE ${twice.join(' OR ')} END`;
}

const documentSql = (n: number, tried: (text: string) => string): string =>
  `CASE WHEN x${n} IS NULL OR x${n} ${EQ} '' THEN '{}'::pg_catalog.jsonb WHEN odd${n} THEN NULL ELSE ${tried(`x${n}`)} END`;

/** SQL that makes jsonb of a text, or NULL where it is none. */
function triedSql({ version, canMakeFunctions }: Facts): (text: string) => string {
  if (!needsTryJson(version))
    return (text) =>
      `CASE WHEN pg_catalog.pg_input_is_valid(${text}, 'pg_catalog.jsonb') THEN ${text}::pg_catalog.jsonb END`;
  if (canMakeFunctions) return (text) => `${TRY_JSON}(${text})`;
  throw temporaryMissing();
}

function valueSql(document: string, names: readonly string[], fallback: string): string {
  return `coalesce(${names.map((name) => usableSql(document, literal(name))).join(',\n      ')}, CASE WHEN ${fallback} ${NE} '' THEN ${fallback} END)`;
}

/** What a double makes of a number: no more than the first is 0, and from the second on it is infinite. */
const [ZERO_UP_TO, INFINITE_FROM] = ['2.4703282292062327e-324', '1.797693134862315808e308'];

/** The usable value of one member, or NULL. */
function usableSql(document: string, name: string): string {
  const kind = `pg_catalog.jsonb_typeof(${document} ${operator('->')} ${name})`;
  const text = `(${document} ${operator('->>')} ${name})`;
  const size = `pg_catalog.abs(${text}::pg_catalog.numeric)`;
  return `CASE WHEN ${kind} ${EQ} 'string' THEN CASE WHEN ${text} ${NE} '' THEN ${text} END
        WHEN ${kind} ${EQ} 'number' THEN CASE WHEN ${size} ${GT} ${ZERO_UP_TO} AND ${size} ${LT} ${INFINITE_FROM} THEN ${text} END END`;
}
