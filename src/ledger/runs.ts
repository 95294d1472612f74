import type { LockHolder } from '../db/connector.js';
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

/** A part of a run's keys. */
type Range = RowOf<typeof RANGES>;

/** A verdict on a backfill. */
export type VerificationRecord = RowOf<typeof VERIFICATIONS>;

/** The error where somebody else has moved on what this process works on. */
export const runConflict = (backfill: string): BackfillError =>
  new BackfillError(
    'RUN_CONFLICT',
    msg('Another process works on the backfill {name} in the same store', { name: backfill }),
    msg('Wait until it has ended, then run the same command again'),
  );

/**
 * The ledger's runs, and the verdicts on them. The keys of a run are cut into ranges, and each batch takes one of them for its
 * transaction; cursor and counts stand with the range. Where several processes share a run, the range's row is locked, so that nobody else
 * works on it, and that it is free at once when its process dies; a row of the run would be waited for by all.
 *
 * @see https://www.postgresql.org/docs/current/sql-select.html#SQL-FOR-UPDATE-SHARE SKIP LOCKED
 */
export function runsIn({ store, rows, timestamp, last }: Place) {
  const { dialect } = store;

  /** All runs of a backfill, first to last. */
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

  /** Ends a run of which nothing is left, if it is so; returns whether it is. */
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

  /** The last so many verdicts on a backfill, first to last. */
  const verdicts = async (backfill: string, limit: number): Promise<VerificationRecord[]> =>
    (await rows(VERIFICATIONS, 'WHERE backfill = ? ORDER BY number DESC LIMIT ?', backfill, limit)).reverse();

  /** The last verification of a backfill, or undefined. */
  const lastVerification = async (backfill: string): Promise<VerificationRecord | undefined> =>
    (await verdicts(backfill, 1))[0];

  return {
    runs,
    finishRunIfExhausted,
    verdicts,
    lastVerification,

    /** Whether several processes may work on one run. */
    isShared: dialect.ledger.shared !== undefined,

    /** The last run of a backfill, or undefined when it never ran. */
    lastRun: async (backfill: string): Promise<RunRecord | undefined> => (await runs(backfill)).at(-1),

    /**
     * Begins a run. Whoever takes part waits until what stands already has been counted.
     *
     * @param ends last keys of the ranges into which its keys are cut. Default: none, as for a run without rows
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
      await store.run(`DELETE FROM ${T.ranges} WHERE backfill = ? AND run = ?`, backfill, run); // of one whose row was lost
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

    /** Forgets a run without batches. */
    async dropRun(backfill: string, run: number): Promise<void> {
      for (const table of [T.ranges, T.runs])
        await store.run(`DELETE FROM ${table} WHERE backfill = ? AND run = ?`, backfill, run);
    },

    /** Notes how many cells held their derived value before a run filled its first. */
    async setPrefilledCells(backfill: string, run: number, cells: number): Promise<void> {
      await store.run(
        `UPDATE ${T.runs} SET prefilled_cells = ? WHERE backfill = ? AND run = ?`,
        cells,
        backfill,
        run,
      );
    },

    /**
     * Takes the part of a run that the next batch is of: what this process was at work on last, if it is free, so that nobody else's is looked
     * at. Inside the batch's transaction.
     *
     * @param cursor where this process is: nobody else moves it, unless runs are shared
     * @returns `done` when nothing is left of it, `taken` when others are at work on what is left
     * @throws {BackfillError} `RUN_CONFLICT` when another process works on the same run
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

    /** Returns the process whose claim is the oldest, where others claim parts of a run as well and one does. */
    claimHolder: async (): Promise<LockHolder | undefined> => await dialect.ledger.shared?.claimHolder(store),

    /** Notes that a claim is worked off, inside the batch's transaction; returns whether its run is. */
    async finishClaim(backfill: string, { run }: RunRecord, { range }: Claim): Promise<boolean> {
      await store.run(
        `UPDATE ${T.ranges} SET is_done = 1 WHERE backfill = ? AND run = ? AND number = ?`,
        backfill,
        run,
        range,
      );
      return await finishRunIfExhausted(backfill, run);
    },

    /** Whether a backfill has a run that no verification has passed yet, or its last verification failed, whatever passed before. */
    isUnverified: async (backfill: string): Promise<boolean> =>
      (await runs(backfill)).some(({ status }) => isOpen(status)) ||
      (await lastVerification(backfill))?.verdict === 'fail',

    /**
     * Records a verdict. Unless it is `fail`, the runs that it saw are verified from now on; a run that fails stays
     * `filled`, and the next `up` verifies it again.
     *
     * @param checks what was found, without any content of the store; stored as JSON
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

/** A run with what its ranges tell: a run goes on in its first open one. */
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
