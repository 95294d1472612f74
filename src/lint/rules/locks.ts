import { foldCase } from '../../db/sql.js';
import { filterEach, flatMapEach } from '../../each.js';
import { lockMsOf } from '../../engine/sqlite/inspect.js';
import { duration } from '../../format.js';
import { type Message, msg } from '../../messages/message.js';
import {
  hit,
  type LintHit,
  type LintRule,
  type ParsedStep,
  type RuleContext,
  rebuiltTables,
} from '../parsed-step.js';
import type { Statement } from '../statement.js';
import { hasSequence, isToken, nameOf, type Token } from '../tokens.js';

/** Maximum time that a statement may hold the write lock, in milliseconds; a batch of a backfill holds it for 40. */
const LONG_LOCK_MS = 100;

/** Checks whether a lock is long; without a store, it may be. */
const isLong = (lockMs: number | undefined): boolean => lockMs === undefined || lockMs > LONG_LOCK_MS;

/** Finds statements that copy or rewrite a whole table in one transaction. */
export const tableRebuild: LintRule = {
  name: 'table-rebuild',
  async check(step, { store }) {
    const rebuilt = rebuiltTables(step);
    return await flatMapEach(step.up, async (statement): Promise<LintHit[]> => {
      const { operation } = statement;
      const rewriteMs = async (table: string): Promise<number | undefined> =>
        store && lockMsOf('rewrite', await store.bytes(table));
      if (
        operation.kind === 'drop-column' &&
        !step.createdTables.has(operation.table) &&
        isLong(await rewriteMs(operation.table))
      ) {
        return [
          hit(
            withTime(
              msg(
                'Drops the column {column} of {table}: SQLite rewrites every row with the write lock held',
                {
                  column: operation.name,
                  table: operation.table,
                },
              ),
              await rewriteMs(operation.table),
            ),
            msg('Keep the column, unused by the application; or drop it while no other program writes'),
            statement,
          ),
        ];
      }
      const isRebuild = operation.kind === 'rename-table' && rebuilt.has(operation.table);
      if (!isRebuild || !isLong(await rewriteMs(operation.to))) return [];
      return [
        hit(
          withTime(
            msg('Rebuilds the table {table}: every row is copied with the write lock held', {
              table: operation.to,
            }),
            await rewriteMs(operation.to),
          ),
          msg('Add a column, fill it with defineBackfill(), and switch the application to it'),
          statement,
        ),
      ];
    });
  },
};

/** Finds indexes on tables with rows: the write lock is held for the whole build. */
export const indexOnLargeTable: LintRule = {
  name: 'index-on-large-table',
  check: async ({ up, createdTables }, { store }) =>
    await flatMapEach(up, async (statement): Promise<LintHit[]> => {
      const { operation } = statement;
      if (operation.kind !== 'create-index' || createdTables.has(operation.table)) return [];
      const work = operation.isPartial ? 'emptyIndex' : 'filledIndex';
      const lockMs = store && lockMsOf(work, await store.bytes(operation.table));
      if (!isLong(lockMs)) return [];
      return [
        hit(
          withTime(
            msg('Creates the index {index} on {table}: SQLite reads every row with the write lock held', {
              index: operation.name,
              table: operation.table,
            }),
            lockMs,
          ),
          msg('Create it with defineSchemaStep(), in a separate transaction, before the column is filled'),
          statement,
        ),
      ];
    }),
};

/** Adds the estimated time to a message, if the store is known. */
const withTime = (message: Message, lockMs: number | undefined): Message =>
  lockMs === undefined
    ? message
    : msg('{message} (about {time} on this store)', { message, time: duration(lockMs) });

/** Finds statements that change the rows of a whole table in one transaction. */
export const dataChangeInSqlStep: LintRule = {
  name: 'data-change-in-sql-step',
  check: async (step, context) =>
    await flatMapEach(step.up, async (statement) => await dataChange(step, statement, context)),
};

async function dataChange(
  step: ParsedStep,
  statement: Statement,
  { store }: RuleContext,
): Promise<LintHit[]> {
  const { operation } = statement;
  const isLarge = async (table: string): Promise<boolean> =>
    !step.createdTables.has(table) && ((await store?.hasManyRows(table)) ?? true);
  switch (operation.kind) {
    case 'update':
    case 'delete': {
      if (
        !(await isLarge(operation.table)) ||
        isOneRow(operation.where, await store?.uniqueColumns(operation.table))
      )
        return [];
      const { table } = operation;
      return [
        operation.kind === 'update'
          ? hit(
              msg(
                'Updates {table} in one transaction: no other program can write until the last row is done',
                {
                  table,
                },
              ),
              msg('Fill it in batches with defineBackfill()'),
              statement,
            )
          : hit(
              msg(
                'Deletes from {table} in one transaction: no other program can write until the last row is done',
                { table },
              ),
              msg('Delete in small batches, from the application'),
              statement,
            ),
      ];
    }
    case 'insert':
    case 'create-table': {
      const target = operation.kind === 'insert' ? operation.table : operation.name;
      const sources = await filterEach(operation.reads, isLarge);
      if (sources.length === 0 || rebuiltTables(step).has(target)) return [];
      return [
        hit(
          msg(
            'Copies rows of {sources} into {table} in one transaction: no other program can write until the last row is done',
            { sources, table: target },
          ),
          msg(
            'Add columns to the table with the rows, and fill them with defineBackfill(); or copy in small batches, outside a step',
          ),
          statement,
        ),
      ];
    }
    default:
      return [];
  }
}

/** Columns that are taken to identify a row if no store is passed. */
const ROW_NAMES: readonly string[] = ['id', 'rowid', 'oid', '_rowid_'];

/** Checks whether a condition selects only listed rows, such as `id = 7` or `id IN (7, 8)`, whatever else it requires. */
function isOneRow(where: readonly Token[], unique: readonly string[] | undefined): boolean {
  if (hasSequence(where, 'OR', 0)) return false;
  const names = [...(unique ?? []), ...ROW_NAMES];
  return where.some((token, at) => {
    if (token.depth !== 0 || !names.includes(foldCase(nameOf(token) ?? ''))) return false;
    const rest = where.slice(at + 1);
    const [operator, value] = rest;
    if (isToken(operator, '=') || isToken(operator, '==')) return isLiteral(value);
    if (!isToken(operator, 'IN') || !isToken(value, '(')) return false;
    const list = rest.slice(
      2,
      rest.findIndex((other, i) => i > 1 && other.depth === 0),
    );
    return list.every((item) => isLiteral(item) || isToken(item, ','));
  });
}

const isLiteral = (token: Token | undefined): boolean => token?.kind === 'number' || token?.kind === 'text';
