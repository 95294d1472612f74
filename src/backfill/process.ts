import { BackfillError } from '../errors.js';
import type { SqlValue } from '../store/port.js';
import type { Backfill } from './define.js';
import type { CellValue, ProcessContext, Skip } from './values.js';

type Process = NonNullable<Backfill['process']>;

/** Reason of a skip on which `process` threw. What it threw is not told: it may quote the row. */
export const PROCESS_FAILED = 'PROCESS_FAILED';

/**
 * Reason of a skip for which `process` gave a value that the store can't hold: a text with half of a surrogate pair, which would be written
 * as another character; on PostgreSQL one with U+0000; on SQLite an integer beyond 64 bits.
 */
export const VALUE_INVALID = 'VALUE_INVALID';

/** What `process` gave for a row. */
export interface Derived {
  readonly values: readonly CellValue[];
  readonly failure: string | null;
}

/** Integers as numbers, as far as those are exact. */
const shown = (cell: SqlValue): CellValue =>
  typeof cell === 'bigint' && Number.isSafeInteger(Number(cell)) ? Number(cell) : cell;

/** Reasons that say something else already: a verification goes by them. */
const isTaken = (reason: string): boolean =>
  /^(?:SQLITE_|UPDATE_IGNORED$|PROCESS_FAILED$|VALUE_INVALID$)/.test(reason);

/** What `skip()` has made: another object with such a member is not checked, and may be meant as a column. */
const skips = new WeakSet<object>();

const context: ProcessContext = {
  skip: (reason) => {
    if (/^[A-Z][A-Z0-9_]{0,63}$/.test(reason) && !isTaken(reason)) {
      const skip = { skip: reason };
      skips.add(skip);
      return skip;
    }
    throw new BackfillError(
      'STEP_INVALID',
      'Expected the reason of skip() to be a code in capitals, and none of the codes of this package',
      'Name it like NO_SURNAME: it is recorded and shown, and must not hold contents',
    );
  },
};

/**
 * Asks `process` for rows.
 *
 * @param rows of each the key, and the columns of `reads`
 * @returns an entry for each row
 * @throws {BackfillError} `STEP_INVALID` when it returns something else
 */
export function deriveRows(
  backfill: Backfill,
  { reads, derive: ask }: Process,
  rows: readonly (readonly SqlValue[])[],
): readonly Derived[] {
  const names = [backfill.key, ...reads];
  let given: unknown;
  try {
    given = ask(
      rows.map((cells) => Object.fromEntries(names.map((name, at) => [name, shown(cells[at] ?? null)]))),
      context,
    );
  } catch (error) {
    if (error instanceof BackfillError) throw error;
    return rows.map(() => ({ values: [], failure: PROCESS_FAILED })); // recorded with the keys; too many of them end the run
  }
  if (!Array.isArray(given) || given.length !== rows.length)
    throw misshapen(backfill, 'an array with an object for each row');
  return given.map((entry: unknown) => readEntry(backfill, entry));
}

function readEntry(backfill: Backfill, entry: unknown): Derived {
  if (typeof entry !== 'object' || entry === null)
    throw misshapen(backfill, 'an array with an object for each row');
  if (skips.has(entry)) return { values: [], failure: (entry as Skip).skip };
  const changes = entry as Readonly<Record<string, unknown>>;
  for (const name of Object.keys(changes))
    if (!backfill.columns.some((column) => column.name === name))
      throw misshapen(backfill, `only its \`columns\`, not ${name},`);
  const values = backfill.columns.map(({ name }) => checked(backfill, changes[name] ?? null));
  const derived = { values, failure: null };
  return withoutInvalid(derived, (value) => typeof value === 'string' && !value.isWellFormed());
}

/** What was derived of a row; a skip where one of the values is none that the store can hold. */
export const withoutInvalid = (derived: Derived, isInvalid: (value: CellValue) => boolean): Derived =>
  derived.values.some(isInvalid) ? { values: [], failure: VALUE_INVALID } : derived;

function checked(backfill: Backfill, value: unknown): CellValue {
  if (value === null || typeof value === 'string' || typeof value === 'bigint') return value;
  if (typeof value === 'number' && Number.isFinite(value)) return value;
  if (value instanceof Uint8Array) return Buffer.from(value);
  throw misshapen(backfill, 'strings, finite numbers, bigints, bytes and null');
}

function misshapen({ name }: Backfill, what: string): BackfillError {
  return new BackfillError(
    'STEP_INVALID',
    `\`process\` of ${name} is to return ${what} and returned something else`,
    'Mend it, and run the same command again; nothing of this batch was written',
  );
}
