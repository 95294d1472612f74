import { setTimeout as sleep } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import type { Store } from '../db/connection.js';
import { foldCase, identifier } from '../db/sql.js';
import { type BatchResult, type RejectedRow, RejectedUpdate } from '../engine/batch.js';
import { withFailingRow } from '../engine/expressions.js';
import { type PlannedScope, sampleRows } from '../engine/plan-rows.js';
import { PROCESS_FAILED, takeThrown } from '../engine/process.js';
import { partsSql, rowSql } from '../engine/rows.js';
import type { ValuesLeft } from '../engine/run-options.js';
import { scanRows } from '../engine/scan.js';
import { isStoreError } from '../engine-errors.js';
import { BackfillError } from '../errors.js';
import type { Key } from '../ledger/keys.js';
import type { Ledger } from '../ledger/ledger.js';
import type { RunRecord } from '../ledger/records.js';
import { msg } from '../messages/message.js';
import { shellWord } from '../shell.js';
import type { Backfill } from '../steps/define.js';
import { thrownText } from '../thrown.js';
import type { Work } from './batches.js';

// Checks that find mistakes of a declaration before its run, in a batch and at the end.

/** Rows that `process` is called with twice. */
const ROWS = 16;

/** Time between the two calls, in milliseconds, so that a clock advances. */
const PAUSE_MS = 2;

/**
 * Calls `process` twice for the first rows of a run, before any is filled: values that depend on the time, on chance or on earlier calls
 * can be neither verified nor reverted.
 *
 * @throws {BackfillError} `NOT_DETERMINISTIC` if the values differ
 */
export async function requireSteadiness(
  store: Store,
  backfill: Backfill,
  scope: PlannedScope,
): Promise<void> {
  if (!backfill.process) return;
  const first = await withFailingRow(
    store,
    backfill,
    async () => await sampleRows(store, backfill, scope, ROWS),
  );
  if (first.length === 0) return;
  await sleep(PAUSE_MS);
  const keys = first.map(({ key }) => key);
  const second = new Map(
    (await sampleRows(store, backfill, { ...scope, keys }, ROWS)).map((row) => [row.key, row]),
  );
  for (const { key, values } of first) {
    const again = second.get(key)?.values; // undefined if the row has been deleted
    const column = backfill.columns.find((_, i) => again && !isDeepStrictEqual(values[i], again[i]));
    if (!column) continue;
    throw new BackfillError(
      'NOT_DETERMINISTIC',
      msg(
        '`process` of {name} returned another value of {column} when it was called again for the row with key {key}',
        { name: backfill.name, column: column.name, key },
      ),
      msg(
        'Fix it to derive values from the row alone, not from the time, chance or earlier calls, then run the same command again; nothing was filled',
      ),
    );
  }
}

/** State of a cell that holds another value than its row derives: see `ScanRow`. */
const OTHER = 3;

/**
 * Checks that the first row of each of a batch's sets of cells derives the same after it is filled: a value that depends on what it fills
 * can be neither verified nor reverted. Runs inside the batch's transaction, which is rolled back if it throws.
 *
 * @throws {BackfillError} `NOT_DETERMINISTIC` if a value has changed
 */
export async function requireFixedPoint(
  store: Store,
  ledger: Ledger,
  backfill: Backfill,
  batch: number,
): Promise<void> {
  const rowsOf = await scanRows(store, { ...backfill, scope: 'true', checks: {} });
  const names = backfill.columns.map(({ name }) => name);
  for (const { columns, runs } of await ledger.cells(backfill.name, batch)) {
    const [first] = runs[0] ?? [];
    if (first === undefined) continue;
    for await (const [row] of rowsOf([first, first])) {
      const [, state = 0] = row ?? [];
      const column = columns.find((name) => ((state >> (2 * names.indexOf(name))) & 3) === OTHER);
      if (column === undefined) continue;
      throw new BackfillError(
        'NOT_DETERMINISTIC',
        msg(
          'The value of {column} that {name} derives for the row with key {key} changes once the row is filled',
          { column, name: backfill.name, key: first },
        ),
        msg(
          'Fix the backfill to derive it from columns that it does not fill, then run the same command again; nothing of this batch was filled',
        ),
      );
    }
  }
}

/** Maximum rows per run and code that are skipped because of an error: `rows`, or `percent` of the rows read, but at least `always`. */
const REJECTION_LIMIT = { rows: 100, percent: 1, always: 10 } as const;

/** Returns the rejected row and the size of its batch, or undefined if no row caused the error. */
export function rejectionOf(
  error: unknown,
  tried: BatchResult | undefined,
): { readonly rows: number; readonly rejected: RejectedRow } | undefined {
  if (error instanceof RejectedUpdate) return error;
  // An error of a deferred constraint or its trigger comes at COMMIT and names no row: only halving finds it.
  const isDeferred =
    isStoreError(error) &&
    /^(?:SQLITE_CONSTRAINT_FOREIGNKEY|POSTGRES_(?:22|23|44|P0|09|38|39))/.test(error.code);
  return isDeferred && tried
    ? { rows: tried.rowsScanned, rejected: { key: tried.firstKey, code: error.code } }
    : undefined;
}

