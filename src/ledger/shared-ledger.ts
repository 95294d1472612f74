import { mapEach } from '../each.js';
import type { SqlValue } from '../store/port.js';
import { holderNamed, instantSql } from '../store/postgres/session-name.js';
import { checked } from './checked.js';
import { compareKeys, type Key } from './keys.js';
import { Ledger, runConflict } from './ledger.js';
import type { BatchRecord, Claim, RunRecord, SkipRecord } from './records.js';
import type { LockHolder } from './run-lock.js';
import { LEDGER_TABLES as T } from './tables.js';

/** Ranges of the runs that several processes share. */
export const RANGES_TABLE = 'umzug_backfill_ranges';

/** Transactions that wrote the rows of each batch, with the table that they wrote into. */
export const XIDS_TABLE = 'umzug_backfill_xids';

/** Gives each batch its number. */
export const BATCH_NUMBERS = 'umzug_backfill_batch_numbers';

interface RangeRow {
  readonly number: number;
  readonly startKey: Key | null;
  readonly endKey: Key;
  readonly cursor: Key | null;
  readonly isDone: number;
}

/** Of a batch that is taken back. */
interface TakenBatch extends Pick<BatchRecord, 'run' | 'rowsScanned' | 'cellsFilled' | 'cellsSkipped'> {
  readonly range: number | null;
}

const RANGE_COLUMNS = `number, start_key AS "startKey", end_key AS "endKey", cursor, is_done AS "isDone"`;

/**
 * A ledger whose runs several processes share: the keys of a run are cut into ranges, and each batch takes one of them for its
 * transaction by a lock on its row, so that nobody else works on it, and that it is free at once when its process dies. Cursor and counts
 * stand with the range: a row of the run would be waited for by all.
 *
 * @see https://www.postgresql.org/docs/current/sql-select.html#SQL-FOR-UPDATE-SHARE SKIP LOCKED
 */
export class SharedLedger extends Ledger {
  override readonly isShared: boolean = true;

  override async beginRun(
    backfill: string,
    run: Pick<RunRecord, 'run' | 'kind' | 'startKey' | 'watermark'>,
    ends: readonly Key[] = [],
  ): Promise<void> {
    await super.beginRun(backfill, run);
    // Whoever takes part waits until what stands already has been counted.
    await this.store.run(
      `UPDATE ${T.runs} SET found_cells = NULL WHERE backfill = ? AND run = ?`,
      backfill,
      run.run,
    );
    let start: SqlValue = this.store.dialect.toLedger(run.startKey);
    await mapEach(ends, async (key, i) => {
      const end = this.store.dialect.toLedger(key);
      await this.store.run(
        `INSERT INTO ${RANGES_TABLE} (backfill, run, number, start_key, end_key, cursor) VALUES (?, ?, ?, ?, ?, ?)`,
        backfill,
        run.run,
        i + 1,
        start,
        end,
        start,
      );
      start = end;
    });
  }

  override async dropRun(backfill: string, run: number): Promise<void> {
    await this.store.run(`DELETE FROM ${RANGES_TABLE} WHERE backfill = ? AND run = ?`, backfill, run);
    await super.dropRun(backfill, run);
  }

  override async runs(backfill: string): Promise<RunRecord[]> {
    const runs = await super.runs(backfill);
    if (runs.length === 0) return runs;
    const sums = await this.store.all<
      Record<'run' | 'batches' | 'rowsScanned' | 'cellsFilled' | 'cellsSkipped', number>
    >(
      `SELECT run, sum(batches) AS batches, sum(rows_scanned) AS "rowsScanned", sum(cells_filled) AS "cellsFilled",
        sum(cells_skipped) AS "cellsSkipped" FROM ${RANGES_TABLE} WHERE backfill = ? GROUP BY run`,
      backfill,
    );
    return await mapEach(runs, async (run) => {
      const ranges = await this.#ranges(backfill, run.run);
      const open = ranges.find(({ isDone }) => isDone === 0);
      const share =
        ranges.length === 0 ? 1 : ranges.filter(({ isDone }) => isDone === 1).length / ranges.length;
      const cursor = open ? open.cursor : (ranges.at(-1)?.cursor ?? run.cursor);
      const counted = { foundCells: run.foundCells ?? 0, isCounted: run.foundCells !== null };
      return { ...run, ...counted, ...sums.find((sum) => sum.run === run.run), cursor, share };
    });
  }

