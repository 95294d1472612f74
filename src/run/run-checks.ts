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
import { BackfillError } from '../errors.js';
import type { Key } from '../ledger/keys.js';
import type { Ledger } from '../ledger/ledger.js';
import type { RunRecord } from '../ledger/records.js';
import { msg } from '../messages/message.js';
import { shellWord } from '../shell.js';
import type { Backfill } from '../steps/define.js';
import { isStoreError } from '../store-errors.js';
import { thrownText } from '../thrown.js';
import type { Work } from './batches.js';

// What shows that a declaration is mistaken: before its run, in a batch, and at the end.

/** Rows that `process` is asked for twice. */
const ROWS = 16;

/** Time between the two, in milliseconds: a clock has moved on by then. */
const PAUSE_MS = 2;

/**
 * Asks `process` twice for the first rows that a run would fill, before it fills any: values that depend on the time, on chance or
 * on earlier calls can neither be verified nor taken back.
 *
 * @throws {BackfillError} `NOT_DETERMINISTIC` naming the column and the row's key
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
    const again = second.get(key)?.values; // none where the row is gone meanwhile
    const column = backfill.columns.find((_, i) => again && !isDeepStrictEqual(values[i], again[i]));
    if (!column) continue;
    throw new BackfillError(
      'NOT_DETERMINISTIC',
      msg(
        '`process` of {name} gave another value of {column} when it was asked again for the row with key {key}',
        { name: backfill.name, column: column.name, key },
      ),
      msg(
        'Let it derive values from the row alone, not from the time, chance or earlier calls, then run the same command again; it has filled nothing',
      ),
    );
  }
}

/** State of a cell that holds another value than its row derives: see `ScanRow`. */
const OTHER = 3;

/**
 * Looks whether a batch's first rows derive the same once they are filled: a value that depends on what it fills can neither be verified
 * nor taken back. Inside the batch's transaction, which is rolled back when it throws.
 *
 * @throws {BackfillError} `NOT_DETERMINISTIC` naming the column
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
          'The value of {column} that {name} derives for the row with key {key} is another one once the row is filled',
          { column, name: backfill.name, key: first },
        ),
        msg(
          'Derive it from columns that the backfill does not fill, then run the same command again; it has filled nothing of this batch',
        ),
      );
    }
  }
}

/** Rows of one run that SQLite may refuse with one code before the run stops, and the share of those read that it may. */
const REJECTION_LIMIT = { rows: 100, percent: 1, always: 10 } as const;

/** What SQLite refused, of how many rows, or undefined when the error is no row's fault. */
export function rejectionOf(
  error: unknown,
  tried: BatchResult | undefined,
): { readonly rows: number; readonly rejected: RejectedRow } | undefined {
  if (error instanceof RejectedUpdate) return error;
  // A constraint that is checked at COMMIT, or its trigger, names no row: only halving finds it.
  const isDeferred =
    isStoreError(error) &&
    /^(?:SQLITE_CONSTRAINT_FOREIGNKEY|POSTGRES_(?:22|23|44|P0|09|38|39))/.test(error.code);
  return isDeferred && tried
    ? { rows: tried.rowsScanned, rejected: { key: tried.firstKey, code: error.code } }
    : undefined;
}

/** Returns how many rows a run has left alone with one code, if they are no exceptions any more among those that it has read; else 0. */
async function tooMany(
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

/** Stops a run in which `process` throws on more than some odd rows: it is the function that is to be mended. */
export async function stopOnFailures(ledger: Ledger, backfill: Backfill, run: RunRecord): Promise<void> {
  const { name } = backfill;
  const rows = await tooMany(ledger, backfill, run, PROCESS_FAILED);
  if (rows === 0) return;
  const [cause] = takeThrown(backfill); // none if other processes that share the run met all of them
  const what = cause === undefined ? 'in other processes' : thrownText(cause);
  throw new BackfillError(
    'PROCESS_FAILED',
    msg('`process` of {name} threw on {rows} rows ({thrown})', { name, rows, thrown: what }),
    msg(
      'Call it with rows like those that umzug-backfill skips {name} lists, or of the next batch, and mend it; then run umzug-backfill up, and umzug-backfill backfill {name} --rescan',
      { name: shellWord(name) },
    ),
    { cause },
  );
}

/** Stops a run in which nearly every row is refused: an append-only table would be read row by row to its end. */
export async function stopOnRejections(
  ledger: Ledger,
  backfill: Backfill,
  run: RunRecord,
  { key, code }: RejectedRow,
): Promise<void> {
  const rows = await tooMany(ledger, backfill, run, code);
  if (rows === 0) return;
  const engine = code.startsWith('SQLITE_') ? 'SQLite' : 'PostgreSQL';
  throw new BackfillError(
    'ROW_REJECTED_REPEATEDLY',
    msg('{engine} refused to update {rows} rows of {table} with {code}, the last of them with key {key}', {
      engine,
      rows,
      table: backfill.table,
      code,
      key,
    }),
    msg(
      'Look for the trigger or constraint that refuses them: sqlite3 STORE {sql}; run the same command again when it is gone, then umzug-backfill backfill {name} --rescan for those that were skipped',
      { sql: shellWord(`.schema ${backfill.table}`), name: shellWord(backfill.name) },
    ),
  );
}

/**
 * Counts values in scope that a first run leaves as they are.
 *
 * @param after behind this key; null for all
 * @param absent columns that the table does not have yet, in folded case. Default: none
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
 * Tells of values that a first run leaves, before its first batch or behind the last one.
 *
 * @returns the same; undefined for a run of which they are not counted
 */
export async function tellValuesLeft(
  { store, ledger, backfill, options }: Work,
  run: RunRecord,
): Promise<ValuesLeft | undefined> {
  // Behind the cursor of one range, other ranges may hold cells that this run has filled.
  if (run.kind !== 'first' || (ledger.isShared && run.batches > 0)) return undefined;
  const left = await countValuesLeft(store, backfill, run.cursor);
  if (left.rows > 0) options.onEvent?.({ event: 'values_left', backfill: backfill.name, ...left });
  return left;
}

/** Tells of a first run that has found cells to fill, and filled none of them. */
export async function tellNothingFilled(
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
