import type { Dialect } from '../engine/dialect.js';
import { BackfillError } from '../errors.js';
import { msg } from '../messages/message.js';
import type { LockHolder } from './connector.js';
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
  /** Returns the size of the store. */
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
  /** Closes the connection. */
  close(): Promise<void>;
}

/** Refuses a statement on a connection while its transaction is open, and on a transaction that has ended. */
export function requireTurn(isItsTurn: boolean): void {
  if (isItsTurn) return;
  throw new BackfillError(
    'INTERNAL',
    msg('A connection received a statement while its transaction was open, or a transaction after its end'),
    msg('Report this error'),
  );
}
