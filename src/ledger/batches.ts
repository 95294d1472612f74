import { mapEach } from '../each.js';
import { keepReadable, readCells } from './cells.js';
import { compareKeys, type Key } from './keys.js';
import {
  type CellSet,
  type CellsRecord,
  form,
  insert,
  type Place,
  type RangeRecord,
  type RowOf,
  readCell,
  reader,
  type SkipRecord,
} from './records.js';
import { runConflict, type runsIn } from './runs.js';
import { LEDGER_TABLES as T } from './tables.js';

const batchRows = reader(T.batches, {
  number: form.count,
  run: form.count,
  firstKey: form.key,
  lastKey: form.key,
  rowsScanned: form.count,
  cellsFilled: form.count,
  cellsSkipped: form.count,
  /** Skips that it recorded: one per row that was skipped as a whole, else one per cell. */
  skips: form.count,
  durationMs: form.real,
});

/** One committed batch. */
export type BatchRecord = RowOf<typeof batchRows>;

const batchTimeRows = reader(T.batches, {
  number: form.count,
  run: form.count,
  rowsScanned: form.count,
  durationMs: form.real,
  committedAt: form.text,
});
const skipRows = reader<SkipRecord>(T.skips, { key: form.key, target: form.text, reason: form.text });

/** Time and size of a batch. */
export type BatchTime = RowOf<typeof batchTimeRows>;

