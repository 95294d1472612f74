import { BackfillError } from '../errors.js';
import type { StopSignal } from './run-options.js';

/** A signal that stops when one of two does. */
export const eitherSignal = (a: StopSignal | undefined, b: StopSignal): StopSignal => ({
  get aborted() {
    return a?.aborted || b.aborted;
  },
  get reason() {
    return a?.aborted ? a.reason : b.reason;
  },
});

/** Stops a run between two batches if it was told to. */
export function throwIfStopped(signal: StopSignal | undefined, where: string): void {
  if (!signal?.aborted) return;
  const isTerm = signal.reason === 'SIGTERM';
  throw new BackfillError(
    isTerm ? 'TERMINATED' : 'INTERRUPTED',
    `Stopped by ${String(signal.reason)} ${where}; every committed batch is kept`,
    'Run the same command again; it resumes where it stopped',
  );
}
