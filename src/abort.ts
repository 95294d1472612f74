import { setTimeout as sleep } from 'node:timers/promises';
import { BackfillError } from './errors.js';
import { msg } from './messages/message.js';

/** The part of an `AbortSignal` that is used here, for projects without that type. */
export interface AbortSignalLike {
  /** Whether the work must stop. */
  readonly aborted: boolean;
  /** The reason that the error reports: `SIGTERM` or `SIGINT`. */
  readonly reason?: unknown;
}

/** Returns a signal that is aborted if one of two is. */
export const anySignal = (a: AbortSignalLike | undefined, b: AbortSignalLike): AbortSignalLike => ({
  get aborted() {
    return a?.aborted || b.aborted;
  },
  get reason() {
    return a?.aborted ? a.reason : b.reason;
  },
});

/** Stops a run between two batches if it was told to. */
export function throwIfAborted(signal: AbortSignalLike | undefined, where: string): void {
  if (!signal?.aborted) return;
  const isTerm = signal.reason === 'SIGTERM';
  throw new BackfillError(
    isTerm ? 'TERMINATED' : 'INTERRUPTED',
    `Stopped by ${String(signal.reason)} ${where}; every committed batch is kept`,
    msg('Run the same command again; it resumes where it stopped'),
  );
}

/** Interval between two checks of a signal, in milliseconds. */
export const ABORT_POLL_MS = 10;

/** Waits for `ms` milliseconds, or until `signal` is aborted; the caller checks for that. */
export async function pauseFor(ms: number, signal?: AbortSignalLike): Promise<void> {
  const endAt = performance.now() + ms;
  for (let leftMs = ms; leftMs > 0 && !signal?.aborted; leftMs = endAt - performance.now())
    await sleep(Math.min(leftMs, ABORT_POLL_MS));
}
