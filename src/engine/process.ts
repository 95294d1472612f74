import type { SqlValue } from '../db/connection.js';
import type { BackfillError } from '../errors.js';
import { type Message, msg } from '../messages/message.js';
import type { Backfill } from '../steps/define.js';
import { type CellValue, invalidStep, type ProcessContext, type Skip } from '../steps/values.js';
import { messageOf, thrownText } from '../thrown.js';

type Process = NonNullable<Backfill['process']>;

/** Reason of a skip if `process` threw. The error itself is not recorded, because it may quote the row. */
export const PROCESS_FAILED = 'PROCESS_FAILED';

/**
 * Reason of a skip if `process` returned a value that the store cannot hold: a text with an unpaired surrogate, which would be
 * written as another character; on PostgreSQL a text with U+0000; on SQLite an integer beyond 64 bits.
 */
export const VALUE_INVALID = 'VALUE_INVALID';

/** Result of `process` for a row. */
export interface Derived {
  readonly values: readonly CellValue[];
  readonly failure: string | null;
}

/** Maximum errors kept per function: enough to report each place where it throws. */
const MAX_THROWN = 20;

/** Keyed by the `process` of a step: each loaded project has its own, though they may share the function. */
const thrown = new WeakMap<Process, unknown[]>();

function remember(process: Process, error: unknown): void {
  const kept = thrown.get(process) ?? [];
  if (kept.length < MAX_THROWN) thrown.set(process, [...kept, error]);
}

/** Returns and clears some of the errors that the `process` of a backfill has thrown since the last call. */
export function takeThrown({ process }: Backfill): readonly unknown[] {
  const kept = (process && thrown.get(process)) ?? [];
  if (process) thrown.delete(process);
  return kept;
}

/**
 * Returns a warning for each place where the `process` of a backfill threw.
 *
 * @param showValues whether to add the messages of the errors, which may quote rows
 */
export function thrownWarnings({ name }: Backfill, errors: readonly unknown[], showValues = false) {
  const texts = errors.map((error) => thrownText(error) + (showValues ? `: ${messageOf(error)}` : ''));
  return [...new Set(texts)].map((thrown) => msg('`process` of {name} threw: {thrown}', { name, thrown }));
}

/** Converts integers to numbers if those are exact. */
const toProcessCell = (cell: SqlValue): CellValue =>
  typeof cell === 'bigint' && Number.isSafeInteger(Number(cell)) ? Number(cell) : cell;

/** Whether a reason is one of this package's, which verification interprets. */
const isReservedReason = (reason: string): boolean =>
  /^(?:SQLITE_|UPDATE_IGNORED$|PROCESS_FAILED$|VALUE_INVALID$)/.test(reason);

/** Objects returned by `skip()`. Any other object with such a member is validated, because it may name a column. */
const skips = new WeakSet<object>();

/** Errors thrown by `skip()`. Any other error of `process` concerns a row, whatever its class. */
const refusals = new WeakSet<object>();

const context: ProcessContext = {
  skip: (reason) => {
    if (/^[A-Z][A-Z0-9_]{0,63}$/.test(reason) && !isReservedReason(reason)) {
      const skip = { skip: reason };
      skips.add(skip);
      return skip;
    }
    const refusal = invalidStep(
      msg('Expected the reason of skip() to be a code in capitals that this package does not use'),
      msg(
        'Use a code such as NO_SURNAME: it is recorded and printed, so it must not contain data of the row',
      ),
    );
    refusals.add(refusal);
    throw refusal;
  },
};

/** Result for a row on which `process` threw. */
const FAILED: Derived = { values: [], failure: PROCESS_FAILED };

/**
 * Runs `process` on rows. If it throws for several, it runs on each alone, so that only those on which it throws are skipped.
 *
 * @param rows per row: the key and the columns of `reads`
 * @returns per row: a value for each column of the backfill, null for one that is filled otherwise
 * @throws {BackfillError} `STEP_INVALID` if it returns anything else
 */
export function deriveRows(
  backfill: Backfill,
  process: Process,
  rows: readonly (readonly SqlValue[])[],
): readonly Derived[] {
  if (rows.length === 0) return [];
  const entries = ask(backfill, process, rows);
  if (entries === undefined)
    return rows.length === 1 ? [FAILED] : rows.flatMap((row) => deriveRows(backfill, process, [row]));
  if (entries.some(isPromise)) throw promised(backfill, entries);
  const derived = entries.map((entry) => readEntry(backfill, process, entry));
  if (derived.length !== rows.length) throw noArray(backfill);
  return derived;
}

