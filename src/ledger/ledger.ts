import { BackfillError } from '../errors.js';
import { unpackKeys } from './key-runs.js';
import { unpackTexts } from './key-texts.js';
import type { Key, KeyRun } from './keys.js';
import type { BatchRecord, CellSet, CellsRecord, RunRecord, VerificationRecord } from './records.js';
import { SkipLedger } from './skip-ledger.js';
import { LEDGER_TABLES as T } from './tables.js';

/** A row in which some integers that SQLite gave as bigint are numbers: counts, as opposed to keys. */
const numbers = <Row extends object>(row: Row, names: readonly string[]): Row => {
  const out = { ...row } as Record<string, unknown>;
  for (const name of names) if (typeof out[name] === 'bigint') out[name] = Number(out[name]);
  return out as Row;
};

const RUN_COLUMNS = `run, kind, status, start_key AS startKey, watermark, cursor, found_cells AS foundCells, batches,
  rows_scanned AS rowsScanned, cells_filled AS cellsFilled, cells_skipped AS cellsSkipped,
  started_at AS startedAt, filled_at AS filledAt`;
const RUN_NUMBERS = ['run', 'foundCells', 'batches', 'rowsScanned', 'cellsFilled', 'cellsSkipped'];
const BATCH_COLUMNS = `number, run, first_key AS firstKey, last_key AS lastKey, rows_scanned AS rowsScanned,
  cells_filled AS cellsFilled, cells_skipped AS cellsSkipped, skips, duration_ms AS durationMs`;
const BATCH_NUMBERS = ['number', 'run', 'rowsScanned', 'cellsFilled', 'cellsSkipped', 'skips', 'durationMs'];