/** Returns the ledger's functions for batches and the cells that they filled. */
export function batchesIn({ store, rows, timestamp }: Place, runs: ReturnType<typeof runsIn>) {
  const { batchTables, shared, toCell } = store.dialect.ledger;

  /** Returns all batches of a backfill, first to last. */
  const batches = async (backfill: string): Promise<BatchRecord[]> =>
    await rows(batchRows, 'WHERE backfill = ? ORDER BY number', backfill);

  /** Returns the greatest batch number, including batches known only from their cells; 0 before the first. */
  async function lastBatch(backfill: string): Promise<number> {
    const sql = `SELECT max(number) FROM (SELECT max(number) AS number FROM ${T.batches} WHERE backfill = ?
      UNION ALL SELECT max(batch) FROM ${T.cells} WHERE backfill = ?) AS numbers`;
    const [last] = await store.pluck(sql, backfill, backfill);
    return readCell(store, T.batches, 'number', form.orNull(form.count), last) ?? 0;
  }

  /** Recreates lost rows of runs and ranges from the batches, so that `down` can revert them, and recounts the ranges. */
  async function reconcileRuns(backfill: string, known: readonly BatchRecord[]): Promise<void> {
    const recorded = new Set((await runs.runs(backfill)).map(({ run }) => run));
    const lost = known
      .filter(({ run }) => !recorded.has(run))
      .sort((a, b) => compareKeys(a.lastKey, b.lastKey));
    for (const [run, watermark] of new Map(lost.map(({ run, lastKey }) => [run, lastKey])))
      await runs.beginRun(backfill, { run, kind: 'first', startKey: null, watermark });
    // Within a range, batch numbers rise with the keys.
    const recreate = `INSERT INTO ${T.ranges} (backfill, run, number, end_key, cursor, is_done)
      SELECT backfill, run, range_number, last_key, last_key, 1 FROM ${T.batches}
      WHERE backfill = ? AND number IN
        (SELECT max(number) FROM ${T.batches} WHERE backfill = ? GROUP BY run, range_number)
      ON CONFLICT DO NOTHING`;
    await store.run(recreate, backfill, backfill);
    const total = (sql: string): string =>
      `(SELECT coalesce(sum(${sql}), 0) FROM ${T.batches} AS b
        WHERE b.backfill = g.backfill AND b.run = g.run AND b.range_number = g.number)`;
    const recount = `UPDATE ${T.ranges} AS g SET
        batches = ${total('1')}, rows_scanned = ${total('b.rows_scanned')},
        cells_filled = ${total('b.cells_filled')}, cells_skipped = ${total('b.cells_skipped')}
      WHERE backfill = ?`;
    await store.run(recount, backfill);
    await store.run(`UPDATE ${T.runs} SET status = 'superseded' WHERE backfill = ?`, backfill);
  }

  return {
    batches,
    lastBatch,

    /** Returns the numbers of all batches of a backfill, last to first, including those known only from their cells. */
    async batchNumbers(backfill: string): Promise<number[]> {
      const sql = `SELECT number FROM ${T.batches} WHERE backfill = ?
        UNION SELECT batch FROM ${T.cells} WHERE backfill = ? ORDER BY 1 DESC`;
      const numbers = await store.pluck(sql, backfill, backfill);
      return numbers.map((number) => readCell(store, T.batches, 'number', form.count, number));
    },

    /** Returns the cells that a batch filled: each set of columns with its keys. */
    cells: async (backfill: string, batch: number): Promise<CellSet[]> =>
      await readCells(store, backfill, batch),

    /** Returns times and sizes of a backfill's batches, first to last. */
    batchTimes: async (backfill: string): Promise<BatchTime[]> =>
      await rows(batchTimeRows, 'WHERE backfill = ? ORDER BY number', backfill),

    /** Returns the number of the next batch, after every one in the ledger. */
    nextBatch: async (backfill: string): Promise<number> =>
      (await shared?.nextBatch(store)) ?? (await lastBatch(backfill)) + 1,

    /**
     * Records a batch and moves the cursor of the claimed range, in the transaction of the claim.
     *
     * @throws {BackfillError} `RUN_CONFLICT` if the range has changed since the claim: a trigger of the table may have written to it
     */
    async addBatch(
      backfill: string,
      claim: RangeRecord,
      batch: BatchRecord,
      filled: readonly CellsRecord[],
    ): Promise<void> {
      const { number, run, rowsScanned, cellsFilled, cellsSkipped, skips, durationMs } = batch;
      const moved = await store.run(
        `UPDATE ${T.ranges} SET cursor = ?, batches = batches + 1, rows_scanned = rows_scanned + ?,
          cells_filled = cells_filled + ?, cells_skipped = cells_skipped + ?
        WHERE backfill = ? AND run = ? AND number = ? AND cursor IS NOT DISTINCT FROM ? AND is_done = 0`,
        ...[toCell(batch.lastKey), rowsScanned, cellsFilled, cellsSkipped],
        ...[backfill, run, claim.number, toCell(claim.cursor)],
      );
      if (moved !== 1) throw runConflict(backfill);
      await insert(store, T.batches, {
        ...{ backfill, number, run, rangeNumber: claim.number },
        ...{ firstKey: toCell(batch.firstKey), lastKey: toCell(batch.lastKey) },
        ...{ rowsScanned, cellsFilled, cellsSkipped, skips, durationMs, committedAt: timestamp() },
      });
      for (const { columns, firstKey, keys } of filled)
        await insert(store, T.cells, {
          ...{ backfill, batch: number, columns: JSON.stringify(columns), evidence: 'derived' },
          ...{ firstKey: toCell(firstKey), keys },
        });
    },

    /**
     * Deletes a reverted batch with its cells and skips. Its range is reset to its state before the batch, so that an `up` after an
     * interrupted `down` fills again from there.
     */
    async removeBatch(backfill: string, number: number): Promise<void> {
      const shrink = `UPDATE ${T.ranges} AS g SET is_done = 0, batches = g.batches - 1,
          rows_scanned = g.rows_scanned - b.rows_scanned, cells_filled = g.cells_filled - b.cells_filled,
          cells_skipped = g.cells_skipped - b.cells_skipped,
          cursor = coalesce((SELECT e.last_key FROM ${T.batches} AS e WHERE e.backfill = b.backfill AND e.run = b.run
            AND e.range_number = b.range_number AND e.number < b.number ORDER BY e.number DESC LIMIT 1), g.start_key)
        FROM ${T.batches} AS b
        WHERE b.backfill = ? AND b.number = ?
          AND g.backfill = b.backfill AND g.run = b.run AND g.number = b.range_number`;
      await store.run(shrink, backfill, number);
      const reopen = `UPDATE ${T.runs} SET status = 'running', filled_at = NULL
        WHERE backfill = ? AND run = (SELECT run FROM ${T.batches} WHERE backfill = ? AND number = ?)`;
      await store.run(reopen, backfill, backfill, number);
      for (const table of [...batchTables, T.recorded, T.cells, T.skips])
        await store.run(`DELETE FROM ${table} WHERE backfill = ? AND batch = ?`, backfill, number);
      await store.run(`DELETE FROM ${T.batches} WHERE backfill = ? AND number = ?`, backfill, number);
    },

    /**
     * Makes a backfill's ledger consistent before a rescan: deletes rows without a batch, recounts the others, and marks all runs as
     * superseded, so that failed ones are no longer verified as new. Cells that the ledger has lost count as the application's.
     */
    async reconcile(backfill: string): Promise<void> {
      const known = await batches(backfill);
      const orphaned = `batch NOT IN (SELECT number FROM ${T.batches} WHERE backfill = ?)`;
      for (const table of [T.cells, T.recorded, T.skips])
        await store.run(`DELETE FROM ${table} WHERE backfill = ? AND ${orphaned}`, backfill, backfill);
      for (const { number, cellsFilled } of known) {
        const held = await keepReadable(store, backfill, number);
        const sql = `UPDATE ${T.batches} SET cells_filled = ? WHERE backfill = ? AND number = ?`;
        if (held !== cellsFilled) await store.run(sql, held, backfill, number);
      }
      const objects = `(SELECT count(*) FROM ${T.objects} AS o WHERE o.step = s.name)`;
      await store.run(`UPDATE ${T.steps} AS s SET object_count = ${objects}`);
      await reconcileRuns(backfill, known);
    },
  };
}

