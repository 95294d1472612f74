import { type MessageValue, msg, type PlainText } from '../../messages/message.js';
import { compareVersions, parseVersion } from '../../version.js';
import type { LintRule } from '../parsed-step.js';
import { hasSequence, indexOfSequence, isToken, type Statement } from '../statement.js';

/** A part of SQL with the version of SQLite that introduced it. */
interface Feature {
  readonly what: PlainText;
  readonly since: string;
  readonly isIn: (statement: Statement) => boolean;
}

const sequence =
  (...sequences: readonly string[]) =>
  ({ tokens }: Statement): boolean =>
    sequences.some((words) => hasSequence(tokens, words));

const isRowChange = ({ operation }: Statement): boolean => /^(?:insert|update|delete)$/.test(operation.kind);
const isColumns = ({ operation }: Statement): boolean => /^(?:create-table|add-column)$/.test(operation.kind);

/** @see https://www.sqlite.org/changes.html */
const FEATURES: readonly Feature[] = [
  {
    what: 'ON CONFLICT DO',
    since: '3.24',
    isIn: (statement) =>
      statement.operation.kind === 'insert' && sequence('ON CONFLICT DO', 'ON CONFLICT (')(statement),
  },
  { what: 'RENAME COLUMN', since: '3.25', isIn: ({ operation }) => operation.kind === 'rename-column' },
  { what: 'a window function', since: '3.25', isIn: sequence(') OVER') },
  { what: 'NULLS FIRST or NULLS LAST', since: '3.30', isIn: sequence('NULLS FIRST', 'NULLS LAST') },
  { what: 'FILTER', since: '3.30', isIn: sequence(') FILTER (') },
  {
    what: 'a generated column',
    since: '3.31',
    isIn: (statement) =>
      isColumns(statement) && indexOfSequence(statement.tokens, 'AS (', columnDepth(statement)) >= 0,
  },
  {
    what: 'UPDATE FROM',
    since: '3.33',
    isIn: ({ operation, tokens }) => operation.kind === 'update' && hasSequence(tokens, 'FROM', 0),
  },
  { what: 'DROP COLUMN', since: '3.35', isIn: ({ operation }) => operation.kind === 'drop-column' },
  {
    what: 'RETURNING',
    since: '3.35',
    isIn: (statement) => isRowChange(statement) && hasSequence(statement.tokens, 'RETURNING', 0),
  },
  { what: 'MATERIALIZED', since: '3.35', isIn: sequence('AS MATERIALIZED (', 'AS NOT MATERIALIZED (') },
  {
    what: 'a STRICT table',
    since: '3.37',
    isIn: ({ operation, tokens }) =>
      operation.kind === 'create-table' &&
      [') STRICT', ', STRICT'].some((words) => hasSequence(tokens, words, 0)),
  },
  { what: '-> or ->>', since: '3.38', isIn: sequence('->', '->>') },
  {
    what: 'RIGHT JOIN or FULL JOIN',
    since: '3.39',
    isIn: sequence('RIGHT JOIN', 'RIGHT OUTER JOIN', 'FULL JOIN', 'FULL OUTER JOIN'),
  },
  {
    what: 'IS DISTINCT FROM',
    since: '3.39',
    isIn: sequence('IS DISTINCT FROM', 'IS NOT DISTINCT FROM'),
  },
  {
    what: 'a constraint that is added or removed',
    since: '3.53',
    isIn: (statement) =>
      isToken(statement.tokens[0], 'ALTER') &&
      statement.operation.kind === 'other' &&
      sequence('CONSTRAINT', 'ADD CHECK', 'SET NOT NULL', 'DROP NOT NULL')(statement),
  },
];

/** Functions by the version that introduced them; mathematical ones are optional parts of SQLite. */
const FUNCTIONS_SINCE = {
  3.32: ['IIF'],
  3.35: ['CEIL', 'FLOOR', 'LN', 'MOD', 'POW', 'POWER', 'SIGN', 'SQRT'],
  3.38: ['FORMAT', 'UNIXEPOCH'],
  3.41: ['UNHEX'],
  3.42: ['JSON_ERROR_POSITION'],
  3.43: ['OCTET_LENGTH', 'TIMEDIFF'],
  3.44: ['CONCAT', 'CONCAT_WS', 'STRING_AGG'],
  3.45: ['JSONB', 'JSONB_EXTRACT', 'JSONB_SET'],
  3.46: ['JSON_PRETTY'],
  3.48: ['IF'],
  '3.50': ['UNISTR'],
};

/** The version that introduced a function, by its name. */
const FUNCTIONS: ReadonlyMap<string, string> = new Map(
  Object.entries(FUNCTIONS_SINCE).flatMap(([since, names]) => names.map((name) => [name, since] as const)),
);

/** Returns the depth of a column's constraints: in the list of a new table, or after ADD COLUMN. */
const columnDepth = ({ operation }: Statement): number => (operation.kind === 'create-table' ? 1 : 0);

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
  const used = FEATURES.filter(({ isIn }) => isIn(statement));
  return [...used.map(({ what, since }) => ({ what: msg(what), since })), ...called];
}

function isAbove(a: string, b: string): boolean {
  const [x, y] = [parseVersion(a), parseVersion(b)];
  return x !== undefined && y !== undefined && compareVersions(x, y) > 0;
}
