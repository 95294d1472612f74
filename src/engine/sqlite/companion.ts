import type { Worker } from 'node:worker_threads';
import { checkpoint } from '../../db/sqlite/connection.js';
import type { SqliteStatements } from '../../db/sqlite/statements.js';
import { CHECKPOINT_PAGES } from '../../db/sqlite/store.js';
import { isParallelWorthwhile, startThread, YOUNG_MIB } from '../../threads.js';
import type { KeyRange } from '../dialect.js';
import type { Followed, PassElsewhere } from '../scan.js';

/** First and last key of an interval of integers. */
export type IntegerRange = Followed['range'];

/** Startup data of the thread. */
export interface CompanionData {
  /** Path of the store. */
  readonly path: string;
  /** The pass that it makes; undefined if it only checkpoints. */
  readonly follow: PassElsewhere | undefined;
}

/** A message to the thread: a range to read, or a request. */
export type CompanionRequest = 'checkpoint' | 'end' | 'forget' | IntegerRange;

/** A message of the thread. */
export type CompanionReply =
  | 'checkpointed'
  | { readonly followed: { readonly found: unknown; readonly lastKey: bigint } | undefined };

/**
 * Pages in the WAL at which to wait for the thread, so that the WAL restarts: 64 MiB of 4 KiB pages. Two and four times as
 * many measured no faster.
 */
const WAIT_PAGES = 16_000;

/** Batches after which it is worthwhile to follow. */
const MIN_BATCHES = 3;

/**
 * The work between the batches of a loop. It checkpoints the WAL, never in a COMMIT: with a spare processor on a thread, because a
 * checkpoint blocks the event loop for longer than a batch; else between two batches. The same thread reads each batch again.
 */
export class Companion {
  readonly #store: SqliteStatements;
  /** Whether this thread does the work: a worker is not worthwhile, or has ended. */
  #isInline: boolean;
  #follow: PassElsewhere | undefined;
  /** Started by the first checkpoint, or range. */
  #worker: Worker | undefined;
  /** Called when the worker has finished a checkpoint, or has ended. */
  #done = (): void => undefined;
  /** Called with the findings of the worker, or when it has ended. */
  #told = (_: Exclude<CompanionReply, string>['followed']): void => undefined;
  /** The checkpoint in progress. */
  #move: Promise<void> | undefined;
  /** Ranges for a worker that has not been started. */
  #waiting: IntegerRange[] = [];
  /** All keys that were handed over. */
  #range: IntegerRange | undefined;

  /**
   * @param parallelMinBytes size of the store from which a worker thread is used
   * @param follow pass over what is written. Default: none
   */
  constructor(store: SqliteStatements, bytes: number, parallelMinBytes: number, follow?: PassElsewhere) {
    this.#store = store;
    this.#isInline = !isParallelWorthwhile(bytes, parallelMinBytes);
    this.#follow = follow;
  }

  /** Has a range read that was written after the ranges before, and what is between them. */
  follow([first, last]: KeyRange): void {
    if (!this.#follow || this.#isInline) return;
    if (typeof first !== 'bigint' || typeof last !== 'bigint') return;
    this.#waiting.push([this.#range ? this.#range[1] + 1n : first, last]);
    this.#range = [this.#range?.[0] ?? first, last];
    if (!this.#worker && this.#waiting.length < MIN_BATCHES) return;
    for (const range of this.#waiting) this.#start()?.postMessage(range);
    this.#waiting = [];
  }

  /** Forgets what was read: it may have changed. */
  stopFollowing(): void {
    if (!this.#follow) return;
    this.#follow = undefined;
    this.#worker?.postMessage('forget' satisfies CompanionRequest);
  }

  /** Ends the following, and returns what was found. */
  async endFollowing(): Promise<Omit<Followed, 'version'> | undefined> {
    if (!this.#follow || !this.#range || !this.#worker || this.#isInline) return undefined;
    const [firstKey] = this.#range;
    const followed = await new Promise<Exclude<CompanionReply, string>['followed']>((resolve) => {
      this.#told = resolve;
      this.#worker?.postMessage('end' satisfies CompanionRequest);
    });
    this.#follow = undefined;
    return followed && { found: followed.found, range: [firstKey, followed.lastKey] };
  }

  /** Checkpoints the WAL if enough pages are pending. Call it between two batches. */
  async checkpoint(pages: number, checkpointed: number): Promise<void> {
    if (pages - checkpointed >= CHECKPOINT_PAGES) void this.#begin();
    if (this.#isInline) await this.#move;
    else if (pages >= WAIT_PAGES) await this.checkpointAll();
  }

  /** Also checkpoints what was written during a checkpoint. */
  async checkpointAll(): Promise<void> {
    await this.#move;
    await this.#begin();
  }

  /** Checkpoints, ends the worker and waits for it: its connection must not be the last one to close. */
  async close(): Promise<void> {
    if (this.#worker && !this.#isInline) await this.checkpointAll(); // else the next COMMIT would checkpoint the rest
    await this.#worker?.terminate();
  }

  /** Begins a checkpoint, unless there is one in progress. */
  #begin(): Promise<void> {
    this.#move ??= this.#make().finally(() => {
      this.#move = undefined;
    });
    return this.#move;
  }

  async #make(): Promise<void> {
    const worker = this.#isInline ? undefined : this.#start();
    if (!worker) {
      await checkpoint(this.#store, 'PASSIVE');
      return;
    }
    worker.postMessage('checkpoint' satisfies CompanionRequest);
    await new Promise<void>((resolve) => {
      this.#done = resolve;
    });
  }

  /**
   * Returns the worker; undefined if the system allows none. If an error ends it, this thread takes over and meets the same error:
   * 'exit' follows 'error'.
   */
  #start(): Worker | undefined {
    const workerData: CompanionData = { path: this.#store.files.path, follow: this.#follow };
    this.#worker ??= startThread(new URL('./companion-thread.js', import.meta.url), {
      workerData,
      resourceLimits: { maxYoungGenerationSizeMb: YOUNG_MIB },
    })
      ?.on('error', () => undefined)
      .on('message', (message: CompanionReply) => {
        if (message === 'checkpointed') this.#done();
        else this.#told(message.followed);
      })
      .on('exit', () => {
        this.#isInline = true;
        this.#done();
        this.#told(undefined);
      });
    this.#isInline = this.#worker === undefined;
    return this.#worker;
  }
}
