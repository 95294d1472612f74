import { foldCase } from '../db/sql.js';
import {
  hasSequence,
  indexOfSequence,
  isToken,
  nameAt,
  nameOf,
  skipWords,
  type Token,
  tablesRead,
  tokensOf,
} from './tokens.js';

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
      /** Whether it has CONCURRENTLY. */
      readonly isConcurrent: boolean;
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
  | {
      readonly kind: 'alter-column';
      readonly table: string;
      readonly name: string;
      /** The change, such as `TYPE text`, `SET NOT NULL`. */
      readonly rest: readonly Token[];
    }
  | { readonly kind: 'add-constraint'; readonly table: string; readonly rest: readonly Token[] }
  | {
      readonly kind: 'drop';
      readonly what: string;
      readonly name: string;
      readonly isConcurrent: boolean;
      readonly isCascade: boolean;
    }
  | { readonly kind: 'truncate'; readonly table: string; readonly isCascade: boolean }
  /** Copies or sorts a whole table or its indexes: CLUSTER, REINDEX, REFRESH MATERIALIZED VIEW, SET LOGGED. */
  | { readonly kind: 'rewrite'; readonly name: string; readonly isConcurrent: boolean }
  | { readonly kind: 'validate' | 'lock'; readonly table: string }
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

/**
 * Parses a statement of either engine, and returns one for each action of an ALTER TABLE. One that is not recognised is `other`; whether
 * it is valid SQL, `up` finds out.
 */
export function readStatement(sql: string): Statement[] {
  const tokens = tokensOf(sql);
  return actionsIn(tokens).map((action) => ({ sql, tokens, operation: parseOperation(action) }));
}

/** Returns the tokens of a statement; for an ALTER TABLE, those of each of its actions, as if that were the only one. */
function actionsIn(tokens: readonly Token[]): (readonly Token[])[] {
  if (!isToken(tokens[0], 'ALTER') || !isToken(tokens[1], 'TABLE')) return [tokens];
  const { next } = alteredTable(tokens);
  const actions: Token[][] = [[]];
  for (const token of tokens.slice(next)) {
    if (token.depth === 0 && isToken(token, ',')) actions.push([]);
    else actions.at(-1)?.push(token);
  }
  return actions.map((action) => [...tokens.slice(0, next), ...action]);
}

const alteredTable = (tokens: readonly Token[]): { name: string; next: number } =>
  nameAt(tokens, skipWords(tokens, skipWords(tokens, 2, 'IF', 'EXISTS'), 'ONLY'));

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
      const at = skipWords(tokens, 2, 'CONCURRENTLY');
      const { name } = nameAt(tokens, skipWords(tokens, at, 'IF', 'EXISTS'));
      const isCascade = hasSequence(tokens, 'CASCADE', 0);
      return { kind: 'drop', what: tokens[1]?.text ?? '', name, isConcurrent: at > 2, isCascade };
    }
    case 'TRUNCATE': {
      const { name: table } = nameAt(tokens, skipWords(tokens, skipWords(tokens, 1, 'TABLE'), 'ONLY'));
      return { kind: 'truncate', table, isCascade: hasSequence(tokens, 'CASCADE', 0) };
    }
    case 'CLUSTER':
    case 'REINDEX':
    case 'REFRESH': {
      const isConcurrent = hasSequence(tokens, 'CONCURRENTLY');
      if (isConcurrent && !isToken(tokens[0], 'REINDEX')) return { kind: 'other' }; // it blocks no other program
      return { kind: 'rewrite', name: rewrittenName(tokens), isConcurrent };
    }
    case 'LOCK':
      return {
        kind: 'lock',
        table: nameAt(tokens, skipWords(tokens, skipWords(tokens, 1, 'TABLE'), 'ONLY')).name,
      };
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

/** Words between CLUSTER, REINDEX or REFRESH and a name. */
const BEFORE_NAME = /^(?:VERBOSE|CONCURRENTLY|MATERIALIZED|VIEW|TABLE|INDEX|SCHEMA|DATABASE|SYSTEM)$/;

