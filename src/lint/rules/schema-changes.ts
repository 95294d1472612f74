import { msg } from '../../messages/message.js';
import { eachStatement, hit, type LintHit, type LintRule, rebuiltTables } from '../parsed-step.js';
import type { Statement } from '../statement.js';
import { defaultOf, hasSequence, isNullDefault, isNumbered, isToken, type Token } from '../tokens.js';

// The statements of the first three rules are rejected if a table has rows, so they pass on the empty store of a test.

/** Finds NOT NULL columns for which existing rows have no value. */
export const notNullWithoutDefault = eachStatement('not-null-without-default', {
  'add-column'({ table, name: column, rest }, { createdTables }, { engine }) {
    const isFilled = hasSequence(rest, 'AS (', 0) || isNumbered(rest);
    const isRequired = hasSequence(rest, 'NOT NULL', 0) && !isFilled && isNullDefault(defaultOf(rest));
    if (createdTables.has(table) || !isRequired) return undefined;
    return hit(
      msg(
        'Adds the column {column} to {table} as NOT NULL without a default, which {engine} rejects if the table has rows',
        { column, table, engine },
      ),
      msg(
        'Add a DEFAULT; or add it without NOT NULL, fill it with defineBackfill(), and write no NULL from the application',
      ),
    );
  },
});

/** Finds defaults that SQLite cannot give to existing rows. */
export const refusedDefault = eachStatement('refused-default', {
  'add-column'({ table, name: column, rest }, { createdTables }) {
    if (createdTables.has(table)) return undefined;
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
    if (!hasSequence(rest, 'REFERENCES', 0) || isNullDefault(value)) return undefined;
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
export const uniqueIndexOnRows = eachStatement('unique-index-on-rows', {
  async 'create-index'({ table, name: index, isUnique }, { createdTables }, { store, engine }) {
    if (!isUnique || createdTables.has(table) || (store && !(await store.hasRows(table)))) return undefined;
    return hit(
      msg('Creates the unique index {index} on {table}, which {engine} rejects if two rows are equal', {
        ...{ index, table, engine },
      }),
      msg(
        'Try it on a copy of the store, write no equal rows from the application, and state both where this rule is disabled',
      ),
    );
  },
});

/** Checks whether a default is a literal, not an expression or `CURRENT_TIMESTAMP`. */
function isConstant(value: readonly Token[]): boolean {
  const [first, second] = value;
  if (value.length === 2 && (isToken(first, '-') || isToken(first, '+'))) return second?.kind === 'number';
  if (value.length > 1) return false;
  return !(first?.kind === 'word' && first.text.startsWith('CURRENT_'));
}

/** Finds dropped tables that other tables reference. */
export const dropTableCascade = eachStatement('drop-table-cascade', {
  async drop({ what, name: table }, step, { store }) {
    if (what !== 'TABLE' || step.createdTables.has(table)) return undefined;
    // Without a store, only a rebuilt table is taken to be referenced.
    const isReferenced = store
      ? (await store.referrers(table)).length > 0
      : [...rebuiltTables(step).values()].includes(table);
    if (!isReferenced) return undefined;
    return hit(
      msg(
        'Drops the table {table} with foreign keys on: rows that reference it with ON DELETE CASCADE are deleted, too',
        { table },
      ),
      msg('Drop the tables that reference it first; or drop it outside a step, with foreign keys off'),
    );
  },
});

/** Finds tables and columns that are renamed under a running application. */
export const renameInUse = eachStatement('rename-in-use', {
  'rename-column'({ table, name: column }, { createdTables }) {
    if (createdTables.has(table)) return undefined;
    return hit(
      msg('Renames the column {column} of {table}: a running application still uses the old name', {
        column,
        table,
      }),
      msg(
        'Add a column with the new name, write both from the application, and fill it with defineBackfill()',
      ),
    );
  },
  'rename-table'({ table }, { createdTables }) {
    if (createdTables.has(table)) return undefined;
    return hit(
      msg('Renames the table {table}: a running application still uses the old name', { table }),
      msg('Keep the name; or stop the application, rename the table, and start the new version'),
    );
  },
});

/** Finds columns of type STRING, which SQLite treats as numeric. */
export const stringType: LintRule = {
  name: 'string-type',
  async check({ step, up }) {
    const declared = step.kind === 'schema' ? step.columns : [];
    return [
      ...declared.filter(({ type }) => /^string$/i.test(type)).map(({ name }) => stringColumn(name)),
      ...up.flatMap((statement) => stringColumns(statement)),
    ];
  },
};

const stringColumn = (column: string, statement?: Statement): LintHit => ({
  message: msg(
    "Declares the column {column} as STRING, which SQLite treats as numeric: '007' is stored as 7",
    {
      column,
    },
  ),
  suggestion: msg('Use TEXT'),
  statement,
});

function stringColumns(statement: Statement): LintHit[] {
  const { operation, tokens } = statement;
  if (operation.kind === 'add-column') {
    return isToken(operation.rest[0], 'STRING') ? [stringColumn(operation.name, statement)] : [];
  }
  if (operation.kind !== 'create-table') return [];
  return tokens.flatMap((token, i) => {
    const isType =
      isToken(token, 'STRING') &&
      token.depth === 1 &&
      (isToken(tokens[i - 2], ',') || isToken(tokens[i - 2], '('));
    return isType ? [stringColumn(tokens[i - 1]?.text.toLowerCase() ?? '', statement)] : [];
  });
}
