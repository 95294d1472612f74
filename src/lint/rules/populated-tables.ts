import { flatMapEach } from '../../each.js';
import type { LintHit, LintRule } from '../parsed-step.js';
import { hasSequence, indexOfSequence, isToken, type Token } from '../tokens.js';

// What SQLite refuses where a table has rows: it passes on the empty store of a test.

/** A column is to hold values that the rows there do not have. */
export const notNullWithoutDefault: LintRule = {
  name: 'not-null-without-default',
  check: async ({ up, createdTables }) =>
    up.flatMap((statement): LintHit[] => {
      const { operation } = statement;
      if (operation.kind !== 'add-column' || createdTables.has(operation.table)) return [];
      const { rest, table, name } = operation;
      const isGenerated = hasSequence(rest, 'AS (', 0);
      const value = defaultOf(rest);
      const hasValue = value.length > 0 && !value.some((token) => isToken(token, 'NULL'));
      if (!hasSequence(rest, 'NOT NULL', 0) || isGenerated || hasValue) return [];
      return [
        {
          message: `Adds the column ${name} to ${table} as NOT NULL without a default, which SQLite refuses where the table has rows`,
          suggestion:
            'Give it a DEFAULT; or add it without NOT NULL, fill it with defineBackfill(), and let the application write no NULL',
          statement,
        },
      ];
    }),
};

/** A default that can not be given to rows that stand. */
export const refusedDefault: LintRule = {
  name: 'refused-default',
  check: async ({ up, createdTables }) =>
    up.flatMap((statement): LintHit[] => {
      const { operation } = statement;
      if (operation.kind !== 'add-column' || createdTables.has(operation.table)) return [];
      const { rest, table, name } = operation;
      const value = defaultOf(rest);
      const isNull = value.length === 0 || value.some((token) => isToken(token, 'NULL'));
      if (!isConstant(value)) {
        return [
          {
            message: `Adds the column ${name} to ${table} with a default that is no constant, which SQLite refuses where the table has rows`,
            suggestion: 'Add it without a default, and fill the rows that stand with defineBackfill()',
            statement,
          },
        ];
      }
      if (!hasSequence(rest, 'REFERENCES', 0) || isNull) return [];
      return [
        {
          message: `Adds the foreign key ${name} to ${table} with a default, which SQLite refuses where the table has rows`,
          suggestion: 'Add it without a default, and fill the rows that stand with defineBackfill()',
          statement,
        },
      ];
    }),
};

/** Rows that stand may be equal. */
export const uniqueIndexOnRows: LintRule = {
  name: 'unique-index-on-rows',
  check: async ({ up, createdTables }, { store }) =>
    await flatMapEach(up, async (statement): Promise<LintHit[]> => {
      const { operation } = statement;
      if (operation.kind !== 'create-index' || !operation.isUnique || createdTables.has(operation.table))
        return [];
      if (store && !(await store.hasRows(operation.table))) return [];
      return [
        {
          message: `Makes the unique index ${operation.name} on ${operation.table}, which SQLite refuses where two rows are equal`,
          suggestion:
            'Try it on a copy of the store, let the application write no equal rows, and say so where this is silenced',
          statement,
        },
      ];
    }),
};

/** The tokens of a column's default, without parentheses around it; empty without one. */
function defaultOf(rest: readonly Token[]): Token[] {
  const at = indexOfSequence(rest, 'DEFAULT', 0);
  if (at < 0) return [];
  const behind = rest.slice(at + 1);
  if (isToken(behind[0], '('))
    return behind.slice(
      1,
      behind.findIndex((token) => isToken(token, ')') && token.depth === 0),
    );
  return behind.slice(0, /^[-+]$/.test(behind[0]?.text ?? '') ? 2 : 1);
}

/** Whether a default is a literal. `CURRENT_TIMESTAMP` and expressions have a value of their own for each row. */
function isConstant(value: readonly Token[]): boolean {
  const [first, second] = value;
  if (value.length === 2 && (isToken(first, '-') || isToken(first, '+'))) return second?.kind === 'number';
  if (value.length > 1) return false;
  return !(first?.kind === 'word' && first.text.startsWith('CURRENT_'));
}
