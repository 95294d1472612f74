import { type MessageValue, msg, type PlainText } from '../../messages/message.js';
import { compareVersions, parseVersion } from '../../version.js';
import type { LintRule } from '../parsed-step.js';
import type { Operation, Statement } from '../statement.js';
import { hasSequence, isToken } from '../tokens.js';

/** A part of SQL with the version of SQLite that introduced it. */
interface Feature {
  readonly since: string;
  readonly what: PlainText;
  /** Kinds of statements that may have it. Default: all. */
  readonly kinds?: readonly Operation['kind'][];
  /** Sequences of keywords and operators, each of which shows it. Default: the kind of statement alone does. */
  readonly words?: readonly string[];
  /** Number of parentheses around them. Default: any. */
  readonly depth?: number;
  /** First keyword of such a statement. Default: any. */
  readonly verb?: string;
}

const ROW_CHANGES = ['insert', 'update', 'delete'] as const;
const ALTERED_CONSTRAINT = ['CONSTRAINT', 'ADD CHECK', 'SET NOT NULL', 'DROP NOT NULL'];
const OUTER_JOINS = ['RIGHT JOIN', 'RIGHT OUTER JOIN', 'FULL JOIN', 'FULL OUTER JOIN'];

/** @see https://www.sqlite.org/changes.html */
const FEATURES: readonly Feature[] = [
  { since: '3.24', what: 'ON CONFLICT DO', kinds: ['insert'], words: ['ON CONFLICT DO', 'ON CONFLICT ('] },
  { since: '3.25', what: 'RENAME COLUMN', kinds: ['rename-column'] },
  { since: '3.25', what: 'a window function', words: [') OVER'] },
  { since: '3.30', what: 'NULLS FIRST or NULLS LAST', words: ['NULLS FIRST', 'NULLS LAST'] },
  { since: '3.30', what: 'FILTER', words: [') FILTER ('] },
  { since: '3.31', what: 'a generated column', kinds: ['create-table'], words: ['AS ('], depth: 1 }, // in the list of columns
  { since: '3.31', what: 'a generated column', kinds: ['add-column'], words: ['AS ('], depth: 0 },
  { since: '3.33', what: 'UPDATE FROM', kinds: ['update'], words: ['FROM'], depth: 0 },
  { since: '3.35', what: 'DROP COLUMN', kinds: ['drop-column'] },
  { since: '3.35', what: 'RETURNING', kinds: ROW_CHANGES, words: ['RETURNING'], depth: 0 },
  { since: '3.35', what: 'MATERIALIZED', words: ['AS MATERIALIZED (', 'AS NOT MATERIALIZED ('] },
  {
    since: '3.37',
    what: 'a STRICT table',
    kinds: ['create-table'],
    words: [') STRICT', ', STRICT'],
    depth: 0,
  },
  { since: '3.38', what: '-> or ->>', words: ['->', '->>'] },
  { since: '3.39', what: 'RIGHT JOIN or FULL JOIN', words: OUTER_JOINS },
  { since: '3.39', what: 'IS DISTINCT FROM', words: ['IS DISTINCT FROM', 'IS NOT DISTINCT FROM'] },
  {
    since: '3.53',
    what: 'a constraint that is added or removed',
    kinds: ['other', 'add-constraint', 'alter-column'],
    words: ALTERED_CONSTRAINT,
    verb: 'ALTER',
  },
];

const hasFeature = ({ operation, tokens }: Statement, { kinds, words, depth, verb }: Feature): boolean =>
  (kinds?.includes(operation.kind) ?? true) &&
  (words?.some((sequence) => hasSequence(tokens, sequence, depth)) ?? true) &&
  (verb === undefined || isToken(tokens[0], verb));

/** Versions with the functions that they introduced; mathematical ones are optional parts of SQLite. */
const NEW_FUNCTIONS: readonly (readonly [since: string, ...names: string[]])[] = [
  ['3.32', 'IIF'],
  ['3.35', 'CEIL', 'FLOOR', 'LN', 'MOD', 'POW', 'POWER', 'SIGN', 'SQRT'],
  ['3.38', 'FORMAT', 'UNIXEPOCH'],
  ['3.41', 'UNHEX'],
  ['3.42', 'JSON_ERROR_POSITION'],
  ['3.43', 'OCTET_LENGTH', 'TIMEDIFF'],
  ['3.44', 'CONCAT', 'CONCAT_WS', 'STRING_AGG'],
  ['3.45', 'JSONB', 'JSONB_EXTRACT', 'JSONB_SET'],
  ['3.46', 'JSON_PRETTY'],
  ['3.48', 'IF'],
  ['3.50', 'UNISTR'],
];

/** The version that introduced a function, by its name. */
const FUNCTIONS: ReadonlyMap<string, string> = new Map(
  NEW_FUNCTIONS.flatMap(([since, ...names]) => names.map((name) => [name, since] as const)),
);

/** Finds SQL that the oldest SQLite in use does not support. */
export const newerSqlite: LintRule = {
  name: 'newer-sqlite',
  check: async ({ up, down, otherSql }, { sqlite }) =>
    [...up, ...(down ?? []), ...otherSql].flatMap((statement) =>
      usedIn(statement)
        .filter(({ since }) => isAbove(since, sqlite))
        .map(({ what, since }) => ({
          message: msg('Uses {what}, new in SQLite {since}; the oldest in use is {oldest}', {
            what,
            since,
            oldest: sqlite,
          }),
          suggestion: msg('Write it in SQL that the older version supports; or raise `--sqlite`'),
          statement,
        })),
    ),
};

/** Tokens before the name of a table with a list of columns. */
const NAMES_TABLE = /^(?:TABLE|INTO|ON|EXISTS|REFERENCES|\.)$/;

function usedIn(statement: Statement): { readonly what: MessageValue; readonly since: string }[] {
  const { tokens } = statement;
  const called = tokens.flatMap(({ kind, text }, i) => {
    const isCall =
      kind === 'word' && isToken(tokens[i + 1], '(') && !NAMES_TABLE.test(tokens[i - 1]?.text ?? '');
    const since = isCall ? FUNCTIONS.get(text) : undefined;
    return since === undefined ? [] : [{ what: `${text.toLowerCase()}()`, since }];
  });
  const used = FEATURES.filter((feature) => hasFeature(statement, feature));
  return [...used.map(({ what, since }) => ({ what: msg(what), since })), ...called];
}

function isAbove(a: string, b: string): boolean {
  const [x, y] = [parseVersion(a), parseVersion(b)];
  return x !== undefined && y !== undefined && compareVersions(x, y) > 0;
}
