import { Worker } from 'node:worker_threads';
import { checkpoint } from '../../db/sqlite/connection.js';
import type { SqliteStatements } from '../../db/sqlite/statements.js';
import { CHECKPOINT_PAGES } from '../../db/sqlite/store.js';
import { isThreadWorth } from '../../threads.js';

/**
 * Pages in the WAL at which to wait for the other thread, so that the WAL can begin anew: 64 MiB of 4 KiB pages. Twice and
 * four times as many measured no faster.
 */
const WAIT_PAGES = 16_000;

/**
 * Moves the WAL into the main file while batches are written: on a thread of its own where there is a processor for it, as a move
 * keeps the event loop for longer than a batch, else between two batches. Never in a COMMIT. Its lifetime is one loop's.
 */
export class Checkpointer {
  readonly #store: SqliteStatements;
  /** Whether this thread does the work: no other pays, or the other has ended. */
  #isAlone: boolean;
  /** Started when there is something to do for it. */
  #worker: Worker | undefined;
  /** What the thread does now, until it is done; undefined when it waits. */
  #work: Promise<void> | undefined;

  /**
   * @param bytes size of the store
   * @param threadFromBytes size from which on there is a thread. Default: any
   */
  constructor(store: SqliteStatements, bytes: number, threadFromBytes = 0) {
    this.#store = store;
    this.#isAlone = !isThreadWorth(bytes, threadFromBytes);
  }

  /** Has the WAL moved, if enough of it waits. To be called between two batches. */
  async move(pages: number, checkpointed: number): Promise<void> {
    const isDue = pages - checkpointed >= CHECKPOINT_PAGES;
    if (!this.#isAlone) {
      if (isDue) this.#work ??= this.#ask();
      if (pages < WAIT_PAGES) return;
      await this.rest();
      if (!this.#isAlone) this.#work = this.#ask(); // what was written meanwhile
      await this.rest();
      if (!this.#isAlone) return;
    } else if (!isDue) return;
    await checkpoint(this.#store, 'PASSIVE');
  }

  /** Waits until the thread has done what it was asked for. */
  async rest(): Promise<void> {
    await this.#work;
  }

  #start(): Worker {
    const worker = new Worker(new URL('./checkpointer-thread.js', import.meta.url), {
      workerData: this.#store.files.path,
    });
    // What has ended it meets this thread as well, which takes over, and is told from here.
    const takeOver = (): void => {
      this.#isAlone = true;
    };
    return worker.on('error', takeOver).on('exit', takeOver);
  }

  #ask(): Promise<void> {
    this.#worker ??= this.#start();
    const worker = this.#worker;
    return new Promise((resolve) => {
      const done = (): void => {
        worker.off('message', done).off('exit', done);
        this.#work = undefined;
        resolve();
      };
      worker.on('message', done).on('exit', done);
      worker.postMessage('move');
    });
  }

  /** Ends the thread, with the WAL moved, and waits for that: its connection must not be the last to close. */
  async close(): Promise<void> {
    await this.rest();
    if (this.#worker && !this.#isAlone) await this.#ask(); // else the next COMMIT would move what is left
    await this.#worker?.terminate();
  }
}
