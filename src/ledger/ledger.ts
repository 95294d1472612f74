import { BackfillError } from '../errors.js';
import type { SqlValue } from '../store/port.js';
import { checked } from './checked.js';
import type { Key } from './keys.js';
import { readCells } from './packed-cells.js';
import {
  type BatchRecord,
  type CellSet,
  type CellsRecord,
  type Claim,
  type RunRecord,
  VERIFICATION_FORMS,
  type VerificationRecord,
} from './records.js';
import type { LockHolder } from './run-lock.js';
import { SkipLedger } from './skip-ledger.js';
import { LEDGER_TABLES as T } from './tables.js';

const RUN_COLUMNS = `run, kind, status, start_key AS "startKey", watermark, cursor, found_cells AS "foundCells", batches,
  rows_scanned AS "rowsScanned", cells_filled AS "cellsFilled", cells_skipped AS "cellsSkipped",
  started_at AS "startedAt", filled_at AS "filledAt"`;
const RUN_FORMS = {
  run: 'count',
  kind: ['first', 'catch-up', 'rescan'],
  status: ['running', 'filled', 'verified', 'superseded'],
  startKey: ['key', null],
  watermark: ['key', null],
  cursor: ['key', null],
  foundCells: ['count', null], // of a shared run until they are counted
  batches: 'count',
  rowsScanned: 'count',
  cellsFilled: 'count',
  cellsSkipped: 'count',
  startedAt: 'text',
  filledAt: ['text', null],
} as const;
const BATCH_COLUMNS = `number, run, first_key AS "firstKey", last_key AS "lastKey", rows_scanned AS "rowsScanned",
  cells_filled AS "cellsFilled", cells_skipped AS "cellsSkipped", skips, duration_ms AS "durationMs"`;
const BATCH_FORMS = {
  number: 'count',
  run: 'count',
  firstKey: 'key',
  lastKey: 'key',
  rowsScanned: 'count',
  cellsFilled: 'count',
  cellsSkipped: 'count',
  skips: 'count',
  durationMs: 'number',
} as const;

/** The error where somebody else has moved on what this process works on. */
export const runConflict = (backfill: string): BackfillError =>
  new BackfillError(
    'RUN_CONFLICT',
    `Another process works on the backfill ${backfill} in the same store`,
    'Wait until it has ended, then run the same command again',
  );

/** The ledger of one store: steps, and the runs of backfills. Every write happens inside its caller's transaction. */
export class Ledger extends SkipLedger {
  /** Whether several processes may work on one run. */
  readonly isShared: boolean = false;

  // Runs and batches

  /** A row with keys as the ledger has them, as keys. */
  protected keys<Row extends object>(row: Row, names: readonly (keyof Row)[]): Row {
    const out = { ...row };
    for (const name of names)
      out[name] = this.store.dialect.fromLedger(row[name] as SqlValue) as Row[keyof Row];
    return out;
  }

  /** All runs of a backfill, first to last. */
  async runs(backfill: string): Promise<RunRecord[]> {
    if (!(await this.exists())) return [];
    return (
      await this.store.allExact<RunRecord>(
        `SELECT ${RUN_COLUMNS} FROM ${T.runs} WHERE backfill = ? ORDER BY run`,
        backfill,
      )
    ).map((row) =>
      checked<RunRecord>(T.runs, this.keys(row, ['startKey', 'watermark', 'cursor']), RUN_FORMS),
    );
  }

  /** The last run of a backfill, or undefined when it never ran. */
  async lastRun(backfill: string): Promise<RunRecord | undefined> {
    return (await this.runs(backfill)).at(-1);
  }

  /**
   * Begins a run.
   *
   * @param _ends last keys of the ranges into which its keys are cut, where several processes may share it
   */
  async beginRun(
    backfill: string,
    run: Pick<RunRecord, 'run' | 'kind' | 'startKey' | 'watermark'>,
    _ends: readonly Key[] = [],
  ): Promise<void> {
    await this.store.run(
      `INSERT INTO ${T.runs} (backfill, run, kind, status, start_key, cursor, watermark, found_cells, started_at)
      VALUES (?, ?, ?, 'running', ?, ?, ?, 0, ?)`,
      backfill,
      run.run,
      run.kind,
      ...[run.startKey, run.startKey, run.watermark].map((key) => this.store.dialect.toLedger(key)),
      this.timestamp(),
    );
  }

  /** Forgets a run without batches. */
  async dropRun(backfill: string, run: number): Promise<void> {
    await this.store.run(`DELETE FROM ${T.runs} WHERE backfill = ? AND run = ?`, backfill, run);
  }

  /** Notes how many cells held their derived value before a run filled its first. */
  async setFoundCells(backfill: string, run: number, cells: number): Promise<void> {
    await this.store.run(
      `UPDATE ${T.runs} SET found_cells = ? WHERE backfill = ? AND run = ?`,
      cells,
      backfill,
      run,
    );
  }

