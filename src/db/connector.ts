import { type AbortSignalLike, pauseFor } from '../abort.js';
import { BackfillError } from '../errors.js';
import { type Message, msg } from '../messages/message.js';
import type { Connection } from './connection.js';

/** Opens and locks a store by its address. */
export interface StoreConnector {
  /** Display name: the file path, or the URL without its password. */
  readonly name: string;
  /** Runs `act`; everything that it opens and locks shares one connection to the server. */
  within<Result>(act: () => Promise<Result>): Promise<Result>;
  /** Opens the store; throws a `STORE_…` code. */
  open(options: OpenOptions): Promise<Connection>;
  /** Acquires the run lock, waiting for another command to end; throws `RUN_LOCKED`, `LOCK_UNUSABLE`, a `STORE_…` code. */
  lock(options: AcquireOptions): Promise<HeldLock>;
  /** Reads the state of the run lock without acquiring it. */
  readLockState(): Promise<LockState>;
  /** Returns warnings about the location of the store. */
  warnings(): Message[];
}

/** Options for opening a store. */
export interface OpenOptions {
  /** `read`: writes nothing, leaves no sidecar. `write`: the store will be changed. */
  readonly access: 'read' | 'write';
  /** Maximum time that a statement waits for a lock, in milliseconds. Default 5,000 to read, 15,000 to write. */
  readonly busyTimeoutMs?: number;
  /** Whether other roles may create objects in the search path and own the tables, by `--yes`. Default false. */
  readonly confirmed?: boolean | undefined;
  /** Stops long reads. The connector of PostgreSQL has its own. */
  readonly signal?: AbortSignalLike | undefined;
  /** The project's tables; the owner of one may own the ledger. Default: none. */
  readonly tables?: readonly string[];
}

/** Options for acquiring the run lock. */
export interface AcquireOptions {
  /** Maximum time to wait for another command, in milliseconds; 0: do not wait. */
  readonly timeoutMs: number;
  /** Called once if the lock is held; the holder is undefined until it has signed. */
  readonly onWait?: ((holder: LockHolder | undefined) => void) | undefined;
  /** Clock. Default: the system's. */
  readonly now?: (() => Date) | undefined;
  /**
   * Joins the holder's run, if that shares its lock; called with the lock shared.
   *
   * @returns whether there was anything to do
   */
  readonly join?: (() => Promise<boolean>) | undefined;
  /** Whether to wait until all commands that share their work have ended. On SQLite commands share none. Default false. */
  readonly isAlone?: boolean | undefined;
  /** Ends the wait. The connector of PostgreSQL has its own. */
  readonly signal?: AbortSignalLike | undefined;
}

/** An acquired run lock. */
export interface HeldLock {
  /** Releases the lock. */
  release(): Promise<void>;
}

/** The process that holds the run lock. */
export interface LockHolder {
  readonly pid: number;
  readonly host: string;
  /** ISO-8601 in UTC. Absent if the server does not show it to this user. */
  readonly since?: string;
}

/** State of the run lock; `unknown` if this user may not write the lock file. */
export interface LockState {
  readonly state: 'free' | 'held' | 'unknown';
  /** Absent if the lock is free, and until the holder has signed. */
  readonly holder?: LockHolder;
}

/**
 * Range of the random pause between two attempts to acquire a run lock, in milliseconds; random so that processes do not collide
 * again.
 */
export const POLL_MS = { min: 30, max: 120 };

/** Describes the holder of the run lock; undefined until it has signed. */
export const holderText = (holder: LockHolder | undefined): Message =>
  holder === undefined
    ? msg('a process that has just started')
    : holder.since === undefined
      ? msg('process {pid} on {host}', { pid: holder.pid, host: holder.host })
      : msg('process {pid} on {host}, since {since}', { ...holder, since: holder.since });

/** Returns the error for a run lock that was not released in time. */
export const runLocked = (holder: LockHolder | undefined): BackfillError =>
  new BackfillError(
    'RUN_LOCKED',
    msg('Another command holds the lock of this store: {who}', { who: holderText(holder) }),
    msg('Run the same command again after it has ended, or pass a longer timeout: --lock-timeout 600'),
  );

/** Default time that a statement of a read waits for a lock, in milliseconds. */
export const READ_TIMEOUT_MS = 5000;

/**
 * Time that a statement of a write transaction waits for a lock before the transaction is rolled back and retried, in
 * milliseconds. Short, because signals are handled only between two attempts, and a COMMIT that waits for readers in SQLite's
 * rollback mode blocks all other connections.
 */
export const ATTEMPT_TIMEOUT_MS = 1000;

/** Time for which a write is retried while another process holds a lock, in milliseconds. */
export const RETRY_TIMEOUT_MS = 15_000;

/** First and maximum delay between two attempts, in milliseconds. */
const [FIRST_PAUSE_MS, LONGEST_PAUSE_MS] = [10, 500];

/**
 * Yields the delays of an exponential backoff, in milliseconds: doubling from 10 to `longestMs`, for 15 seconds.
 *
 * @param longestMs maximum delay. Default 500
 */
export function* backoffDelays(longestMs = LONGEST_PAUSE_MS): Generator<number, void> {
  const giveUpAt = performance.now() + RETRY_TIMEOUT_MS;
  for (let pauseMs = FIRST_PAUSE_MS; performance.now() < giveUpAt; pauseMs *= 2) {
    yield Math.min(pauseMs, longestMs);
  }
}

/** Runs `act`, and retries it with {@link backoffDelays} while `isBusy` holds for its error. An aborted signal ends a delay. */
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
