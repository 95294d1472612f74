import { setImmediate as nextTurn } from 'node:timers/promises';
import { pauseFor, throwIfAborted } from '../abort.js';
import type { Connection, Transaction } from '../db/connection.js';
import { backoffDelays } from '../db/connector.js';
import type { LoadMonitor } from '../engine/dialect.js';
import { findFailingRow, withFailingRow } from '../engine/expressions.js';
import { initialPace, nextPace, type PaceSettings, type PaceState } from '../engine/pace.js';
import type { RunOptions } from '../engine/run-options.js';
import type { Ledger } from '../ledger/ledger.js';
import { MAX_BATCH_ROWS } from '../ledger/records.js';
import { type Message, msg } from '../messages/message.js';
import { RUN_OPTIONS } from '../option-table.js';
import type { Backfill } from '../steps/define.js';

/*
 * How a batch commits, of `up` (fill.ts) and of `down` (revert.ts). What it does to the table, its rows in the ledger, and where the next one
 * begins are one transaction, so a kill between any two lines loses nothing:
 *
 *   before COMMIT   the store has none of it, and the ledger says the same as before: the next process does the batch again
 *   behind COMMIT   the store has all of it, and the ledger says so: the next process goes on behind it
 *
 * Whatever is told of a batch is told behind its COMMIT, and nothing is decided by that. What this process knows besides, such as its pace
 * or the row that it leaves out, is found out again.
 */

/** What a run works with. */
export interface Work {
  readonly store: Connection;
  readonly ledger: Ledger;
  readonly backfill: Backfill;
  readonly options: RunOptions;
}

/** What a loop of batches works with. */
export interface Loop extends Work {
  readonly pacer: Pacer;
}

/**
 * Runs a loop of batches, telling when it begins and ends. The event loop turns between two of them, so that signals are heard.
 *
 * @throws {BackfillError} `INTERRUPTED`, `TERMINATED` when it was stopped, in its last batch too
 */
export async function withBatchEvents(work: Work, act: (loop: Loop) => Promise<void>): Promise<void> {
  const { store, backfill, options } = work;
  options.onEvent?.({ event: 'batches_started', backfill: backfill.name });
  const pacer = await Pacer.begin(store, backfill, options);
  try {
    await act({ ...work, pacer });
    throwIfAborted(options.signal, msg('after the last batch of {backfill}', { backfill: backfill.name })); // what comes next must not begin
  } finally {
    await pacer.close();
    options.onEvent?.({ event: 'batches_finished', backfill: backfill.name });
  }
}

/** Maximum pause after a conflict, in milliseconds. Random, so that processes that conflict do not conflict again. */
const CONFLICT_PAUSE_MS = 50;

/**
 * Commits a batch: one transaction, tried again while another process keeps the lock. The event loop turns between two tries.
 *
 * @param batch does it, with its rows in the ledger; may run several times
 * @param where where the loop stands, for the error of a run that is stopped
 * @param onConflict called before another try if another transaction has written the same rows
 */
export async function commitBatch<Done>(
  { store, backfill, options: { signal, onEvent }, pacer }: Loop,
  batch: (tx: Transaction) => Promise<Done>,
  where: () => Message,
  onConflict?: () => void,
): Promise<Done> {
  const transaction = async (): Promise<Done> => {
    const done = await store.tryWrite(async (tx) => {
      await pacer.onBegin(tx);
      return await batch(tx);
    });
    pacer.onEnd();
    return done;
  };
  await pacer.pause();
  for (const usualMs of backoffDelays()) {
    throwIfAborted(signal, where());
    try {
      return await transaction();
    } catch (error) {
      const reason = store.dialect.retryReason(error);
      if (!reason) throw (await findFailingRow(store, backfill, error)) ?? error; // rolled back by now
      const isConflict = reason === 'conflict';
      if (isConflict) onConflict?.();
      const pauseMs = isConflict ? Math.ceil(Math.random() * CONFLICT_PAUSE_MS) : usualMs;
      onEvent?.({ event: 'store_busy', backfill: backfill.name, pauseMs });
      await pauseFor(pauseMs, signal);
    }
  }
  return await withFailingRow(store, backfill, transaction);
}

/**
 * Keeps the pace of one loop of batches: measures how long each holds its locks, and sees whether others are at work. Its lifetime is
 * the loop's.
 */
class Pacer {
  readonly #backfill: Backfill;
  readonly #options: RunOptions;
  readonly #settings: PaceSettings;
  readonly #monitor: LoadMonitor;
  #pace: PaceState;
  #lockedAt = 0;
  #lockMs = 0;
  #hasContention = false;

  private constructor(store: Connection, backfill: Backfill, options: RunOptions, monitor: LoadMonitor) {
    this.#backfill = backfill;
    this.#options = options;
    this.#settings = {
      name: options.pace ?? RUN_OPTIONS.pace.default,
      maxRows: Math.min(options.batchRows ?? RUN_OPTIONS.batchRows.default, MAX_BATCH_ROWS),
      targetBatchMs: options.targetBatchMs ?? store.dialect.pacing.targetBatchMs,
      bottleneck: store.dialect.pacing.bottleneck,
    };
    this.#pace = initialPace(this.#settings);
    this.#monitor = monitor;
  }

  /** Begins to keep the pace of a loop. */
  static async begin(store: Connection, backfill: Backfill, options: RunOptions): Promise<Pacer> {
    return new Pacer(store, backfill, options, await store.dialect.loadMonitor(store, backfill, options));
  }

  /** Rows that the next batch takes at most. */
  get rows(): number {
    return this.#pace.rows;
  }

  /** Pauses before a batch, if a pause is due. */
  async pause(): Promise<void> {
    const { pauseMs } = this.#pace;
    if (pauseMs === 0) return;
    this.#options.onEvent?.({ event: 'throttled', backfill: this.#backfill.name, pauseMs });
    await pauseFor(pauseMs, this.#options.signal);
  }

  /** Notes that the batch's transaction has begun. Called first thing in it. */
  async onBegin(tx: Transaction): Promise<void> {
    this.#lockedAt = performance.now();
    this.#hasContention = await this.#monitor.hasContention(tx);
  }

  /** Notes that its transaction has ended. */
  onEnd(): void {
    this.#lockMs = performance.now() - this.#lockedAt;
  }

  /**
   * Goes by the batch that is committed, of so many rows. The event loop turns first: moving the WAL may take as long as a batch.
   *
   * @throws {BackfillError} `WAL_PINNED` when the WAL is at its limit and somebody reads from it for too long
   */
  async onCommit(rows: number): Promise<void> {
    const timing = { rows, lockMs: this.#lockMs, hasContention: this.#hasContention };
    this.#pace = nextPace(this.#pace, timing, this.#settings);
    await nextTurn();
    await this.#monitor.betweenBatches();
  }

  /** Ends what the pace needed. */
  async close(): Promise<void> {
    await this.#monitor.close();
  }
}
