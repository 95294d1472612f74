import { identifier, isSameName } from '../db/sql.js';
import { flatMapEach } from '../each.js';
import { derivedRows } from '../engine/derive.js';
import { deriveRows, PROCESS_FAILED } from '../engine/process.js';
import { rowSql, scopeSql } from '../engine/rows.js';
import { BackfillError } from '../errors.js';
import { msg } from '../messages/message.js';
import { columnIndex, isSame, readContents, requireSame, type StoreContents, tableOf } from './contents.js';
import { BackfillTestError, cellId, cellName, type Difference, differenceError, showKey } from './failure.js';
import type { BackfillStep, Key, Subject, TestRow } from './options.js';
import {
  bound,
  copyStore,
  type LedgerState,
  readLedger,
  requireVerified,
  runDown,
  runUp,
  withReadOnly,
} from './store.js';

/** State of the store around an uninterrupted `up`, with which all other runs are compared. */
export type Baseline = Awaited<ReturnType<typeof requireRoundTrip>>;

/**
 * Runs `up`, `down` and `up` on a copy of the seed, and checks the store after each.
 *
 * @throws {BackfillTestError} for the first difference
 */
export async function requireRoundTrip(subject: Subject, seed: string, path: string) {
  const { step } = subject;
  const isFilled = ({ table, column = '', left }: Difference): boolean =>
    table === step.table && left === null && step.columns.some(({ name }) => isSameName(name, column));
  copyStore(seed, path);
  const verification = await runUp(subject, path).catch(async (error: unknown) => {
    // Derives again to find the row and the column.
    if (!(error instanceof BackfillError) || error.code !== 'NOT_DETERMINISTIC') throw error;
    await requireDeterminism(seed, step);
    throw new BackfillTestError('NOT_DETERMINISTIC', error.message, {});
  });
  const derived = await requireDeterminism(seed, step);
  if (derived.size === 0) {
    throw new BackfillError(
      'USAGE',
      msg('No row of `rows` of testBackfill() is in the scope of the backfill'),
      msg('Add rows that it must fill'),
    );
  }
  const [before, after] = [await readContents(seed, step), await readContents(path, step)];
  const ledger = await readLedger(path, subject);
  await requireSame('NOT_PRESERVED', step, before, path, ['before `up`', 'after it'], isFilled);
  const again = await deriveAll(path, step, derived.keys());
  requireSameValues(step, derived, again, 'after the table is filled');
  requireReasons(subject, after, derived, ledger);
  const expectedCells = requireExpected(subject, after);
  requireVerified(verification, 'after `up`');

  await runDown(subject, path);
  await requireSame('NOT_REVERTED', step, before, path, ['in the seed', 'after `down`']);
  await runUp(subject, path);
  const when = ['after the first `up`', 'after another one, after `down`'] as const;
  await requireSame('NOT_DETERMINISTIC', step, after, path, when);
  return { before, after, ledger, rowsInScope: derived.size, expectedCells };
}

/** Checks that each NULL in scope has a recorded reason. */
function requireReasons(
  { step }: Subject,
  after: StoreContents,
  derived: DerivedByKey,
  { skips }: LedgerState,
): void {
  const table = tableOf(after, step);
  const reasons = new Set(skips.map(({ key, target }) => cellId(key, target)));
  for (const key of derived.keys()) {
    for (const { name } of step.columns) {
      if (table.rows.get(key)?.[columnIndex(table, name)] !== null) continue;
      if (['*', name].some((target) => reasons.has(cellId(key, target)))) continue;
      const message = `${cellName(key, name)} is NULL after \`up\`, and no reason is recorded`;
      throw new BackfillTestError('SKIP_NOT_RECORDED', message, { key, column: name });
    }
  }
}

/** Compares the cells of `expected`, and returns their number. */
function requireExpected({ step, expected }: Subject, after: StoreContents): number {
  const table = tableOf(after, step);
  let count = 0;
  for (const row of expected) {
    const key = keyOf(row, step.key);
    const found = table.rows.get(key);
    if (!found) {
      throw new BackfillError(
        'USAGE',
        msg('`expected` of testBackfill() has a row {key}, which is not in `rows`', { key: showKey(key) }),
        msg('Set the key to its value in the table'),
      );
    }
    for (const [column, value] of Object.entries(row)) {
      if (isSameName(column, step.key)) continue;
      count += 1;
      const cell = found[columnIndex(table, column)];
      if (isSameValue(value, cell)) continue;
      const difference = { table: step.table, key, column, left: value, right: cell };
      throw differenceError('NOT_EXPECTED', step, difference, ['by `expected`', 'after `up`']);
    }
  }
  return count;
}

const keyOf = (row: TestRow, name: string): Key =>
  bound(Object.entries(row).find(([column]) => isSameName(column, name))?.[1] ?? null) as Key;

/** Checks whether a cell holds the expected value. Numbers are equal whether they are integers or reals. */
function isSameValue(expected: unknown, cell: unknown): boolean {
  const isNumber = (value: unknown): value is number | bigint => /^(?:number|bigint)$/.test(typeof value);
  if (isNumber(expected) && isNumber(cell)) return !(expected < cell) && !(expected > cell);
  return isSame(expected instanceof Uint8Array ? Buffer.from(expected) : expected, cell);
}

/** Derived values by key: one per column, then the reason if the row is skipped. */
type DerivedByKey = ReadonlyMap<Key, readonly unknown[]>;

/** Derives the values of all rows in scope, or of the rows with these keys, even if no longer in scope. */
const deriveAll = async (path: string, backfill: BackfillStep, keys?: Iterable<Key>): Promise<DerivedByKey> =>
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
function requireSameValues(
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
async function requireDeterminism(path: string, backfill: BackfillStep): Promise<DerivedByKey> {
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
