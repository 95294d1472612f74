import { identifier } from '../db/sql.js';
import { flatMapEach } from '../each.js';
import { derivedRows } from '../engine/derive.js';
import { deriveRows, PROCESS_FAILED } from '../engine/process.js';
import { rowSql, scopeSql } from '../engine/rows.js';
import { isSame } from './contents.js';
import { BackfillTestError, differenceError, showKey } from './failure.js';
import type { BackfillStep, Key } from './options.js';
import { withReadOnly } from './store.js';

/** Derived values by key: one per column, then the reason if the row is skipped. */
export type DerivedByKey = ReadonlyMap<Key, readonly unknown[]>;

/** Derives the values of all rows in scope, or of the rows with these keys, even if no longer in scope. */
export const deriveAll = async (
  path: string,
  backfill: BackfillStep,
  keys?: Iterable<Key>,
): Promise<DerivedByKey> =>
  await withReadOnly(path, async ({ store }) => {
    const derive = async (where: string, limit: number): Promise<(readonly [Key, unknown[]])[]> => {
      const rows = await derivedRows(store, await store.dialect.derive(store, backfill), { where, limit });
      return rows.map(({ key, values, failure }) => [key, [...values, failure]]);
    };
    if (keys === undefined)
      return new Map(await derive(scopeSql(backfill, store.dialect), Number.MAX_SAFE_INTEGER));
    const { isOneOf } = await rowSql(store, backfill);
    // One at a time, last first, so that none follows the same row as before.
    return new Map(await flatMapEach([...keys].reverse(), async (key) => await derive(isOneOf([key]), 1)));
  });

/**
 * Checks that the values of each row are the same as when first derived.
 *
 * @param when phrase for the second time, for the message
 * @throws {BackfillTestError} `NOT_DETERMINISTIC`
 */
export function requireSameValues(
  backfill: BackfillStep,
  first: DerivedByKey,
  again: DerivedByKey,
  when: string,
): void {
  const { table, columns } = backfill;
  for (const [key, values] of first) {
    const others = again.get(key) ?? [];
    for (const [i, { name: column }] of columns.entries()) {
      if (isSame(values[i], others[i])) continue;
      const difference = { table, key, column, left: values[i], right: others[i] };
      throw differenceError('NOT_DETERMINISTIC', backfill, difference, ['as first derived', when]);
    }
    const [reason, other] = [values[columns.length], others[columns.length]];
    if (reason === other) continue;
    const message = `Row ${showKey(key)} is skipped for ${reason} at first, and for ${other} ${when}`;
    throw new BackfillTestError('NOT_DETERMINISTIC', message, { key });
  }
}

/**
 * Checks that a backfill derives the same values for a row when it is called again, for the row alone, and for the row among others.
 *
 * @returns the derived values
 * @throws {BackfillTestError} `NOT_DETERMINISTIC`
 */
export async function requireDeterminism(path: string, backfill: BackfillStep): Promise<DerivedByKey> {
  const first = await deriveAll(path, backfill);
  requireSameValues(backfill, first, await deriveAll(path, backfill), 'when derived again');
  requireSameValues(backfill, first, await deriveAll(path, backfill, first.keys()), 'for the row alone');
  const [alone, together] = await deriveTogether(path, backfill, first);
  requireSameValues(backfill, alone, together, 'for the row among others');
  return first;
}

type Row = Parameters<typeof deriveRows>[2][number];

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
  const rows: Row[] = [];
  await withReadOnly(path, async ({ store }) => {
    for (const key of keys) for await (const page of store.pages<Row>(sql, key)) rows.push(...page);
  });
  const derived = (given: readonly Row[]): [Key, unknown[]][] =>
    deriveRows(backfill, process, given).map(({ values, failure }, i) => [
      given[i]?.[0] as Key,
      [...columns.map((_, at) => values[at] ?? null), failure],
    ]);
  return [new Map(rows.flatMap((row) => derived([row]))), new Map(derived(rows.toReversed()))];
}
