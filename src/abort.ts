import { setTimeout as sleep } from 'node:timers/promises';
import { BackfillError } from './errors.js';
import { msg } from './messages/message.js';

/** What of an `AbortSignal` counts here. Any will do; a project without the type of that name can do with its own. */
export interface AbortSignalLike {
  /** Whether to stop. */
  readonly aborted: boolean;
  /** Why: `SIGTERM` or `SIGINT`, as the error tells it. */
  readonly reason?: unknown;
}

/** A signal that stops when one of two does. */
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

/** How often it is looked whether to stop, in milliseconds. */
export const ABORT_POLL_MS = 10;

/** Waits for so long, in milliseconds; not to the end where a stop comes: whoever waits then looks for it. */
export async function pauseFor(ms: number, signal?: AbortSignalLike): Promise<void> {
  const endAt = performance.now() + ms;
  for (let leftMs = ms; leftMs > 0 && !signal?.aborted; leftMs = endAt - performance.now())
    await sleep(Math.min(leftMs, ABORT_POLL_MS));
}
