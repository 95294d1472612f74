import { availableParallelism } from 'node:os';
import { Worker, type WorkerOptions } from 'node:worker_threads';
import { RUN_OPTIONS } from './option-table.js';

/** Whether a second thread pays for a store of this size: where there is a processor for it. */
export const isParallelWorthwhile = (
  storeBytes: number,
  fromBytes: number = RUN_OPTIONS.parallelMinBytes.default,
): boolean => availableParallelism() > 1 && storeBytes >= fromBytes;

/** Starts a thread; undefined where the system gives none, as one with a limit of them may: whoever has it to help works alone then. */
export function startThread(module: URL, options: WorkerOptions): Worker | undefined {
  try {
    return new Worker(module, options);
  } catch {
    return undefined;
  }
}