  /** Notes that a run has reached its watermark. */
  async finishRun(backfill: string, run: number): Promise<void> {
    await this.store.run(
      `UPDATE ${T.runs} SET status = 'filled', filled_at = ? WHERE backfill = ? AND run = ?`,
      this.timestamp(),
      backfill,
      run,
    );
  }

  /**
   * Takes the part of a run that the next batch is of. Inside the batch's transaction.
   *
   * @param cursor where this process is; nobody else moves it, unless the run is shared
   * @returns `done` when nothing is left of it, `taken` when others are at work on what is left
   */
  async claim(_backfill: string, run: RunRecord, cursor: Key | null): Promise<Claim | 'done' | 'taken'> {
    return run.watermark === null ? 'done' : { range: null, cursor, end: run.watermark };
  }

  /** Returns the process whose claim is the oldest, where others claim parts of a run as well and one does. */
  async claimHolder(): Promise<LockHolder | undefined> {
    return undefined;
  }

  /** Notes that a claim is worked off, inside the batch's transaction; returns whether its run is. */
  async finishClaim(backfill: string, run: RunRecord, _claim: Claim): Promise<boolean> {
    await this.finishRun(backfill, run.run);
    return true;
  }

  /** Ends a run of which nothing is left, if it is so; returns whether it is. */
  async settleRun(backfill: string, run: number): Promise<boolean> {
    const isOpen = (await this.runs(backfill)).some(
      (record) => record.run === run && record.status === 'running',
    );
    if (isOpen) await this.finishRun(backfill, run);
    return true;
  }

  /**
   * Records a batch and moves the cursor of what it was claimed of.
   *
   * @throws {BackfillError} `RUN_CONFLICT` when another process works on the same run
   */
  async addBatch(
    backfill: string,
    claim: Claim,
    batch: BatchRecord,
    cells: readonly CellsRecord[],
  ): Promise<void> {
    await this.moveCursor(backfill, claim, batch);
    await this.insertBatch(backfill, claim, batch);
    for (const { columns, firstKey, keys } of cells) {
      await this.store.run(
        `INSERT INTO ${T.cells} (backfill, batch, columns, first_key, keys) VALUES (?, ?, ?, ?, ?)`,
        backfill,
        batch.number,
        JSON.stringify(columns),
        this.store.dialect.toLedger(firstKey),
        keys,
      );
    }
  }

  /** Moves the cursor behind a batch: if it is not where the batch was read from any more, another process has moved it. */
  protected async moveCursor(backfill: string, claim: Claim, batch: BatchRecord): Promise<void> {
    const moved = await this.store.run(
      `UPDATE ${T.runs} SET cursor = ?, batches = batches + 1, rows_scanned = rows_scanned + ?,
        cells_filled = cells_filled + ?, cells_skipped = cells_skipped + ?
      WHERE backfill = ? AND run = ? AND cursor IS NOT DISTINCT FROM ? AND status = 'running'`,
      this.store.dialect.toLedger(batch.lastKey),
      batch.rowsScanned,
      batch.cellsFilled,
      batch.cellsSkipped,
      backfill,
      batch.run,
      this.store.dialect.toLedger(claim.cursor),
    );
    if (moved !== 1) throw runConflict(backfill);
  }

