import type { Worker } from 'node:worker_threads';
import { pauseFor, throwIfAborted } from '../../abort.js';
import type { Connection, Store } from '../../db/connection.js';
import { checkpoint, dataVersion, restartWal, setAutoCheckpoint } from '../../db/sqlite/connection.js';
import { requireSqlite, type SqliteStatements } from '../../db/sqlite/statements.js';
import { CHECKPOINT_PAGES } from '../../db/sqlite/store.js';
import { BackfillError } from '../../errors.js';
import { msg } from '../../messages/message.js';
import { RUN_OPTIONS } from '../../option-table.js';
import type { Backfill } from '../../steps/define.js';
import { isParallelWorthwhile, startThread } from '../../threads.js';
import type { LoadMonitor } from '../dialect.js';
import type { RunOptions } from '../run-options.js';

/** Time between two checks whether a reader still pins the WAL, in milliseconds. */
const WAL_POLL_MS = 250;

/**
 * Looks after what surrounds a loop of batches: sees whether others write, and moves the WAL into the main file between two
 * batches, when nobody waits for the lock.
 */
export async function loadMonitor(
  store: Connection,
  backfill: Backfill,
  options: RunOptions,
): Promise<LoadMonitor> {
  const sqlite = requireSqlite(store);
  // In rollback mode even a look at the WAL would wait for a writer.
  const { bytes, pageBytes } = await store.size();
  const checkpointer =
    sqlite.journalMode === 'wal' ? new Checkpointer(sqlite, bytes, options.parallelMinBytes ?? 0) : undefined;
  // In a commit its time would count as the lock's, though SQLite has let go of that by then.
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
      await checkpointer.drain(); // two at a time would be in each other's way
      await waitForWal(store, backfill, options, walBytes);
    },
    async close() {
      await checkpointer?.close();
      await setAutoCheckpoint(store, CHECKPOINT_PAGES);
    },
  };
}

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
          'The WAL has grown to {size} MiB, since another program keeps a read transaction open; every committed batch is kept',
          { size: Math.round(walBytes / 2 ** 20) },
        ),
        msg(
          'End the program that reads (lsof STORE-wal lists those that have it open), then run the same command again: it resumes where it stopped; --wal-limit MIB allows a larger WAL',
        ),
      );
    await pauseFor(WAL_POLL_MS, signal);
  }
}

/**
 * Pages in the WAL at which to wait for the other thread, so that the WAL can begin anew: 64 MiB of 4 KiB pages. Twice and
 * four times as many measured no faster.
 */
const WAIT_PAGES = 16_000;

/**
 * Moves the WAL into the main file while batches are written: on a thread of its own where there is a processor for it, as a move
 * keeps the event loop for longer than a batch, else between two batches. Never in a COMMIT. Its lifetime is one loop's.
 */
class Checkpointer {
  readonly #store: SqliteStatements;
  /** Whether this thread does the work: no other pays, or the other has ended. */
  #isInline: boolean;
  /** Started when there is something to do for it. */
  #worker: Worker | undefined;
  /** Called when the thread has done what it was asked for, or has ended. */
  #done = (): void => undefined;
  /** The move that is being made. */
  #move: Promise<void> | undefined;

  /** @param parallelMinBytes size of the store from which on there is a thread */
  constructor(store: SqliteStatements, bytes: number, parallelMinBytes: number) {
    this.#store = store;
    this.#isInline = !isParallelWorthwhile(bytes, parallelMinBytes);
  }

  /** Has the WAL moved, if enough of it waits. To be called between two batches. */
  async checkpoint(pages: number, checkpointed: number): Promise<void> {
    if (pages - checkpointed >= CHECKPOINT_PAGES) this.#begin();
    if (this.#isInline) await this.drain();
    else if (pages >= WAIT_PAGES) await this.#checkpointAll();
  }

  /** Waits until the move that was begun is made. */
  async drain(): Promise<void> {
    await this.#move;
  }

  /** Ends the thread, with the WAL moved, and waits for that: its connection must not be the last to close. */
  async close(): Promise<void> {
    if (this.#worker && !this.#isInline) await this.#checkpointAll(); // else the next COMMIT would move what is left
    await this.#worker?.terminate();
  }

  /** Moves what was written during a move, too. */
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

  /** The thread; undefined where there is none to have. What ends it meets this one as well, which takes over: 'exit' follows on 'error'. */
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
