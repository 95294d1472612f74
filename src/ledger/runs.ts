import type { LockHolder } from '../db/connection.js';
import { BackfillError } from '../errors.js';
import { msg } from '../messages/message.js';
import type { Key } from './keys.js';
import {
  type Claim,
  count,
  insert,
  isOpen,
  key,
  oneOf,
  orNull,
  type Place,
  type RowOf,
  type RunRecord,
  reader,
  text,
} from './records.js';
import { LEDGER_TABLES as T } from './tables.js';

const RUNS = reader(T.runs, {
  run: count,
  kind: oneOf('first', 'catch-up', 'rescan'),
  status: oneOf('running', 'filled', 'verified', 'superseded'),
  startKey: orNull(key),
  watermark: orNull(key),
  prefilledCells: orNull(count),
  startedAt: text,
  filledAt: orNull(text),
});
const RANGES = reader(T.ranges, {
  run: count,
  number: count,
  endKey: key,
  cursor: orNull(key),
  isDone: count,
  batches: count,
  rowsScanned: count,
  cellsFilled: count,
  cellsSkipped: count,
});

const VERIFICATIONS = reader(T.verifications, {
  number: count,
  run: count,
  verdict: oneOf('pass', 'warn', 'fail'),
  verifiedAt: text,
});

type Range = RowOf<typeof RANGES>;

/** A verdict on a backfill. */
export type VerificationRecord = RowOf<typeof VERIFICATIONS>;

/** Returns the error for a backfill that another process has changed during this run. */
export const runConflict = (backfill: string): BackfillError =>
  new BackfillError(
    'RUN_CONFLICT',
    msg('Another process has worked on the backfill {name} in the same store', { name: backfill }),
    msg('Wait until it has ended, then run the same command again'),
  );

/**
 * Returns the ledger's functions for runs and verdicts. The keys of a run are divided into ranges. Each batch claims one range for its
 * transaction; cursor and counts are stored per range. If several processes share a run, the claim locks the range's row: no other process
 * works on it, and it is free as soon as its process dies. With a lock on the run's row, all would wait for one another.
 *
 * @see https://www.postgresql.org/docs/current/sql-select.html#SQL-FOR-UPDATE-SHARE SKIP LOCKED
 */
