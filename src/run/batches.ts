import { setImmediate as nextTurn } from 'node:timers/promises';
import { pauseFor, throwIfAborted } from '../abort.js';
import { backoffDelays, type Connection, type Transaction } from '../db/connection.js';
import type { KeyRange, LoadMonitor } from '../engine/dialect.js';
import { findFailingRow, withFailingRow } from '../engine/expressions.js';
import {
  defaultBatchRows,
  initialPace,
  nextPace,
  type PaceSettings,
  type PaceState,
} from '../engine/pace.js';
import type { RunOptions } from '../engine/run-options.js';
import type { Follow } from '../engine/scan.js';
import type { Ledger } from '../ledger/ledger.js';
import { MAX_BATCH_ROWS } from '../ledger/records.js';
import { type Message, msg } from '../messages/message.js';
import { RUN_OPTIONS } from '../option-table.js';
import type { Backfill } from '../steps/define.js';

/*
 * How a batch of `up` (fill.ts) or `down` (revert.ts) commits. Its changes to the table, its ledger rows and the cursor are one transaction,
 * so a kill between any two lines loses nothing:
 *
 *   before COMMIT   the store has none of the changes, and the ledger is as before: the next process does the batch again
 *   after COMMIT    the store has all of the changes, and the ledger records them: the next process continues after the batch
 *
 * Events of a batch follow its COMMIT. All other state of this process, such as its pace or a rejected row, can be found again.
 */

/** Store, ledger, backfill and options of a run. */
export interface Work {
  readonly store: Connection;
  readonly ledger: Ledger;
  readonly backfill: Backfill;
  readonly options: RunOptions;
  /** Set if its batches can be verified during the run. */
  readonly follow?: Follow | undefined;
}

/** A run's loop of batches. */
export interface Loop extends Work {
  readonly pacer: Pacer;
}

/**
 * Runs a loop of batches between its two events.
 *
 * @throws {BackfillError} `INTERRUPTED`, `TERMINATED` if it was stopped, even during its last batch
 */
export async function withBatchEvents(work: Work, act: (loop: Loop) => Promise<void>): Promise<void> {
  const { store, backfill, options, follow } = work;
  const { name } = backfill;
  options.onEvent?.({ event: 'batches_started', backfill: name });
  const monitor = await store.dialect.loadMonitor(store, backfill, options, follow);
  let isFinished = false;
  try {
    await act({ ...work, pacer: new Pacer(work, monitor) });
    throwIfAborted(options.signal, msg('after the last batch of {backfill}', { backfill: name }));
    isFinished = true;
  } finally {
    await monitor.close(isFinished);
    options.onEvent?.({ event: 'batches_finished', backfill: name });
  }
}

/** Maximum of the random pause after a conflict, in milliseconds. */
const CONFLICT_PAUSE_MS = 50;

/**
 * Commits a batch in one transaction, retried while another process holds a lock. The event loop turns between two attempts.
 *
 * @param batch changes the table and the ledger; may run several times
 * @param where returns the position of the loop, for the error of a stopped run
 * @param onConflict called before a retry if another transaction has written the same rows
 */
export async function commitBatch<Done>(
  { store, backfill, options: { signal, onEvent }, pacer }: Loop,
  batch: (tx: Transaction) => Promise<Done>,
  where: () => Message,
  onConflict?: () => void,
): Promise<Done> {
  await pacer.pause();
  for (const usualMs of backoffDelays()) {
    throwIfAborted(signal, where());
    try {
      return await pacer.transaction(batch);
    } catch (error) {
      const reason = store.dialect.retryReason(error);
      if (!reason) throw (await findFailingRow(store, backfill, error)) ?? error;
      const isConflict = reason === 'conflict';
      if (isConflict) onConflict?.();
      const pauseMs = isConflict ? Math.ceil(Math.random() * CONFLICT_PAUSE_MS) : usualMs;
      onEvent?.({ event: 'store_busy', backfill: backfill.name, pauseMs });
      await pauseFor(pauseMs, signal);
    }
  }
  return await withFailingRow(store, backfill, () => pacer.transaction(batch));
}

/** Minimum time between two questions who has the store open, in milliseconds, and the time as a multiple of that of an answer. */
const [ASK_MS, ASK_FACTOR] = [100, 50];

/** Paces one loop of batches by the lock time of each batch and by contention. */
class Pacer {
  readonly #work: Work;
  readonly #monitor: LoadMonitor;
  readonly #settings: PaceSettings;
  #pace: PaceState;
  #lockMs = 0;
  #hasContention = false;
  #openElsewhere: boolean | undefined;
  #askAgainAt = 0;

  constructor(work: Work, monitor: LoadMonitor) {
    const { options, store, backfill } = work;
    const { bottleneck } = store.dialect;
    this.#work = work;
    this.#monitor = monitor;
    this.#settings = {
      name: options.pace ?? RUN_OPTIONS.pace.default,
      maxRows: Math.min(options.batchRows ?? defaultBatchRows(bottleneck, backfill), MAX_BATCH_ROWS),
      targetBatchMs: options.targetBatchMs ?? monitor.targetBatchMs,
      bottleneck,
    };
    this.#pace = initialPace(this.#settings);
  }

  /** Maximum rows of the next batch. */
  get rows(): number {
    return this.#pace.rows;
  }

  /** Pauses before a batch, if a pause is due. */
  async pause(): Promise<void> {
    const { backfill, options } = this.#work;
    const { pauseMs } = this.#pace;
    if (pauseMs === 0) return;
    options.onEvent?.({ event: 'throttled', backfill: backfill.name, pauseMs });
    await pauseFor(pauseMs, options.signal);
  }

  /** Runs a batch in a transaction, and measures how long that holds its lock. */
  async transaction<Done>(batch: (tx: Transaction) => Promise<Done>): Promise<Done> {
    let lockedAt = 0;
    const done = await this.#work.store.tryWrite(async (tx) => {
      lockedAt = performance.now();
      this.#hasContention = await this.#monitor.hasContention(tx);
      return await batch(tx);
    });
    this.#lockMs = performance.now() - lockedAt;
    return done;
  }

  /**
   * Adapts to a committed batch of `rows` rows. Turns the event loop first: the checkpoint may take as long as a batch.
   *
   * @param written first and last key, if it filled rows
   * @throws {BackfillError} `WAL_PINNED` if the WAL is at its limit and another connection reads from it for too long
   */
  async onCommit(rows: number, written?: KeyRange): Promise<void> {
    const isOpenElsewhere = this.#isOpenElsewhere();
    const timing = { rows, lockMs: this.#lockMs, hasContention: this.#hasContention, isOpenElsewhere };
    this.#pace = nextPace(this.#pace, timing, this.#settings);
    await nextTurn();
    await this.#monitor.betweenBatches(written);
  }

  /** Returns whether another process has the store open, as of some batches ago: with many locks on a machine, to find out takes long. */
  #isOpenElsewhere(): boolean | undefined {
    const askedAt = performance.now();
    if (this.#settings.name === 'full' || askedAt < this.#askAgainAt) return this.#openElsewhere;
    const { store, options } = this.#work;
    this.#openElsewhere = store.dialect.isOpenElsewhere(store, options);
    const answeredAt = performance.now();
    this.#askAgainAt = answeredAt + Math.max(ASK_MS, (answeredAt - askedAt) * ASK_FACTOR);
    return this.#openElsewhere;
  }
}
