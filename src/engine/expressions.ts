import type { Store } from '../db/connection.js';
import { identifier } from '../db/sql.js';
import { findEach } from '../each.js';
import { isStoreError } from '../engine-errors.js';
import { BackfillError } from '../errors.js';
import type { Key, KeySpan } from '../ledger/keys.js';
import { type Message, msg } from '../messages/message.js';
import type { Backfill } from '../steps/define.js';
import { expressionSql, type RowSql, rowSql } from './rows.js';

/** Rows that are tried at once, before one by one. */
const PAGE = 1000;

/**
 * Runs `act`. If the scope or an expression of the backfill fails on a row, such as `json_extract` on invalid JSON, it finds the
 * row.
 *
 * @throws {BackfillError} `STEP_INVALID` naming the column or the scope, and the row's key; any other error of `act`
 */
export async function withFailingRow<Result>(
  store: Store,
  backfill: Backfill,
  act: () => Promise<Result>,
): Promise<Result> {
  try {
    return await act();
  } catch (error) {
    throw (await findFailingRow(store, backfill, error)) ?? error;
  }
}

/**
 * Runs `act` on the rows with these keys. If it fails on one of them, runs it on each half, down to the single row.
 *
 * @param act must tolerate having handled some rows before it fails
 * @param onFailing called with each key on whose row it fails
 */
export async function rowByRow(
  store: Store,
  runs: readonly KeySpan[],
  act: (runs: readonly KeySpan[]) => Promise<void>,
  onFailing: (run: KeySpan) => Promise<void>,
): Promise<void> {
  const [first] = runs;
  if (!first || (await store.attempt(async () => await act(runs)))) return;
  const half = Math.ceil(runs.length / 2);
  if (runs.length > 1) {
    await rowByRow(store, runs.slice(0, half), act, onFailing);
    await rowByRow(store, runs.slice(half), act, onFailing);
    return;
  }
  const [from, to] = first;
  if (typeof from !== 'bigint' || typeof to !== 'bigint' || from === to) {
    await onFailing(first);
    return;
  }
  const middle = (from + to) >> 1n;
  await rowByRow(store, [[from, middle]], act, onFailing);
  await rowByRow(store, [[middle + 1n, to]], act, onFailing);
}

/**
 * Returns an error that names the row on which the scope or an expression failed, if the store's error is of that kind. Reads rows
 * until it finds one, so do not call it in a transaction that blocks others.
 */
export async function findFailingRow(
  store: Store,
  backfill: Backfill,
  error: unknown,
): Promise<BackfillError | undefined> {
  if (
    !isStoreError(error) ||
    !/^(?:SQLITE_(?:ERROR|TOOBIG|MISMATCH)|POSTGRES_2[0-9A-Z]{4}$)/.test(error.code)
  )
    return undefined;
  const { code } = error;
  const { name } = backfill;
  const hint = msg('Guard the expression, as in {example}, then run the same command again', {
    example: store.dialect.words.guardExample,
  });
  const failed = (message: Message): BackfillError =>
    new BackfillError('STEP_INVALID', message, hint, { cause: error });
  const rows = await rowSql(store, backfill);
  // The scope comes first: expressions may only be tried on rows in scope.
  const outside = await firstFailure(store, backfill, rows, rows.inScope, 'true');
  if (outside !== undefined)
    return failed(
      msg('The scope of {name} fails on the row with key {key} ({code})', { name, key: outside, code }),
    );
  for (const { name: column, value } of backfill.columns) {
    if (value.kind !== 'sql') continue;
    const expression = expressionSql(value, store.dialect.engine);
    const key = await firstFailure(store, backfill, rows, expression, rows.inScope);
    if (key === undefined) continue;
    const values = { column, name, key, code };
    return failed(
      msg('The expression of {column} in {name} fails on the row with key {key} ({code})', values),
    );
  }
  return undefined;
}

/** Returns the first key on whose row an expression fails, among the rows for which `scope` holds. */
async function firstFailure(
  store: Store,
  backfill: Backfill,
  { key, afterKey, from, upTo, isOneOf }: RowSql,
  expression: string,
  scope: string,
): Promise<Key | undefined> {
  const table = `${identifier(backfill.table)} AS t`;
  const fails = async (where: string): Promise<boolean> => {
    try {
      await store.project.get(
        `SELECT ${store.dialect.builtIn('count')}(${expression}) FROM ${table} WHERE ${where}`,
      );
      return false;
    } catch (error) {
      if (isStoreError(error)) return true;
      throw error;
    }
  };
  for (let cursor: Key | null = null; ; ) {
    const page: { key: Key }[] = await store.project.allExact(
      `SELECT ${key} AS key FROM ${table} WHERE ${afterKey(cursor)} AND ${scope} ORDER BY ${key} LIMIT ${PAGE}`,
    );
    const [first, last] = [page[0]?.key, page.at(-1)?.key];
    if (first === undefined || last === undefined) return undefined;
    if (await fails(`${from(first)} AND ${upTo(last)} AND ${scope}`)) {
      const found = await findEach(page, async (row) => await fails(isOneOf([row.key])));
      if (found) return found.key;
    }
    cursor = last;
  }
}