export function runsIn({ store, rows, timestamp, last }: Place) {
  const { dialect } = store;

  /** Returns all runs of a backfill, first to last. */
  async function runs(backfill: string): Promise<RunRecord[]> {
    const found = await rows(RUNS, 'WHERE backfill = ? ORDER BY run', backfill);
    if (found.length === 0) return [];
    const byRun = new Map<number, Range[]>();
    for (const range of await RANGES.all(store, 'WHERE backfill = ? ORDER BY run, number', backfill)) {
      const own = byRun.get(range.run);
      if (own) own.push(range);
      else byRun.set(range.run, [range]);
    }
    return found.map((run) => whole(run, byRun.get(run.run) ?? []));
  }

  /** Finishes a run if all its ranges are done. Returns whether they are. */
  async function finishRunIfExhausted(backfill: string, run: number): Promise<boolean> {
    const open = `SELECT 1 AS open FROM ${T.ranges} WHERE backfill = ? AND run = ? AND is_done = 0 LIMIT 1`;
    if ((await store.get(open, backfill, run)) !== undefined) return false;
    await store.run(
      `UPDATE ${T.runs} SET status = 'filled', filled_at = ? WHERE backfill = ? AND run = ? AND status = 'running'`,
      timestamp(),
      backfill,
      run,
    );
    return true;
  }

  /** Returns the last `limit` verdicts on a backfill, first to last. */
  const verdicts = async (backfill: string, limit: number): Promise<VerificationRecord[]> =>
    (await rows(VERIFICATIONS, 'WHERE backfill = ? ORDER BY number DESC LIMIT ?', backfill, limit)).reverse();

  /** Returns the last verdict on a backfill, or undefined. */
  const lastVerification = async (backfill: string): Promise<VerificationRecord | undefined> =>
    (await verdicts(backfill, 1))[0];

  return {
    runs,
    finishRunIfExhausted,
    verdicts,
    lastVerification,

    /** Whether several processes can work on one run. */
    isShared: dialect.ledger.shared !== undefined,

    /** Returns the last run of a backfill, or undefined. */
    lastRun: async (backfill: string): Promise<RunRecord | undefined> => (await runs(backfill)).at(-1),

    /**
     * Starts a run. Workers join it once its prefilled cells are counted.
     *
     * @param ends last keys of its ranges. Default: none, for a run without rows
     */
    async beginRun(
      backfill: string,
      { run, kind, startKey, watermark }: Pick<RunRecord, 'run' | 'kind' | 'startKey' | 'watermark'>,
      ends: readonly Key[] = [],
    ): Promise<void> {
      await insert(store, T.runs, {
        ...{ backfill, run, kind, status: 'running', startedAt: timestamp() },
        ...{ startKey: dialect.ledger.toCell(startKey), watermark: dialect.ledger.toCell(watermark) },
      });
      await store.run(`DELETE FROM ${T.ranges} WHERE backfill = ? AND run = ?`, backfill, run); // left over if its run's row was lost
      for (const [i, end] of ends.entries()) {
        const start = dialect.ledger.toCell(ends[i - 1] ?? startKey);
        const range = {
          backfill,
          run,
          number: i + 1,
          startKey: start,
          endKey: dialect.ledger.toCell(end),
          cursor: start,
        };
        await insert(store, T.ranges, range);
      }
    },

    /** Deletes a run without batches. */
    async dropRun(backfill: string, run: number): Promise<void> {
      for (const table of [T.ranges, T.runs])
        await store.run(`DELETE FROM ${table} WHERE backfill = ? AND run = ?`, backfill, run);
    },

    /** Records the number of cells that held their derived value before the run. */
    async setPrefilledCells(backfill: string, run: number, cells: number): Promise<void> {
      await store.run(
        `UPDATE ${T.runs} SET prefilled_cells = ? WHERE backfill = ? AND run = ?`,
        cells,
        backfill,
        run,
      );
    },

    /**
     * Claims a range of a run for the next batch, inside its transaction. Tries the range that this process claimed last first, so that no
     * other one is examined while that is open.
     *
     * @param cursor last key that this process has done: no other process moves it, unless runs are shared
     * @returns `exhausted` if all ranges are done, `contended` if other processes have claimed all that are left
     * @throws {BackfillError} `RUN_CONFLICT` if another process has worked on the run
     */
    async claim(
      backfill: string,
      { run }: RunRecord,
      cursor: Key | null,
    ): Promise<Claim | 'exhausted' | 'contended'> {
      const open = 'WHERE backfill = ? AND run = ? AND is_done = 0';
      const range = await RANGES.first(
        store,
        `${open} ORDER BY CASE WHEN number = ? THEN 0 ELSE 1 END, number LIMIT 1 ${dialect.ledger.shared?.skipLocked ?? ''}`,
        backfill,
        run,
        last.range,
      );
      if (!range) {
        const isClaimed =
          dialect.ledger.shared !== undefined &&
          (await RANGES.first(store, `${open} LIMIT 1`, backfill, run));
        return isClaimed ? 'contended' : 'exhausted';
      }
      if (!dialect.ledger.shared && range.cursor !== cursor) throw runConflict(backfill);
      last.range = range.number;
      return { range: range.number, cursor: range.cursor, end: range.endKey };
    },

    /** Returns the process with the oldest claim, or undefined. */
    claimHolder: async (): Promise<LockHolder | undefined> => await dialect.ledger.shared?.claimHolder(store),

    /** Marks a claimed range as done, inside the batch's transaction. Returns whether its run is done as well. */
    async finishClaim(backfill: string, { run }: RunRecord, { range }: Claim): Promise<boolean> {
      await store.run(
        `UPDATE ${T.ranges} SET is_done = 1 WHERE backfill = ? AND run = ? AND number = ?`,
        backfill,
        run,
        range,
      );
      return await finishRunIfExhausted(backfill, run);
    },

    /** Checks whether a backfill has a run that no verification has passed, or its last verification failed. */
    isUnverified: async (backfill: string): Promise<boolean> =>
      (await runs(backfill)).some(({ status }) => isOpen(status)) ||
      (await lastVerification(backfill))?.verdict === 'fail',

    /**
     * Records a verdict. Marks the runs up to `run` as verified, unless it is `fail`: they stay `filled`, and the next `up` verifies them again.
     *
     * @param checks results of the checks, without any content of the store; stored as JSON
     */
    async addVerification(
      backfill: string,
      run: number,
      verdict: VerificationRecord['verdict'],
      checks: unknown,
    ): Promise<void> {
      const number = ((await lastVerification(backfill))?.number ?? 0) + 1;
      const verification = {
        backfill,
        number,
        run,
        verdict,
        verifiedAt: timestamp(),
        checks: JSON.stringify(checks),
      };
      await insert(store, T.verifications, verification);
      if (verdict === 'fail') return;
      await store.run(
        `UPDATE ${T.runs} SET status = 'verified' WHERE backfill = ? AND run <= ? AND status = 'filled'`,
        backfill,
        run,
      );
    },
  };
}

/** Combines a run and its ranges. Its cursor is that of the first open range. */
function whole(run: RowOf<typeof RUNS>, ranges: readonly Range[]): RunRecord {
  const current = ranges.find(({ isDone }) => isDone === 0) ?? ranges.at(-1);
  const sum = (of: 'batches' | 'rowsScanned' | 'cellsFilled' | 'cellsSkipped'): number =>
    ranges.reduce((total, range) => total + range[of], 0);
  return {
    ...run,
    cursor: current ? current.cursor : run.startKey,
    prefilledCells: run.prefilledCells ?? 0,
    isCounted: run.prefilledCells !== null,
    batches: sum('batches'),
    rowsScanned: sum('rowsScanned'),
    cellsFilled: sum('cellsFilled'),
    cellsSkipped: sum('cellsSkipped'),
    ...(ranges.length > 1
      ? { share: ranges.filter(({ isDone }) => isDone === 1).length / ranges.length }
      : {}),
  };
}
