import { createHash } from 'node:crypto';
import type { Backfill } from '../../backfill/define.js';
import { type Derived, deriveRows, withoutInvalid } from '../../backfill/process.js';
import type { CellValue } from '../../backfill/values.js';
import type { SqlValue, Store } from '../port.js';
import { identifier, literal } from '../sql.js';
import type { Affinity } from './affinity.js';
import type { Derivation } from './derive.js';
import { requireSqlite } from './statements.js';

/**
 * `process` as a function of SQL, so that batches, rollback, verification and dry run ask it the same way. It is asked for
 * each column of a row, and remembers the last row.
 */

type Process = NonNullable<Backfill['process']>;

/** Asks for the reason why the row is left alone, instead of the value of a column. */
const FAILURE = -1;

/** One name for each declaration of a backfill, of letters that need no quotes. */
function nameOf({ name, key, columns, process }: Backfill): string {
  const declared = JSON.stringify([name, key, process?.reads, columns.map((column) => column.name)]);
  return `umzug_backfill_process_${createHash('sha256').update(declared).digest('hex').slice(0, 16)}`;
}

/** The SQL of `process()`. */
export function processSql(
  backfill: Backfill,
  { reads }: Process,
  stored: readonly Affinity[] | undefined,
): Derivation {
  const columns = backfill.columns.map((_, i) => i);
  if (!stored) return { inner: [], values: new Map(columns.map((i) => [i, 'NULL'])) };
  const row = [backfill.key, ...reads].map((name) => `t.${identifier(name)}`).join(', ');
  return {
    inner: [FAILURE, ...columns].map(
      (i) =>
        `${nameOf(backfill)}(${i}, ${literal(stored.join())}, ${row}) AS ${i === FAILURE ? 'p' : `e${i}`}`,
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
  requireSqlite(store).define(nameOf(backfill), (i, ...given) => {
    // A row begins with its reason: it is derived again, even where the same one was derived last.
    if (Number(i) === FAILURE || !derived || !given.every((cell, at) => isSame(cell, last[at]))) {
      const [stored, ...cells] = given;
      const affinities = String(stored).split(',') as Affinity[];
      const [{ values, failure }] = deriveRows(backfill, process, [cells]) as [Derived];
      const held = values.map((value, at) => heldBy(affinities[at], value));
      derived = withoutInvalid({ values: held, failure }, isTooLarge);
      last = given;
    }
    return Number(i) === FAILURE ? derived.failure : (derived.values[Number(i)] ?? null);
  });
}

/** A number in the form that JavaScript, and PostgreSQL, would give it: SQLite would take each for floating point. */
function heldBy(affinity: Affinity | undefined, value: CellValue): CellValue {
  if (typeof value !== 'number' && typeof value !== 'bigint') return value;
  if (affinity === 'TEXT') return String(value);
  if (affinity === 'REAL') return Number(value);
  return Number.isSafeInteger(value) ? BigInt(value) : value;
}

const isTooLarge = (value: CellValue): boolean =>
  typeof value === 'bigint' && BigInt.asIntN(64, value) !== value;

const isSame = (a: SqlValue, b: SqlValue | undefined): boolean =>
  Buffer.isBuffer(a) ? Buffer.isBuffer(b) && a.equals(b) : a === b;
