import { flatMapEach } from '../../each.js';
import { type Found, type Rule, rebuiltTables } from '../linted-step.js';
import type { Statement } from '../statement.js';
import { isToken } from '../tokens.js';

/** A table is dropped to which others refer. */
export const dropTableCascade: Rule = {
  name: 'drop-table-cascade',
  async check(step, { store }) {
    const rebuilt = [...rebuiltTables(step).values()];
    return await flatMapEach(step.up, async (statement): Promise<Found[]> => {
      const { deed } = statement;
      if (deed.kind !== 'drop' || deed.what !== 'TABLE' || step.made.has(deed.name)) return [];
      // Where the store is not known, only of a table that goes on to be used.
      const isReferred = store ? (await store.referrers(deed.name)).length > 0 : rebuilt.includes(deed.name);
      if (!isReferred) return [];
      return [
        {
          message: `Drops the table ${deed.name} with foreign keys on: rows that refer to it by ON DELETE CASCADE are deleted, too`,
          instead:
            'Drop the tables that refer to it first; or do it outside of a step, with foreign keys off',
          statement,
        },
      ];
    });
  },
};

/** Something is renamed under a running application. */
export const renameInUse: Rule = {
  name: 'rename-in-use',
  check: async ({ up, made }) =>
    up.flatMap((statement): Found[] => {
      const { deed } = statement;
      if (deed.kind === 'rename-column' && !made.has(deed.table)) {
        return [
          {
            message: `Renames the column ${deed.name} of ${deed.table}, which an application that still runs asks for by the old name`,
            instead:
              'Add a column with the new name, let the application write both, and fill it with defineBackfill()',
            statement,
          },
        ];
      }
      if (deed.kind !== 'rename-table' || made.has(deed.table)) return [];
      return [
        {
          message: `Renames the table ${deed.table}, which an application that still runs asks for by the old name`,
          instead: 'Keep the name; or stop the application, rename, and start the new one',
          statement,
        },
      ];
    }),
};

/** A type that SQLite takes for a number's. */
export const stringType: Rule = {
  name: 'string-type',
  async check({ step, up }) {
    const declared = step.kind === 'schema' ? step.columns : [];
    return [
      ...declared.filter(({ type }) => /^string$/i.test(type)).map(({ name }) => stringColumn(name)),
      ...up.flatMap((statement) => stringColumns(statement)),
    ];
  },
};

function stringColumn(name: string, statement?: Statement): Found {
  return {
    message: `Gives the column ${name} the type STRING, which to SQLite is a number's: of '007' it keeps 7`,
    instead: 'Write TEXT',
    ...(statement ? { statement } : {}),
  };
}

function stringColumns(statement: Statement): Found[] {
  const { deed, tokens } = statement;
  if (deed.kind === 'add-column') {
    return isToken(deed.rest[0], 'STRING') ? [stringColumn(deed.name, statement)] : [];
  }
  if (deed.kind !== 'create-table') return [];
  return tokens.flatMap((token, i) => {
    const isType =
      isToken(token, 'STRING') &&
      token.depth === 1 &&
      (isToken(tokens[i - 2], ',') || isToken(tokens[i - 2], '('));
    return isType ? [stringColumn(tokens[i - 1]?.text.toLowerCase() ?? '', statement)] : [];
  });
}
