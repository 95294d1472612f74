import { foldCase } from '../../db/sql.js';
import { type Message, msg } from '../../messages/message.js';
import {
  eachStatement,
  hit,
  type LintHit,
  type LintRule,
  type ParsedStep,
  rebuiltTables,
} from '../parsed-step.js';
import type { Operation } from '../statement.js';
import { nameOf } from '../tokens.js';

/** Statements that leave nothing to revert, as far as they are recognised. */
const CHANGES_NOTHING: ReadonlySet<Operation['kind']> = new Set(['other', 'rewrite', 'lock']);

/** Finds steps that cannot be reverted. */
export const downMissing: LintRule = {
  name: 'down-missing',
  async check({ up, down }) {
    const suggestion = msg('Add a `down` that reverts what `up` does');
    if (down === undefined)
      return [hit(msg('Has no `down`: neither this step nor an earlier one can be reverted'), suggestion)];
    const changes = up.some(
      ({ operation: { kind }, tokens }) => !CHANGES_NOTHING.has(kind) || tokens[0]?.text === 'ALTER',
    );
    const message = msg('Has an empty `down`: the step would count as reverted although nothing is');
    return down.length === 0 && changes ? [hit(message, suggestion)] : [];
  },
};

/** Finds data loss in `up` that `down` does not restore. */
export const notReversible = eachStatement('not-reversible', {
  drop({ what, name: table }, step) {
    if (what !== 'TABLE' || [...rebuiltTables(step).values()].includes(table)) return undefined;
    return loss(step, table, msg('Drops the table {table} with its rows', { table }));
  },
  'drop-column'({ table, name: column }, step) {
    if (isOwnColumn(step, table, column)) return undefined;
    return loss(step, table, msg('Drops the column {column} of {table} with its values', { column, table }));
  },
  delete: ({ table }, step) => loss(step, table, msg('Deletes rows of {table}', { table })),
  truncate: ({ table }, step) => loss(step, table, msg('Deletes rows of {table}', { table })),
  update({ table, columns }, step) {
    if (columns.every((name) => isOwnColumn(step, table, name))) return undefined;
    return loss(step, table, msg('Overwrites values of {table}', { table }));
  },
  insert({ table, replaces }, step) {
    return replaces ? loss(step, table, msg('Overwrites rows of {table}', { table })) : undefined;
  },
});

/** Returns the finding about a data loss, unless the step creates the table or `down` restores its contents. */
function loss(step: ParsedStep, table: string, what: Message): LintHit | undefined {
  if (step.createdTables.has(table) || isRestoredByDown(step, table)) return undefined;
  return hit(
    msg('{what}, which no `down` restores', { what }),
    msg(
      'Keep the old values in a table that the step creates and `down` reads; or fill a new column with defineBackfill(), whose `down` is exact',
    ),
  );
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

function dropsExisting(
  { name, isConditional }: { readonly name: string; readonly isConditional: boolean },
  { down = [] }: ParsedStep,
): LintHit | undefined {
  const isDropped = down.some(({ operation }) => operation.kind === 'drop' && operation.name === name);
  if (!isConditional || !isDropped) return undefined;
  return hit(
    msg('Creates {name} only if it does not exist, but `down` drops it even if it existed before', { name }),
    msg('Remove IF NOT EXISTS: no step runs twice'),
  );
}

/** Finds objects that may have existed before the step and that `down` drops. */
export const conditionalCreate = eachStatement('conditional-create', {
  'create-table': dropsExisting,
  'create-index': dropsExisting,
  'create-other': dropsExisting,
});
