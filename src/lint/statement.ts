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

/** The effect of a statement, as far as rules need it. Names are in folded case. */
export type Operation =
  | {
      readonly kind: 'create-table';
      readonly name: string;
      readonly isConditional: boolean;
      /** Tables whose rows it copies by `AS SELECT`. */
      readonly reads: readonly string[];
    }
  | {
      readonly kind: 'create-index';
      readonly name: string;
      readonly table: string;
      readonly isUnique: boolean;
      readonly isPartial: boolean;
      readonly isConditional: boolean;
      /** First indexed column; undefined for an expression. */
      readonly column: string | undefined;
    }
  | { readonly kind: 'create-other'; readonly name: string; readonly isConditional: boolean }
  | {
      readonly kind: 'add-column';
      readonly table: string;
      readonly name: string;
      /** Type and constraints. */
      readonly rest: readonly Token[];
    }
  | { readonly kind: 'drop-column' | 'rename-column'; readonly table: string; readonly name: string }
  | { readonly kind: 'rename-table'; readonly table: string; readonly to: string }
  | { readonly kind: 'drop'; readonly what: string; readonly name: string }
  | {
      readonly kind: 'insert';
      readonly table: string;
      /** Whether it may overwrite existing rows. */
      readonly replaces: boolean;
      /** Tables whose rows it copies. */
      readonly reads: readonly string[];
    }
  | {
      readonly kind: 'update';
      readonly table: string;
      readonly columns: readonly string[];
      readonly where: readonly Token[];
    }
  | { readonly kind: 'delete'; readonly table: string; readonly where: readonly Token[] }
  | { readonly kind: 'other' };

/** A statement with its tokens. */
export interface Statement {
  readonly sql: string;
  readonly tokens: readonly Token[];
  readonly operation: Operation;
}

/** Parses one statement. One that is not recognised is `other`; whether it is valid SQL, `up` finds out. */
export function readStatement(sql: string): Statement {
  const tokens = tokensOf(sql);
  return { sql, tokens, operation: parseOperation(tokens) };
}

/** Returns the name at a position, without its schema, and the position after it. */
function nameAt(tokens: readonly Token[], at: number): { name: string; next: number } {
  const isQualified = isToken(tokens[at + 1], '.');
  const name = nameOf(tokens[isQualified ? at + 2 : at]) ?? '';
  return { name: foldCase(name), next: at + (isQualified ? 3 : 1) };
}

/** Returns the position after optional words. */
function skipWords(tokens: readonly Token[], at: number, ...words: readonly string[]): number {
  return words.every((word, i) => isToken(tokens[at + i], word)) ? at + words.length : at;
}

function parseOperation(tokens: readonly Token[]): Operation {
  const verb = isToken(tokens[0], 'WITH')
    ? tokens.findIndex(({ kind, text, depth }) => kind === 'word' && depth === 0 && VERB.test(text))
    : 0;
  switch (tokens[verb]?.kind === 'word' ? tokens[verb]?.text : '') {
    case 'CREATE':
      return create(tokens);
    case 'ALTER':
      return alter(tokens);
    case 'DROP': {
      const { name } = nameAt(tokens, skipWords(tokens, 2, 'IF', 'EXISTS'));
      return { kind: 'drop', what: tokens[1]?.text ?? '', name };
    }
    case 'INSERT':
    case 'REPLACE':
      return insert(tokens, verb);
    case 'UPDATE':
      return update(tokens, verb);
    case 'DELETE':
      return { kind: 'delete', table: nameAt(tokens, verb + 2).name, where: whereOf(tokens.slice(verb)) };
    default:
      return { kind: 'other' };
  }
}

const VERB = /^(?:INSERT|REPLACE|UPDATE|DELETE|SELECT|VALUES)$/;

