import { availableParallelism } from 'node:os';
import { Worker, type WorkerOptions } from 'node:worker_threads';
import { RUN_OPTIONS } from './option-table.js';

/** Maximum memory of a second thread for rows that it has already read, in MiB: less than V8's default, and as fast. */
export const YOUNG_MIB = 4;

/** Whether a second thread is worthwhile for a store of this size: never on a single processor. */
export const isParallelWorthwhile = (
  storeBytes: number,
  fromBytes: number = RUN_OPTIONS.parallelMinBytes.default,
): boolean => availableParallelism() > 1 && storeBytes >= fromBytes;

/** Starts a thread. Returns undefined if the system refuses one, for example at a limit; the caller then works alone. */
export function startThread(module: URL, options: WorkerOptions): Worker | undefined {
  try {
    return new Worker(module, options);
  } catch {
    return undefined;
  }
}
