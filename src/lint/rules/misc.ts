import { flatMapEach } from '../../each.js';
import { type LintHit, type LintRule, rebuiltTables } from '../parsed-step.js';
import type { Statement } from '../statement.js';
import { isToken } from '../tokens.js';

/** A table is dropped to which others refer. */
export const dropTableCascade: LintRule = {
  name: 'drop-table-cascade',
  async check(step, { store }) {
    const rebuilt = [...rebuiltTables(step).values()];
    return await flatMapEach(step.up, async (statement): Promise<LintHit[]> => {
      const { operation } = statement;
      if (operation.kind !== 'drop' || operation.what !== 'TABLE' || step.createdTables.has(operation.name))
        return [];
      // Where the store is not known, only of a table that goes on to be used.
      const isReferred = store
        ? (await store.referrers(operation.name)).length > 0
        : rebuilt.includes(operation.name);
      if (!isReferred) return [];
      return [
        {
          message: `Drops the table ${operation.name} with foreign keys on: rows that refer to it by ON DELETE CASCADE are deleted, too`,
          suggestion:
            'Drop the tables that refer to it first; or do it outside of a step, with foreign keys off',
          statement,
        },
      ];
    });
  },
};

/** Something is renamed under a running application. */
export const renameInUse: LintRule = {
  name: 'rename-in-use',
  check: async ({ up, createdTables }) =>
    up.flatMap((statement): LintHit[] => {
      const { operation } = statement;
      if (operation.kind === 'rename-column' && !createdTables.has(operation.table)) {
        return [
          {
            message: `Renames the column ${operation.name} of ${operation.table}, which an application that still runs asks for by the old name`,
            suggestion:
              'Add a column with the new name, let the application write both, and fill it with defineBackfill()',
            statement,
          },
        ];
      }
      if (operation.kind !== 'rename-table' || createdTables.has(operation.table)) return [];
      return [
        {
          message: `Renames the table ${operation.table}, which an application that still runs asks for by the old name`,
          suggestion: 'Keep the name; or stop the application, rename, and start the new one',
          statement,
        },
      ];
    }),
};

/** A type that SQLite takes for a number's. */
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

function stringColumn(name: string, statement?: Statement): LintHit {
  return {
    message: `Gives the column ${name} the type STRING, which to SQLite is a number's: of '007' it keeps 7`,
    suggestion: 'Write TEXT',
    ...(statement ? { statement } : {}),
  };
}

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
