import { foldCase } from '../../db/sql.js';
import { filterEach } from '../../each.js';
import { lockMsOf } from '../../engine/sqlite/inspect.js';
import { duration } from '../../format.js';
import { type Message, msg } from '../../messages/message.js';
import { eachStatement, hit, rebuiltTables } from '../parsed-step.js';
import { hasSequence, isToken, nameOf, type Token } from '../tokens.js';

/** Maximum time that a statement may hold the write lock, in milliseconds; a batch of a backfill holds it for 40. */
const LONG_LOCK_MS = 100;

/** Checks whether a lock is long; without a store, it may be. */
const isLong = (lockMs: number | undefined): boolean => lockMs === undefined || lockMs > LONG_LOCK_MS;

/** Finds statements that copy or rewrite a whole table in one transaction. */
export const tableRebuild = eachStatement({
  name: 'table-rebuild',
  async find(operation, step, { store }) {
    const rewriteMs = async (table: string): Promise<number | undefined> =>
      store && lockMsOf('rewrite', await store.bytes(table));
    if (operation.kind === 'drop-column') {
      const { table, name: column } = operation;
      const lockMs = await rewriteMs(table);
      if (step.createdTables.has(table) || !isLong(lockMs)) return undefined;
      return hit(
        withTime(
          msg('Drops the column {column} of {table}: SQLite rewrites every row with the write lock held', {
            column,
            table,
          }),
          lockMs,
        ),
        msg('Keep the column, unused by the application; or drop it while no other program writes'),
      );
    }
    if (operation.kind !== 'rename-table' || !rebuiltTables(step).has(operation.table)) return undefined;
    const lockMs = await rewriteMs(operation.to);
    if (!isLong(lockMs)) return undefined;
    const table = operation.to;
    return hit(
      withTime(
        msg('Rebuilds the table {table}: every row is copied with the write lock held', { table }),
        lockMs,
      ),
      msg('Add a column, fill it with defineBackfill(), and switch the application to it'),
    );
  },
});

/** Finds indexes on tables with rows: the write lock is held for the whole build. */
export const indexOnLargeTable = eachStatement({
  name: 'index-on-large-table',
  async find(operation, { createdTables }, { store }) {
    if (operation.kind !== 'create-index' || createdTables.has(operation.table)) return undefined;
    const { table, name: index, isPartial } = operation;
    const lockMs = store && lockMsOf(isPartial ? 'emptyIndex' : 'filledIndex', await store.bytes(table));
    if (!isLong(lockMs)) return undefined;
    return hit(
      withTime(
        msg('Creates the index {index} on {table}: SQLite reads every row with the write lock held', {
          index,
          table,
        }),
        lockMs,
      ),
      msg('Create it with defineSchemaStep(), in a separate transaction, before the column is filled'),
    );
  },
});

/** Adds the estimated time to a message, if the store is known. */
const withTime = (message: Message, lockMs: number | undefined): Message =>
  lockMs === undefined
    ? message
    : msg('{message} (about {time} on this store)', { message, time: duration(lockMs) });

/** Finds statements that change the rows of a whole table in one transaction. */
export const dataChangeInSqlStep = eachStatement({
  name: 'data-change-in-sql-step',
  async find(operation, step, { store }) {
    const isLarge = async (table: string): Promise<boolean> =>
      !step.createdTables.has(table) && ((await store?.hasManyRows(table)) ?? true);
    switch (operation.kind) {
      case 'update':
      case 'delete': {
        const { kind, table, where } = operation;
        if (!(await isLarge(table)) || isOneRow(where, await store?.uniqueColumns(table))) return undefined;
        return kind === 'update'
          ? hit(
              msg(
                'Updates {table} in one transaction: no other program can write until the last row is done',
                {
                  table,
                },
              ),
              msg('Fill it in batches with defineBackfill()'),
            )
          : hit(
              msg(
                'Deletes from {table} in one transaction: no other program can write until the last row is done',
                { table },
              ),
              msg('Delete in small batches, from the application'),
            );
      }
      case 'insert':
      case 'create-table': {
        const table = operation.kind === 'insert' ? operation.table : operation.name;
        const sources = await filterEach(operation.reads, isLarge);
        if (sources.length === 0 || rebuiltTables(step).has(table)) return undefined;
        return hit(
          msg(
            'Copies rows of {sources} into {table} in one transaction: no other program can write until the last row is done',
            { sources, table },
          ),
          msg(
            'Add columns to the table with the rows, and fill them with defineBackfill(); or copy in small batches, outside a step',
          ),
        );
      }
      default:
        return undefined;
    }
  },
});

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
