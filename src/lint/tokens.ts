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

const KINDS = ['text', 'name', 'number', 'word', 'operator'] as const;

const TOKEN =
  /(?:\s+|--[^\n]*|\/\*[\s\S]*?(?:\*\/|$))|(?<text>x?'(?:[^']|'')*'?)|(?<name>"(?:[^"]|"")*"?|`(?:[^`]|``)*`?|\[[^\]]*\]?)|(?<number>\.?\d[\p{L}\p{N}_.]*)|(?<word>[\p{L}_][\p{L}\p{N}_$]*)|(?<operator>->>|->|[<>=!|]{2}|.)/giu;

/**
 * Splits SQL into tokens, as SQLite does.
 *
 * @see https://www.sqlite.org/lang_keywords.html, https://www.sqlite.org/lang_comment.html
 */
export function tokensOf(sql: string): Token[] {
  const tokens: Token[] = [];
  let depth = 0;
  for (const { 0: raw, groups } of sql.matchAll(TOKEN)) {
    const kind = KINDS.find((name) => groups?.[name] !== undefined);
    if (kind === undefined) continue;
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