function unpackOrNothing(firstKey: Key, keys: Buffer): KeyRun[] | undefined {
  try {
    return typeof firstKey === 'bigint' ? unpackKeys(firstKey, keys) : unpackTexts(keys);
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}

/** The ledger of one store: steps, and the runs of backfills. Every write happens inside its caller's transaction. */
export class Ledger extends SkipLedger {
  // Runs and batches

  /** All runs of a backfill, first to last. */
  runs(backfill: string): RunRecord[] {
    if (!this.exists()) return [];
    return this.store
      .allExact<RunRecord>(`SELECT ${RUN_COLUMNS} FROM ${T.runs} WHERE backfill = ? ORDER BY run`, backfill)
      .map((row) => numbers(row, RUN_NUMBERS));
  }

  /** The last run of a backfill, or undefined when it never ran. */
  lastRun(backfill: string): RunRecord | undefined {
    return this.runs(backfill).at(-1);
  }

  /** Begins a run. */
  beginRun(backfill: string, run: Pick<RunRecord, 'run' | 'kind' | 'startKey' | 'watermark'>): void {
    this.store.run(
      `INSERT INTO ${T.runs} (backfill, run, kind, status, start_key, cursor, watermark, found_cells, started_at)
      VALUES (?, ?, ?, 'running', ?, ?, ?, 0, ?)`,
      backfill,
      run.run,
      run.kind,
      run.startKey,
      run.startKey,
      run.watermark,
      this.timestamp(),
    );
  }

  /** Notes how many cells held their derived value before a run filled its first. */
  setFoundCells(backfill: string, run: number, cells: number): void {
    this.store.run(
      `UPDATE ${T.runs} SET found_cells = ? WHERE backfill = ? AND run = ?`,
      cells,
      backfill,
      run,
    );
  }

  /** Notes that a run has reached its watermark. */
  finishRun(backfill: string, run: number): void {
    this.store.run(
      `UPDATE ${T.runs} SET status = 'filled', filled_at = ? WHERE backfill = ? AND run = ?`,
      this.timestamp(),
      backfill,
      run,
    );
  }

  /**
   * Records a batch and moves its run's cursor.
   *
   * @param from the cursor that the batch was read from: if it is not the run's any more, another process has moved it
   * @throws {BackfillError} `RUN_CONFLICT` when another process works on the same run
   */
  addBatch(backfill: string, from: Key | null, batch: BatchRecord, cells: readonly CellsRecord[]): void {
    const moved = this.store.run(
      `UPDATE ${T.runs} SET cursor = ?, batches = batches + 1, rows_scanned = rows_scanned + ?,
        cells_filled = cells_filled + ?, cells_skipped = cells_skipped + ?
      WHERE backfill = ? AND run = ? AND cursor IS ? AND status = 'running'`,
      batch.lastKey,
      batch.rowsScanned,
      batch.cellsFilled,
      batch.cellsSkipped,
      backfill,
      batch.run,
      from,
    );
    if (moved !== 1) {
      throw new BackfillError(
        'RUN_CONFLICT',
        `Another process works on the backfill ${backfill} in the same store`,
        'Wait until it has ended, then run the same command again',
      );
    }
    this.store.run(
      `INSERT INTO ${T.batches} (backfill, number, run, first_key, last_key, rows_scanned, cells_filled,
        cells_skipped, skips, duration_ms, committed_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
      backfill,
      batch.number,
      batch.run,
      batch.firstKey,
      batch.lastKey,
      batch.rowsScanned,
      batch.cellsFilled,
      batch.cellsSkipped,
      batch.skips,
      batch.durationMs,
      this.timestamp(),
    );
    for (const { columns, firstKey, keys } of cells) {
      this.store.run(
        `INSERT INTO ${T.cells} (backfill, batch, columns, first_key, keys) VALUES (?, ?, ?, ?, ?)`,
        backfill,
        batch.number,
        JSON.stringify(columns),
        firstKey,
        keys,
      );
    }
  }

  /** All batches of a backfill, first to last. */
  batches(backfill: string): BatchRecord[] {
    if (!this.exists()) return [];
    return this.store
      .allExact<BatchRecord>(
        `SELECT ${BATCH_COLUMNS} FROM ${T.batches} WHERE backfill = ? ORDER BY number`,
        backfill,
      )
      .map((row) => numbers(row, BATCH_NUMBERS));
  }

  /** The number of the next batch: behind every one that the ledger knows of, be it only by its cells. */
  nextBatch(backfill: string): number {
    const row = this.store.get<{ last: number | null }>(
      `SELECT max(number) AS last FROM (
        SELECT max(number) AS number FROM ${T.batches} WHERE backfill = ?
        UNION ALL SELECT max(batch) FROM ${T.cells} WHERE backfill = ?)`,
      backfill,
      backfill,
    );
    return (row?.last ?? 0) + 1;
  }

  /** Which cells a batch filled: each set of columns with its keys. */
  cells(backfill: string, batch: number): CellSet[] {
    return this.store
      .allExact<{ columns: string; firstKey: Key; keys: Buffer }>(
        `SELECT columns, first_key AS firstKey, keys FROM ${T.cells} WHERE backfill = ? AND batch = ? ORDER BY columns`,
        backfill,
        batch,
      )
      .map(({ columns, firstKey, keys }) => {
        const runs = unpackOrNothing(firstKey, keys);
        return { columns: JSON.parse(columns) as string[], runs: runs ?? [], isDamaged: runs === undefined };
      });
  }

  /** Forgets one set of a batch's cells. */
  removeCells(backfill: string, batch: number, columns: readonly string[]): void {
    this.store.run(
      `DELETE FROM ${T.cells} WHERE backfill = ? AND batch = ? AND columns = ?`,
      backfill,
      batch,
      JSON.stringify(columns),
    );
  }

  /**
   * Forgets a reverted batch with its cells and skips, and takes it out of its run: the run's cursor goes back to the
   * batch before, so that an `up` after a stopped `down` fills again from there.
   */
  removeBatch(backfill: string, number: number): void {
    this.store.run(
      `UPDATE ${T.runs} AS r SET status = 'running', filled_at = NULL, batches = batches - 1,
        rows_scanned = r.rows_scanned - b.rows_scanned, cells_filled = r.cells_filled - b.cells_filled,
        cells_skipped = r.cells_skipped - b.cells_skipped,
        cursor = coalesce((SELECT e.last_key FROM ${T.batches} AS e
          WHERE e.backfill = r.backfill AND e.run = r.run AND e.number < b.number ORDER BY e.number DESC LIMIT 1), start_key)
      FROM ${T.batches} AS b
      WHERE b.backfill = ? AND b.number = ? AND r.backfill = b.backfill AND r.run = b.run`,
      backfill,
      number,
    );
    for (const [table, column] of [
      [T.cells, 'batch'],
      [T.skips, 'batch'],
      [T.batches, 'number'],
    ] as const) {
      this.store.run(`DELETE FROM ${table} WHERE backfill = ? AND ${column} = ?`, backfill, number);
    }
  }

  // Verifications

  /** The last verification of a backfill, or undefined. */
  lastVerification(backfill: string): VerificationRecord | undefined {
    if (!this.exists()) return undefined;
    return this.store.get(
      `SELECT number, run, verdict, verified_at AS verifiedAt FROM ${T.verifications}
      WHERE backfill = ? ORDER BY number DESC LIMIT 1`,
      backfill,
    );
  }

  /**
   * Records a verdict. Unless it is `fail`, the runs that it saw are verified from now on; a run that fails stays
   * `filled`, and the next `up` verifies it again.
   *
   * @param checks what was found, without any content of the store; stored as JSON
   */
  addVerification(backfill: string, run: number, verdict: 'pass' | 'warn' | 'fail', checks: unknown): void {
    this.store.run(
      `INSERT INTO ${T.verifications} (backfill, number, run, verdict, verified_at, checks)
      SELECT ?, coalesce(max(number), 0) + 1, ?, ?, ?, ? FROM ${T.verifications} WHERE backfill = ?`,
      backfill,
      run,
      verdict,
      this.timestamp(),
      JSON.stringify(checks),
      backfill,
    );
    if (verdict === 'fail') return;
    this.store.run(
      `UPDATE ${T.runs} SET status = 'verified' WHERE backfill = ? AND run <= ? AND status = 'filled'`,
      backfill,
      run,
    );
  }
}
