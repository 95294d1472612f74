/** Quotes an identifier for SQL; the one place where a name becomes SQL text. */
export function identifier(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

/** Quotes a text value for SQL that can not bind: DDL, and the statements printed for the sqlite3 shell. */
export function literal(value: string): string {
  return `'${value.replaceAll("'", "''")}'`;
}

/** SQL of a project's, ready for more behind it: a comment at its end would take that with it. */
export const endedSql = (sql: string): string => (sql.includes('--') ? `${sql}\n` : sql);

/** SQLite folds the case of ASCII letters in names, and of no others. */
export const foldCase = (name: string): string =>
  /[A-Z]/.test(name) ? name.replace(/[A-Z]/g, (letter) => letter.toLowerCase()) : name;

/** Whether two names are the same to SQLite. */
export const isSameName = (a: string, b: string): boolean => foldCase(a) === foldCase(b);

const TOKENS =
  /'(?:[^']|'')*'|"(?:[^"]|"")*"|`(?:[^`]|``)*`|\[[^\]]*\]|--[^\n]*|\/\*[\s\S]*?(?:\*\/|$)|\s+|[\p{L}\p{N}_$]+|./gu;
const SIMPLE_QUOTED_NAME = /^(?:"([\p{L}\p{N}_$]+)"|`([\p{L}\p{N}_$]+)`|\[([\p{L}\p{N}_$]+)\])$/u;
const TWO_WORDS = /^[\p{L}\p{N}_$]{2}$/u;
/** Signs that would become one, or a comment, and text in quotes that would become one text. */
const ONE_SIGN = /^(?:--|\/\*|->|''|[<>=!|]{2})$/;

/** Statements that were normalised already: many stores have one schema, and a look reads it several times. */
const NORMALISED = new Map<string, string>();

/** At most this many are remembered. */
const MAX_NORMALISED = 500;

/**
 * SQL without what does not change its meaning: comments, white space, the case of words, quotes around
 * simple names, closing semicolons. Text in single quotes stays as it is.
 * Two statements that differ only in layout come out the same.
 */
export function normaliseSql(sql: string): string {
  let normalised = NORMALISED.get(sql);
  if (normalised === undefined) {
    normalised = normalise(sql);
    if (NORMALISED.size >= MAX_NORMALISED) NORMALISED.clear();
    NORMALISED.set(sql, normalised);
  }
  return normalised;
}

function normalise(sql: string): string {
  let out = '';
  let isSpacePending = false;
  for (const [token] of sql.matchAll(TOKENS)) {
    if (/^(?:\s|--|\/\*)/.test(token)) {
      isSpacePending = true;
      continue;
    }
    const quoted = SIMPLE_QUOTED_NAME.exec(token);
    const text = quoted ? (quoted[1] ?? quoted[2] ?? quoted[3] ?? '') : token;
    const plain = text.startsWith("'") ? text : foldCase(text);
    const meeting = out.slice(-1) + plain.slice(0, 1);
    if (TWO_WORDS.test(meeting) || (isSpacePending && ONE_SIGN.test(meeting))) out += ' ';
    out += plain;
    isSpacePending = false;
  }
  return out.replace(/;+$/, '');
}
