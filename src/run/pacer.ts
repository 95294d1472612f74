import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Connection, Transaction } from '../db/connection.js';
import type { Surroundings } from '../engine/dialect.js';
import { firstPace, nextPace, type Pace, type PaceSettings } from '../engine/pace.js';
import { DEFAULT_BATCH_ROWS, type RunOptions } from '../engine/run-options.js';
import { MAX_BATCH_ROWS } from '../ledger/records.js';
import type { Backfill } from '../steps/define.js';
import { pauseFor } from '../stop.js';

/**
 * Keeps the pace of one loop of batches: measures how long each holds its locks, and sees whether others are at work. Its lifetime is
 * the loop's.
 */
export class Pacer {
  readonly #backfill: Backfill;
  readonly #options: RunOptions;
  readonly #settings: PaceSettings;
  readonly #surroundings: Surroundings;
  #pace: Pace;
  #lockedAt = 0;
  #lockMs = 0;
  #hasCompany = false;

  private constructor(
    store: Connection,
    backfill: Backfill,
    options: RunOptions,
    surroundings: Surroundings,
  ) {
    this.#backfill = backfill;
    this.#options = options;
    this.#settings = {
      name: options.pace ?? 'courteous',
      maxRows: Math.min(options.batchRows ?? DEFAULT_BATCH_ROWS, MAX_BATCH_ROWS),
      targetBatchMs: options.targetBatchMs ?? store.dialect.pacing.targetBatchMs,
      rhythm: store.dialect.pacing.rhythm,
    };
    this.#pace = firstPace(this.#settings);
    this.#surroundings = surroundings;
  }

  /** Begins to keep the pace of a loop. */
  static async begin(store: Connection, backfill: Backfill, options: RunOptions): Promise<Pacer> {
    return new Pacer(store, backfill, options, await store.dialect.surroundings(store, backfill, options));
  }

  /** Rows that the next batch takes at most. */
  get rows(): number {
    return this.#pace.rows;
  }

  /** Pauses before a batch, if a pause is due. */
  async pause(): Promise<void> {
    const { pauseMs } = this.#pace;
    if (pauseMs === 0) return;
    this.#options.onEvent?.({ event: 'paused', backfill: this.#backfill.name, pauseMs });
    await pauseFor(pauseMs, this.#options.signal);
  }

  /** Notes that the batch's transaction has begun. Called first thing in it. */
  async locked(tx: Transaction): Promise<void> {
    this.#lockedAt = performance.now();
    this.#hasCompany = await this.#surroundings.hasCompany(tx);
  }

  /** Notes that its transaction has ended. */
  unlocked(): void {
    this.#lockMs = performance.now() - this.#lockedAt;
  }

  /**
   * Goes by the batch that is committed, of so many rows. The event loop turns first: moving the WAL may take as long as a batch.
   *
   * @throws {BackfillError} `WAL_PINNED` when the WAL is at its limit and somebody reads from it for too long
   */
  async committed(rows: number): Promise<void> {
    const timing = { rows, lockMs: this.#lockMs, hasCompany: this.#hasCompany };
    this.#pace = nextPace(this.#pace, timing, this.#settings);
    await nextTurn();
    await this.#surroundings.settle();
  }

  /** Ends what the pace needed. */
  async close(): Promise<void> {
    await this.#surroundings.close();
  }
}
