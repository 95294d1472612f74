/** Quotes an identifier for SQL. The only place where a name becomes SQL. */
export function identifier(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

/** Quotes a text for SQL that cannot have parameters: DDL, and statements printed for the sqlite3 shell. */
export function literal(value: string): string {
  return `'${value.replaceAll("'", "''")}'`;
}

/** Returns an UPDATE that changes nothing; it compiles if the columns can be updated. */
export function noUpdateSql(table: string, columns: readonly string[]): string {
  const assignments = columns.map((name) => `${identifier(name)} = ${identifier(name)}`).join(', ');
  return `UPDATE ${identifier(table)} SET ${assignments} WHERE false`;
}

/** Appends a line break to SQL with a comment, which would otherwise include the text after it. */
export const endedSql = (sql: string): string => (sql.includes('--') ? `${sql}\n` : sql);

/** Folds the case of a name as SQLite does: only of ASCII letters. */
export const foldCase = (name: string): string =>
  /[A-Z]/.test(name) ? name.replace(/[A-Z]/g, (letter) => letter.toLowerCase()) : name;

/** Whether SQLite treats two names as the same. */
export const isSameName = (a: string, b: string): boolean => foldCase(a) === foldCase(b);

/**
 * Tokens of SQL, white space and comments: text or BLOB in single quotes, quoted names, gaps, numbers, words, operators. An
 * unclosed quote, bracket or comment extends to the end, so that no text is scanned twice.
 */
const TOKENS =
  /[xX]?'[^']*(?:''[^']*)*(?:'|$)|"[^"]*(?:""[^"]*)*(?:"|$)|`[^`]*(?:``[^`]*)*(?:`|$)|\[[^\]]*(?:\]|$)|--[^\n]*|\/\*[\s\S]*?(?:\*\/|$)|\s+|(?:[0-9][\p{L}\p{N}_$]*\.?|\.[0-9])[\p{L}\p{N}_$]*|[\p{L}\p{N}_$]+|->>|->|[<>=!|]{2}|./gu;
const GAP = /^(?:\s|--|\/\*)/;
const SIMPLE_QUOTED_NAME = /^(?:"([\p{L}\p{N}_$]+)"|`([\p{L}\p{N}_$]+)`|\[([\p{L}\p{N}_$]+)\])$/u;
const TWO_WORDS = /^[\p{L}\p{N}_$]{2}$/u;
/** Pairs of characters that would merge into one operator, comment or quoted text. */
const ONE_SIGN = /^(?:--|\/\*|->|''|[<>=!|]{2})$/;

/** Maximum number of texts in a cache, and maximum length of each in characters. */
const [MAX_CACHED, LONGEST_CACHED] = [500, 10_000];

/** Caches a value by a text, unless that is long; clears a full cache. Returns the value. */
export function cached<Value>(cache: Map<string, Value>, text: string, value: Value): Value {
  if (text.length > LONGEST_CACHED) return value;
  if (cache.size >= MAX_CACHED) cache.clear();
  cache.set(text, value);
  return value;
}

/** Cache: many stores have the same schema, which one command reads several times. */
const NORMALISED = new Map<string, string>();

/**
 * Normalises SQL, so that statements that differ only in layout become equal. Removes comments, white space, the case of words,
 * quotes around simple names, and closing semicolons; keeps text in single quotes.
 */
export const normaliseSql = (sql: string): string =>
  NORMALISED.get(sql) ?? cached(NORMALISED, sql, normalise(sql));

/** Runs in linear time, because a store may contain a text of any length. */
function normalise(sql: string): string {
  const out: string[] = [];
  let last = ''; // kept apart, because reading it from the joined text would copy that for each token
  let isSpacePending = false;
  for (const [token] of sql.matchAll(TOKENS)) {
    if (GAP.test(token)) {
      isSpacePending = true;
      continue;
    }
    const quoted = SIMPLE_QUOTED_NAME.exec(token);
    const text = quoted ? (quoted[1] ?? quoted[2] ?? quoted[3] ?? '') : token;
    const plain = /^[xX]?'/.test(text) ? text.replace(/^X/, 'x') : foldCase(text);
    const meeting = last + plain.slice(0, 1);
    if (TWO_WORDS.test(meeting) || (isSpacePending && ONE_SIGN.test(meeting))) out.push(' ');
    out.push(plain);
    last = plain.slice(-1);
    isSpacePending = false;
  }
  while (out.at(-1) === ';') out.pop();
  return out.join('');
}

/** Yields the tokens of SQL as written, without white space and comments. */
export function* writtenTokens(sql: string): Generator<string> {
  for (const [token] of sql.matchAll(TOKENS)) if (!GAP.test(token)) yield token;
}

/** Yields the tokens of SQL in lower case, without white space and comments. */
export function* tokensOf(sql: string): Generator<string> {
  for (const token of writtenTokens(sql)) yield foldCase(token);
}

/** Returns the first three tokens of SQL, in lower case. */
export function firstWords(sql: string): string {
  const words: string[] = [];
  for (const token of tokensOf(sql)) if (words.push(token) === 3) break;
  return words.join(' ');
}

/** Whether SQL creates a virtual table. */
export const isVirtual = (sql: string): boolean => /^create virtual\b/.test(firstWords(sql));
