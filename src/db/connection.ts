import type { Dialect } from '../engine/dialect.js';
import { BackfillError } from '../errors.js';
import { msg } from '../messages/message.js';
import type { LockHolder } from './connector.js';
import type { StoreFiles } from './path.js';

/** A value as a store holds it. */
export type SqlValue = string | number | bigint | Buffer | null;

/** Size of a store, and what of it is free, in bytes. */
export interface StoreSize {
  readonly bytes: number;
  readonly freeBytes: number;
  /** Of one page of a file; 0 of a database of a server, whose free space is its own affair. */
  readonly pageBytes: number;
}

/** Statements of one store. */
export interface Statements {
  /** First row as an object, or undefined. Integers are numbers. */
  get<Row>(sql: string, ...parameters: readonly SqlValue[]): Promise<Row | undefined>;
  /** All rows as objects. Integers are numbers. */
  all<Row>(sql: string, ...parameters: readonly SqlValue[]): Promise<Row[]>;
  /** All rows as objects, integers as bigint: for keys, which may exceed 2^53. */
  allExact<Row>(sql: string, ...parameters: readonly SqlValue[]): Promise<Row[]>;
  /** First row as an object, integers as bigint. */
  getExact<Row>(sql: string, ...parameters: readonly SqlValue[]): Promise<Row | undefined>;
  /** First column of every row. Integers are numbers. */
  pluck<Value>(sql: string, ...parameters: readonly SqlValue[]): Promise<Value[]>;
  /**
   * Rows in pages, as arrays, integers as bigint: for results that do not fit in memory. In a snapshot. The event loop turns between two
   * pages.
   */
  pages<Row extends readonly unknown[]>(
    sql: string,
    ...parameters: readonly SqlValue[]
  ): AsyncIterableIterator<Row[]>;
  /** Runs one statement and returns how many rows it changed. */
  run(sql: string, ...parameters: readonly SqlValue[]): Promise<number>;
  /** Runs a script of statements without parameters: DDL. */
  exec(sql: string): Promise<void>;
}

/**
 * A store that is open: where statements run, and by its dialect what differs from engine to engine. Either its connection, while none of
 * its transactions is open, or one of these: a statement on the other of the two throws.
 *
 * Placeholders are `?`. A statement that holds SQL of a project's, as a scope, has none: its operators may look the same.
 */
export interface Store extends Statements {
  /** What a person knows it by: the path of its file, or a URL without its password. */
  readonly name: string;
  readonly dialect: Dialect;
  /** Its files; undefined where a server keeps them. */
  readonly files: StoreFiles | undefined;
  /** How large it is. */
  size(): Promise<StoreSize>;
  /**
   * The same for statements that name what is the project's: its tables, its expressions and queries, its DDL. They see the search path
   * that the project's user has, as triggers and functions do that they fire; all others see none but the engine's own names.
   */
  readonly project: Statements;
  /** Whether this is one statement without parameters that compiles here, returns rows, and only reads. */
  isReadOnlyQuery(sql: string): Promise<boolean>;
  /** Why this is no statement without parameters that compiles here, or undefined when it is one. */
  compileError(sql: string): Promise<Error | undefined>;
  /** Runs `act`, which may fail on what a row holds: returns false then, and leaves what the transaction has done before as it is. */
  attempt(act: () => Promise<void>): Promise<boolean>;
  /** Lets the event loop turn between two pieces of work, unless somebody in this thread could then wait for what is held here. */
  turn(): Promise<void>;
  /** Runs `act` on one snapshot of the store: on this transaction, if it is one. */
  snapshot<Result>(act: (tx: Transaction) => Promise<Result>): Promise<Result>;
}

/** A transaction of a store's connection. Its lifetime is that of the function that it is given to: a statement behind it throws. */
export interface Transaction extends Store {
  /**
   * Runs the statements of a SQL step. What they set of the session is undone behind them.
   *
   * @throws {BackfillError} `STEP_INVALID` when they have released the run lock
   */
  runStep(act: () => Promise<void>): Promise<void>;
}

/** The connection of a store, which has one transaction at a time. Its lifetime is a command's. */
export interface Connection extends Store {
  /**
   * Runs `act` in one transaction that writes. While another process keeps a lock it is tried again, for a bounded time.
   *
   * @param act may run several times
   */
  write<Result>(act: (tx: Transaction) => Promise<Result>): Promise<Result>;
  /** As {@link write}, but tried once: it fails when another process keeps a lock for longer than a second. */
  tryWrite<Result>(act: (tx: Transaction) => Promise<Result>): Promise<Result>;
  /** As {@link snapshot}, for what takes long and reads a table once; it is not tried again. */
  snapshotAsync<Result>(act: (tx: Transaction) => Promise<Result>): Promise<Result>;
  /**
   * Acts while other processes may take part in the same run, where the engine lets them; else simply acts. A run lock that is held
   * is shared meanwhile, and held alone again behind it.
   *
   * @param onWait told every five seconds while other processes that take part are waited for
   */
  withSharedLock<Result>(
    act: () => Promise<Result>,
    onWait: (holder: LockHolder | undefined) => void,
  ): Promise<Result>;
  /** Closes the connection. */
  close(): Promise<void>;
}

/** Insists that a statement is given to what may run it: the transaction that is open, or the connection where none is. */
export function requireTurn(isItsTurn: boolean): void {
  if (isItsTurn) return;
  throw new BackfillError(
    'INTERNAL',
    msg(
      'A statement was given to a connection while its transaction was open, or to a transaction that has ended',
    ),
    msg('Report it'),
  );
}
