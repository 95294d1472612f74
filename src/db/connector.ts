import { type AbortSignalLike, pauseFor } from '../abort.js';
import { BackfillError } from '../errors.js';
import { msg } from '../messages/message.js';
import type { Connection } from './connection.js';

/** Where a store is: what can be done before it is open, and around it. */
export interface StoreConnector {
  /** What a person knows it by. */
  readonly name: string;
  /** Acts with one connection to wherever the store is, for all that is opened and locked meanwhile. */
  within<Result>(act: () => Promise<Result>): Promise<Result>;
  /** Opens it; throws a `STORE_…` code. */
  open(options: OpenOptions): Promise<Connection>;
  /** Takes its run lock, waiting for another run to end; throws `RUN_LOCKED`, `LOCK_UNUSABLE`, a `STORE_…` code. */
  lock(options: AcquireOptions): Promise<HeldLock>;
  /** Looks whether a run is under way, and holds nothing. */
  readLockState(): Promise<LockState>;
  /** What a person should know of the place, a sentence each. */
  warnings(): string[];
}

/** How to open a store. */
export interface OpenOptions {
  /** `look`: nothing is written, no sidecar left behind. `write`: the store will be changed. */
  readonly access: 'read' | 'write';
  /** How long a statement waits for another writer, in milliseconds. Default 5,000 to look, 15,000 to write. */
  readonly busyTimeoutMs?: number;
  /** Whether a person has agreed that others may make objects where a server looks for names, and own its tables. Default false. */
  readonly confirmed?: boolean | undefined;
  /** Stops whoever reads for long. On PostgreSQL the site has it. */
  readonly signal?: AbortSignalLike | undefined;
  /** Tables that the project is about: who owns one may own the ledger. Default: none. */
  readonly tables?: readonly string[];
}

/** How to wait for the run lock of a store. */
export interface AcquireOptions {
  /** How long to wait for another run, in milliseconds; 0: not at all. */
  readonly timeoutMs: number;
  /** Told once, when there is something to wait for; the holder is undefined in the moment before it has signed. */
  readonly onWait?: ((holder: LockHolder | undefined) => void) | undefined;
  /** The present. Default: the system's clock. */
  readonly now?: (() => Date) | undefined;
  /**
   * Takes part in the run of whoever holds the lock, where that lets others do so; called with a share of the lock.
   *
   * @returns whether there was anything to do
   */
  readonly join?: (() => Promise<boolean>) | undefined;
  /** Whether it must wait until no command that shares its work has begun and not ended. Where no run is shared, each does so. Default false. */
  readonly isAlone?: boolean | undefined;
  /** Stops whoever waits. On PostgreSQL the site has it. */
  readonly signal?: AbortSignalLike | undefined;
}

/** A run lock that is held. */
export interface HeldLock {
  /** Lets the next run begin. */
  release(): Promise<void>;
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

/** Pause between two tries to take a run lock, in milliseconds: by chance, so that rivals do not meet again and again. */
export const POLL_MS = { min: 30, max: 120 };

/** Who holds the run lock, for a person. */
export const holderText = ({ pid, host, since }: LockHolder): string =>
  `process ${pid} on ${host}${since === undefined ? '' : `, since ${since}`}`;

/** The error for a run lock that was waited for in vain. */
export function runLocked(holder: LockHolder | undefined): BackfillError {
  const who = holder ? holderText(holder) : 'a process that has just begun';
  return new BackfillError(
    'RUN_LOCKED',
    msg('Another run holds the lock of this store: {who}', { who }),
    msg(
      'Wait until it has ended and run the same command again, or let it wait for longer: --lock-timeout 600',
    ),
  );
}

/** How long a command that writes goes on asking for a lock that another process keeps, in milliseconds. */
export const RETRY_TIMEOUT_MS = 15_000;

/** First and longest pause between two tries, in milliseconds. */
const [FIRST_PAUSE_MS, LONGEST_PAUSE_MS] = [10, 500];

/**
 * Pauses between the tries of something that is busy, in milliseconds: doubling from 10 to 500, and ending when 15
 * seconds have passed since the first was asked for.
 *
 * @param longestMs no pause is longer than this. Default 500
 */
export function* backoffDelays(longestMs = LONGEST_PAUSE_MS): Generator<number, void> {
  const giveUpAt = performance.now() + RETRY_TIMEOUT_MS;
  for (let pauseMs = FIRST_PAUSE_MS; performance.now() < giveUpAt; pauseMs *= 2) {
    yield Math.min(pauseMs, longestMs);
  }
}

/** Acts, and again after each of these pauses while `isBusy` says of what it throws that another process is in the way; a stop ends a pause. */
export async function untilFree<Result>(
  act: () => Promise<Result>,
  isBusy: (error: unknown) => boolean,
  signal?: AbortSignalLike,
): Promise<Result> {
  for (const pauseMs of backoffDelays()) {
    try {
      return await act();
    } catch (error) {
      if (!isBusy(error)) throw error;
      await pauseFor(pauseMs, signal);
    }
  }
  return await act();
}
