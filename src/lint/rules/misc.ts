import { flatMapEach } from '../../each.js';
import { msg } from '../../messages/message.js';
import { hit, type LintHit, type LintRule, rebuiltTables } from '../parsed-step.js';
import type { Statement } from '../statement.js';
import { isToken } from '../tokens.js';

/** Finds dropped tables that other tables reference. */
export const dropTableCascade: LintRule = {
  name: 'drop-table-cascade',
  async check(step, { store }) {
    const rebuilt = [...rebuiltTables(step).values()];
    return await flatMapEach(step.up, async (statement): Promise<LintHit[]> => {
      const { operation } = statement;
      if (operation.kind !== 'drop' || operation.what !== 'TABLE' || step.createdTables.has(operation.name))
        return [];
      // Without a store, only a rebuilt table is taken to be referenced.
      const isReferenced = store
        ? (await store.referrers(operation.name)).length > 0
        : rebuilt.includes(operation.name);
      if (!isReferenced) return [];
      return [
        hit(
          msg(
            'Drops the table {table} with foreign keys on: rows that reference it with ON DELETE CASCADE are deleted, too',
            { table: operation.name },
          ),
          msg('Drop the tables that reference it first; or drop it outside a step, with foreign keys off'),
          statement,
        ),
      ];
    });
  },
};

/** Finds tables and columns that are renamed under a running application. */
export const renameInUse: LintRule = {
  name: 'rename-in-use',
  check: async ({ up, createdTables }) =>
    up.flatMap((statement): LintHit[] => {
      const { operation } = statement;
      if (operation.kind === 'rename-column' && !createdTables.has(operation.table)) {
        return [
          hit(
            msg('Renames the column {column} of {table}: a running application still uses the old name', {
              column: operation.name,
              table: operation.table,
            }),
            msg(
              'Add a column with the new name, write both from the application, and fill it with defineBackfill()',
            ),
            statement,
          ),
        ];
      }
      if (operation.kind !== 'rename-table' || createdTables.has(operation.table)) return [];
      return [
        hit(
          msg('Renames the table {table}: a running application still uses the old name', {
            table: operation.table,
          }),
          msg('Keep the name; or stop the application, rename the table, and start the new version'),
          statement,
        ),
      ];
    }),
};

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

const stringColumn = (column: string, statement?: Statement): LintHit =>
  hit(
    msg("Declares the column {column} as STRING, which SQLite treats as numeric: '007' is stored as 7", {
      column,
    }),
    msg('Use TEXT'),
    statement,
  );

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
