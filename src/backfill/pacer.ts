import { setTimeout as sleep } from 'node:timers/promises';
import { BackfillError } from '../errors.js';
import { Checkpointer } from '../store/sqlite/checkpointer.js';
import { CHECKPOINT_PAGES } from '../store/sqlite/open.js';
import type { Store } from '../store/sqlite/store.js';
import { checkpoint, dataVersion, restartWal, setAutoCheckpoint } from '../store/sqlite/wal.js';
import type { Backfill } from './define.js';
import { firstPace, nextPace, type Pace, type PaceSettings } from './pace.js';
import {
  DEFAULT_BATCH_ROWS,
  DEFAULT_TARGET_BATCH_MS,
  DEFAULT_WAL_LIMIT_MIB,
  type RunOptions,
  type StopSignal,
} from './run-options.js';

/** How long a run waits for whoever pins the WAL, and between two looks whether it is free, in milliseconds. */
const [WAL_WAIT_MS, WAL_LOOK_MS] = [60_000, 250];

/** Stops a run between two batches if it was told to. */
export function throwIfStopped(signal: StopSignal | undefined, where: string): void {
  if (!signal?.aborted) return;
  const isTerm = signal.reason === 'SIGTERM';
  throw new BackfillError(
    isTerm ? 'TERMINATED' : 'INTERRUPTED',
    `Stopped by ${String(signal.reason)} ${where}; every committed batch is kept`,
    'Run the same command again; it resumes where it stopped',
  );
}

/**
 * Keeps the pace of one loop of batches: measures how long each holds the write lock, sees whether others write, and
 * moves the WAL into the main file between two batches, when nobody waits for the lock. Its lifetime is the loop's.
 */
export class Pacer {
  readonly #store: Store;
  readonly #backfill: Backfill;
  readonly #options: RunOptions;
  readonly #settings: PaceSettings;
  /** Undefined in rollback mode: there, even a look at the WAL would wait for a writer. */
  readonly #wal: { readonly pageBytes: number; readonly checkpointer: Checkpointer } | undefined;
  #pace: Pace;
  #version: number | undefined;
  #lockedAt = 0;
  #hasCompany = false;

  constructor(store: Store, backfill: Backfill, options: RunOptions) {
    this.#store = store;
    this.#backfill = backfill;
    this.#options = options;
    this.#settings = {
      name: options.pace ?? 'courteous',
      maxRows: options.batchRows ?? DEFAULT_BATCH_ROWS,
      targetBatchMs: options.targetBatchMs ?? DEFAULT_TARGET_BATCH_MS,
    };
    this.#pace = firstPace(this.#settings);
    if (store.journalMode === 'wal')
      this.#wal = {
        pageBytes: store.size().pageBytes,
        checkpointer: new Checkpointer(store, options.threadFromBytes),
      };
    // In a commit its time would count as the lock's, though SQLite has let go of that by then.
    setAutoCheckpoint(store, 0);
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
    await sleep(pauseMs);
  }

  /** Notes that the write lock was taken. Called first thing in a batch's transaction. */
  locked(): void {
    this.#lockedAt = performance.now();
    const version = dataVersion(this.#store);
    this.#hasCompany = this.#version !== undefined && version !== this.#version;
    this.#version = version;
  }

  /**
   * Notes that the batch is committed.
   *
   * @throws {BackfillError} `WAL_PINNED` when the WAL is at its limit and somebody reads from it for too long
   */
  async committed(rows: number): Promise<void> {
    const lockMs = performance.now() - this.#lockedAt;
    this.#pace = nextPace(this.#pace, { rows, lockMs, hasCompany: this.#hasCompany }, this.#settings);
    if (!this.#wal) return;
    const { pages, checkpointed } = checkpoint(this.#store, 'NOOP');
    await this.#wal.checkpointer.move(pages, checkpointed);
    const walBytes = pages * this.#wal.pageBytes;
    if (walBytes >= (this.#options.walLimitBytes ?? DEFAULT_WAL_LIMIT_MIB * 2 ** 20))
      await this.#waitForWal(walBytes);
  }

  async #waitForWal(walBytes: number): Promise<void> {
    await this.#wal?.checkpointer.rest(); // two at a time would be in each other's way
    if (restartWal(this.#store)) return;
    const { onEvent, signal, walWaitMs = WAL_WAIT_MS } = this.#options;
    onEvent?.({ event: 'wal_pinned', backfill: this.#backfill.name, walBytes });
    const giveUpAt = performance.now() + walWaitMs;
    while (!restartWal(this.#store)) {
      throwIfStopped(signal, `while the WAL of ${this.#backfill.name} was pinned`);
      if (performance.now() >= giveUpAt) throw walPinned(walBytes);
      await sleep(WAL_LOOK_MS);
    }
  }

  /** Lets commits move the WAL by themselves again. */
  async close(): Promise<void> {
    await this.#wal?.checkpointer.close();
    setAutoCheckpoint(this.#store, CHECKPOINT_PAGES);
  }
}

const walPinned = (walBytes: number): BackfillError =>
  new BackfillError(
    'WAL_PINNED',
    `The WAL has grown to ${Math.round(walBytes / 2 ** 20)} MiB, since another program keeps a read transaction open; every committed batch is kept`,
    'End the program that reads (lsof STORE-wal lists those that have it open), then run the same command again: it resumes where it stopped; --wal-limit MIB allows a larger WAL',
  );
