import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { EXIT } from '../errors.js';

/** What a process of the pool is to do. */
export interface StoreTask {
  /** The command with its options, but for those that name the store. */
  readonly argv: readonly string[];
  readonly path: string;
}

/** How a command ended on one store. */
export interface StoreResult {
  readonly path: string;
  readonly exitCode: number;
  readonly durationMs: number;
  /** What the command printed as JSON; empty of a store that was not begun. */
  readonly output: Readonly<Record<string, unknown>>;
  /** What ended it early: in English, its commands not made to run as they stand. */
  readonly error?: StoreError;
}

/** An error of a command on one store. */
export interface StoreError {
  readonly code: string;
  readonly message: string;
  readonly hint: string;
}

/** How to run a pool. */
export interface PoolOptions {
  readonly argv: readonly string[];
  readonly paths: readonly string[];
  /** How many processes at most. */
  readonly concurrency: number;
  /** Folder of the project. */
  readonly folder: string;
  readonly env: NodeJS.ProcessEnv;
  /** The user whose store it is, for a process of root that becomes that user for good; undefined if it does not. */
  readonly ownerOf: (path: string) => number | undefined;
  /** Told as soon as a store is done. */
  readonly onResult: (result: StoreResult) => void;
}

const STOPPED: Readonly<Record<string, number>> = { SIGINT: EXIT.interrupted, SIGTERM: EXIT.terminated };

/**
 * Runs a command on many stores by a pool of processes, each of which takes one store after the other. What happens to one store, or to
 * a process, is no matter to the other stores.
 *
 * SIGINT and SIGTERM are passed on once, and no store is begun any more: the processes have groups of their own, so that a
 * terminal's Ctrl-C does not come twice. A second signal ends this process, and with it the pool.
 *
 * @returns a result for each store, in the order of `paths`
 */
export async function runPool({
  argv,
  paths,
  concurrency,
  folder,
  env,
  ownerOf,
  onResult,
}: PoolOptions): Promise<StoreResult[]> {
  const results = new Map<string, StoreResult>();
  const queue = [...paths];
  const running = new Set<ChildProcess>();
  let stoppedBy: NodeJS.Signals | undefined;
  const stop = (signal: NodeJS.Signals): void => {
    stoppedBy = signal;
    deafen();
    for (const child of running) child.kill(signal);
  };
  const deafen = (): void => {
    for (const name of ['SIGINT', 'SIGTERM'] as const) process.off(name, stop);
  };
  for (const name of ['SIGINT', 'SIGTERM'] as const) process.on(name, stop);
  const note = (result: StoreResult): void => {
    results.set(result.path, result);
    onResult(result);
  };

  /** Starts a process and gives it stores until there is none, or it ends. */
  const work = (): Promise<void> =>
    new Promise((resolve) => {
      const child = fork(fileURLToPath(new URL('./worker.js', import.meta.url)), [], {
        cwd: folder,
        env,
        detached: true,
        stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
        serialization: 'json',
      });
      running.add(child);
      let current: string | undefined;
      let startedAt = 0;
      let owner: number | undefined;
      let isRetired = false;
      const next = (): void => {
        // A process that has become a user serves that user's stores alone.
        const at = owner === undefined ? 0 : queue.findIndex((path) => ownerOf(path) === owner);
        current = stoppedBy || at < 0 ? undefined : queue.splice(at, 1)[0];
        owner ??= current === undefined ? undefined : ownerOf(current);
        startedAt = performance.now();
        isRetired = current === undefined && at < 0;
        if (current === undefined)
          child.disconnect(); // it ends by itself
        else child.send({ argv, path: current } satisfies StoreTask);
      };
      child.on('message', (message: unknown) => {
        if (message === 'ready' && current === undefined) next();
        else if (current !== undefined && isResultOf(message, current)) {
          note(message);
          next();
        } else child.kill('SIGKILL'); // not a word of ours: a store's owner may have taken the process over
      });
      child.once('error', () => resolve()); // it could not be started: the others, or the end of the pool, take its share
      child.once('exit', (_, signal) => {
        running.delete(child);
        if (current !== undefined)
          note(workerLost(current, stoppedBy, signal, Math.round(performance.now() - startedAt)));
        const isEnd = current === undefined && !isRetired;
        resolve(isEnd || stoppedBy || queue.length === 0 ? undefined : work());
      });
    });

  try {
    await Promise.all(Array.from({ length: Math.min(concurrency, paths.length) }, work));
  } finally {
    deafen();
  }
  return paths.map((path) => results.get(path) ?? workerLost(path, stoppedBy, null, 0));
}

/** Whether a message is the result of a store: the process that sent it may belong to the store's owner. */
const isResultOf = (message: unknown, path: string): message is StoreResult => {
  if (!isRecord(message)) return false;
  const { path: of, exitCode, durationMs, output, error } = message;
  const isError = (value: unknown): boolean =>
    isRecord(value) && ['code', 'message', 'hint'].every((name) => typeof value[name] === 'string');
  return (
    of === path &&
    Number.isInteger(exitCode) &&
    typeof durationMs === 'number' &&
    isRecord(output) &&
    (error === undefined || isError(error))
  );
};

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null;

/** What is known of a store whose process has ended without a word. */
function workerLost(
  path: string,
  stoppedBy: NodeJS.Signals | undefined,
  signal: NodeJS.Signals | null,
  durationMs: number,
): StoreResult {
  if (stoppedBy) return { path, exitCode: STOPPED[stoppedBy] ?? EXIT.failed, durationMs, output: {} };
  const error = {
    code: 'WORKER_LOST',
    message: `The process that worked on this store has ended (${signal ?? 'exit'}); every committed batch is kept`,
    hint: 'Run the same command again; it resumes where it stopped',
  };
  return { path, exitCode: EXIT.failed, durationMs, output: { error }, error };
}