function create(tokens: readonly Token[]): Operation {
  const isUnique = isToken(tokens[1], 'UNIQUE');
  const at = skipWords(tokens, skipWords(tokens, skipWords(tokens, 1, 'UNIQUE'), 'TEMP'), 'TEMPORARY');
  const head = skipWords(tokens, at + 1, 'IF', 'NOT', 'EXISTS');
  const isConditional = head > at + 1;
  const { name, next } = nameAt(tokens, head);
  if (isToken(tokens[at], 'TABLE')) {
    const reads = isToken(tokens[next], 'AS') ? tablesRead(tokens.slice(next)) : [];
    return { kind: 'create-table', name, isConditional, reads };
  }
  if (!isToken(tokens[at], 'INDEX')) return { kind: 'create-other', name, isConditional };
  const { name: table, next: list } = nameAt(tokens, next + 1);
  const isColumn = /^(?:,|\)|COLLATE|ASC|DESC)$/.test(tokens[list + 2]?.text ?? '');
  return {
    kind: 'create-index',
    name,
    table,
    isUnique,
    isPartial: hasSequence(tokens, 'WHERE', 0),
    isConditional,
    column: isColumn ? nameAt(tokens, list + 1).name : undefined,
  };
}

function alter(tokens: readonly Token[]): Operation {
  const { name: table, next } = nameAt(tokens, 2);
  const isConstraint = /^(?:CONSTRAINT|CHECK)$/.test(tokens[next + 1]?.text ?? '');
  if (tokens[next + 1]?.kind === 'word' && isConstraint) return { kind: 'other' };
  const at = skipWords(tokens, next + 1, 'COLUMN');
  const name = nameAt(tokens, at).name;
  switch (tokens[next]?.text) {
    case 'ADD':
      return { kind: 'add-column', table, name, rest: tokens.slice(at + 1) };
    case 'DROP':
      return { kind: 'drop-column', table, name };
    case 'RENAME':
      return isToken(tokens[next + 1], 'TO')
        ? { kind: 'rename-table', table, to: nameAt(tokens, next + 2).name }
        : { kind: 'rename-column', table, name };
    default:
      return { kind: 'other' };
  }
}

function insert(tokens: readonly Token[], verb: number): Operation {
  const into = indexOfSequence(tokens, 'INTO', 0);
  const replaces =
    isToken(tokens[verb], 'REPLACE') ||
    hasSequence(tokens, 'OR REPLACE', 0) ||
    hasSequence(tokens, 'DO UPDATE', 0);
  return { kind: 'insert', table: nameAt(tokens, into + 1).name, replaces, reads: tablesRead(tokens) };
}

function update(tokens: readonly Token[], verb: number): Operation {
  const isOr = isToken(tokens[verb + 1], 'OR');
  const { name: table } = nameAt(tokens, isOr ? verb + 3 : verb + 1);
  const rest = tokens.slice(verb);
  const set = indexOfSequence(rest, 'SET', 0);
  const to = rest.findIndex(
    ({ kind, text, depth }, i) =>
      i > set && kind === 'word' && depth === 0 && /^(?:FROM|WHERE|RETURNING)$/.test(text),
  );
  const assignments = rest.slice(set + 1, to < 0 ? undefined : to);
  return { kind: 'update', table, columns: assignedColumns(assignments), where: whereOf(rest) };
}

/** Returns the columns on the left side of assignments: one before each `=`, or a list in parentheses. */
function assignedColumns(assignments: readonly Token[]): string[] {
  const columns: string[] = [];
  let isLeft = true;
  for (const token of assignments) {
    if (token.depth === 0 && isToken(token, '=')) isLeft = false;
    else if (token.depth === 0 && isToken(token, ',')) isLeft = true;
    else if (isLeft && token.kind !== 'operator') columns.push(foldCase(nameOf(token) ?? ''));
  }
  return columns;
}

/** Returns the tokens after `WHERE`, if any. */
function whereOf(tokens: readonly Token[]): Token[] {
  const at = indexOfSequence(tokens, 'WHERE', 0);
  return at < 0 ? [] : tokens.slice(at + 1);
}

/** Returns the tables after `FROM` and `JOIN`, at any depth, without functions and common table expressions. */
function tablesRead(tokens: readonly Token[]): string[] {
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