  protected async insertBatch(backfill: string, _claim: Claim, batch: BatchRecord): Promise<void> {
    await this.store.run(
      `INSERT INTO ${T.batches} (backfill, number, run, first_key, last_key, rows_scanned, cells_filled,
        cells_skipped, skips, duration_ms, committed_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
      backfill,
      batch.number,
      batch.run,
      this.store.dialect.toLedger(batch.firstKey),
      this.store.dialect.toLedger(batch.lastKey),
      batch.rowsScanned,
      batch.cellsFilled,
      batch.cellsSkipped,
      batch.skips,
      batch.durationMs,
      this.timestamp(),
    );
  }

  /** All batches of a backfill, first to last. */
  async batches(backfill: string): Promise<BatchRecord[]> {
    if (!(await this.exists())) return [];
    return (
      await this.store.allExact<BatchRecord>(
        `SELECT ${BATCH_COLUMNS} FROM ${T.batches} WHERE backfill = ? ORDER BY number`,
        backfill,
      )
    ).map((row) => checked<BatchRecord>(T.batches, this.keys(row, ['firstKey', 'lastKey']), BATCH_FORMS));
  }

  /** Numbers of all batches of a backfill, last to first, be they known only by their cells. */
  async batchNumbers(backfill: string): Promise<number[]> {
    return (
      await this.store.all<{ number: number }>(
        `SELECT number FROM ${T.batches} WHERE backfill = ?
        UNION SELECT batch FROM ${T.cells} WHERE backfill = ? ORDER BY 1 DESC`,
        backfill,
        backfill,
      )
    ).map((row) => checked<typeof row>(T.batches, row, { number: 'count' }).number);
  }

  /** The number of the next batch: behind every one that the ledger knows of, be it only by its cells. */
  async nextBatch(backfill: string): Promise<number> {
    return (await this.lastBatch(backfill)) + 1;
  }

  /** The greatest number of a batch that the ledger knows of, 0 before the first. */
  async lastBatch(backfill: string): Promise<number> {
    const row = await this.store.get<{ number: number | null }>(
      `SELECT max(number) AS number FROM (
        SELECT max(number) AS number FROM ${T.batches} WHERE backfill = ?
        UNION ALL SELECT max(batch) FROM ${T.cells} WHERE backfill = ?) AS numbers`,
      backfill,
      backfill,
    );
    return row ? (checked<typeof row>(T.batches, row, { number: ['count', null] }).number ?? 0) : 0;
  }

  /**
   * Which cells a batch filled: each set of columns with its keys. A ledger may come from anybody: what is read of it, and how many
   * keys that can be, is bounded before it is read.
   */
  async cells(backfill: string, batch: number): Promise<CellSet[]> {
    return await readCells(this.store, backfill, batch);
  }

  /** Forgets what of a batch's cells can't be read, if there is any. */
  async removeDamagedCells(backfill: string, batch: number): Promise<void> {
    const sets = await this.cells(backfill, batch);
    if (!sets.some(({ isDamaged }) => isDamaged)) return;
    const readable = sets.filter(({ isDamaged }) => !isDamaged).map(({ columns }) => JSON.stringify(columns));
    const kept = ['', ...readable]; // a list is never empty in SQL
    await this.store.run(
      `DELETE FROM ${T.cells} WHERE backfill = ? AND batch = ? AND columns NOT IN (${kept.map(() => '?').join(', ')})`,
      backfill,
      batch,
      ...kept,
    );
  }

  /**
   * Forgets a reverted batch with its cells and skips, and takes it out of its run: the run's cursor goes back to the
   * batch before, so that an `up` after a stopped `down` fills again from there.
   */
  async removeBatch(backfill: string, number: number): Promise<void> {
    await this.store.run(
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
      await this.store.run(`DELETE FROM ${table} WHERE backfill = ? AND ${column} = ?`, backfill, number);
    }
  }

  /** Totals by the batches; a run whose row is lost is made again from its batches, so that `down` still knows them. */
  async reconcileRuns(backfill: string): Promise<void> {
    await this.store.run(
      `INSERT INTO ${T.runs} (backfill, run, kind, status, watermark, cursor, found_cells, started_at)
      SELECT backfill, run, 'first', 'superseded', max(last_key), max(last_key), 0, ?
      FROM ${T.batches} AS b WHERE backfill = ?
        AND NOT EXISTS (SELECT 1 FROM ${T.runs} AS r WHERE r.backfill = b.backfill AND r.run = b.run)
      GROUP BY backfill, run`,
      this.timestamp(),
      backfill,
    );
    const total = (sql: string): string =>
      `(SELECT coalesce(sum(${sql}), 0) FROM ${T.batches} AS b WHERE b.backfill = r.backfill AND b.run = r.run)`;
    await this.store.run(
      `UPDATE ${T.runs} AS r SET status = 'superseded', batches = ${total('1')},
        rows_scanned = ${total('b.rows_scanned')}, cells_filled = ${total('b.cells_filled')},
        cells_skipped = ${total('b.cells_skipped')}
      WHERE backfill = ?`,
      backfill,
    );
  }

  // Verifications

  /** The last verification of a backfill, or undefined. */
  async lastVerification(backfill: string): Promise<VerificationRecord | undefined> {
    if (!(await this.exists())) return undefined;
    const row = await this.store.get<VerificationRecord>(
      `SELECT number, run, verdict, verified_at AS "verifiedAt" FROM ${T.verifications}
      WHERE backfill = ? ORDER BY number DESC LIMIT 1`,
      backfill,
    );
    return row && checked<VerificationRecord>(T.verifications, row, VERIFICATION_FORMS);
  }

  /**
   * Records a verdict. Unless it is `fail`, the runs that it saw are verified from now on; a run that fails stays
   * `filled`, and the next `up` verifies it again.
   *
   * @param checks what was found, without any content of the store; stored as JSON
   */
  async addVerification(
    backfill: string,
    run: number,
    verdict: 'pass' | 'warn' | 'fail',
    checks: unknown,
  ): Promise<void> {
    const number = ((await this.lastVerification(backfill))?.number ?? 0) + 1;
    await this.store.run(
      `INSERT INTO ${T.verifications} (backfill, number, run, verdict, verified_at, checks) VALUES (?, ?, ?, ?, ?, ?)`,
      backfill,
      number,
      run,
      verdict,
      this.timestamp(),
      JSON.stringify(checks),
    );
    if (verdict === 'fail') return;
    await this.store.run(
      `UPDATE ${T.runs} SET status = 'verified' WHERE backfill = ? AND run <= ? AND status = 'filled'`,
      backfill,
      run,
    );
  }
}