/**
 * Runs `process` on rows, and merges its values with those of the other columns.
 *
 * @param rows values of the other columns; `process` is not run on a row that failed
 * @param cells per row: the key and the columns of `reads`
 */
export function withProcess(
  backfill: Backfill,
  process: Process,
  rows: readonly Derived[],
  cells: readonly (readonly SqlValue[])[],
): readonly Derived[] {
  const asked = cells.filter((_, at) => rows[at]?.failure === null);
  const given = deriveRows(backfill, process, asked).values();
  return rows.map((others) => {
    if (others.failure !== null) return { ...others, values: [] };
    const { values, failure } = given.next().value ?? others;
    return { values: values.map((value, i) => value ?? others.values[i] ?? null), failure };
  });
}

/** Returns the entries that `process` returns; undefined if it throws. Keeps the error if it was run on a single row. */
function ask(
  backfill: Backfill,
  process: Process,
  rows: readonly (readonly SqlValue[])[],
): readonly unknown[] | undefined {
  const names = [backfill.key, ...process.reads];
  const given = rows.map((cells) =>
    Object.fromEntries(names.map((name, at) => [name, toProcessCell(cells[at] ?? null)])),
  );
  let returned: unknown;
  try {
    returned = process.derive(given, context);
    if (Array.isArray(returned)) return Array.from(returned); // holes become undefined
  } catch (error) {
    if (typeof error === 'object' && error !== null && refusals.has(error)) throw error;
    if (rows.length === 1) remember(process, error);
    return undefined;
  }
  throw isPromise(returned) ? promised(backfill, [returned]) : noArray(backfill);
}

function readEntry(backfill: Backfill, process: Process, entry: unknown): Derived {
  if (typeof entry !== 'object' || entry === null) throw noArray(backfill);
  if (skips.has(entry)) return { values: [], failure: (entry as Skip).skip };
  let names: readonly string[];
  let cells: readonly unknown[];
  try {
    names = Object.keys(entry);
    cells = backfill.columns.map(({ name, value }) =>
      value.kind === 'process' ? ((entry as Readonly<Record<string, unknown>>)[name] ?? null) : null,
    );
  } catch (error) {
    remember(process, error);
    return FAILED; // a getter threw, as `process` itself may
  }
  for (const name of names)
    if (!process.fills.includes(name))
      throw invalidReturn(
        msg('`process` of {name} returned a value for {column}, which is not one of its `columns`', {
          name: backfill.name,
          column: name,
        }),
      );
  // A Map or an empty array would silently skip every cell.
  if (cells.every((cell) => cell === null) && Object.prototype.toString.call(entry) !== '[object Object]')
    throw noArray(backfill);
  const derived = { values: cells.map((cell) => checked(backfill, cell)), failure: null };
  return withoutInvalid(derived, (value) => typeof value === 'string' && !value.isWellFormed());
}

const isPromise = (value: unknown): boolean => {
  try {
    return typeof (value as { readonly then?: unknown } | null | undefined)?.then === 'function';
  } catch {
    return false; // a getter threw: the entry is skipped when it is read
  }
};

/** Returns the error for promises. It handles their rejections first, which would end the process before the error is reported. */
function promised({ name }: Backfill, returned: readonly unknown[]): BackfillError {
  for (const promise of returned) if (promise instanceof Promise) promise.catch(() => undefined);
  return invalidStep(
    msg('`process` of {name} returned a promise, but must be synchronous', { name }),
    msg('Load what it waits for before the run: a batch is one transaction, which cannot wait'),
  );
}

/** Returns what was derived for a row; a skip if the store cannot hold one of the values. */
export const withoutInvalid = (derived: Derived, isInvalid: (value: CellValue) => boolean): Derived =>
  derived.values.some(isInvalid) ? { values: [], failure: VALUE_INVALID } : derived;

function checked(backfill: Backfill, value: unknown): CellValue {
  if (value === null || typeof value === 'string' || typeof value === 'bigint') return value;
  if (typeof value === 'number' && Number.isFinite(value)) return value;
  if (value instanceof Uint8Array) return Buffer.from(value);
  throw invalidReturn(
    msg(
      '`process` of {name} returned a value that is not a string, a finite number, a bigint, bytes or null',
      { name: backfill.name },
    ),
  );
}

const noArray = ({ name }: Backfill): BackfillError =>
  invalidReturn(msg('`process` of {name} did not return an array with one object per row', { name }));

const invalidReturn = (message: Message): BackfillError =>
  invalidStep(message, msg('Fix it, then run the same command again; nothing of this batch was written'));
