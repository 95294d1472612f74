import { Worker } from 'node:worker_threads';
import { isPostgresUrl, storeAddress, withKnownPlaces, withServerHints } from '../address.js';
import { COMMAND_OPTIONS } from '../command-options.js';
import { loadProject } from '../config.js';
import { type BackfillError, toBackfillError } from '../errors.js';
import { DEPLOY_LOCK_TIMEOUT_MS, RUN_OPTIONS, type RunSettings } from '../option-table.js';
import { checkOptions } from '../options.js';
import { learnSecrets } from '../secrets.js';
import { fromSent, type SentError } from '../sent-error.js';
import type { TrustsCode } from '../steps/load.js';
import type { PublicResult } from './change.js';
import type { MigratorEvent } from './options.js';
import { refuseDuplicateSqlite } from './other-sqlite.js';
import type { UpResult } from './up.js';

/** Options of {@link migrateOnDeploy}: those of a run, with a lock timeout of 600,000 by default, and these. */
export interface DeployOptions extends RunSettings, TrustsCode {
  /** Folder of the config file. Default: the current one. */
  readonly folder?: string | undefined;
  /** Path of the store, or a URL of PostgreSQL. Default: that of the environment or the config. */
  readonly path?: string | undefined;
  /** Whether to run backfills, or to leave them to `startBackfills()` or another process. Default `wait`. */
  readonly backfills?: 'wait' | 'background' | undefined;
}

const DEPLOY_OPTIONS = {
  ...RUN_OPTIONS,
  backfills: COMMAND_OPTIONS.backfills,
  trustConfig: COMMAND_OPTIONS.trustConfig,
};

/** Result of a deploy: that of `up`, with its warnings in English, without its error, which is thrown. */
export type DeployResult = PublicResult<UpResult>;

/**
 * Brings the store up to date before the application starts: waits for another run, applies pending steps, catches up and verifies. If there is
 * nothing to do, it writes nothing and takes a few milliseconds. Otherwise it keeps this thread busy, so call it before serving.
 *
 * @param options see {@link DeployOptions}
 * @returns what was done; `deferred` names backfills that `backfills: 'background'` left to a later run
 * @throws {BackfillError} `USAGE` if an option is unknown or of the wrong type, and the codes of `up`, including `VERIFICATION_FAILED`
 *
 * @example
 * await migrateOnDeploy({ backfills: 'background' });
 * const backfills = startBackfills(); // and now serve
 */
export async function migrateOnDeploy(options: DeployOptions = {}): Promise<DeployResult> {
  checkOptions(options, DEPLOY_OPTIONS, 'migrateOnDeploy()', 'USAGE', ['folder', 'path']);
  const { folder = process.cwd(), path, backfills, trustConfig, ...given } = options;
  const { lockTimeoutMs = DEPLOY_LOCK_TIMEOUT_MS, ...settings } = given;
  const project = await loadProject(folder, { trustConfig });
  // Not with this module, because every step file imports this package.
  const [{ publicResult }, { up }] = await Promise.all([import('./change.js'), import('./up.js')]);
  const address = storeAddress(project.config, { dbPath: path }, process.env);
  return await withServerHints(address, () =>
    withKnownPlaces(project.config, address, process.env, async () => {
      const target = { deferBackfills: backfills === 'background' };
      return publicResult(await up({ ...settings, lockTimeoutMs, project, ...address }, target));
    }),
  );
}

/** Options of {@link startBackfills}: those of a deploy, except `backfills` and `signal`. */
export type BackgroundOptions = Omit<DeployOptions, 'backfills' | 'signal'>;

const { signal: _, backfills: __, ...BACKGROUND_OPTIONS } = DEPLOY_OPTIONS; // a thread cannot receive a signal

/** Startup data for the thread. */
export type ThreadData = Omit<BackgroundOptions, 'onEvent'>;

/** A message from the thread. */
export type ThreadMessage =
  | { readonly event: MigratorEvent }
  | { readonly outcome: DeployResult }
  | { readonly error: SentError };

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
      else reject(fromSent(message.error));
    });
    worker.on('error', (error) => reject(toBackfillError(error, 'in the thread of the backfills')));
    worker.on('exit', () => reject(toBackfillError(new Error('The thread of the backfills has ended'))));
  });
  done.catch((error: BackfillError) => tellFailure(error, onEvent));
  return {
    done,
    async stop() {
      worker.postMessage('stop');
      await done.catch(() => undefined); // `done` reports it
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
