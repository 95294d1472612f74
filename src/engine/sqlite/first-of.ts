import { identifier, literal } from '../../db/sql.js';
import { IS_UTF8, READ_JSON, READ_STRING } from '../../db/sqlite/store.js';
import type { Backfill } from '../../steps/define.js';
import type { FirstOf } from '../../steps/values.js';
import type { Parts } from './derive.js';

/**
 * Returns the SQL of `firstOf()`, in two selects:
 * 1. documents: the text itself if it is strict JSON, `{}` for NULL and `''`, NULL if unreadable. A rare text is read by our
 *    reader, and returned as a BLOB to mark it. Candidates: per column the first member that is not null, as `->>` returns
 *    it, read here because each select copies the document;
 * 2. values: a candidate that is certainly the value is used as it is; for any other, the names are read one after another.
 *
 * @param forShell whether it is for a shell without our functions
 */
export function firstOfSql({ columns }: Backfill, forShell: boolean): Parts {
  const ours = columns.flatMap(({ value }, i) => (value.kind === 'first-of' ? [{ value, i }] : []));
  const documents = [...new Set(ours.map(({ value }) => value.document))];
  const documentOf = (name: string): string => `d${documents.indexOf(name)}`;
  const inner = [
    ...ours.map(
      ({ value, i }) =>
        `${value.fallback === undefined ? 'NULL' : `t.${identifier(value.fallback)}`} AS f${i}`,
    ),
    ...documents.map((name) => {
      const names = ours.filter(({ value }) => value.document === name).flatMap(({ value }) => value.names);
      return `${documentSql(`t.${identifier(name)}`, names, forShell)} AS ${documentOf(name)}`;
    }),
    ...ours.map(({ value, i }) => `${candidateSql(`t.${identifier(value.document)}`, value.names)} AS s${i}`),
  ];
  const readable = documents.map((name) => `${documentOf(name)} IS NOT NULL`).join(' AND ');
  return {
    inner,
    values: new Map(
      ours.map(({ value, i }) => [i, valueSql(value, i, documentOf(value.document), forShell)]),
    ),
    ...(ours.length > 0 ? { isDerivable: readable, failure: literal('DOCUMENT_UNREADABLE') } : {}),
  };
}

function valueSql({ names }: FirstOf, i: number, document: string, forShell: boolean): string {
  const members = names.map((name) => usableSql(`CAST(${document} AS TEXT)`, name, forShell));
  const fallback = `CASE WHEN f${i} IS NOT NULL AND f${i} <> '' THEN f${i} END`;
  // Only a BLOB sorts after this; typeof would copy the document.
  return `coalesce(CASE WHEN ${document} >= x'' THEN NULL
        WHEN ${isPlainText(`s${i}`)} THEN s${i}
        WHEN s${i} BETWEEN 2 AND 1e300 THEN CAST(s${i} AS TEXT)
        WHEN s${i} IS NULL THEN ${fallback} END,
      ${members.join(',\n      ')}, ${fallback})`;
}

/** Path of a top-level member; for a duplicate name, SQLite reads the first. */
const path = (name: string): string => literal(`$."${name}"`);

/**
 * Returns a document that SQLite's JSON functions can read, or NULL. Three things require our own reader:
 * - `json_valid` with one argument is strict (RFC 8259), so it rejects Python tokens;
 * - it reads a text only up to its first NUL, as `format` does;
 * - names with escapes are compared wrongly: U+0000 in one, or bytes that are not UTF-8, end it. To match one of `names`, its
 *   escapes must be ASCII. (In GLOB a backslash is literal; unlike instr, GLOB searches with strcspn.)
 *
 * @see https://www.sqlite.org/json1.html#jvalid
 */
function documentSql(column: string, names: readonly string[], forShell: boolean): string {
  const mark = names.every((name) => /^[\w .$-]+$/.test(name)) ? '*\\u00[0-7]*' : '*\\*';
  const isUnicode = forShell ? '' : ` AND ${IS_UTF8}(CAST(${column} AS BLOB))`;
  const rare = forShell ? 'NULL' : `${READ_JSON}(CAST(${column} AS BLOB))`;
  // octet_length is cheaper, but older shells lack it.
  const bytes = (sql: string): string => (forShell ? `length(CAST(${sql} AS BLOB))` : `octet_length(${sql})`);
  return `CASE WHEN ${column} IS NULL OR ${column} = '' THEN '{}'
      WHEN typeof(${column}) = 'blob' THEN NULL
      WHEN json_valid(${column}) AND ${bytes(`format('%s', ${column})`)} = ${bytes(column)}
        AND (${column} NOT GLOB '*\\*' OR (${column} NOT GLOB ${literal(mark)}${isUnicode})) THEN ${column}
      ELSE CAST(${rare} AS BLOB) END`;
}

/** Returns the first member that is not null. For a rare document it may be wrong, but `->>` never fails, as it would on a BLOB. */
function candidateSql(column: string, names: readonly string[]): string {
  const members = names.map((name) => `${column} ->> ${path(name)}`);
  const first = members.length > 1 ? `coalesce(${members.join(', ')})` : members[0];
  return `CASE WHEN typeof(${column}) = 'text' AND json_valid(${column}) THEN ${first} END`;
}

/**
 * SQL for whether a candidate is a non-empty string, all ASCII, so that `->>` returned its text. An array or object starts with a
 * bracket; numbers and booleans, which are numbers here, sort before all texts. The character class is slow, and is skipped where
 * SQLite parses a time, which has no other characters.
 */
function isPlainText(candidate: string): string {
  return `${candidate} > '' AND (${candidate} < '[' OR ${candidate} BETWEEN ']' AND 'z~')
        AND (julianday(${candidate}) IS NOT NULL OR ${candidate} NOT GLOB '*[^ -~]*')`;
}

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
