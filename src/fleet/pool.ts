import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { signalHandlers } from '../abort.js';
import { type ErrorTexts, EXIT } from '../errors.js';
import { msg, type PlainText } from '../messages/message.js';

/** A command to run on one store. */
export interface StoreTask {
  /** The command with its options, except those that name the store. */
  readonly argv: readonly string[];
  readonly path: string;
}

/** Result of a command on one store. */
export interface StoreResult {
  readonly path: string;
  readonly exitCode: number;
  readonly durationMs: number;
  /** JSON that the command printed; empty for a store that was not started. */
  readonly output: Readonly<Record<string, unknown>>;
  readonly error?: StoreError;
}

/** An error of a command on one store. */
export interface StoreError extends ErrorTexts {
  readonly code: string;
}

interface PoolOptions {
  readonly argv: readonly string[];
  readonly paths: readonly string[];
  readonly concurrency: number;
  readonly folder: string;
  readonly env: NodeJS.ProcessEnv;
  /** Returns the user that a process of root becomes permanently for a store; undefined if it stays root. */
  readonly ownerOf: (path: string) => number | undefined;
  /** Called as soon as a store is done. */
  readonly onResult: (result: StoreResult) => void;
}

const STOPPED: Readonly<Record<string, number>> = { SIGINT: EXIT.interrupted, SIGTERM: EXIT.terminated };

/**
 * Runs a command on many stores in a pool of processes, each of which processes one store after another. A failure of one store, or of its
 * process, does not affect the other stores.
 *
 * Passes on the first SIGINT or SIGTERM, and starts no further store: each process has a separate process group, so that Ctrl-C in a
 * terminal does not reach it twice. A second signal ends this process, and with it the pool.
 *
 * @returns one result per store, in the order of `paths`
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
  const handlers = signalHandlers((signal) => {
    stoppedBy = signal;
    for (const child of running) child.kill(signal);
  });
  handlers.add();
  const addResult = (result: StoreResult): void => {
    results.set(result.path, result);
    onResult(result);
  };

  /** Starts a process and sends it stores until none is left, or it ends. */
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
        // A process that has become a user can process that user's stores only.
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
          addResult(message);
          next();
        } else child.kill('SIGKILL'); // an unexpected message: a store's owner may control the process
      });
      child.once('error', () => resolve()); // it did not start: other processes take its stores, or they are reported as lost
      child.once('exit', (_, signal) => {
        running.delete(child);
        if (current !== undefined)
          addResult(workerLost(current, stoppedBy, signal, Math.round(performance.now() - startedAt)));
        const isEnd = current === undefined && !isRetired;
        resolve(isEnd || stoppedBy || queue.length === 0 ? undefined : work());
      });
    });

  try {
    await Promise.all(Array.from({ length: Math.min(concurrency, paths.length) }, work));
  } finally {
    handlers.remove();
  }
  return paths.map((path) => results.get(path) ?? workerLost(path, stoppedBy, null, 0));
}

/** Checks the form of a result: the store's owner may control the process that sent it. */
const isResultOf = (message: unknown, path: string): message is StoreResult => {
  if (!isRecord(message)) return false;
  const { path: of, exitCode, durationMs, output, error } = message;
  const isError = (value: unknown): boolean =>
    isRecord(value) && typeof value.code === 'string' && isTold(value.message) && isTold(value.hint);
  return (
    of === path &&
    Number.isInteger(exitCode) &&
    typeof durationMs === 'number' &&
    isRecord(output) &&
    (error === undefined || isError(error))
  );
};

/** Maximum depth of messages within a message, and of repeated placeholders in a text: a crafted one must not take forever to render. */
const [MAX_DEPTH, MAX_REPEATS] = [6, 2];

const isTold = (value: unknown, depth = 0): boolean => {
  if (!isRecord(value) || typeof value.text !== 'string' || !isRecord(value.values)) return false;
  const names = value.text.match(/\{\w+\}/g) ?? [];
  return (
    depth < MAX_DEPTH &&
    names.length - new Set(names).size <= MAX_REPEATS &&
    Object.values(value.values)
      .flat()
      .every((part) => !isRecord(part) || isTold(part, depth + 1))
  );
};

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null;

function workerLost(
  path: string,
  stoppedBy: NodeJS.Signals | undefined,
  signal: NodeJS.Signals | null,
  durationMs: number,
): StoreResult {
  if (stoppedBy) return { path, exitCode: STOPPED[stoppedBy] ?? EXIT.failed, durationMs, output: {} };
  const error = {
    code: 'WORKER_LOST',
    message: msg('The process that worked on this store has ended ({how}); every committed batch is kept', {
      how: signal ?? 'exit',
    }),
    hint: msg('Run the same command again; it resumes where it stopped'),
  };
  return { path, exitCode: EXIT.failed, durationMs, output: { error }, error };
}

/** Exit codes with their labels, worst first. */
const OUTCOMES: readonly (readonly [exitCode: number, label: PlainText])[] = [
  [EXIT.failed, 'failed'],
  [EXIT.usage, 'failed'],
  [EXIT.unverified, 'unverified'],
  [EXIT.locked, 'locked'],
  [EXIT.terminated, 'stopped'],
  [EXIT.interrupted, 'stopped'],
  [EXIT.pending, 'work pending'],
  [EXIT.done, 'done'],
];

/** Counts the stores by exit code, worst first. */
export const countByExit = (
  results: readonly StoreResult[],
): readonly (readonly [exitCode: number, stores: number])[] =>
  OUTCOMES.map(
    ([code]) => [code, results.filter(({ exitCode }) => exitCode === code).length] as const,
  ).filter(([, stores]) => stores > 0);

/** Returns the worst exit code of a fleet; 0 without results. */
export const worstExit = (results: readonly StoreResult[]): number =>
  countByExit(results)[0]?.[0] ?? EXIT.done;

/** Returns a label for an exit code. */
export const exitLabel = (exitCode: number): PlainText =>
  OUTCOMES.find(([code]) => code === exitCode)?.[1] ?? 'failed';
