import { msg } from '../../messages/message.js';
import { eachStatement, hit, type LintHit, type LintRule, rebuiltTables } from '../parsed-step.js';
import type { Statement } from '../statement.js';
import { isToken } from '../tokens.js';

/** Finds dropped tables that other tables reference. */
export const dropTableCascade = eachStatement({
  name: 'drop-table-cascade',
  async find(operation, step, { store }) {
    if (operation.kind !== 'drop' || operation.what !== 'TABLE' || step.createdTables.has(operation.name))
      return undefined;
    const table = operation.name;
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
export const renameInUse = eachStatement({
  name: 'rename-in-use',
  async find(operation, { createdTables }) {
    if (operation.kind !== 'rename-column' && operation.kind !== 'rename-table') return undefined;
    const { table } = operation;
    if (createdTables.has(table)) return undefined;
    return operation.kind === 'rename-column'
      ? hit(
          msg('Renames the column {column} of {table}: a running application still uses the old name', {
            column: operation.name,
            table,
          }),
          msg(
            'Add a column with the new name, write both from the application, and fill it with defineBackfill()',
          ),
        )
      : hit(
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
