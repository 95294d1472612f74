import type { Worker } from 'node:worker_threads';
import { pauseFor, throwIfAborted } from '../../abort.js';
import type { Store } from '../../db/connection.js';
import { checkpoint, dataVersion, restartWal, setAutoCheckpoint } from '../../db/sqlite/connection.js';
import { requireSqlite, type SqliteStatements } from '../../db/sqlite/statements.js';
import { CHECKPOINT_PAGES } from '../../db/sqlite/store.js';
import { BackfillError } from '../../errors.js';
import { msg } from '../../messages/message.js';
import { RUN_OPTIONS } from '../../option-table.js';
import type { Backfill } from '../../steps/define.js';
import { isParallelWorthwhile, startThread } from '../../threads.js';
import type { Dialect } from '../dialect.js';
import type { RunOptions } from '../run-options.js';

/** Time between two checks whether a reader still pins the WAL, in milliseconds. */
const WAL_POLL_MS = 250;

/**
 * Creates the load monitor of a loop of batches. It detects other writers by `data_version`, and checkpoints the WAL between two
 * batches, when no writer waits for the lock.
 */
export const loadMonitor: Dialect['loadMonitor'] = async (store, backfill, options) => {
  const sqlite = requireSqlite(store);
  // In rollback mode even a checkpoint that does nothing would wait for a writer.
  const { bytes, pageBytes } = await store.size();
  const checkpointer =
    sqlite.journalMode === 'wal' ? new Checkpointer(sqlite, bytes, options.parallelMinBytes ?? 0) : undefined;
  // Inside a COMMIT, checkpoint time would count as lock time, though SQLite has released the lock by then.
  await setAutoCheckpoint(store, 0);
  let version: number | undefined;
  return {
    async hasContention(tx) {
      const found = await dataVersion(tx);
      const hasContention = version !== undefined && found !== version;
      version = found;
      return hasContention;
    },
    async betweenBatches() {
      if (!checkpointer) return;
      const { pages, checkpointed } = await checkpoint(store, 'NOOP');
      await checkpointer.checkpoint(pages, checkpointed);
      const walBytes = pages * pageBytes;
      if (walBytes < (options.walLimitBytes ?? RUN_OPTIONS.walLimitBytes.default)) return;
      await checkpointer.drain(); // two checkpoints at a time would block each other
      await waitForWal(store, backfill, options, walBytes);
    },
    async close() {
      await checkpointer?.close();
      await setAutoCheckpoint(store, CHECKPOINT_PAGES);
    },
  };
};

async function waitForWal(
  store: Store,
  { name }: Backfill,
  { onEvent, signal, walWaitMs = RUN_OPTIONS.walWaitMs.default }: RunOptions,
  walBytes: number,
): Promise<void> {
  if (await restartWal(store)) return;
  onEvent?.({ event: 'wal_pinned', backfill: name, walBytes });
  const giveUpAt = performance.now() + walWaitMs;
  while (!(await restartWal(store))) {
    throwIfAborted(signal, msg('while the WAL of {backfill} was pinned', { backfill: name }));
    if (performance.now() >= giveUpAt)
      throw new BackfillError(
        'WAL_PINNED',
        msg(
          'The WAL has grown to {size} MiB, because another program keeps a read transaction open; every committed batch is kept',
          { size: Math.round(walBytes / 2 ** 20) },
        ),
        msg(
          'Stop the program that reads (lsof STORE-wal lists those that have it open), then run the same command again; it resumes where it stopped; or allow a larger WAL: --wal-limit MIB',
        ),
      );
    await pauseFor(WAL_POLL_MS, signal);
  }
}

/**
 * Pages in the WAL at which to wait for the other thread, so that the WAL restarts: 64 MiB of 4 KiB pages. Two and four times as
 * many measured no faster.
 */
const WAIT_PAGES = 16_000;

/**
 * Checkpoints the WAL during a loop of batches, never in a COMMIT. With a spare processor it runs on a worker thread, because a
 * checkpoint blocks the event loop for longer than a batch; else between two batches.
 */
class Checkpointer {
  readonly #store: SqliteStatements;
  /** Whether this thread does the work: a worker is not worthwhile, or has ended. */
  #isInline: boolean;
  /** Started by the first checkpoint. */
  #worker: Worker | undefined;
  /** Called when the worker has finished a checkpoint, or has ended. */
  #done = (): void => undefined;
  /** The checkpoint in progress. */
  #move: Promise<void> | undefined;

  /** @param parallelMinBytes size of the store from which a worker thread is used */
  constructor(store: SqliteStatements, bytes: number, parallelMinBytes: number) {
    this.#store = store;
    this.#isInline = !isParallelWorthwhile(bytes, parallelMinBytes);
  }

  /** Checkpoints the WAL if enough pages are pending. Call it between two batches. */
  async checkpoint(pages: number, checkpointed: number): Promise<void> {
    if (pages - checkpointed >= CHECKPOINT_PAGES) this.#begin();
    if (this.#isInline) await this.drain();
    else if (pages >= WAIT_PAGES) await this.#checkpointAll();
  }

  /** Waits for the checkpoint in progress. */
  async drain(): Promise<void> {
    await this.#move;
  }

  /** Checkpoints, ends the worker and waits for it: its connection must not be the last one to close. */
  async close(): Promise<void> {
    if (this.#worker && !this.#isInline) await this.#checkpointAll(); // else the next COMMIT would checkpoint the rest
    await this.#worker?.terminate();
  }

  /** Also checkpoints what was written during a checkpoint. */
  async #checkpointAll(): Promise<void> {
    await this.drain();
    this.#begin();
    await this.drain();
  }

  #begin(): void {
    this.#move ??= this.#make().finally(() => {
      this.#move = undefined;
    });
  }

  async #make(): Promise<void> {
    const worker = this.#isInline ? undefined : this.#start();
    if (!worker) {
      await checkpoint(this.#store, 'PASSIVE');
      return;
    }
    worker.postMessage('move');
    await new Promise<void>((resolve) => {
      this.#done = resolve;
    });
  }

  /**
   * Returns the worker; undefined if the system allows none. If an error ends it, this thread takes over and meets the same error:
   * 'exit' follows 'error'.
   */
  #start(): Worker | undefined {
    this.#worker ??= startThread(new URL('./checkpointer-thread.js', import.meta.url), {
      workerData: this.#store.files.path,
    })
      ?.on('error', () => undefined)
      .on('message', () => this.#done())
      .on('exit', () => {
        this.#isInline = true;
        this.#done();
      });
    this.#isInline = this.#worker === undefined;
    return this.#worker;
  }
}
