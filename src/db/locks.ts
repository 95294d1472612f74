import { BackfillError } from '../errors.js';
import { pauseFor, type StopSignal } from '../stop.js';

/** How long a command that writes goes on asking for a lock that another process keeps, in milliseconds. */
export const GIVE_UP_MS = 15_000;

/** First and longest pause between two tries, in milliseconds. */
const [FIRST_PAUSE_MS, LONGEST_PAUSE_MS] = [10, 500];

/**
 * Pauses between the tries of something that is busy, in milliseconds: doubling from 10 to 500, and ending when 15
 * seconds have passed since the first was asked for.
 *
 * @param longestMs no pause is longer than this. Default 500
 */
export function* busyPauses(longestMs = LONGEST_PAUSE_MS): Generator<number, void> {
  const giveUpAt = performance.now() + GIVE_UP_MS;
  for (let pauseMs = FIRST_PAUSE_MS; performance.now() < giveUpAt; pauseMs *= 2) {
    yield Math.min(pauseMs, longestMs);
  }
}

/** Acts, and again after each of these pauses while `isBusy` says of what it throws that another process is in the way; a stop ends a pause. */
export async function untilFree<Result>(
  act: () => Promise<Result>,
  isBusy: (error: unknown) => boolean,
  signal?: StopSignal,
): Promise<Result> {
  for (const pauseMs of busyPauses()) {
    try {
      return await act();
    } catch (error) {
      if (!isBusy(error)) throw error;
      await pauseFor(pauseMs, signal);
    }
  }
  return await act();
}

/** Who holds the lock. */
export interface LockHolder {
  readonly pid: number;
  readonly host: string;
  /** ISO-8601 in UTC. Absent where a server does not let this user see it. */
  readonly since?: string;
}

/** Whether a run holds the lock; `unknown` to a user who may not write the lock's file. */
export interface LockState {
  readonly state: 'free' | 'held' | 'unknown';
  /** Absent in the moment before it has signed, and where nobody holds it. */
  readonly holder?: LockHolder;
}

/** How to wait for the lock. */
export interface LockOptions {
  /** How long to wait for another run, in milliseconds; 0: not at all. */
  readonly timeoutMs: number;
  /** Told once, when there is something to wait for; the holder is undefined in the moment before it has signed. */
  readonly onWait?: ((holder: LockHolder | undefined) => void) | undefined;
  /** The present. Default: the system's clock. */
  readonly now?: (() => Date) | undefined;
}

/** Pause between two tries to take it, in milliseconds: by chance, so that rivals do not meet again and again. */
export const POLL_MS = { least: 30, most: 120 };

/** Who holds the lock, for a person. */
export const holderText = ({ pid, host, since }: LockHolder): string =>
  `process ${pid} on ${host}${since === undefined ? '' : `, since ${since}`}`;

/** The error for a lock that was waited for in vain. */
export function runLocked(holder: LockHolder | undefined): BackfillError {
  const who = holder ? holderText(holder) : 'a process that has just begun';
  return new BackfillError(
    'RUN_LOCKED',
    `Another run holds the lock of this store: ${who}`,
    'Wait until it has ended and run the same command again, or let it wait for longer: --lock-timeout 600',
  );
}
