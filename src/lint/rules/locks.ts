import { foldCase } from '../../db/sql.js';
import { filterEach } from '../../each.js';
import { lockMsOf } from '../../engine/sqlite/inspect.js';
import { duration } from '../../format.js';
import { type Message, msg } from '../../messages/message.js';
import {
  eachStatement,
  hit,
  type LintHit,
  type ParsedStep,
  type RuleContext,
  rebuiltTables,
} from '../parsed-step.js';
import { hasSequence, isToken, nameOf, type Token } from '../tokens.js';

/** Maximum time that a statement may hold the write lock, in milliseconds; a batch of a backfill holds it for 40. */
const LONG_LOCK_MS = 100;

/** Returns the finding about a lock if it is long; without a store, it may be. */
function longLock(lockMs: number | undefined, message: Message, suggestion: Message): LintHit | undefined {
  if (lockMs === undefined) return hit(message, suggestion);
  if (lockMs <= LONG_LOCK_MS) return undefined;
  const time = duration(lockMs);
  return hit(msg('{message} (about {time} on this store)', { message, time }), suggestion);
}

const rewriteMs = async (table: string, { store }: RuleContext): Promise<number | undefined> =>
  store && lockMsOf('rewrite', await store.bytes(table));

/** Finds statements that copy or rewrite a whole table in one transaction. */
export const tableRebuild = eachStatement('table-rebuild', {
  async 'drop-column'({ table, name: column }, { createdTables }, context) {
    if (createdTables.has(table)) return undefined;
    return longLock(
      await rewriteMs(table, context),
      msg('Drops the column {column} of {table}: SQLite rewrites every row with the write lock held', {
        column,
        table,
      }),
      msg('Keep the column, unused by the application; or drop it while no other program writes'),
    );
  },
  async 'rename-table'({ table: temporary, to: table }, step, context) {
    if (!rebuiltTables(step).has(temporary)) return undefined;
    return longLock(
      await rewriteMs(table, context),
      msg('Rebuilds the table {table}: every row is copied with the write lock held', { table }),
      msg('Add a column, fill it with defineBackfill(), and switch the application to it'),
    );
  },
});

/** Finds indexes on tables with rows: the write lock is held for the whole build. */
export const indexOnLargeTable = eachStatement('index-on-large-table', {
  async 'create-index'({ table, name: index, isPartial }, { createdTables }, { store }) {
    if (createdTables.has(table)) return undefined;
    return longLock(
      store && lockMsOf(isPartial ? 'emptyIndex' : 'filledIndex', await store.bytes(table)),
      msg('Creates the index {index} on {table}: SQLite reads every row with the write lock held', {
        index,
        table,
      }),
      msg('Create it with defineSchemaStep(), in a separate transaction, before the column is filled'),
    );
  },
});

/** Effect of a long transaction on other programs. */
const untilLastRow = ({ engine }: RuleContext): Message =>
  engine === 'SQLite'
    ? msg('no other program can write until the last row is done')
    : msg('its rows stay locked, and autovacuum removes no dead row, until the last one is done');

/** Finds statements that change the rows of a whole table in one transaction. */
export const dataChangeInSqlStep = eachStatement('data-change-in-sql-step', {
  async update({ table, where }, step, context) {
    if (!(await changesMany(table, where, step, context))) return undefined;
    return hit(
      msg('Updates {table} in one transaction: {effect}', { table, effect: untilLastRow(context) }),
      msg('Fill it in batches with defineBackfill()'),
    );
  },
  async delete({ table, where }, step, context) {
    if (!(await changesMany(table, where, step, context))) return undefined;
    return hit(
      msg('Deletes from {table} in one transaction: {effect}', { table, effect: untilLastRow(context) }),
      msg('Delete in small batches, from the application'),
    );
  },
  insert: async ({ table, reads }, step, context) => await copiesMany(table, reads, step, context),
  'create-table': async ({ name, reads }, step, context) => await copiesMany(name, reads, step, context),
});

/** Checks whether a table has many rows; without a store, each that the step does not create may. */
const isLarge = async (table: string, step: ParsedStep, { store }: RuleContext): Promise<boolean> =>
  !step.createdTables.has(table) && ((await store?.hasManyRows(table)) ?? true);

const changesMany = async (
  table: string,
  where: readonly Token[],
  step: ParsedStep,
  context: RuleContext,
): Promise<boolean> =>
  (await isLarge(table, step, context)) && !isOneRow(where, await context.store?.uniqueColumns(table));

async function copiesMany(
  table: string,
  reads: readonly string[],
  step: ParsedStep,
  context: RuleContext,
): Promise<LintHit | undefined> {
  const sources = await filterEach(reads, async (source) => await isLarge(source, step, context));
  if (sources.length === 0 || rebuiltTables(step).has(table)) return undefined;
  return hit(
    msg('Copies rows of {sources} into {table} in one transaction: {effect}', {
      ...{ sources, table, effect: untilLastRow(context) },
    }),
    msg(
      'Add columns to the table with the rows, and fill them with defineBackfill(); or copy in small batches, outside a step',
    ),
  );
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
