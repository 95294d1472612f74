import type { LockHolder, Store } from '../db/connection.js';
import { BackfillError } from '../errors.js';
import { msg } from '../messages/message.js';
import { compareKeys, type Key } from './keys.js';
import type { Ledger } from './ledger.js';
import {
  damagedCell,
  type Form,
  form,
  insert,
  isOpen,
  type Place,
  parseList,
  type RangeRecord,
  type RowOf,
  type RunRecord,
  rangeRows,
  reader,
  runRows,
  upsert,
} from './records.js';
import { LEDGER_TABLES as T } from './tables.js';

const verdictRows = reader(T.verifications, {
  number: form.count,
  run: form.count,
  verdict: form.oneOf('pass', 'warn', 'fail'),
  verifiedAt: form.text,
});

/** A verdict on a backfill. */
export type VerificationRecord = RowOf<typeof verdictRows>;

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
  const { shared, toCell } = store.dialect.ledger;

  /** Returns all runs of a backfill, first to last. */
  async function runs(backfill: string): Promise<RunRecord[]> {
    const found = await rows(runRows, 'WHERE backfill = ? ORDER BY run', backfill);
    if (found.length === 0) return [];
    const ranges = new Map<number, RangeRecord[]>(found.map(({ run }) => [run, []]));
    for (const range of await rangeRows(store, 'WHERE backfill = ? ORDER BY run, number', backfill))
      ranges.get(range.run)?.push(range);
    return found.map((run) => whole(run, ranges.get(run.run) ?? []));
  }

  /** Finishes a run if all its ranges are done. Returns whether they are. */
  async function finishRunIfExhausted(backfill: string, run: number): Promise<boolean> {
    const open = `SELECT 1 AS open FROM ${T.ranges} WHERE backfill = ? AND run = ? AND is_done = 0 LIMIT 1`;
    if ((await store.get(open, backfill, run)) !== undefined) return false;
    const finish = `UPDATE ${T.runs} SET status = 'filled', filled_at = ?
      WHERE backfill = ? AND run = ? AND status = 'running'`;
    await store.run(finish, timestamp(), backfill, run);
    return true;
  }

  /** Returns the last `limit` verdicts on a backfill, first to last. */
  const verdicts = async (backfill: string, limit: number): Promise<VerificationRecord[]> =>
    (await rows(verdictRows, 'WHERE backfill = ? ORDER BY number DESC LIMIT ?', backfill, limit)).reverse();

  /** Returns the last verdict on a backfill, or undefined. */
  const lastVerification = async (backfill: string): Promise<VerificationRecord | undefined> =>
    (await verdicts(backfill, 1))[0];

  return {
    runs,
    finishRunIfExhausted,
    verdicts,
    lastVerification,

    /** Whether several processes can work on one run. */
    isShared: shared !== undefined,

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
        ...{ startKey: toCell(startKey), watermark: toCell(watermark) },
      });
      await store.run(`DELETE FROM ${T.ranges} WHERE backfill = ? AND run = ?`, backfill, run); // left over if its run's row was lost
      for (const [i, end] of ends.entries()) {
        const cursor = toCell(ends[i - 1] ?? startKey);
        const range = { backfill, run, number: i + 1, startKey: cursor, endKey: toCell(end), cursor };
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
      const sql = `UPDATE ${T.runs} SET prefilled_cells = ? WHERE backfill = ? AND run = ?`;
      await store.run(sql, cells, backfill, run);
    },

    /**
     * Claims a range of a run for the next batch, inside its transaction. Tries the range that this process claimed last first, so that no
     * other one is examined while that is open.
     *
     * @param cursor last key that this process has done: no other process moves it, unless runs are shared
     * @returns `exhausted` if all ranges are done, `contended` if other processes have claimed all that are left
     * @throws {BackfillError} `RUN_CONFLICT` if another process has worked on the run; `LEDGER_DAMAGED` if the range does not end with it
     */
    async claim(
      backfill: string,
      { run, watermark }: RunRecord,
      cursor: Key | null,
    ): Promise<RangeRecord | 'exhausted' | 'contended'> {
      const open = 'WHERE backfill = ? AND run = ? AND is_done = 0';
      const tail = `${open} ORDER BY CASE WHEN number = ? THEN 0 ELSE 1 END, number LIMIT 1`;
      const [range] = await rangeRows(
        store,
        `${tail} ${shared?.skipLocked ?? ''}`,
        backfill,
        run,
        last.range,
      );
      if (!range) {
        const claimed = shared ? await rangeRows(store, `${open} LIMIT 1`, backfill, run) : [];
        return claimed.length > 0 ? 'contended' : 'exhausted';
      }
      if (!shared && range.cursor !== cursor) throw runConflict(backfill);
      // The only range of its run: the loop, which reads up to the watermark, would never reach another end.
      if (!shared && range.endKey !== watermark) throw damagedCell(T.ranges, 'end_key');
      last.range = range.number;
      return range;
    },

    /** Returns the process with the oldest claim, or undefined. */
    claimHolder: async (): Promise<LockHolder | undefined> => await shared?.claimHolder(store),

    /** Marks a claimed range as done, inside the batch's transaction. Returns whether its run is done as well. */
    async finishClaim(backfill: string, { run, number }: RangeRecord): Promise<boolean> {
      const sql = `UPDATE ${T.ranges} SET is_done = 1 WHERE backfill = ? AND run = ? AND number = ?`;
      await store.run(sql, backfill, run, number);
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
      await insert(store, T.verifications, {
        ...{ backfill, number, run, verdict },
        ...{ verifiedAt: timestamp(), checks: JSON.stringify(checks) },
      });
      if (verdict === 'fail') return;
      const verify = `UPDATE ${T.runs} SET status = 'verified'
        WHERE backfill = ? AND run <= ? AND status = 'filled'`;
      await store.run(verify, backfill, run);
    },
  };
}