/** Returns the number of rows that a run has skipped with a code if it exceeds {@link REJECTION_LIMIT}, else 0. */
async function rowsOverLimit(
  ledger: Ledger,
  { name }: Backfill,
  { run }: RunRecord,
  code: string,
): Promise<number> {
  const rows = await ledger.rejectedRows(name, run, code);
  const read = (await ledger.runs(name)).find((record) => record.run === run)?.rowsScanned ?? 0;
  const allowed = Math.max(REJECTION_LIMIT.always, (read * REJECTION_LIMIT.percent) / 100);
  return rows > Math.min(REJECTION_LIMIT.rows, allowed) ? rows : 0;
}

/** Throws `PROCESS_FAILED` if `process` has thrown on too many rows of a run. */
export async function stopOnFailures(ledger: Ledger, backfill: Backfill, run: RunRecord): Promise<void> {
  const { name } = backfill;
  const rows = await rowsOverLimit(ledger, backfill, run, PROCESS_FAILED);
  if (rows === 0) return;
  const [cause] = takeThrown(backfill); // undefined if it threw only in other processes that share the run
  const thrown = cause === undefined ? msg('in other processes') : thrownText(cause);
  throw new BackfillError(
    'PROCESS_FAILED',
    msg('`process` of {name} threw on {rows} rows ({thrown})', { name, rows, thrown }),
    msg(
      'Fix it for rows like those that umzug-backfill skips {name} lists, or those of the next batch; then run umzug-backfill up, and umzug-backfill backfill {name} --rescan',
      { name: shellWord(name) },
    ),
    { cause },
  );
}

/**
 * Throws `ROW_REJECTED_REPEATEDLY` if the database has rejected too many rows of a run: an append-only table would otherwise be read row
 * by row to its end.
 */
export async function stopOnRejections(
  ledger: Ledger,
  backfill: Backfill,
  run: RunRecord,
  { key, code }: RejectedRow,
): Promise<void> {
  const rows = await rowsOverLimit(ledger, backfill, run, code);
  if (rows === 0) return;
  const engine = code.startsWith('SQLITE_') ? 'SQLite' : 'PostgreSQL';
  throw new BackfillError(
    'ROW_REJECTED_REPEATEDLY',
    msg('{engine} rejected the update of {rows} rows of {table} with {code}, last at key {key}', {
      engine,
      rows,
      table: backfill.table,
      code,
      key,
    }),
    msg(
      'Find the trigger or constraint that rejects them: sqlite3 STORE {sql}; remove it, run the same command again, then umzug-backfill backfill {name} --rescan for the skipped rows',
      { sql: shellWord(`.schema ${backfill.table}`), name: shellWord(backfill.name) },
    ),
  );
}

/**
 * Counts existing values in scope, which a first run does not overwrite.
 *
 * @param after last key before the rows to count; null for all
 * @param absent columns that do not exist yet, in folded case. Default: none
 */
export async function countValuesLeft(
  store: Store,
  backfill: Backfill,
  after: Key | null,
  absent: ReadonlySet<string> = new Set(),
): Promise<ValuesLeft> {
  const present = backfill.columns.filter(({ name }) => !absent.has(foldCase(name)));
  if (present.length === 0) return { rows: 0, cells: {} };
  const columns = present.map(({ name }) => `t.${identifier(name)}`);
  const count = store.dialect.builtIn('count');
  const { inScope } = await rowSql(store, backfill);
  const sums = { rows: 0, cells: Object.fromEntries(present.map(({ name }) => [name, 0])) };
  await withFailingRow(store, backfill, async () => {
    for await (const part of partsSql(store, backfill, after)) {
      const row = await store.project.get<Record<string, number>>(
        `SELECT ${count}(*) AS rows, ${columns.map((column, i) => `${count}(${column}) AS n${i}`).join(', ')}
        FROM ${identifier(backfill.table)} AS t
        WHERE ${part} AND ${inScope}
          AND (${columns.map((column) => `${column} IS NOT NULL`).join(' OR ')})`,
      );
      sums.rows += row?.rows ?? 0;
      for (const [i, { name }] of present.entries())
        sums.cells[name] = (sums.cells[name] ?? 0) + (row?.[`n${i}`] ?? 0);
    }
  });
  return sums;
}

/**
 * Counts the existing values in the part that a first run has not filled yet, and reports them as `values_left`.
 *
 * @returns the counts, or undefined if they are not counted for this run
 */
export async function reportValuesLeft(
  { store, ledger, backfill, options }: Work,
  run: RunRecord,
): Promise<ValuesLeft | undefined> {
  // After the cursor of one range, other ranges may hold cells that this run has filled.
  if (run.kind !== 'first' || (ledger.isShared && run.batches > 0)) return undefined;
  const left = await countValuesLeft(store, backfill, run.cursor);
  if (left.rows > 0) options.onEvent?.({ event: 'values_left', backfill: backfill.name, ...left });
  return left;
}

/** Reports a first run that has skipped every cell as `nothing_filled`. */
export async function reportNothingFilled(
  { ledger, backfill: { name }, options }: Work,
  number: number,
): Promise<void> {
  const run = (await ledger.runs(name)).find((record) => record.run === number);
  if (run?.kind !== 'first' || run.cellsFilled > 0 || run.cellsSkipped === 0) return;
  options.onEvent?.({
    event: 'nothing_filled',
    backfill: name,
    cells: run.cellsSkipped,
    skips: await ledger.skipCounts(name),
  });
}
