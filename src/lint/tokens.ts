/** A piece of SQL that means something: no white space, no comment. */
export interface Token {
  /** `word`: a keyword or a bare name; `name`: a name in quotes; `text`: a text or a BLOB in single quotes. */
  readonly kind: 'word' | 'name' | 'text' | 'number' | 'operator';
  /** A word in upper case, a name without its quotes, anything else as it stands. */
  readonly text: string;
  /** The same as it stands in the SQL. */
  readonly raw: string;
  /** How many parentheses it stands in. A parenthesis itself counts as outside of its own. */
  readonly depth: number;
}

const KINDS = ['text', 'name', 'number', 'word', 'operator'] as const;

const TOKEN =
  /(?:\s+|--[^\n]*|\/\*[\s\S]*?(?:\*\/|$))|(?<text>x?'(?:[^']|'')*'?)|(?<name>"(?:[^"]|"")*"?|`(?:[^`]|``)*`?|\[[^\]]*\]?)|(?<number>\.?\d[\p{L}\p{N}_.]*)|(?<word>[\p{L}_][\p{L}\p{N}_$]*)|(?<operator>->>|->|[<>=!|]{2}|.)/giu;

/**
 * Reads the tokens of an SQL text, as SQLite does: what stands in a text, a quoted name or a comment is no keyword.
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

/** Whether a token is this keyword or sign. */
export const isToken = (token: Token | undefined, text: string): boolean =>
  token?.text === text && (token.kind === 'word' || token.kind === 'operator');

/**
 * Where a run of keywords and signs begins, or -1.
 *
 * @param sequence parted by spaces, as `ON CONFLICT`
 * @param depth only of tokens in so many parentheses. Default: any
 */
export function indexOfSequence(tokens: readonly Token[], sequence: string, depth?: number): number {
  const words = sequence.split(' ');
  return tokens.findIndex(
    (token, at) =>
      (depth === undefined || token.depth === depth) &&
      words.every((word, i) => isToken(tokens[at + i], word)),
  );
}

/** Whether a run of keywords and signs stands somewhere. Parameters as of {@link indexOfSequence}. */
export const hasSequence = (tokens: readonly Token[], sequence: string, depth?: number): boolean =>
  indexOfSequence(tokens, sequence, depth) >= 0;

/** The name that a token stands for: a bare or a quoted one, or undefined. SQLite takes a text for one, too. */
export function nameOf(token: Token | undefined): string | undefined {
  if (token === undefined) return undefined;
  if (token.kind === 'word') return token.raw;
  if (token.kind === 'name') return token.text;
  return token.kind === 'text' ? token.raw.slice(1, -1).replaceAll("''", "'") : undefined;
}
