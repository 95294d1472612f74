import { createRequire } from 'node:module';
import { basename, dirname, sep } from 'node:path';
import { Worker } from 'node:worker_threads';
import { BackfillError, type ErrorCode, toBackfillError } from '../errors.js';
import type { MigratorEvent } from '../migrator/session.js';
import type { DeployOptions, DeployOutcome } from './deploy.js';

/** What {@link startBackfills} takes: as a deploy, but for what makes no sense there. */
export type BackgroundOptions = Omit<DeployOptions, 'backfills' | 'signal'>;

/** What the thread is told when it starts. */
export type ThreadData = Omit<BackgroundOptions, 'onEvent'>;

/** What the thread tells. */
export type ThreadMessage =
  | { readonly event: MigratorEvent }
  | { readonly outcome: DeployOutcome }
  | { readonly error: { readonly code: ErrorCode; readonly message: string; readonly hint: string } };

/** Backfills that run beside the application. */
export interface RunningBackfills {
  /**
   * Settles when everything is filled and verified, or rejects with a {@link BackfillError}: `TERMINATED` when it was
   * stopped, `VERIFICATION_FAILED`, `RUN_LOCKED` and the others of the command `up`.
   */
  readonly done: Promise<DeployOutcome>;
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
 * @throws {BackfillError} `SQLITE_TWICE` when another copy of SQLite is loaded in this process
 * @see https://www.sqlite.org/howtocorrupt.html section 2.2.1
 */
export function startBackfills({ onEvent, ...data }: BackgroundOptions = {}): RunningBackfills {
  refuseSecondSqlite();
  const worker = new Worker(new URL('./background-thread.js', import.meta.url), {
    workerData: data satisfies ThreadData,
  });
  const done = new Promise<DeployOutcome>((resolve, reject) => {
    worker.on('message', (message: ThreadMessage) => {
      if ('event' in message) onEvent?.(message.event);
      else if ('outcome' in message) resolve(message.outcome);
      else reject(new BackfillError(message.error.code, message.error.message, message.error.hint));
    });
    worker.on('error', (error) => reject(toBackfillError(error, 'in the thread of the backfills')));
    worker.on('exit', () => reject(toBackfillError(new Error('The thread of the backfills has ended'))));
  });
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

const SQLITE_ADDON = /sqlite3?\.node$/;

/** Two copies of SQLite in one process drop each other's locks on a file. */
function refuseSecondSqlite(): void {
  const loaded = loadedAddons().filter((path) => SQLITE_ADDON.test(basename(path)));
  const ours = dirname(createRequire(import.meta.url).resolve('better-sqlite3/package.json')) + sep;
  const second = loaded.find((path) => !path.startsWith(ours));
  if (second === undefined) return;
  throw new BackfillError(
    'SQLITE_TWICE',
    `This process has loaded another copy of SQLite, ${second}: two of them drop each other's locks on the store`,
    'Let the application use the same better-sqlite3 (npm ls better-sqlite3), or run umzug-backfill up as a second process',
  );
}

/** Paths of the native modules that this process has loaded. */
function loadedAddons(): string[] {
  const report = process.report as NodeJS.ProcessReport & { excludeNetwork?: boolean };
  const before = report.excludeNetwork ?? false;
  report.excludeNetwork = true; // else it would look up the names of all peers
  const { sharedObjects } = report.getReport() as unknown as { readonly sharedObjects: readonly string[] };
  report.excludeNetwork = before;
  return sharedObjects.filter((path) => path.endsWith('.node'));
}
