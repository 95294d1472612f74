import { foldCase } from '../../db/sql.js';
import { filterEach, flatMapEach } from '../../each.js';
import { lockMsOf } from '../../engine/sqlite/inspect.js';
import { duration } from '../../format.js';
import {
  type LintHit,
  type LintRule,
  type ParsedStep,
  type RuleContext,
  rebuiltTables,
} from '../parsed-step.js';
import type { Statement } from '../statement.js';
import { hasSequence, isToken, nameOf, type Token } from '../tokens.js';

/** How long a step may hold the write lock before it is named, in milliseconds: a batch of a backfill holds it for 40. */
const LONG_LOCK_MS = 100;

/** Whether a lock is worth naming: always where the store is not known. */
const isLong = (lockMs: number | undefined): boolean => lockMs === undefined || lockMs > LONG_LOCK_MS;

/** A whole table is copied or rewritten in one transaction. */
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
          {
            message: withTime(
              `Drops the column ${operation.name} of ${operation.table}, for which SQLite rewrites every row with the write lock held`,
              await rewriteMs(operation.table),
            ),
            suggestion:
              'Let the application stop using the column and leave it there; or drop it while nobody writes',
            statement,
          },
        ];
      }
      const isRebuild = operation.kind === 'rename-table' && rebuilt.has(operation.table);
      if (!isRebuild || !isLong(await rewriteMs(operation.to))) return [];
      return [
        {
          message: withTime(
            `Rebuilds the table ${operation.to}: every row is copied with the write lock held`,
            await rewriteMs(operation.to),
          ),
          suggestion: 'Add a column, fill it with defineBackfill(), and let the application use that one',
          statement,
        },
      ];
    });
  },
};

/** An index is made with the write lock held for the whole build. */
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
        {
          message: withTime(
            `Makes the index ${operation.name} on ${operation.table}, for which SQLite reads every row with the write lock held`,
            lockMs,
          ),
          suggestion:
            'Make it with defineSchemaStep(), which gives each index a transaction of its own, before the column is filled',
          statement,
        },
      ];
    }),
};

/** The sentence, with what is expected on a store that is known. */
const withTime = (message: string, lockMs: number | undefined): string =>
  lockMs === undefined ? message : `${message} (about ${duration(lockMs)} on this store)`;

/** Rows of a whole table are changed in one transaction. */
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
      return operation.kind === 'update'
        ? [
            {
              message: `Updates ${operation.table} in one transaction: nobody else can write until the last row is done`,
              suggestion: 'Fill it in batches with defineBackfill()',
              statement,
            },
          ]
        : [
            {
              message: `Deletes from ${operation.table} in one transaction: nobody else can write until the last row is done`,
              suggestion: 'Let the application delete in small portions',
              statement,
            },
          ];
    }
    case 'insert':
    case 'create-table': {
      const target = operation.kind === 'insert' ? operation.table : operation.name;
      const sources = await filterEach(operation.reads, isLarge);
      if (sources.length === 0 || rebuiltTables(step).has(target)) return [];
      return [
        {
          message: `Copies rows of ${sources.join(', ')} into ${target} in one transaction: nobody else can write until the last row is done`,
          suggestion:
            'Add columns where the rows are and fill them with defineBackfill(); or copy in small portions outside of a step',
          statement,
        },
      ];
    }
    default:
      return [];
  }
}

/** Names that tell one row from another, where the store is not known. */
const ROW_NAMES: readonly string[] = ['id', 'rowid', 'oid', '_rowid_'];

/** Whether a condition is met by one row or by a few that it lists: `id = 7`, `id IN (7, 8)`, whatever else it asks. */
function isOneRow(where: readonly Token[], unique: readonly string[] | undefined): boolean {
  if (hasSequence(where, 'OR', 0)) return false;
  const names = [...(unique ?? []), ...ROW_NAMES];
  return where.some((token, at) => {
    if (token.depth !== 0 || !names.includes(foldCase(nameOf(token) ?? ''))) return false;
    const behind = where.slice(at + 1);
    const [sign, value] = behind;
    if (isToken(sign, '=') || isToken(sign, '==')) return isLiteral(value);
    if (!isToken(sign, 'IN') || !isToken(value, '(')) return false;
    const list = behind.slice(
      2,
      behind.findIndex((other, i) => i > 1 && other.depth === 0),
    );
    return list.every((item) => isLiteral(item) || isToken(item, ','));
  });
}

const isLiteral = (token: Token | undefined): boolean => token?.kind === 'number' || token?.kind === 'text';
