import { foldCase, writtenTokens } from '../db/sql.js';

/** A token of SQL, other than white space and comments. */
export interface Token {
  /** `word`: a keyword or a bare name; `name`: a name in quotes; `text`: a text or a BLOB in single quotes. */
  readonly kind: 'word' | 'name' | 'text' | 'number' | 'operator';
  /** A word in upper case, a name without its quotes, any other token unchanged. */
  readonly text: string;
  /** The token as written. */
  readonly raw: string;
  /** Number of parentheses around it. A parenthesis is outside its own pair. */
  readonly depth: number;
}

/** Kinds of tokens by their first characters; any other is a word. */
const KINDS = [
  ['text', /^x?'/i],
  ['name', /^["`[]/],
  ['number', /^\.?[0-9]/],
  ['operator', /^[^\p{L}\p{N}_$]/u],
] as const;

/**
 * Splits SQL into tokens, as SQLite does.
 *
 * @see https://www.sqlite.org/lang_keywords.html, https://www.sqlite.org/lang_comment.html
 */
export function tokensOf(sql: string): Token[] {
  const tokens: Token[] = [];
  let depth = 0;
  for (const raw of writtenTokens(sql)) {
    const [kind] = KINDS.find(([, start]) => start.test(raw)) ?? ['word' as const];
    if (raw === ')') depth -= 1;
    tokens.push({ kind, text: textOf(kind, raw), raw, depth });
    if (raw === '(') depth += 1;
  }
  return tokens;
}

function textOf(kind: Token['kind'], raw: string): string {
  if (kind === 'word') return raw.toUpperCase();
  if (kind !== 'name') return raw;
  const [quote = ''] = raw;
  const inner = raw.slice(1, -1);
  return quote === '[' ? inner : inner.replaceAll(quote + quote, quote);
}

/** Checks whether a token is this keyword or operator. */
export const isToken = (token: Token | undefined, text: string): boolean =>
  token?.text === text && (token.kind === 'word' || token.kind === 'operator');

/**
 * Returns the position of the first sequence of keywords and operators, or -1.
 *
 * @param sequence separated by spaces, such as `ON CONFLICT`
 * @param depth depth of its first token. Default: any
 */
export function indexOfSequence(tokens: readonly Token[], sequence: string, depth?: number): number {
  const words = sequence.split(' ');
  return tokens.findIndex(
    (token, at) =>
      (depth === undefined || token.depth === depth) &&
      words.every((word, i) => isToken(tokens[at + i], word)),
  );
}

/** Checks whether there is such a sequence. See {@link indexOfSequence}. */
export const hasSequence = (tokens: readonly Token[], sequence: string, depth?: number): boolean =>
  indexOfSequence(tokens, sequence, depth) >= 0;

/** Returns the name in a token, or undefined. SQLite accepts a text as a name, too. */
export function nameOf(token: Token | undefined): string | undefined {
  if (token === undefined) return undefined;
  if (token.kind === 'word') return token.raw;
  if (token.kind === 'name') return token.text;
  return token.kind === 'text' ? token.raw.slice(1, -1).replaceAll("''", "'") : undefined;
}

/** Checks whether a default is missing or NULL. */
export const isNullDefault = (value: readonly Token[]): boolean =>
  value.length === 0 || value.some((token) => isToken(token, 'NULL'));

/** Returns the tokens of a column's default, without its parentheses; empty if there is none. */
export function defaultOf(rest: readonly Token[]): Token[] {
  const at = indexOfSequence(rest, 'DEFAULT', 0);
  if (at < 0) return [];
  const value = rest.slice(at + 1);
  if (isToken(value[0], '('))
    return value.slice(
      1,
      value.findIndex((token) => isToken(token, ')') && token.depth === 0),
    );
  return value.slice(0, /^[-+]$/.test(value[0]?.text ?? '') ? 2 : 1);
}

/** Checks whether PostgreSQL numbers the rows of a column by a sequence. */
export const isNumbered = (rest: readonly Token[]): boolean =>
  /^(?:SMALL|BIG)?SERIAL[248]?$/.test(rest[0]?.text ?? '') || hasSequence(rest, 'AS IDENTITY', 0);

/** Returns the name at a position, without its schema, and the position after it. */
export function nameAt(tokens: readonly Token[], at: number): { name: string; next: number } {
  const isQualified = isToken(tokens[at + 1], '.');
  const name = nameOf(tokens[isQualified ? at + 2 : at]) ?? '';
  return { name: foldCase(name), next: at + (isQualified ? 3 : 1) };
}

/** Returns the position after optional words. */
export function skipWords(tokens: readonly Token[], at: number, ...words: readonly string[]): number {
  return words.every((word, i) => isToken(tokens[at + i], word)) ? at + words.length : at;
}

/** Returns the tables after `FROM` and `JOIN`, at any depth, without functions and common table expressions. */
export function tablesRead(tokens: readonly Token[]): string[] {
  const common = hasSequence(tokens, 'WITH') ? commonTables(tokens) : new Set<string>();
  const read = tokens.flatMap((token, i) => {
    const isSource =
      isToken(token, 'JOIN') || (isToken(token, 'FROM') && !isToken(tokens[i - 1], 'DISTINCT'));
    if (!isSource || isToken(tokens[i + 1], '(')) return [];
    const { name, next } = nameAt(tokens, i + 1);
    return isToken(tokens[next], '(') || common.has(name) ? [] : [name];
  });
  return [...new Set(read)];
}

/** Returns the names of common table expressions: `name AS (`, `name (columns) AS (`. */
function commonTables(tokens: readonly Token[]): ReadonlySet<string> {
  const names = tokens.flatMap((token, i) => {
    const depth = token.depth;
    const close = isToken(tokens[i + 1], '(')
      ? tokens.findIndex((other, j) => j > i + 1 && isToken(other, ')') && other.depth === depth)
      : i;
    const body = skipWords(tokens, skipWords(tokens, close + 2, 'NOT'), 'MATERIALIZED');
    const isOne = close >= i && isToken(tokens[close + 1], 'AS') && isToken(tokens[body], '(');
    return isOne ? [foldCase(nameOf(token) ?? '')] : [];
  });
  return new Set(names);
}
