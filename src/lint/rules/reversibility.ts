import { foldCase } from '../../db/sql.js';
import { type LintHit, type LintRule, type ParsedStep, rebuiltTables } from '../parsed-step.js';
import type { Operation, Statement } from '../statement.js';
import { nameOf } from '../tokens.js';

/** A step that can not be reverted. */
export const downMissing: LintRule = {
  name: 'down-missing',
  async check({ up, down }) {
    const suggestion = 'Give it a `down` that takes back what `up` does';
    if (down === undefined)
      return [{ message: 'Has no `down`, so that nobody can go back behind this step', suggestion }];
    const changes = up.some(
      ({ operation, tokens }) => operation.kind !== 'other' || tokens[0]?.text === 'ALTER',
    );
    return down.length === 0 && changes
      ? [
          {
            message: 'Has an empty `down`: the step would count as reverted, and nothing would be',
            suggestion,
          },
        ]
      : [];
  },
};

/** What `up` destroys and no `down` can bring back. */
export const notReversible: LintRule = {
  name: 'not-reversible',
  check: async (step) =>
    step.up.flatMap((statement): LintHit[] => {
      const loss = dataLossOf(step, statement);
      if (loss === undefined || isRestoredByDown(step, loss.table)) return [];
      return [
        {
          message: `${loss.what}, which no \`down\` brings back`,
          suggestion:
            'Keep the old values in a table that the step makes and `down` reads; or fill a new column with defineBackfill(), whose `down` is exact',
          statement,
        },
      ];
    }),
};

/** What a statement loses, and of which table. */
function dataLossOf(step: ParsedStep, { operation }: Statement): { what: string; table: string } | undefined {
  const { createdTables } = step;
  switch (operation.kind) {
    case 'drop': {
      const isGone = operation.what === 'TABLE' && !createdTables.has(operation.name);
      if (!isGone || [...rebuiltTables(step).values()].includes(operation.name)) return undefined;
      return { what: `Drops the table ${operation.name} with its rows`, table: operation.name };
    }
    case 'drop-column':
      if (createdTables.has(operation.table) || isOwnColumn(step, operation.table, operation.name))
        return undefined;
      return {
        what: `Drops the column ${operation.name} of ${operation.table} with its values`,
        table: operation.table,
      };
    case 'delete':
      if (createdTables.has(operation.table)) return undefined;
      return { what: `Deletes rows of ${operation.table}`, table: operation.table };
    case 'update':
      if (
        createdTables.has(operation.table) ||
        operation.columns.every((name) => isOwnColumn(step, operation.table, name))
      )
        return undefined;
      return { what: `Overwrites values of ${operation.table}`, table: operation.table };
    case 'insert':
      if (!operation.replaces || createdTables.has(operation.table)) return undefined;
      return { what: `Overwrites rows of ${operation.table}`, table: operation.table };
    default:
      return undefined;
  }
}

/** Whether the step itself adds this column. */
const isOwnColumn = ({ up }: ParsedStep, table: string, name: string): boolean =>
  up.some(
    ({ operation }) =>
      operation.kind === 'add-column' && operation.table === table && operation.name === name,
  );

/** Whether `up` keeps what stood in a table in one of its own, and `down` writes that back. */
function isRestoredByDown({ up, down, createdTables }: ParsedStep, table: string): boolean {
  const keepers = up.flatMap(({ operation }) => {
    const isCopy =
      (operation.kind === 'create-table' || operation.kind === 'insert') && operation.reads.includes(table);
    const keeper = isCopy ? targetOf(operation) : undefined;
    return keeper !== undefined && createdTables.has(keeper) ? [keeper] : [];
  });
  return (down ?? []).some(
    ({ operation, tokens }) =>
      targetOf(operation) === table &&
      tokens.some((token) => keepers.includes(foldCase(nameOf(token) ?? ''))),
  );
}

/** The table that a statement gives rows, values or its name to. */
function targetOf(operation: Operation): string | undefined {
  switch (operation.kind) {
    case 'create-table':
      return operation.name;
    case 'insert':
    case 'update':
      return operation.table;
    case 'rename-table':
      return operation.to;
    default:
      return undefined;
  }
}

/** What may have stood before, and is dropped by `down`. */
export const conditionalCreate: LintRule = {
  name: 'conditional-create',
  async check({ up, down }) {
    const dropped = (down ?? []).flatMap(({ operation }) =>
      operation.kind === 'drop' ? [operation.name] : [],
    );
    return up.flatMap((statement): LintHit[] => {
      const { operation } = statement;
      const isConditional = 'isConditional' in operation && operation.isConditional;
      if (!isConditional || !dropped.includes(operation.name)) return [];
      return [
        {
          message: `Makes ${operation.name} only if it is not there, and \`down\` drops it even if it was there before`,
          suggestion: 'Leave IF NOT EXISTS out: no step runs twice',
          statement,
        },
      ];
    });
  },
};
