/** Quotes an identifier for SQL; the one place where a name becomes SQL text. */
export function identifier(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

/** Quotes a text value for SQL that can not bind: DDL, and the statements printed for the sqlite3 shell. */
export function literal(value: string): string {
  return `'${value.replaceAll("'", "''")}'`;
}

/** An UPDATE of some columns that changes nothing: whether it compiles says whether they can be updated. */
export function noUpdateSql(table: string, columns: readonly string[]): string {
  const assignments = columns.map((name) => `${identifier(name)} = ${identifier(name)}`).join(', ');
  return `UPDATE ${identifier(table)} SET ${assignments} WHERE false`;
}

/** SQL of a project's, ready for more behind it: a comment at its end would take that with it. */
export const endedSql = (sql: string): string => (sql.includes('--') ? `${sql}\n` : sql);

/** SQLite folds the case of ASCII letters in names, and of no others. */
export const foldCase = (name: string): string =>
  /[A-Z]/.test(name) ? name.replace(/[A-Z]/g, (letter) => letter.toLowerCase()) : name;

/** Whether two names are the same to SQLite. */
export const isSameName = (a: string, b: string): boolean => foldCase(a) === foldCase(b);

/**
 * Tokens of SQL. A quote, bracket or comment that is not closed reaches to the end: no character is looked at twice, whatever the
 * text.
 */
const TOKENS =
  /'[^']*(?:''[^']*)*(?:'|$)|"[^"]*(?:""[^"]*)*(?:"|$)|`[^`]*(?:``[^`]*)*(?:`|$)|\[[^\]]*(?:\]|$)|--[^\n]*|\/\*[\s\S]*?(?:\*\/|$)|\s+|[\p{L}\p{N}_$]+|./gu;
const SIMPLE_QUOTED_NAME = /^(?:"([\p{L}\p{N}_$]+)"|`([\p{L}\p{N}_$]+)`|\[([\p{L}\p{N}_$]+)\])$/u;
const TWO_WORDS = /^[\p{L}\p{N}_$]{2}$/u;
/** Signs that would become one, or a comment, and text in quotes that would become one text. */
const ONE_SIGN = /^(?:--|\/\*|->|''|[<>=!|]{2})$/;

/** Statements that were normalised already: many stores have one schema, and a look reads it several times. */
const NORMALISED = new Map<string, string>();

/** Maximum number of remembered statements. */
const MAX_NORMALISED = 500;

/** Maximum length of a remembered statement, in characters. */
const MAX_REMEMBERED = 10_000;

/**
 * SQL without what does not change its meaning: comments, white space, the case of words, quotes around
 * simple names, closing semicolons. Text in single quotes stays as it is.
 * Two statements that differ only in layout come out the same.
 */
export function normaliseSql(sql: string): string {
  let normalised = NORMALISED.get(sql);
  if (normalised === undefined) {
    normalised = normalise(sql);
    if (sql.length > MAX_REMEMBERED) return normalised;
    if (NORMALISED.size >= MAX_NORMALISED) NORMALISED.clear();
    NORMALISED.set(sql, normalised);
  }
  return normalised;
}

/** Takes time in proportion to the length of the text, which a store can choose. */
function normalise(sql: string): string {
  const out: string[] = [];
  let last = ''; // read from the text so far, it would copy that for each token
  let isSpacePending = false;
  for (const [token] of sql.matchAll(TOKENS)) {
    if (/^(?:\s|--|\/\*)/.test(token)) {
      isSpacePending = true;
      continue;
    }
    const quoted = SIMPLE_QUOTED_NAME.exec(token);
    const text = quoted ? (quoted[1] ?? quoted[2] ?? quoted[3] ?? '') : token;
    const plain = text.startsWith("'") ? text : foldCase(text);
    const meeting = last + plain.slice(0, 1);
    if (TWO_WORDS.test(meeting) || (isSpacePending && ONE_SIGN.test(meeting))) out.push(' ');
    out.push(plain);
    last = plain.slice(-1);
    isSpacePending = false;
  }
  while (out.at(-1) === ';') out.pop();
  return out.join('');
}

/** Yields the tokens of SQL without white space and comments, words in lower case. */
export function* tokensOf(sql: string): Generator<string> {
  for (const [token] of sql.matchAll(TOKENS)) if (!/^(?:\s|--|\/\*)/.test(token)) yield foldCase(token);
}

/** The first three words or signs of SQL, in lower case. */
export function firstWords(sql: string): string {
  const words: string[] = [];
  for (const token of tokensOf(sql)) if (words.push(token) === 3) break;
  return words.join(' ');
}

/** Whether SQL makes a virtual table, whose contents a module decides. */
export const isVirtual = (sql: string): boolean => /^create virtual\b/.test(firstWords(sql));
