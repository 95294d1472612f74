import { english } from '../messages/message.js';
import { showValue } from '../verify/times.js';
import type { BackfillStep, Key } from './options.js';

/** Stable code of a failure; never renamed, never reused. */
export type BackfillTestCode =
  | 'NOT_DETERMINISTIC'
  | 'NOT_EXPECTED'
  | 'PROCESS_THREW'
  | 'NOT_PRESERVED'
  | 'SKIP_NOT_RECORDED'
  | 'NOT_VERIFIED'
  | 'NOT_REVERTED'
  | 'NOT_RESUMED'
  | 'NOT_CAUGHT_UP'
  | 'PROCESS_ENDED';

const ROW_ALONE =
  'Derive values from the row alone: from no other row, no clock, and no state kept between two calls';
const TRIGGER = 'Find the trigger that changes other cells than the backfill fills';

/** Hints by code, in English as the messages of assertions are. docs/testing.md describes each code. */
const HINT_BY_CODE: Readonly<Record<BackfillTestCode, string>> = {
  NOT_DETERMINISTIC: ROW_ALONE,
  PROCESS_THREW: 'Call it with a single row of `rows`',
  NOT_EXPECTED: 'Fix the backfill, or `expected`',
  NOT_PRESERVED: TRIGGER,
  SKIP_NOT_RECORDED: 'Fix `scope`: it must depend on the row alone, not on filled columns',
  NOT_VERIFIED: 'See docs/verification.md for the check',
  NOT_REVERTED: TRIGGER,
  NOT_RESUMED: `${ROW_ALONE}, nor in a process`,
  NOT_CAUGHT_UP: ROW_ALONE,
  PROCESS_ENDED: "Check that the step's file does not end the process, and what it printed",
};

/**
 * A failure of a backfill under test: the first difference that was found, in one sentence.
 *
 * The message contains keys and columns, and never the contents of a column that the backfill reads. For columns that it fills, only
 * timestamps are shown. If `process` threw, its message is shown, unless `showValues` is false.
 *
 * @example
 * await testBackfill({ file: 'backfills/002-names.js', schema: 'CREATE TABLE …', rows: [{ name: 'Ada' }] }).catch((error: unknown) => {
 *   if (error instanceof BackfillTestError) console.error(error.code, error.key, error.column);
 *   throw error;
 * });
 */
export class BackfillTestError extends Error {
  override readonly name = 'BackfillTestError';
  /** Stable name of the failure. */
  readonly code: BackfillTestCode;
  /** Key of the row; undefined if the failure does not concern a row. */
  readonly key: bigint | string | undefined;
  /** The column; undefined if the failure does not concern a column. */
  readonly column: string | undefined;
  /** Advice on the cause. */
  readonly hint: string;

  /**
   * @param code stable name of the failure
   * @param message the difference, in one sentence
   * @param cell row and column, if it concerns one
   */
  constructor(
    code: BackfillTestCode,
    message: string,
    cell: { readonly key?: bigint | string | undefined; readonly column?: string | undefined } = {},
  ) {
    super(message);
    this.code = code;
    this.key = cell.key;
    this.column = cell.column;
    this.hint = HINT_BY_CODE[code];
  }
}

/** A difference between two states of a store. Without a key the tables differ, without a column the row is missing in one of them. */
export interface Difference {
  readonly table: string;
  readonly key?: Key;
  readonly column?: string;
  readonly left?: unknown;
  readonly right?: unknown;
}

/** Formats the name of a cell for a message. */
export const cellName = (key: Key, column: string): string => `${column} of row ${showKey(key)}`;

/** Returns what distinguishes a cell from all others: the keys 1 and '1' differ. */
export const cellId = (key: Key, column: string): string => `${typeof key} ${key} ${column}`;

/** Formats a key for a message. */
export const showKey = (key: Key): string => (typeof key === 'string' ? JSON.stringify(key) : String(key));

/**
 * Returns the error for a difference between two states of a store.
 *
 * @param when phrases for the two states, such as `after \`up\``
 */
export function differenceError(
  code: BackfillTestCode,
  backfill: BackfillStep,
  { table, key, column, left, right }: Difference,
  when: readonly [left: string, right: string],
): BackfillTestError {
  if (key === undefined || (table !== backfill.table && column === undefined))
    return new BackfillTestError(code, `${table} is not the same ${when[0]} and ${when[1]}`);
  if (column === undefined) {
    const [is, isNot] = left === undefined ? [when[1], when[0]] : when;
    const message = `Row ${showKey(key)} of ${table} exists ${is}, and not ${isNot}`;
    return new BackfillTestError(code, message, { key });
  }
  const isOwn = backfill.columns.some(({ name }) => name === column);
  const [first, second] = [left, right].map((value) => shown(value, isOwn));
  return new BackfillTestError(
    code,
    `${cellName(key, column)} is ${first} ${when[0]}, and ${first === second ? 'another' : second}${whereApart(left, right)} ${when[1]}`,
    { key, column },
  );
}

/** Formats a value. A column that the backfill does not fill may be a payload, so its values are not shown. */
const shown = (value: unknown, isOwn: boolean): string =>
  isOwn || value === null ? english(showValue(value)) : '‹a value›';

/** Returns a phrase for the position at which two texts differ, which discloses nothing of their contents. */
function whereApart(left: unknown, right: unknown): string {
  if (typeof left !== 'string' || typeof right !== 'string') return '';
  let at = 0;
  while (left.codePointAt(at) === right.codePointAt(at)) at += 1;
  return ` (from character ${[...left.slice(0, at)].length + 1} on)`;
}
