import { EQ, GT, LT, NE, needsTryJson, operator, TRY_JSON } from '../../db/postgres/texts.js';
import { foldCase, identifier, literal } from '../../db/sql.js';
import type { DerivationParts, Facts } from './derive.js';
import { temporaryMissing } from './rights.js';

/** Maximum length of a text that cannot be nested too deep, in characters; longer ones have their brackets counted. */
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
  if (backfill.process) return { inner, values: new Map(), clientInput }; // every row is evaluated client-side
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

/** SQL that is true for a text that must not be parsed as jsonb. */
const unsupportedJsonSql = (text: string): string =>
  `(pg_catalog.strpos(${text}, '\\u') ${GT} 0 AND ${text} ${operator('~')} '\\\\u(00[0-7]|[dD][89a-fA-F])'
      OR ${lengthSql(text)} ${GT} ${SHALLOW_LENGTH}
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

function valueSql(document: string, names: readonly string[], fallback: string): string {
  return `coalesce(${names.map((name) => usableSql(document, literal(name))).join(',\n      ')}, CASE WHEN ${fallback} ${NE} '' THEN ${fallback} END)`;
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
