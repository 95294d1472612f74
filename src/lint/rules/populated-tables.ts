import { msg } from '../../messages/message.js';
import { eachStatement, hit } from '../parsed-step.js';
import { hasSequence, indexOfSequence, isToken, type Token } from '../tokens.js';

// SQLite rejects these statements if a table has rows, so they pass on the empty store of a test.

/** Finds NOT NULL columns for which existing rows have no value. */
export const notNullWithoutDefault = eachStatement({
  name: 'not-null-without-default',
  async find(operation, { createdTables }) {
    if (operation.kind !== 'add-column' || createdTables.has(operation.table)) return undefined;
    const { rest, table, name: column } = operation;
    const isGenerated = hasSequence(rest, 'AS (', 0);
    if (!hasSequence(rest, 'NOT NULL', 0) || isGenerated || !isNull(defaultOf(rest))) return undefined;
    return hit(
      msg(
        'Adds the column {column} to {table} as NOT NULL without a default, which SQLite rejects if the table has rows',
        { column, table },
      ),
      msg(
        'Add a DEFAULT; or add it without NOT NULL, fill it with defineBackfill(), and write no NULL from the application',
      ),
    );
  },
});

/** Finds defaults that SQLite cannot give to existing rows. */
export const refusedDefault = eachStatement({
  name: 'refused-default',
  async find(operation, { createdTables }) {
    if (operation.kind !== 'add-column' || createdTables.has(operation.table)) return undefined;
    const { rest, table, name: column } = operation;
    const value = defaultOf(rest);
    const suggestion = msg('Add it without a default, and fill existing rows with defineBackfill()');
    if (!isConstant(value))
      return hit(
        msg(
          'Adds the column {column} to {table} with a default that is not a constant, which SQLite rejects if the table has rows',
          { column, table },
        ),
        suggestion,
      );
    if (!hasSequence(rest, 'REFERENCES', 0) || isNull(value)) return undefined;
    return hit(
      msg(
        'Adds the foreign key {column} to {table} with a default, which SQLite rejects if the table has rows',
        { column, table },
      ),
      suggestion,
    );
  },
});

/** Finds unique indexes on tables whose existing rows may be equal. */
export const uniqueIndexOnRows = eachStatement({
  name: 'unique-index-on-rows',
  async find(operation, { createdTables }, { store }) {
    if (operation.kind !== 'create-index' || !operation.isUnique) return undefined;
    const { table, name: index } = operation;
    if (createdTables.has(table) || (store && !(await store.hasRows(table)))) return undefined;
    return hit(
      msg('Creates the unique index {index} on {table}, which SQLite rejects if two rows are equal', {
        index,
        table,
      }),
      msg(
        'Try it on a copy of the store, write no equal rows from the application, and state both where this rule is disabled',
      ),
    );
  },
});

/** Checks whether a default is missing or NULL. */
const isNull = (value: readonly Token[]): boolean =>
  value.length === 0 || value.some((token) => isToken(token, 'NULL'));

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