/** Returns the name after the words and options of a statement. */
function rewrittenName(tokens: readonly Token[]): string {
  const at = tokens.findIndex(
    ({ kind, text, depth }, i) => i > 0 && depth === 0 && kind !== 'operator' && !BEFORE_NAME.test(text),
  );
  return at < 0 ? '' : nameAt(tokens, at).name;
}

function create(tokens: readonly Token[]): Operation {
  const at = ['UNIQUE', 'TEMP', 'TEMPORARY', 'UNLOGGED'].reduce((i, word) => skipWords(tokens, i, word), 1);
  const after = skipWords(tokens, at + 1, 'CONCURRENTLY');
  const head = skipWords(tokens, after, 'IF', 'NOT', 'EXISTS');
  const isConditional = head > after;
  const isNamed = !isToken(tokens[head], 'ON'); // PostgreSQL names an index itself
  const { name, next } = isNamed ? nameAt(tokens, head) : { name: '', next: head };
  if (isToken(tokens[at], 'TABLE')) {
    const reads = isToken(tokens[next], 'AS') ? tablesRead(tokens.slice(next)) : [];
    return { kind: 'create-table', name, isConditional, reads };
  }
  if (!isToken(tokens[at], 'INDEX')) return { kind: 'create-other', name, isConditional };
  const { name: table, next: end } = nameAt(tokens, skipWords(tokens, next + 1, 'ONLY'));
  const list = isToken(tokens[end], 'USING') ? end + 2 : end;
  const isColumn = /^(?:,|\)|COLLATE|ASC|DESC)$/.test(tokens[list + 2]?.text ?? '');
  return {
    kind: 'create-index',
    name,
    table,
    isUnique: isToken(tokens[1], 'UNIQUE'),
    isPartial: hasSequence(tokens, 'WHERE', 0),
    isConditional,
    isConcurrent: after > at + 1,
    column: isColumn ? nameAt(tokens, list + 1).name : undefined,
  };
}

/** A constraint of a table, in place of a column. */
const CONSTRAINT = /^(?:CONSTRAINT|CHECK|PRIMARY|UNIQUE|FOREIGN|EXCLUDE)$/;

/** Words after SET in an ALTER TABLE that copies every row. */
const REWRITES = /^(?:LOGGED|UNLOGGED|TABLESPACE|ACCESS)$/;

function alter(tokens: readonly Token[]): Operation {
  if (!isToken(tokens[1], 'TABLE')) return { kind: 'other' };
  const { name: table, next } = alteredTable(tokens);
  const [verb, object] = [tokens[next], tokens[next + 1]];
  const isConstraint = object?.kind === 'word' && CONSTRAINT.test(object.text);
  const at = skipWords(tokens, next + 1, 'COLUMN');
  const name = nameAt(
    tokens,
    skipWords(tokens, skipWords(tokens, at, 'IF', 'NOT', 'EXISTS'), 'IF', 'EXISTS'),
  ).name;
  const rest = tokens.slice(skipWords(tokens, at, 'IF', 'NOT', 'EXISTS') + 1);
  switch (verb?.text) {
    case 'ADD':
      if (isConstraint) return { kind: 'add-constraint', table, rest: tokens.slice(next + 1) };
      return { kind: 'add-column', table, name, rest };
    case 'ALTER':
      return isToken(object, 'CONSTRAINT') ? { kind: 'other' } : { kind: 'alter-column', table, name, rest };
    case 'DROP':
      return isConstraint ? { kind: 'other' } : { kind: 'drop-column', table, name };
    case 'VALIDATE':
      return { kind: 'validate', table };
    case 'SET':
      return object?.kind === 'word' && REWRITES.test(object.text)
        ? { kind: 'rewrite', name: table, isConcurrent: false }
        : { kind: 'other' };
    case 'RENAME':
      if (isToken(object, 'CONSTRAINT')) return { kind: 'other' };
      return isToken(object, 'TO')
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
