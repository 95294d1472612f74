import { setTimeout as sleep } from 'node:timers/promises';
import { BackfillError } from './errors.js';
import { type Message, msg } from './messages/message.js';

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

/**
 * Throws if `signal` is aborted.
 *
 * @param where the point that the work had reached, such as `between two transactions`
 * @throws {BackfillError} `TERMINATED` for SIGTERM, else `INTERRUPTED`
 */
export function throwIfAborted(signal: AbortSignalLike | undefined, where: Message): void {
  if (!signal?.aborted) return;
  const isTerm = signal.reason === 'SIGTERM';
  throw new BackfillError(
    isTerm ? 'TERMINATED' : 'INTERRUPTED',
    msg('Stopped by {signal} {where}; every committed batch is kept', {
      signal: String(signal.reason),
      where,
    }),
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

const HANDLED_SIGNALS = ['SIGINT', 'SIGTERM'] as const;

/**
 * Returns handlers of SIGINT and SIGTERM that are not added yet. A second signal, of either kind, ends the process at once.
 *
 * @param onSignal called with the first signal, when the handlers have been removed
 */
export function signalHandlers(onSignal: (name: NodeJS.Signals) => void) {
  const stop = (name: NodeJS.Signals): void => {
    remove();
    onSignal(name);
  };
  const add = (): void => {
    for (const name of HANDLED_SIGNALS) process.on(name, stop);
  };
  /** Restores the default: a signal ends the process at once. */
  const remove = (): void => {
    for (const name of HANDLED_SIGNALS) process.removeListener(name, stop);
  };
  return { add, remove };
}

/**
 * Handles signals of a run on a file between batches, after the commit. At other times a long statement would delay the handler, so that
 * the default applies: the process ends at once, which is safe. On a server, signals are always handled.
 */
export function handleBetweenBatches(
  { event }: { readonly event: string },
  { add, remove }: ReturnType<typeof signalHandlers>,
): void {
  if (event === 'batches_started') add();
  if (event === 'batches_finished') remove();
}