/** Combines a run and its ranges. Its cursor is that of the first open range. */
function whole(run: RowOf<typeof runRows>, ranges: readonly RangeRecord[]): RunRecord {
  const current = ranges.find(({ isDone }) => isDone === 0) ?? ranges.at(-1);
  const sum = (of: 'batches' | 'rowsScanned' | 'cellsFilled' | 'cellsSkipped'): number =>
    ranges.reduce((total, range) => total + range[of], 0);
  const done = ranges.filter(({ isDone }) => isDone === 1).length;
  return {
    ...run,
    cursor: current ? current.cursor : run.startKey,
    prefilledCells: run.prefilledCells ?? 0,
    isCounted: run.prefilledCells !== null,
    batches: sum('batches'),
    rowsScanned: sum('rowsScanned'),
    cellsFilled: sum('cellsFilled'),
    cellsSkipped: sum('cellsSkipped'),
    ...(ranges.length > 1 ? { share: done / ranges.length } : {}),
  };
}

/** A cell: a column of a row. */
export type Cell = readonly [column: string, key: Key];

/** Maximum number of cells to probe. */
export const PROBES = 16;

/** Cells as JSON; more than this package picks are refused, because the ledger is untrusted. */
const probes: Form<readonly Cell[]> = (json) => {
  const list = parseList(json);
  if (!list || list.length > PROBES) return undefined;
  const cells = list.map(readProbe);
  return cells.every((cell) => cell !== undefined) ? cells : undefined;
};

function readProbe(cell: unknown): Cell | undefined {
  const [column, key] = Array.isArray(cell) ? (cell as unknown[]) : [];
  if (typeof column !== 'string' || typeof key !== 'string') return undefined;
  if (key.startsWith("'")) return [column, key.slice(1)];
  return /^-?\d{1,19}$/.test(key) ? [column, BigInt.asIntN(64, BigInt(key))] : undefined;
}

const tableRows = reader(T.tables, {
  /** Identity at the last search from the first key. */
  identity: form.text,
  /** Last run that had started by then. */
  run: form.count,
  /** Last key searched; null if the table was empty. */
  watermark: form.orNull(form.key),
  /** A few filled cells, spread over the keys. */
  probes,
});

/** The table that a backfill has filled. */
export type FilledTable = RowOf<typeof tableRows>;

/** Returns the record of a backfill's table, or undefined. */
export async function filledTable(store: Store, backfill: string): Promise<FilledTable | undefined> {
  if (!(await store.dialect.hasTable(store, T.tables))) return undefined;
  return (await tableRows(store, 'WHERE backfill = ?', backfill))[0];
}

/** Records a backfill's table, inside its caller's transaction. Drops probes past its watermark: their rows no longer exist. */
export async function recordTable(
  store: Store,
  backfill: string,
  { identity, run, watermark: last, probes }: FilledTable,
): Promise<void> {
  const cells = probes
    .filter(([, key]) => last !== null && compareKeys(key, last) <= 0)
    .map(([column, key]) => [column, typeof key === 'string' ? `'${key}` : String(key)]);
  const watermark = store.dialect.ledger.toCell(last);
  await upsert(store, T.tables, { backfill }, { identity, run, watermark, probes: JSON.stringify(cells) });
}

/**
 * Returns the last key up to which a backfill's rows were searched: the watermark of its last run, unless a later search found that
 * keys had restarted.
 */
export async function lookedUpTo(store: Store, ledger: Ledger, backfill: string): Promise<Key | null> {
  const last = await ledger.lastRun(backfill);
  const table = await filledTable(store, backfill);
  return (table && table.run === last?.run ? table.watermark : last?.watermark) ?? null;
}
