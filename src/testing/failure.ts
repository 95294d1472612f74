import type { Key } from '../ledger/keys.js';
import type { Backfill } from '../steps/define.js';
import { showValue } from '../verify/times.js';
import type { Difference } from './contents.js';

/** A stable name for what a backfill failed at; never renamed, never reused. */
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
  'Derive from the row alone: from no other row, no clock, and nothing that is kept between two calls';
const TRIGGER = 'Look for a trigger that changes other cells than the backfill fills';

/** What to look for, by code. docs/testing.md says more about each; a test holds the two together. */
export const HINT_BY_CODE: Readonly<Record<BackfillTestCode, string>> = {
  NOT_DETERMINISTIC: ROW_ALONE,
  PROCESS_THREW: 'Call it with a row of `rows` by itself',
  NOT_EXPECTED: 'Mend the backfill, or what `expected` says',
  NOT_PRESERVED: TRIGGER,
  SKIP_NOT_RECORDED: 'Let `scope` look at the row alone, and not at what has been filled',
  NOT_VERIFIED: 'docs/verification.md says what each check looks at',
  NOT_REVERTED: TRIGGER,
  NOT_RESUMED: `${ROW_ALONE}, in whatever process`,
  NOT_CAUGHT_UP: ROW_ALONE,
  PROCESS_ENDED: "Let the step's file end no process, and look at what it printed",
};

/**
 * A backfill does not do what it should: the first difference that the test found, in one sentence.
 *
 * It names a key and a column, and never holds the contents of a column that the backfill read. Of the columns that it fills only timestamps
 * are shown. What `process` threw is told with its message, unless `showValues` is false.
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
  /** Key of the row in which it was found; undefined where it is no row's. */
  readonly key: bigint | string | undefined;
  /** Column in which it was found; undefined where it is no column's. */
  readonly column: string | undefined;
  /** What to look for. */
  readonly hint: string;

  /**
   * @param code stable name of the failure
   * @param message one sentence saying what differs
   * @param cell the row and the column, where it is theirs
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

/** A cell's name in a sentence. */
export const cellName = (key: Key, column: string): string => `${column} of row ${showKey(key)}`;

/** A key in a sentence. */
export const showKey = (key: Key): string => (typeof key === 'string' ? JSON.stringify(key) : String(key));

/**
 * The error for a difference between two states of a store.
 *
 * @param when in words, when the first of them and the second were: `after \`up\``
 */
export function differenceError(
  code: BackfillTestCode,
  backfill: Backfill,
  { table, key, column, left, right }: Difference,
  when: readonly [left: string, right: string],
): BackfillTestError {
  if (key === undefined || (table !== backfill.table && column === undefined))
    return new BackfillTestError(code, `${table} is not the same ${when[0]} and ${when[1]}`);
  if (column === undefined) {
    const [is, isNot] = left === undefined ? [when[1], when[0]] : when;
    const message = `Row ${showKey(key)} of ${table} is there ${is}, and not ${isNot}`;
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

/** A value of a column that the backfill does not fill may be a payload: nothing of it is shown. */
const shown = (value: unknown, isOwn: boolean): string =>
  isOwn || value === null ? showValue(value) : '‹a value›';

/** Where two texts begin to differ, which tells nothing of what stands there. */
function whereApart(left: unknown, right: unknown): string {
  if (typeof left !== 'string' || typeof right !== 'string') return '';
  let at = 0;
  while (left.codePointAt(at) === right.codePointAt(at)) at += 1;
  return ` (from character ${[...left.slice(0, at)].length + 1} on)`;
}
