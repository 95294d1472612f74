import { Worker } from 'node:worker_threads';
import { isPostgresUrl } from '../address.js';
import { BackfillError, type ErrorCode, toBackfillError } from '../errors.js';
import { learnSecrets } from '../secrets.js';
import { checkDeployOptions, type DeployOptions, type DeployResult } from './deploy.js';
import { refuseDuplicateSqlite } from './duplicate-sqlite.js';
import type { MigratorEvent } from './options.js';

/** What {@link startBackfills} takes: as a deploy, but for what makes no sense there. */
export type BackgroundOptions = Omit<DeployOptions, 'backfills' | 'signal'>;

/** What the thread is told when it starts. */
export type ThreadData = Omit<BackgroundOptions, 'onEvent'>;

/** What the thread tells. */
export type ThreadMessage =
  | { readonly event: MigratorEvent }
  | { readonly outcome: DeployResult }
  | { readonly error: { readonly code: ErrorCode; readonly message: string; readonly hint: string } };

/** Backfills that run beside the application. */
export interface RunningBackfills {
  /**
   * Settles when everything is filled and verified, or rejects with a {@link BackfillError}: `TERMINATED` when it was
   * stopped, `VERIFICATION_FAILED`, `RUN_LOCKED` and the others of the command `up`. Nobody has to handle that: `onEvent` is told of
   * it (`background_failed`), and without one the process prints a warning.
   */
  readonly done: Promise<DeployResult>;
  /** Stops behind the batch under way, and waits for that. What is committed is kept; the next start goes on there. */
  stop(): Promise<void>;
}

/**
 * Does what is left of the backfills, paced and verified, on a thread of its own, so that this one keeps serving. Ends
 * by itself; an application that exits meanwhile loses the batch under way at most.
 *
 * The thread uses this process's copy of SQLite. An application that has its store open through another copy in the same
 * process would lose its locks: it is refused where that is seen, and runs `umzug-backfill up` as a second process instead.
 *
 * @param options see {@link BackgroundOptions}
 * @returns at once; its `done` settles when everything is filled and verified
 * @throws {BackfillError} `USAGE` naming an option that is unknown or of the wrong kind; `SQLITE_LOADED_TWICE` when another copy of SQLite is loaded in this process
 * @see https://www.sqlite.org/howtocorrupt.html section 2.2.1
 *
 * @example
 * const backfills = startBackfills({
 *   onEvent: (event) => {
 *     if (event.event === 'background_failed') console.error(event.code, event.hint);
 *   },
 * });
 * process.once('SIGTERM', () => backfills.stop());
 */
export function startBackfills(options: BackgroundOptions = {}): RunningBackfills {
  checkDeployOptions(options, 'startBackfills()');
  const { onEvent, ...data } = options;
  learnSecrets([data.path], process.env);
  if (!isPostgresUrl(data.path ?? '')) refuseDuplicateSqlite();
  const worker = new Worker(new URL('./background-thread.js', import.meta.url), {
    workerData: data satisfies ThreadData,
  });
  const done = new Promise<DeployResult>((resolve, reject) => {
    worker.on('message', (message: ThreadMessage) => {
      if ('event' in message) onEvent?.(message.event);
      else if ('outcome' in message) resolve(message.outcome);
      else reject(new BackfillError(message.error.code, message.error.message, message.error.hint));
    });
    worker.on('error', (error) => reject(toBackfillError(error, 'in the thread of the backfills')));
    worker.on('exit', () => reject(toBackfillError(new Error('The thread of the backfills has ended'))));
  });
  done.catch((error: BackfillError) => tellFailure(error, onEvent));
  return {
    done,
    async stop() {
      worker.postMessage('stop');
      await done.then(
        () => undefined,
        () => undefined, // whoever awaits `done` is told
      );
    },
  };
}

/** Tells why the backfills have ended before their end: an application that does not look at `done` goes on serving. */
function tellFailure({ code, message, hint }: BackfillError, onEvent: BackgroundOptions['onEvent']): void {
  const warn = (): void => process.emitWarning(`${message}. ${hint}`, { type: 'BackfillWarning', code });
  if (!onEvent) {
    if (code !== 'TERMINATED') warn();
    return;
  }
  try {
    onEvent({ event: 'background_failed', code, message, hint });
  } catch {
    warn(); // a listener that fails ends the application no more than the backfills do
  }
}
