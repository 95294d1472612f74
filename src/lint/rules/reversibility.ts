import { foldCase } from '../../db/sql.js';
import { type Message, msg } from '../../messages/message.js';
import { eachStatement, hit, type LintRule, type ParsedStep, rebuiltTables } from '../parsed-step.js';
import type { Operation } from '../statement.js';
import { nameOf } from '../tokens.js';

/** Finds steps that cannot be reverted. */
export const downMissing: LintRule = {
  name: 'down-missing',
  async check({ up, down }) {
    const suggestion = msg('Add a `down` that reverts what `up` does');
    if (down === undefined)
      return [hit(msg('Has no `down`: neither this step nor an earlier one can be reverted'), suggestion)];
    const changes = up.some(
      ({ operation, tokens }) => operation.kind !== 'other' || tokens[0]?.text === 'ALTER',
    );
    const message = msg('Has an empty `down`: the step would count as reverted although nothing is');
    return down.length === 0 && changes ? [hit(message, suggestion)] : [];
  },
};

/** Finds data loss in `up` that `down` does not restore. */
export const notReversible = eachStatement({
  name: 'not-reversible',
  async find(operation, step) {
    const loss = dataLossOf(step, operation);
    if (loss === undefined || isRestoredByDown(step, loss.table)) return undefined;
    return hit(
      msg('{what}, which no `down` restores', { what: loss.what }),
      msg(
        'Keep the old values in a table that the step creates and `down` reads; or fill a new column with defineBackfill(), whose `down` is exact',
      ),
    );
  },
});

/** Returns the data loss of a statement, and its table. */
function dataLossOf(step: ParsedStep, operation: Operation): { what: Message; table: string } | undefined {
  const { createdTables } = step;
  switch (operation.kind) {
    case 'drop': {
      const isGone = operation.what === 'TABLE' && !createdTables.has(operation.name);
      if (!isGone || [...rebuiltTables(step).values()].includes(operation.name)) return undefined;
      const table = operation.name;
      return { what: msg('Drops the table {table} with its rows', { table }), table };
    }
    case 'drop-column': {
      const { table, name: column } = operation;
      if (createdTables.has(table) || isOwnColumn(step, table, column)) return undefined;
      return { what: msg('Drops the column {column} of {table} with its values', { column, table }), table };
    }
    case 'delete': {
      const { table } = operation;
      return createdTables.has(table)
        ? undefined
        : { what: msg('Deletes rows of {table}', { table }), table };
    }
    case 'update': {
      const { table, columns } = operation;
      if (createdTables.has(table) || columns.every((name) => isOwnColumn(step, table, name)))
        return undefined;
      return { what: msg('Overwrites values of {table}', { table }), table };
    }
    case 'insert': {
      const { table, replaces } = operation;
      if (!replaces || createdTables.has(table)) return undefined;
      return { what: msg('Overwrites rows of {table}', { table }), table };
    }
    default:
      return undefined;
  }
}

/** Checks whether the step itself adds this column. */
const isOwnColumn = ({ up }: ParsedStep, table: string, name: string): boolean =>
  up.some(
    ({ operation }) =>
      operation.kind === 'add-column' && operation.table === table && operation.name === name,
  );

/** Checks whether `up` copies a table into one that it creates, and `down` writes from that one. */
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

/** Returns the table that a statement creates or writes to, or whose name it assigns. */
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

/** Finds objects that may have existed before the step and that `down` drops. */
export const conditionalCreate = eachStatement({
  name: 'conditional-create',
  async find(created, { down = [] }) {
    if (!('isConditional' in created && created.isConditional)) return undefined;
    const { name } = created;
    if (!down.some(({ operation }) => operation.kind === 'drop' && operation.name === name)) return undefined;
    return hit(
      msg('Creates {name} only if it does not exist, but `down` drops it even if it existed before', {
        name,
      }),
      msg('Remove IF NOT EXISTS: no step runs twice'),
    );
  },
});
