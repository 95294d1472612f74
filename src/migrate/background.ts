import { Worker } from 'node:worker_threads';
import { isPostgresUrl } from '../address.js';
import { COMMAND_OPTIONS } from '../command-options.js';
import { BackfillError, type ErrorCode, type ErrorTexts, toBackfillError } from '../errors.js';
import { RUN_OPTIONS } from '../option-table.js';
import { checkOptions } from '../options.js';
import { learnSecrets } from '../secrets.js';
import type { DeployOptions, DeployResult } from './deploy.js';
import { refuseDuplicateSqlite } from './duplicate-sqlite.js';
import type { MigratorEvent } from './options.js';

/** Options of {@link startBackfills}: those of a deploy, except `backfills` and `signal`. */
export type BackgroundOptions = Omit<DeployOptions, 'backfills' | 'signal'>;

const { signal: _, ...ON_THREAD } = RUN_OPTIONS; // a thread cannot receive it
const BACKGROUND_OPTIONS = { ...ON_THREAD, trustConfig: COMMAND_OPTIONS.trustConfig };

/** Startup data for the thread. */
export type ThreadData = Omit<BackgroundOptions, 'onEvent'>;

/** A message from the thread. */
export type ThreadMessage =
  | { readonly event: MigratorEvent }
  | { readonly outcome: DeployResult }
  | { readonly error: { readonly code: ErrorCode; readonly texts: ErrorTexts; readonly hint: string } };

/** Backfills that run next to the application. */
export interface RunningBackfills {
  /**
   * Resolves when everything is filled and verified. Rejects with a {@link BackfillError}: `TERMINATED` after `stop()`, or a code of `up` such
   * as `VERIFICATION_FAILED` or `RUN_LOCKED`. The rejection need not be handled: `onEvent` receives it as `background_failed`; without
   * `onEvent`, the process prints a warning.
   */
  readonly done: Promise<DeployResult>;
  /** Stops after the current batch and waits for it. Committed batches are kept; the next start resumes after them. */
  stop(): Promise<void>;
}

/**
 * Runs the remaining backfills, paced and verified, on a worker thread, so that this thread keeps serving. The worker exits by itself. If the
 * application exits first, only the current batch is lost.
 *
 * The worker uses this process's copy of SQLite. An application that has the store open through another copy would lose its locks; this is
 * refused where it can be detected. Run `umzug-backfill up` as a second process instead.
 *
 * @param options see {@link BackgroundOptions}
 * @returns immediately; `done` settles when everything is filled and verified
 * @throws {BackfillError} `USAGE` if an option is unknown or of the wrong type; `SQLITE_LOADED_TWICE` if another copy of SQLite is loaded in this
 *   process
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
  checkOptions(options, BACKGROUND_OPTIONS, 'startBackfills()', 'USAGE', ['folder', 'path']);
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
      else {
        const { code, texts, hint } = message.error;
        reject(Object.assign(new BackfillError(code, texts.message, texts.hint), { hint }));
      }
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
        () => undefined, // `done` reports it
      );
    },
  };
}

/** Reports why the backfills ended early, because an application that ignores `done` keeps serving. */
function tellFailure({ code, message, hint }: BackfillError, onEvent: BackgroundOptions['onEvent']): void {
  const warn = (): void => process.emitWarning(`${message}. ${hint}`, { type: 'BackfillWarning', code });
  if (!onEvent) {
    if (code !== 'TERMINATED') warn();
    return;
  }
  try {
    onEvent({ event: 'background_failed', code, message, hint });
  } catch {
    warn(); // a listener that throws must not end the application
  }
}
