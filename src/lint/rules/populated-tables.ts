import { flatMapEach } from '../../each.js';
import { msg } from '../../messages/message.js';
import { hit, type LintHit, type LintRule } from '../parsed-step.js';
import { hasSequence, indexOfSequence, isToken, type Token } from '../tokens.js';

// SQLite rejects these statements if a table has rows, so they pass on the empty store of a test.

/** Finds NOT NULL columns for which existing rows have no value. */
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
        hit(
          msg(
            'Adds the column {column} to {table} as NOT NULL without a default, which SQLite rejects if the table has rows',
            { column: name, table },
          ),
          msg(
            'Add a DEFAULT; or add it without NOT NULL, fill it with defineBackfill(), and write no NULL from the application',
          ),
          statement,
        ),
      ];
    }),
};

/** Finds defaults that SQLite cannot give to existing rows. */
export const refusedDefault: LintRule = {
  name: 'refused-default',
  check: async ({ up, createdTables }) =>
    up.flatMap((statement): LintHit[] => {
      const { operation } = statement;
      if (operation.kind !== 'add-column' || createdTables.has(operation.table)) return [];
      const { rest, table, name } = operation;
      const value = defaultOf(rest);
      const isNull = value.length === 0 || value.some((token) => isToken(token, 'NULL'));
      const suggestion = msg('Add it without a default, and fill existing rows with defineBackfill()');
      if (!isConstant(value)) {
        const message = msg(
          'Adds the column {column} to {table} with a default that is not a constant, which SQLite rejects if the table has rows',
          { column: name, table },
        );
        return [hit(message, suggestion, statement)];
      }
      if (!hasSequence(rest, 'REFERENCES', 0) || isNull) return [];
      const message = msg(
        'Adds the foreign key {column} to {table} with a default, which SQLite rejects if the table has rows',
        { column: name, table },
      );
      return [hit(message, suggestion, statement)];
    }),
};

/** Finds unique indexes on tables whose existing rows may be equal. */
export const uniqueIndexOnRows: LintRule = {
  name: 'unique-index-on-rows',
  check: async ({ up, createdTables }, { store }) =>
    await flatMapEach(up, async (statement): Promise<LintHit[]> => {
      const { operation } = statement;
      if (operation.kind !== 'create-index' || !operation.isUnique || createdTables.has(operation.table))
        return [];
      if (store && !(await store.hasRows(operation.table))) return [];
      return [
        hit(
          msg('Creates the unique index {index} on {table}, which SQLite rejects if two rows are equal', {
            index: operation.name,
            table: operation.table,
          }),
          msg(
            'Try it on a copy of the store, write no equal rows from the application, and state both where this rule is disabled',
          ),
          statement,
        ),
      ];
    }),
};

/** Returns the tokens of a column's default, without its parentheses; empty if there is none. */
function defaultOf(rest: readonly Token[]): Token[] {
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

/** Checks whether a default is a literal, not an expression or `CURRENT_TIMESTAMP`. */
function isConstant(value: readonly Token[]): boolean {
  const [first, second] = value;
  if (value.length === 2 && (isToken(first, '-') || isToken(first, '+'))) return second?.kind === 'number';
  if (value.length > 1) return false;
  return !(first?.kind === 'word' && first.text.startsWith('CURRENT_'));
}
