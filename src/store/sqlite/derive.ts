import type { BackfillDefinition } from '../../backfill/define.js';
import { IS_UTF8, READ_JSON, READ_STRING } from './json-functions.js';
import { foldCase, identifier, literal } from './sql.js';

/**
 * The SQL that derives a backfill's values, for batches, rollback, verification and dry run alike.
 *
 * Three nested selects, each computed once a row:
 * 1. documents: the JSON text if strict JSON, `{}` for NULL and `''`, a rare text as our reader gives it, NULL if unreadable;
 * 2. candidates: of each column the first member that is present and not null, as `->>` gives it;
 * 3. values: a usual candidate is the value; anything else walks the names one by one.
 *
 * SQLite would merge the selects into one and compute each expression wherever it is named. A LIMIT inside and a
 * WHERE outside forbid that.
 *
 * @see https://www.sqlite.org/optoverview.html#subquery_flattening rule 19
 */
export interface DerivationOptions {
  /** FROM clause, with the table under the alias `t`. Default: the table alone. */
  readonly from?: string;
  /** What follows: WHERE, ORDER BY, LIMIT, on `t`. It must have a LIMIT. Default: rows in scope. */
  readonly tail?: string;
  /** Further columns, by alias: SQL on `t`. */
  readonly extra?: Readonly<Record<string, string>>;
  /** Columns of the backfill that the table does not have yet, in folded case: they count as NULL. */
  readonly absent?: ReadonlySet<string>;
  /** Whether the SQL is for a shell that lacks our functions: rare texts then count as unreadable. Default false. */
  readonly isPlain?: boolean;
}

/** SQL condition for the rows in scope. */
export function scopeSql(backfill: BackfillDefinition): string {
  return `(${backfill.scope})`;
}

/** SQL condition for rows with at least one column to fill. */
export function anyNullSql(backfill: BackfillDefinition, alias = 't', absent?: ReadonlySet<string>): string {
  const terms = backfill.columns.map(({ name }) =>
    absent?.has(foldCase(name)) ? 'true' : `${alias}.${identifier(name)} IS NULL`,
  );
  return `(${terms.join(' OR ')})`;
}

/**
 * A SELECT that yields, for each row: `k` the key; for the i-th column `c<i>` its present value and `v<i>` the value
 * derived for it, NULL when there is none; `readable`, 0 when a document can not be read; and the extra columns.
 */
export function derivationSql(backfill: BackfillDefinition, options: DerivationOptions = {}): string {
  const { absent, extra = {}, isPlain = false } = options;
  const from = options.from ?? `${identifier(backfill.table)} AS t`;
  const tail = options.tail ?? `WHERE ${scopeSql(backfill)} LIMIT -1`;
  const documents = [...new Set(backfill.columns.map(({ value }) => value.document))];
  const documentOf = (name: string): string => `d${documents.indexOf(name)}`;

  const inner = [
    `t.${identifier(backfill.key)} AS k`,
    ...backfill.columns.map(({ name }, i) =>
      absent?.has(foldCase(name)) ? `NULL AS c${i}` : `t.${identifier(name)} AS c${i}`,
    ),
    ...backfill.columns.map(({ value }, i) => `t.${identifier(value.fallback)} AS f${i}`),
    ...documents.map((name) => {
      const names = backfill.columns
        .filter(({ value }) => value.document === name)
        .flatMap(({ value }) => value.names);
      return `${documentSql(`t.${identifier(name)}`, names, isPlain)} AS ${documentOf(name)}`;
    }),
    ...Object.entries(extra).map(([alias, sql]) => `${sql} AS ${alias}`),
  ];
  const candidates = backfill.columns.map(({ value }, i) => {
    const members = value.names.map((name) => textSql(documentOf(value.document), name));
    return `${members.length > 1 ? `coalesce(${members.join(', ')})` : members[0]} AS s${i}`;
  });
  const readable = documents.map((name) => `${documentOf(name)} IS NOT NULL`).join(' AND ');
  const values = backfill.columns.map(({ value }, i) => {
    const members = value.names.map((name) => usableSql(documentOf(value.document), name, isPlain));
    const anyMember = members.length > 1 ? `coalesce(${members.join(', ')})` : members[0];
    const fallback = `CASE WHEN f${i} IS NOT NULL AND f${i} <> '' THEN f${i} END`;
    return `CASE WHEN NOT readable THEN NULL
      WHEN ${isUsualString(`s${i}`, isPlain)} THEN s${i}
      WHEN s${i} IS NULL THEN ${fallback}
      WHEN s${i} BETWEEN 2 AND 1e300 THEN CAST(s${i} AS TEXT)
      ELSE coalesce(${anyMember}, ${fallback}) END AS v${i}`;
  });
  const outer = [
    'k',
    ...backfill.columns.map((_, i) => `c${i}`),
    ...values,
    'readable',
    ...Object.keys(extra),
  ];

  return `SELECT ${outer.join(', ')}
  FROM (SELECT *, ${candidates.join(', ')}, ${readable} AS readable
    FROM (SELECT ${inner.join(', ')} FROM ${from} ${tail})
    WHERE k IS NOT NULL LIMIT -1)
  WHERE k IS NOT NULL`;
}

