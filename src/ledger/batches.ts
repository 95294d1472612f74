import type { Store } from '../db/connection.js';
import { readCells } from './cells.js';
import { compareKeys, countKeys } from './keys.js';
import {
  type BatchRecord,
  type CellSet,
  type CellsRecord,
  type Claim,
  checked,
  type Place,
  reader,
} from './records.js';
import type { runsIn } from './runs.js';
import { LEDGER_TABLES as T } from './tables.js';

const BATCHES = reader<BatchRecord>(T.batches, {
  number: 'count',
  run: 'count',
  firstKey: 'key',
  lastKey: 'key',
  rowsScanned: 'count',
  cellsFilled: 'count',
  cellsSkipped: 'count',
  skips: 'count',
  durationMs: 'number',
});

/** The ledger's batches, and the cells that they filled. */
export function batchesIn({ store, exists, timestamp }: Place, runs: ReturnType<typeof runsIn>) {
  const { dialect } = store;

  /** All batches of a backfill, first to last. */
  const batches = async (backfill: string): Promise<BatchRecord[]> =>
    (await exists()) ? await BATCHES.all(store, 'WHERE backfill = ? ORDER BY number', backfill) : [];

  /** The greatest number of a batch that the ledger knows of, be it only by its cells; 0 before the first. */
  async function lastBatch(backfill: string): Promise<number> {
    const row = await store.get<{ number: number | null }>(
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
  const cells = async (backfill: string, batch: number): Promise<CellSet[]> =>
    await readCells(store, backfill, batch);

  /** Forgets what of a batch's cells can't be read. Returns how many of them are left. */
  async function keepReadable(backfill: string, batch: number): Promise<number> {
    const sets = await cells(backfill, batch);
    const readable = sets.filter(({ isDamaged }) => !isDamaged);
    if (readable.length < sets.length) {
      const kept = ['', ...readable.map(({ columns }) => JSON.stringify(columns))]; // a list is never empty in SQL
      await store.run(
        `DELETE FROM ${T.cells} WHERE backfill = ? AND batch = ? AND columns NOT IN (${kept.map(() => '?').join(', ')})`,
        backfill,
        batch,
        ...kept,
      );
    }
    return readable.reduce((total, { columns, runs }) => total + columns.length * countKeys(runs), 0);
  }

  /** Runs and ranges by the batches: rows of theirs that are lost are made again, so that `down` still knows them. */
  async function reconcileRuns(backfill: string, known: readonly BatchRecord[]): Promise<void> {
    const recorded = new Set((await runs.runs(backfill)).map(({ run }) => run));
    const lost = known
      .filter(({ run }) => !recorded.has(run))
      .sort((a, b) => compareKeys(a.lastKey, b.lastKey));
    for (const [run, watermark] of new Map(lost.map(({ run, lastKey }) => [run, lastKey])))
      await runs.beginRun(backfill, { run, kind: 'first', startKey: null, watermark });
    // Batches of a range are numbered in the order of its keys.
    await store.run(
      `INSERT INTO ${T.ranges} (backfill, run, number, end_key, cursor, is_done)
      SELECT backfill, run, range_number, last_key, last_key, 1 FROM ${T.batches}
      WHERE backfill = ? AND number IN (SELECT max(number) FROM ${T.batches} WHERE backfill = ? GROUP BY run, range_number)
      ON CONFLICT DO NOTHING`,
      backfill,
      backfill,
    );
    const total = (sql: string): string =>
      `(SELECT coalesce(sum(${sql}), 0) FROM ${T.batches} AS b
        WHERE b.backfill = g.backfill AND b.run = g.run AND b.range_number = g.number)`;
    await store.run(
      `UPDATE ${T.ranges} AS g SET batches = ${total('1')}, rows_scanned = ${total('b.rows_scanned')},
        cells_filled = ${total('b.cells_filled')}, cells_skipped = ${total('b.cells_skipped')}
      WHERE backfill = ?`,
      backfill,
    );
    await store.run(`UPDATE ${T.runs} SET status = 'superseded' WHERE backfill = ?`, backfill);
  }

  return {
    batches,
    lastBatch,
    cells,

    /** Numbers of all batches of a backfill, last to first, be they known only by their cells. */
    async batchNumbers(backfill: string): Promise<number[]> {
      return (
        await store.all<{ number: number }>(
          `SELECT number FROM ${T.batches} WHERE backfill = ?
          UNION SELECT batch FROM ${T.cells} WHERE backfill = ? ORDER BY 1 DESC`,
          backfill,
          backfill,
        )
      ).map((row) => checked<typeof row>(T.batches, row, { number: 'count' }).number);
    },

    /** The number of the next batch, behind every one that the ledger knows of. */
    nextBatch: async (backfill: string): Promise<number> =>
      await dialect.ledger.nextBatch(store, async () => (await lastBatch(backfill)) + 1),

    /**
     * Records a batch and moves the cursor of what it was claimed of.
     *
     * @throws {BackfillError} `RUN_CONFLICT` when another process works on the same run
     */
    async addBatch(
      backfill: string,
      claim: Claim,
      batch: BatchRecord,
      filled: readonly CellsRecord[],
    ): Promise<void> {
      await runs.moveCursor(backfill, claim, batch);
      await store.run(
        `INSERT INTO ${T.batches} (backfill, number, run, range_number, first_key, last_key, rows_scanned, cells_filled,
          cells_skipped, skips, duration_ms, committed_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
        backfill,
        batch.number,
        batch.run,
        claim.range,
        dialect.toLedger(batch.firstKey),
        dialect.toLedger(batch.lastKey),
        batch.rowsScanned,
        batch.cellsFilled,
        batch.cellsSkipped,
        batch.skips,
        batch.durationMs,
        timestamp(),
      );
      for (const { columns, firstKey, keys } of filled)
        await store.run(
          `INSERT INTO ${T.cells} (backfill, batch, columns, evidence, first_key, keys) VALUES (?, ?, ?, 'derived', ?, ?)`,
          backfill,
          batch.number,
          JSON.stringify(columns),
          dialect.toLedger(firstKey),
          keys,
        );
    },

    /**
     * Forgets a reverted batch with its cells and skips, and takes it out of its run: the range goes back to where it was before the batch,
     * so that an `up` after a stopped `down` fills again from there.
     */
    async removeBatch(backfill: string, number: number): Promise<void> {
      await store.run(
        `UPDATE ${T.ranges} AS g SET is_done = 0, batches = g.batches - 1, rows_scanned = g.rows_scanned - b.rows_scanned,
          cells_filled = g.cells_filled - b.cells_filled, cells_skipped = g.cells_skipped - b.cells_skipped,
          cursor = coalesce((SELECT e.last_key FROM ${T.batches} AS e WHERE e.backfill = b.backfill AND e.run = b.run
            AND e.range_number = b.range_number AND e.number < b.number ORDER BY e.number DESC LIMIT 1), g.start_key)
        FROM ${T.batches} AS b
        WHERE b.backfill = ? AND b.number = ? AND g.backfill = b.backfill AND g.run = b.run AND g.number = b.range_number`,
        backfill,
        number,
      );
      await store.run(
        `UPDATE ${T.runs} SET status = 'running', filled_at = NULL
        WHERE backfill = ? AND run = (SELECT run FROM ${T.batches} WHERE backfill = ? AND number = ?)`,
        backfill,
        backfill,
        number,
      );
      for (const table of [...dialect.ledger.batchTables, T.recorded, T.cells, T.skips])
        await store.run(`DELETE FROM ${table} WHERE backfill = ? AND batch = ?`, backfill, number);
      await store.run(`DELETE FROM ${T.batches} WHERE backfill = ? AND number = ?`, backfill, number);
    },

    /**
     * Takes a backfill's ledger as it stands, before a rescan reads everything again: what belongs to no batch any more is
     * dropped, counts follow what is still recorded, and runs that failed their verification are not judged as new any
     * more. Cells that the ledger has lost count as the application's own from then on.
     */
    async reconcile(backfill: string): Promise<void> {
      const known = await batches(backfill);
      for (const table of [T.cells, T.recorded, T.skips])
        await store.run(
          `DELETE FROM ${table} WHERE backfill = ? AND batch NOT IN (SELECT number FROM ${T.batches} WHERE backfill = ?)`,
          backfill,
          backfill,
        );
      for (const { number, cellsFilled } of known) {
        const held = await keepReadable(backfill, number);
        const sql = `UPDATE ${T.batches} SET cells_filled = ? WHERE backfill = ? AND number = ?`;
        if (held !== cellsFilled) await store.run(sql, held, backfill, number);
      }
      await store.run(
        `UPDATE ${T.steps} AS s SET objects = (SELECT count(*) FROM ${T.objects} AS o WHERE o.step = s.name)`,
      );
      await reconcileRuns(backfill, known);
    },
  };
}

/** When a batch was committed, and how much it was. */
export interface BatchTime extends Pick<BatchRecord, 'number' | 'run' | 'rowsScanned' | 'durationMs'> {
  readonly committedAt: string;
}

const TIME_FORMS = {
  number: 'count',
  run: 'count',
  rowsScanned: 'count',
  durationMs: 'number',
  committedAt: 'text',
} as const;

/** How many batches of a backfill a store with a ledger has. */
export async function countBatches(store: Store, backfill: string): Promise<number> {
  const sql = `SELECT count(*) AS count FROM ${T.batches} WHERE backfill = ?`;
  return (await store.get<{ count: number }>(sql, backfill))?.count ?? 0;
}

/** The batches of a backfill, first to last, in pages. */
export async function* batchTimes(store: Store, backfill: string): AsyncGenerator<BatchTime[]> {
  const sql = `SELECT number, run, rows_scanned, duration_ms, committed_at FROM ${T.batches}
    WHERE backfill = ? ORDER BY number`;
  for await (const page of store.pages<readonly unknown[]>(sql, backfill))
    yield page.map(([number, run, rowsScanned, durationMs, committedAt]) =>
      checked<BatchTime>(T.batches, { number, run, rowsScanned, durationMs, committedAt }, TIME_FORMS),
    );
}