/** Number of skips with one reason, and the first of them by key. */
export interface SkipGroup {
  readonly reason: string;
  readonly count: number;
  readonly first: readonly Pick<SkipRecord, 'key' | 'target'>[];
}

/** Maximum keys per statement. */
const KEYS_AT_ONCE = 500;

/** Condition on a skip: a value was derived, and the database rejected it. */
const REJECTED_SQL = `(reason = 'UPDATE_IGNORED' OR substr(reason, 1, 7) = 'SQLITE_' OR substr(reason, 1, 9) = 'POSTGRES_')`;

/** Sorts skips by key, then by target. */
const sorted = (skips: SkipRecord[]): SkipRecord[] =>
  skips.sort((a, b) => compareKeys(a.key, b.key) || (a.target < b.target ? -1 : 1));

/** Returns the ledger's functions for skips. Batches write them, in the statements of their dialect. */
export function skipsIn({ store, exists, rows }: Place) {
  const { keyOrder, toCell } = store.dialect.ledger;

  /** Counts the skips of a backfill by reason. */
  async function skipCounts(backfill: string): Promise<Record<string, number>> {
    if (!(await exists())) return {};
    const sql = `SELECT reason, count(*) AS skips FROM ${T.skips}
      WHERE backfill = ? GROUP BY reason ORDER BY reason`;
    const counts = (await store.all<{ reason: unknown; skips: number }>(sql, backfill)).map(
      ({ reason, skips }) => [readCell(store, T.skips, 'reason', form.text, reason), skips] as const,
    );
    return Object.fromEntries(counts);
  }

  return {
    skipCounts,

    /** Returns the skips of a backfill by reason, with up to `limit` keys each. */
    skipGroups: async (backfill: string, limit: number): Promise<SkipGroup[]> =>
      await mapEach(Object.entries(await skipCounts(backfill)), async ([reason, count]) => ({
        reason,
        count,
        first: await skipRows(
          store,
          `WHERE backfill = ? AND reason = ? ORDER BY ${keyOrder}, target LIMIT ?`,
          backfill,
          reason,
          limit,
        ),
      })),

    /** Returns all skips of a backfill, by key. */
    skips: async (backfill: string): Promise<SkipRecord[]> =>
      sorted(await rows(skipRows, 'WHERE backfill = ?', backfill)),

    /** Returns the skips of one batch, by key. */
    skipsOfBatch: async (backfill: string, batch: number): Promise<SkipRecord[]> =>
      sorted(await skipRows(store, 'WHERE backfill = ? AND batch = ?', backfill, batch)),

    /** Counts the skips of each batch. */
    async skipsByBatch(backfill: string): Promise<Map<number, number>> {
      const sql = `SELECT batch, count(*) AS count FROM ${T.skips} WHERE backfill = ? GROUP BY batch`;
      const counts = await store.all<{ batch: number; count: number }>(sql, backfill);
      return new Map(counts.map(({ batch, count }) => [batch, count]));
    },

    /** Counts the rows of one run that were skipped with this code. */
    async rejectedRows(backfill: string, run: number, code: string): Promise<number> {
      const sql = `SELECT count(*) AS count FROM ${T.skips} AS s
        JOIN ${T.batches} AS b ON b.backfill = s.backfill AND b.number = s.batch
        WHERE s.backfill = ? AND s.reason = ? AND b.run = ?`;
      return (await store.get<{ count: number }>(sql, backfill, code, run))?.count ?? 0;
    },

    /** Returns, by key, which of these rows' derived values the database rejected: columns, or `*` for all. */
    async rejectedCells(backfill: string, keys: readonly Key[]) {
      const found = new Map<Key, Set<string>>();
      for (let i = 0; i < keys.length; i += KEYS_AT_ONCE) {
        const some = keys.slice(i, i + KEYS_AT_ONCE).map(toCell);
        const where = `WHERE backfill = ? AND key IN (${some.map(() => '?').join(', ')}) AND ${REJECTED_SQL}`;
        for (const { key, target } of await skipRows(store, where, backfill, ...some))
          found.set(key, (found.get(key) ?? new Set()).add(target));
      }
      return found;
    },
  };
}
