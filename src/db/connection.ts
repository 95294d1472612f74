import { type AbortSignalLike, pauseFor, throwIfAborted } from '../abort.js';
import type { Dialect } from '../engine/dialect.js';
import { BackfillError } from '../errors.js';
import { type Message, msg } from '../messages/message.js';
import type { StoreFiles } from './path.js';

/** A value as the database stores it. */
export type SqlValue = string | number | bigint | Buffer | null;

/** Size of a store, in bytes. */
export interface StoreSize {
  readonly bytes: number;
  readonly freeBytes: number;
  /** Page size of the file; 0 for PostgreSQL, which reports no free space either. */
  readonly pageBytes: number;
}

/** Statements of a store. Placeholders are `?`. */
export interface Statements {
  /** Returns the first row as an object, or undefined. Integers are numbers. */
  get<Row>(sql: string, ...parameters: readonly SqlValue[]): Promise<Row | undefined>;
  /** Returns all rows as objects. Integers are numbers. */
  all<Row>(sql: string, ...parameters: readonly SqlValue[]): Promise<Row[]>;
  /** Returns all rows as objects, integers as bigint: for keys, which may exceed 2^53. */
  allExact<Row>(sql: string, ...parameters: readonly SqlValue[]): Promise<Row[]>;
  /** Returns the first row as an object, integers as bigint. */
  getExact<Row>(sql: string, ...parameters: readonly SqlValue[]): Promise<Row | undefined>;
  /** Returns the first column of every row. Integers are numbers. */
  pluck<Value>(sql: string, ...parameters: readonly SqlValue[]): Promise<Value[]>;
  /**
   * Yields pages of rows as arrays, integers as bigint, for results too large for memory. Call it inside a snapshot. The event
   * loop turns between two pages.
   */
  pages<Row extends readonly unknown[]>(
    sql: string,
    ...parameters: readonly SqlValue[]
  ): AsyncIterableIterator<Row[]>;
  /** Runs one statement and returns the number of changed rows. */
  run(sql: string, ...parameters: readonly SqlValue[]): Promise<number>;
  /** Runs a script of statements without parameters, such as DDL. */
  exec(sql: string): Promise<void>;
}

/**
 * An open store: its connection, or a transaction of that. `dialect` has everything that differs between engines. While a
 * transaction is open, a statement on the connection throws.
 *
 * Statements that embed the project's SQL, such as a scope, must not have parameters: that SQL may contain `?` operators.
 */
export interface Store extends Statements {
  /** Display name: the file path, or the URL without its password. */
  readonly name: string;
  readonly dialect: Dialect;
  /** The store's files; undefined for a database server. */
  readonly files: StoreFiles | undefined;
  size(): Promise<StoreSize>;
  /**
   * Runs statements that use the project's tables, expressions, queries or DDL. On PostgreSQL they, and the triggers and
   * functions that they fire, see the search path of the project's user; all other statements see only built-in names.
   */
  readonly project: Statements;
  /** Whether `sql` is a single valid statement without parameters that returns rows and only reads. */
  isReadOnlyQuery(sql: string): Promise<boolean>;
  /** Returns why `sql` is not a single valid statement without parameters, or undefined if it is. */
  compileError(sql: string): Promise<Error | undefined>;
  /** Runs `act`. Returns false if it fails because of a row's contents; the transaction then continues without its effects. */
  attempt(act: () => Promise<void>): Promise<boolean>;
  /** Lets the event loop turn, unless other code of this thread could then wait for a lock that this store holds. */
  turn(): Promise<void>;
  /** Runs `act` on one snapshot: that of this transaction, if it is one. */
  snapshot<Result>(act: (tx: Transaction) => Promise<Result>): Promise<Result>;
}

/** A transaction of a store's connection. It ends with the function that receives it; a later statement throws. */
export interface Transaction extends Store {
  /**
   * Runs the statements of a SQL step, then restores the session's settings.
   *
   * @throws {BackfillError} `STEP_INVALID` if they released the run lock
   */
  runStep(act: () => Promise<void>): Promise<void>;
}

/** The connection of a store, with one transaction at a time. It lives no longer than one command. */
export interface Connection extends Store {
  /**
   * Runs `act` in a write transaction. Retries for a bounded time while another process holds a lock.
   *
   * @param act may run several times
   */
  write<Result>(act: (tx: Transaction) => Promise<Result>): Promise<Result>;
  /** Like {@link write}, without retries: fails if another process holds a lock for more than a second. */
  tryWrite<Result>(act: (tx: Transaction) => Promise<Result>): Promise<Result>;
  /** Like {@link snapshot}, for a single long pass over a table; without retries. */
  snapshotAsync<Result>(act: (tx: Transaction) => Promise<Result>): Promise<Result>;
  /**
   * Runs `act` with the run lock shared, so that workers can join the run, then reacquires it exclusively. Without shared runs,
   * just runs `act`.
   *
   * @param onWait called every five seconds while waiting for workers
   */
  withSharedLock<Result>(
    act: () => Promise<Result>,
    onWait: (holder: LockHolder | undefined) => void,
  ): Promise<Result>;
  close(): Promise<void>;
}

/** Returns the error for a fault of this program. */
export const internalError = (message: Message): BackfillError =>
  new BackfillError('INTERNAL', message, msg('Report this error'));

/** Refuses a statement on a connection while its transaction is open, and on a transaction that has ended. */
export function requireTurn(isItsTurn: boolean): void {
  if (!isItsTurn)
    throw internalError(
      msg('A connection received a statement while its transaction was open, or a transaction after its end'),
    );
}

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

/** Range of the pause between two attempts to acquire a run lock, in milliseconds. */
const POLL_MS = { min: 30, max: 120 };

/**
 * Pauses before the next attempt to acquire a run lock, for a random time so that processes do not collide again.
 *
 * @param longestMs maximum time, in milliseconds. Default: none
 * @throws {BackfillError} `TERMINATED`, `INTERRUPTED`; an aborted signal ends the pause
 */
export async function pollPause(
  signal: AbortSignalLike | undefined,
  longestMs = Number.POSITIVE_INFINITY,
): Promise<void> {
  const pauseMs = POLL_MS.min + Math.random() * (POLL_MS.max - POLL_MS.min);
  await pauseFor(Math.min(longestMs, pauseMs), signal);
  throwIfAborted(signal, msg('while waiting for the run lock'));
}

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

/**
 * Time that a statement of a write transaction waits for a lock before the transaction is rolled back and retried, in
 * milliseconds. Short, because signals are handled only between two attempts, and a COMMIT that waits for readers in SQLite's
 * rollback mode blocks all other connections.
 */
export const ATTEMPT_TIMEOUT_MS = 1000;

/** Time for which a write is retried while another process holds a lock, in milliseconds. */
export const RETRY_TIMEOUT_MS = 15_000;

/** Returns the maximum time that a statement waits for a lock, in milliseconds. */
export const busyTimeout = ({ access, busyTimeoutMs }: OpenOptions): number =>
  busyTimeoutMs ?? (access === 'read' ? 5000 : RETRY_TIMEOUT_MS);

/**
 * Yields the delays of an exponential backoff, in milliseconds: doubling from 10 to `longestMs`, for 15 seconds.
 *
 * @param longestMs maximum delay. Default 500
 */
export function* backoffDelays(longestMs = 500): Generator<number, void> {
  const giveUpAt = performance.now() + RETRY_TIMEOUT_MS;
  for (let pauseMs = 10; performance.now() < giveUpAt; pauseMs *= 2) {
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