  async #ranges(backfill: string, run: number): Promise<RangeRow[]> {
    return (
      await this.store.allExact<RangeRow>(
        `SELECT ${RANGE_COLUMNS} FROM ${RANGES_TABLE} WHERE backfill = ? AND run = ? ORDER BY number`,
        backfill,
        run,
      )
    ).map((row) => this.#range(row));
  }

  #range(row: RangeRow): RangeRow {
    return checked<RangeRow>(RANGES_TABLE, this.keys(row, ['startKey', 'endKey', 'cursor']), {
      number: 'count',
      startKey: ['key', null],
      endKey: 'key',
      cursor: ['key', null],
      isDone: 'count',
    });
  }

  override async claim(
    backfill: string,
    run: RunRecord,
    _cursor: Key | null,
  ): Promise<Claim | 'done' | 'taken'> {
    const free = await this.store.getExact<RangeRow>(
      `SELECT ${RANGE_COLUMNS} FROM ${RANGES_TABLE}
      WHERE backfill = ? AND run = ? AND is_done = 0
      ORDER BY CASE WHEN number = ? THEN 0 ELSE 1 END, number LIMIT 1 FOR UPDATE SKIP LOCKED`,
      backfill,
      run.run,
      this.last.range, // nobody else's is looked at while it is open, and so none is waited for
    );
    if (!free) return (await this.#hasOpenRange(backfill, run.run)) ? 'taken' : 'done';
    const { number, cursor, endKey } = this.#range(free);
    this.last.range = number;
    return { range: number, cursor, end: endKey };
  }

  /** Whoever has claimed a range has locked its row, and for that the table. */
  override async claimHolder(): Promise<LockHolder | undefined> {
    const holder = await this.store.get<{ name: string; since: string | null }>(
      `SELECT a.application_name AS name, ${instantSql('a.xact_start')} AS since
      FROM pg_locks AS l JOIN pg_stat_activity AS a ON a.pid = l.pid
        JOIN pg_class AS c ON c.oid = l.relation JOIN pg_class AS s ON s.relnamespace = c.relnamespace
      WHERE c.relname = '${RANGES_TABLE}' AND s.oid = (SELECT tableoid FROM ${BATCH_NUMBERS}) AND l.mode IN ('RowShareLock', 'RowExclusiveLock') AND l.granted
        AND l.pid <> pg_backend_pid()
      ORDER BY a.xact_start LIMIT 1`,
    );
    return holder && holderNamed(holder.name, holder.since);
  }

  async #hasOpenRange(backfill: string, run: number): Promise<boolean> {
    const sql = `SELECT 1 AS open FROM ${RANGES_TABLE} WHERE backfill = ? AND run = ? AND is_done = 0 LIMIT 1`;
    return (await this.store.get(sql, backfill, run)) !== undefined;
  }

  override async finishClaim(backfill: string, run: RunRecord, { range }: Claim): Promise<boolean> {
    await this.store.run(
      `UPDATE ${RANGES_TABLE} SET is_done = 1 WHERE backfill = ? AND run = ? AND number = ?`,
      backfill,
      run.run,
      range,
    );
    return false; // the next claim tells
  }

  override async settleRun(backfill: string, run: number): Promise<boolean> {
    if (await this.#hasOpenRange(backfill, run)) return false;
    if ((await super.runs(backfill)).some((record) => record.run === run && record.status === 'running'))
      await this.finishRun(backfill, run);
    return true;
  }

  protected override async moveCursor(
    backfill: string,
    { range, cursor }: Claim,
    batch: BatchRecord,
  ): Promise<void> {
    const { dialect } = this.store;
    const moved = await this.store.run(
      `UPDATE ${RANGES_TABLE} SET cursor = ?, batches = batches + 1, rows_scanned = rows_scanned + ?,
        cells_filled = cells_filled + ?, cells_skipped = cells_skipped + ?
      WHERE backfill = ? AND run = ? AND number = ? AND cursor IS NOT DISTINCT FROM ? AND is_done = 0`,
      dialect.toLedger(batch.lastKey),
      batch.rowsScanned,
      batch.cellsFilled,
      batch.cellsSkipped,
      backfill,
      batch.run,
      range,
      dialect.toLedger(cursor),
    );
    if (moved !== 1) throw runConflict(backfill);
  }

  protected override async insertBatch(backfill: string, claim: Claim, batch: BatchRecord): Promise<void> {
    await super.insertBatch(backfill, claim, batch);
    await this.store.run(
      `UPDATE ${T.batches} SET range_number = ? WHERE backfill = ? AND number = ?`,
      claim.range,
      backfill,
      batch.number,
    );
  }

  override async nextBatch(_backfill: string): Promise<number> {
    return (
      (
        await this.store.get<{ number: number }>(
          `SELECT nextval(tableoid::regclass) AS number FROM ${BATCH_NUMBERS}`,
        )
      )?.number ?? 0
    );
  }

  override async skipsOfBatch(
    backfill: string,
    { number }: Pick<BatchRecord, 'number'>,
  ): Promise<SkipRecord[]> {
    return await this.decoded(
      `SELECT key, target, reason FROM ${T.skips} WHERE backfill = ? AND batch = ?`,
      backfill,
      number,
    );
  }

  override async removeBatch(backfill: string, number: number): Promise<void> {
    const batch = await this.store.get<TakenBatch>(
      `SELECT run, range_number AS range, rows_scanned AS "rowsScanned", cells_filled AS "cellsFilled",
        cells_skipped AS "cellsSkipped" FROM ${T.batches} WHERE backfill = ? AND number = ?`,
      backfill,
      number,
    );
    if (batch && batch.range !== null) await this.#takeBack(backfill, number, batch);
    for (const [table, column] of [
      [XIDS_TABLE, 'batch'],
      [T.cells, 'batch'],
      [T.skips, 'batch'],
      [T.batches, 'number'],
    ] as const)
      await this.store.run(`DELETE FROM ${table} WHERE backfill = ? AND ${column} = ?`, backfill, number);
  }

  /** Puts a range back to where it was before its last batch, so that an `up` after a stopped `down` fills again from there. */
  async #takeBack(backfill: string, number: number, batch: TakenBatch): Promise<void> {
    await this.store.run(
      `UPDATE ${T.runs} SET status = 'running', filled_at = NULL WHERE backfill = ? AND run = ?`,
      backfill,
      batch.run,
    );
    await this.store.run(
      `UPDATE ${RANGES_TABLE} SET is_done = 0, batches = batches - 1, rows_scanned = rows_scanned - ?,
        cells_filled = cells_filled - ?, cells_skipped = cells_skipped - ?,
        cursor = coalesce((SELECT e.last_key FROM ${T.batches} AS e WHERE e.backfill = ? AND e.run = ? AND e.range_number = ?
          AND e.number < ? ORDER BY e.number DESC LIMIT 1), start_key)
      WHERE backfill = ? AND run = ? AND number = ?`,
      batch.rowsScanned,
      batch.cellsFilled,
      batch.cellsSkipped,
      backfill,
      batch.run,
      batch.range,
      number,
      backfill,
      batch.run,
      batch.range,
    );
  }

  override async reconcileRuns(backfill: string): Promise<void> {
    const known = new Set((await super.runs(backfill)).map(({ run }) => run));
    const batches = (await this.batches(backfill)).sort((a, b) => compareKeys(a.lastKey, b.lastKey));
    for (const run of new Set(batches.map((batch) => batch.run))) {
      const last = batches.findLast((batch) => batch.run === run)?.lastKey ?? null;
      if (!known.has(run))
        await super.beginRun(backfill, { run, kind: 'first', startKey: null, watermark: last });
    }
    // Ranges whose rows are lost, as far as their batches tell: those of a range are numbered in the order of its keys.
    await this.store.run(
      `INSERT INTO ${RANGES_TABLE} (backfill, run, number, end_key, cursor, is_done)
      SELECT DISTINCT ON (run, range_number) backfill, run, range_number, last_key, last_key, 1 FROM ${T.batches}
      WHERE backfill = ? AND range_number IS NOT NULL ORDER BY run, range_number, number DESC ON CONFLICT DO NOTHING`,
      backfill,
    );
    const total = (sql: string): string =>
      `(SELECT coalesce(sum(${sql}), 0) FROM ${T.batches} AS b
        WHERE b.backfill = g.backfill AND b.run = g.run AND b.range_number = g.number)`;
    await this.store.run(
      `UPDATE ${RANGES_TABLE} AS g SET batches = ${total('1')}, rows_scanned = ${total('b.rows_scanned')},
        cells_filled = ${total('b.cells_filled')}, cells_skipped = ${total('b.cells_skipped')}
      WHERE backfill = ?`,
      backfill,
    );
    await this.store.run(`UPDATE ${T.runs} SET status = 'superseded' WHERE backfill = ?`, backfill);
  }

  protected override tables(): readonly (readonly [string, string])[] {
    return [[RANGES_TABLE, 'backfill'], [XIDS_TABLE, 'backfill'], ...super.tables()];
  }
}
