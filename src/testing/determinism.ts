import type { SqlValue, Store } from '../db/connection.js';
import { identifier } from '../db/sql.js';
import { flatMapEach } from '../each.js';
import { derivedRows } from '../engine/derive.js';
import { deriveRows, PROCESS_FAILED } from '../engine/process.js';
import { rowSql, scopeSql } from '../engine/rows.js';
import type { Key } from '../ledger/keys.js';
import { isSame, withReadOnly } from './contents.js';
import { BackfillTestError, differenceError, showKey } from './failure.js';
import type { BackfillStep } from './options.js';

/** Derived values by key: one per column, then the reason if the row is skipped. */
export type DerivedByKey = ReadonlyMap<Key, readonly unknown[]>;

/** Derives the values of all rows in scope, or of the rows with these keys, even if no longer in scope. */
export const deriveAll = async (
  path: string,
  backfill: BackfillStep,
  keys?: Iterable<Key>,
): Promise<DerivedByKey> =>
  await withReadOnly(path, async (store) =>
    keys === undefined ? await inScope(store, backfill) : await ofKeys(store, backfill, keys),
  );

const allOf = async <Row>(pages: AsyncIterable<Row[]>): Promise<Row[]> => {
  const rows: Row[] = [];
  for await (const page of pages) rows.push(...page);
  return rows;
};

async function read(
  store: Store,
  backfill: BackfillStep,
  where: string,
  limit: number,
): Promise<DerivedByKey> {
  const rows = await derivedRows(store, await store.dialect.derive(store, backfill), { where, limit });
  return new Map(rows.map(({ key, values, failure }) => [key, [...values, failure]]));
}

const inScope = async (store: Store, backfill: BackfillStep): Promise<DerivedByKey> =>
  await read(store, backfill, scopeSql(backfill, store.dialect), Number.MAX_SAFE_INTEGER);

/** Derives rows one at a time, last first, so that none follows the same row as before. */
async function ofKeys(store: Store, backfill: BackfillStep, keys: Iterable<Key>): Promise<DerivedByKey> {
  const { isOneOf } = await rowSql(store, backfill);
  return new Map(
    await flatMapEach([...keys].reverse(), async (key) => [
      ...(await read(store, backfill, isOneOf([key]), 1)),
    ]),
  );
}

/**
 * Returns the error for the first row whose values differ, or undefined.
 *
 * @param when phrase for the second time, for the message
 */
export function nondeterminism(
  backfill: BackfillStep,
  first: DerivedByKey,
  again: DerivedByKey,
  when: string,
): BackfillTestError | undefined {
  const reasonAt = backfill.columns.length;
  for (const [key, values] of first) {
    const others = again.get(key) ?? [];
    const column = backfill.columns.find((_, i) => !isSame(values[i], others[i]))?.name;
    if (column !== undefined) {
      const i = backfill.columns.findIndex(({ name }) => name === column);
      const difference = { table: backfill.table, key, column, left: values[i], right: others[i] };
      return differenceError('NOT_DETERMINISTIC', backfill, difference, ['as first derived', when]);
    }
    if (values[reasonAt] !== others[reasonAt]) {
      const message = `Row ${showKey(key)} is skipped for ${values[reasonAt]} at first, and for ${others[reasonAt]} ${when}`;
      return new BackfillTestError('NOT_DETERMINISTIC', message, { key });
    }
  }
  return undefined;
}

/**
 * Checks that a backfill derives the same values for a row when it is called again, for the row alone, and for the row among others.
 *
 * @returns the derived values
 * @throws {BackfillTestError} `NOT_DETERMINISTIC`
 */
export async function requireDeterminism(path: string, backfill: BackfillStep): Promise<DerivedByKey> {
  const first = await deriveAll(path, backfill);
  const insist = (again: DerivedByKey, when: string): void => {
    const error = nondeterminism(backfill, first, again, when);
    if (error) throw error;
  };
  insist(await deriveAll(path, backfill), 'when derived again');
  insist(await deriveAll(path, backfill, first.keys()), 'for the row alone');
  const [alone, together] = await deriveTogether(path, backfill, first);
  const error = nondeterminism(backfill, alone, together, 'for the row among others');
  if (error) throw error;
  return first;
}

/**
 * Calls `process` with rows one by one, and with all at once in reverse order. Leaves out rows on which it throws alone, because it would
 * then return nothing for the others.
 */
async function deriveTogether(
  path: string,
  backfill: BackfillStep,
  first: DerivedByKey,
): Promise<[alone: DerivedByKey, together: DerivedByKey]> {
  const { process, columns } = backfill;
  const keys = [...first]
    .filter(([, values]) => values[columns.length] !== PROCESS_FAILED)
    .map(([key]) => key);
  if (!process || keys.length === 0) return [new Map(), new Map()];
  const names = [backfill.key, ...process.reads].map((name) => identifier(name)).join(', ');
  const sql = `SELECT ${names} FROM ${identifier(backfill.table)} WHERE ${identifier(backfill.key)} = ?`;
  const rows = await withReadOnly(
    path,
    async (store) =>
      await flatMapEach(
        keys,
        async (key) => await allOf(store.pages<readonly [Key, ...SqlValue[]]>(sql, key)),
      ),
  );
  const derived = (given: typeof rows): [Key, unknown[]][] =>
    deriveRows(backfill, process, given).map(({ values, failure }, i) => [
      given[i]?.[0] as Key,
      [...columns.map((_, at) => values[at] ?? null), failure],
    ]);
  return [new Map(rows.flatMap((row) => derived([row]))), new Map(derived(rows.toReversed()))];
}