/** JSON of a top-level member, NULL when there is none: of a name given twice, SQLite takes the first. */
const memberSql = (document: string, name: string): string => `${document} -> ${literal(`$."${name}"`)}`;

/** A top-level member as SQL: a string's text, a number, 1 or 0 of a boolean, JSON of an array or object; NULL of null. */
const textSql = (document: string, name: string): string => `${document} ->> ${literal(`$."${name}"`)}`;

/** Length of a text in bytes, also behind a NUL. Shells older than SQLite 3.43 have no octet_length(). */
const bytesSql = (sql: string, isPlain: boolean): string =>
  isPlain ? `length(CAST(${sql} AS BLOB))` : `octet_length(${sql})`;

/**
 * A document, ready for SQLite's JSON functions, or NULL. Three things send a text to our own reader:
 * - `json_valid` with one argument is strict (RFC 8259), but knows no Python tokens;
 * - it reads a text up to its first NUL only;
 * - a name with escapes is compared badly: U+0000 in it, or bytes that are no UTF-8, end it. To match one of `names`,
 *   its escapes must be of ASCII.
 *
 * @see https://www.sqlite.org/json1.html#jvalid
 */
function documentSql(column: string, names: readonly string[], isPlain: boolean): string {
  const mark = names.every((name) => /^[\w .$-]+$/.test(name)) ? '\\u00' : '\\';
  const isUnicode = isPlain ? '' : ` AND ${IS_UTF8}(CAST(${column} AS BLOB))`;
  const rare = isPlain ? 'NULL' : `CAST(${READ_JSON}(CAST(${column} AS BLOB)) AS TEXT)`;
  return `CASE WHEN ${column} IS NULL OR ${column} = '' THEN '{}'
      WHEN typeof(${column}) = 'blob' THEN NULL
      WHEN json_valid(${column}) AND ${bytesSql(`format('%s', ${column})`, isPlain)} = ${bytesSql(column, isPlain)}
        AND (${column} NOT GLOB '*\\*' OR (instr(${column}, ${literal(mark)}) = 0${isUnicode})) THEN ${column}
      ELSE ${rare} END`;
}

/**
 * Whether a candidate is a non-empty string of printable ASCII that begins below `[`: then it is the value, as neither an
 * array nor an object begins so, and numbers sort before every text. What julianday() reads is ASCII, and it reads faster than a
 * class of GLOB; both stop at a NUL, which the lengths tell.
 */
function isUsualString(text: string, isPlain: boolean): string {
  return `${text} > '' AND ${text} < '[' AND length(${text}) = ${bytesSql(text, isPlain)}
        AND (julianday(${text}) IS NOT NULL OR ${text} NOT GLOB '*[^ -~]*')`;
}

/** The usable value of one member, or NULL. */
function usableSql(document: string, name: string, isPlain: boolean): string {
  const json = memberSql(document, name);
  const number = textSql(document, name);
  const string = isPlain ? `nullif(${number}, '')` : `${READ_STRING}(CAST(${json} AS BLOB))`;
  // In strict JSON a first character other than these begins a number.
  return `CASE substr(${json}, 1, 1) WHEN '"' THEN ${string}
        WHEN 'n' THEN NULL WHEN 't' THEN NULL WHEN 'f' THEN NULL WHEN '[' THEN NULL WHEN '{' THEN NULL
        ELSE CASE WHEN (${number}) <> 0 AND (${number}) BETWEEN -1.7976931348623157e308 AND 1.7976931348623157e308
          THEN CAST(${number} AS TEXT) END END`;
}
