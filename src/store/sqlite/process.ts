import { createHash } from 'node:crypto';
import type { Backfill } from '../../backfill/define.js';
import { type Derived, deriveRows } from '../../backfill/process.js';
import type { SqlValue, Store } from '../port.js';
import { identifier } from '../sql.js';
import type { Derivation } from './derive.js';
import { requireSqlite } from './store.js';

/**
 * `process` as a function of SQL, so that batches, rollback, verification and dry run ask it the same way. It is asked for
 * each column of a row, and remembers the last row.
 */

type Process = NonNullable<Backfill['process']>;

/** Asks for the reason why the row is left alone, instead of the value of a column. */
const FAILURE = -1;

/** One name for each backfill, of letters that need no quotes. */
const nameOf = ({ name }: Backfill): string =>
  `umzug_backfill_process_${createHash('sha256').update(name).digest('hex').slice(0, 16)}`;

/** The SQL of `process()`. */
export function processSql(backfill: Backfill, { reads }: Process, isPlain: boolean): Derivation {
  const columns = backfill.columns.map((_, i) => i);
  if (isPlain) return { inner: [], values: new Map(columns.map((i) => [i, 'NULL'])) };
  const row = [backfill.key, ...reads].map((name) => `t.${identifier(name)}`).join(', ');
  return {
    inner: [FAILURE, ...columns].map(
      (i) => `${nameOf(backfill)}(${i}, ${row}) AS ${i === FAILURE ? 'p' : `e${i}`}`,
    ),
    values: new Map(columns.map((i) => [i, `e${i}`])),
    isWell: 'p IS NULL',
    failure: 'p',
  };
}

/** Makes a backfill's `process`, if it has one, known to the store's connection. */
export function registerProcess(store: Store, backfill: Backfill): void {
  const { process } = backfill;
  if (!process) return;
  let last: readonly SqlValue[] = [];
  let derived: Derived | undefined;
  requireSqlite(store).define(nameOf(backfill), (i, ...cells) => {
    // A row begins with its reason: it is derived again, even where the same one was derived last.
    if (Number(i) === FAILURE || !derived || !cells.every((cell, at) => isSame(cell, last[at]))) {
      [derived] = deriveRows(backfill, process, [cells]) as [Derived];
      last = cells;
    }
    return Number(i) === FAILURE ? derived.failure : (derived.values[Number(i)] ?? null);
  });
}

const isSame = (a: SqlValue, b: SqlValue | undefined): boolean =>
  Buffer.isBuffer(a) ? Buffer.isBuffer(b) && a.equals(b) : a === b;
