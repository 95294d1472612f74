import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';
import type Database from 'better-sqlite3';
import { BackfillError, isSqliteError } from '../../errors.js';
import { failpoint } from '../../failpoint.js';
import { busyPauses } from '../busy.js';
import { isAboutRow } from '../expressions.js';
import type { StoreFiles } from '../path.js';
import type { Dialect, SqlValue, Statements, Store, StoreSize } from '../port.js';
import type { OpenOptions } from '../site.js';
import { isBusy } from './busy.js';
import { altering } from './connection.js';
import { busyWaitOf, CACHE_KIB, openDatabase } from './open.js';
import { prepare } from './unsafe-use.js';

/**
 * How long a statement of a transaction that writes waits for another writer, in milliseconds, before the transaction is rolled
 * back and tried again: a signal is heard only between two tries, and a COMMIT that waits for readers in rollback mode
 * keeps everybody else out.
 */
const WRITE_WAIT_MS = 1000;

/** More pages than a store can have: a copy is then made in one step, and so of one snapshot. */
const ALL_PAGES = 0x7fffffff;

/** Rows of a result that are read at once, and for how long at most, in milliseconds. */
const [PAGE_ROWS, PAGE_MS] = [1000, 8];

/** Statements that are kept compiled: those that name keys do not come again. */
const MAX_STATEMENTS = 200;

/** Page cache where each page is read once, by each of two threads, in KiB. */
const SCAN_CACHE_KIB = 1024;

/**
 * One open SQLite store: a thin hold on the driver, so that statements are compiled once and the
 * connection's settings stand in one place. Its lifetime is a command's.
 */
export class SqliteStore implements Store {
  readonly dialect: Dialect;
  readonly files: StoreFiles;
  readonly #db: Database.Database;
  readonly #statements = new Map<string, Database.Statement>();
  readonly #functions = new Set<string>();
  readonly #busyWaitMs: number;
  /** Names have one meaning in a file. */
  readonly project: Statements = this;

  /**
   * Opens the store at `files`, as {@link openDatabase} does.
   *
   * @param dialect this engine's
   * @throws {BackfillError} a `STORE_…` code: not a database, hot journal, not writable, locked, damaged
   */
  constructor(files: StoreFiles, options: OpenOptions, dialect: Dialect) {
    this.dialect = dialect;
    this.files = files;
    this.#busyWaitMs = busyWaitOf(options);
    this.#db = openDatabase(files, options);
  }

  get name(): string {
    return this.files.path;
  }

  get journalMode(): string {
    return String(this.#db.pragma('journal_mode', { simple: true }));
  }

  /** Size of the main database, in bytes, by its own header. */
  async size(): Promise<StoreSize> {
    const pageBytes = Number(this.#db.pragma('page_size', { simple: true }));
    return {
      bytes: pageBytes * Number(this.#db.pragma('page_count', { simple: true })),
      freeBytes: pageBytes * Number(this.#db.pragma('freelist_count', { simple: true })),
      pageBytes,
    };
  }

  #prepare(sql: string): Database.Statement {
    let statement = this.#statements.get(sql);
    if (!statement) {
      statement = prepare(this.#db, sql);
      const [oldest] = this.#statements.size < MAX_STATEMENTS ? [] : this.#statements.keys();
      if (oldest !== undefined) this.#statements.delete(oldest);
      this.#statements.set(sql, statement);
    }
    return statement;
  }

  /** First row as an object, or undefined. Integers are numbers. */
  async get<Row>(sql: string, ...parameters: readonly SqlValue[]): Promise<Row | undefined> {
    return this.#prepare(sql)
      .safeIntegers(false)
      .get(...parameters) as Row | undefined;
  }

  /** All rows as objects. Integers are numbers. */
  async all<Row>(sql: string, ...parameters: readonly SqlValue[]): Promise<Row[]> {
    return this.#prepare(sql)
      .safeIntegers(false)
      .all(...parameters) as Row[];
  }

  /** All rows as objects, integers as bigint: for keys, which may exceed 2^53. */
  async allExact<Row>(sql: string, ...parameters: readonly SqlValue[]): Promise<Row[]> {
    return this.#prepare(sql)
      .safeIntegers(true)
      .all(...parameters) as Row[];
  }

  /** First row as an object, integers as bigint. */
  async getExact<Row>(sql: string, ...parameters: readonly SqlValue[]): Promise<Row | undefined> {
    return this.#prepare(sql)
      .safeIntegers(true)
      .get(...parameters) as Row | undefined;
  }

  /** First column of every row. Integers are numbers. */
  async pluck<Value>(sql: string, ...parameters: readonly SqlValue[]): Promise<Value[]> {
    // pluck() changes a statement for good, so it has one of its own.
    return this.#db
      .prepare(sql)
      .pluck()
      .all(...parameters) as Value[];
  }

  /** Rows in pages, as arrays, integers as bigint: for results that do not fit in memory. The event loop turns between two. */
  async *pages<Row extends readonly unknown[]>(
    sql: string,
    ...parameters: readonly SqlValue[]
  ): AsyncIterableIterator<Row[]> {
    const rows = this.#db
      .prepare(sql)
      .raw()
      .safeIntegers()
      .iterate(...parameters) as IterableIterator<Row>;
    let page: Row[] = [];
    let turnAt = performance.now() + PAGE_MS;
    for (const row of rows) {
      page.push(row);
      if (page.length < PAGE_ROWS && performance.now() < turnAt) continue;
      yield page;
      page = [];
      await nextTurn();
      turnAt = performance.now() + PAGE_MS;
    }
    if (page.length > 0) yield page;
  }

  /** Rows as arrays, integers as bigint: as {@link pages}, for as many as its LIMIT lets through. */
  async rows<Row extends readonly unknown[]>(
    sql: string,
    ...parameters: readonly SqlValue[]
  ): Promise<Row[]> {
    return this.#prepare(sql)
      .raw()
      .safeIntegers()
      .all(...parameters) as Row[];
  }

  /** Runs one statement and returns how many rows it changed. */
  async run(sql: string, ...parameters: readonly SqlValue[]): Promise<number> {
    const { changes } = altering(this.#db, sql, () => this.#prepare(sql).run(...parameters));
    failpoint('statement', sql);
    return changes;
  }

  /** Runs the statements of a SQL step; those that would set something of the connection are refused where they are declared. */
  async runStep(act: () => Promise<void>): Promise<void> {
    await act();
  }

  /** Runs a script of statements without parameters: DDL. */
  async exec(sql: string): Promise<void> {
    altering(this.#db, sql, () => this.#db.exec(sql));
    failpoint('statement', sql);
  }

  /** Makes a function known to this connection, once; it may not touch the store. Integers come as bigint. */
  define(name: string, act: (...cells: SqlValue[]) => SqlValue | Uint8Array): void {
    if (this.#functions.has(name)) return;
    this.#functions.add(name);
    const options = { deterministic: true, directOnly: true, safeIntegers: true, varargs: true };
    this.#db.function(name, options, act as (...cells: unknown[]) => unknown);
  }

  /** Whether this is one statement that compiles here, returns rows, and only reads. */
  async isReading(sql: string): Promise<boolean> {
    const compiled = this.#compile(sql);
    return !(compiled instanceof Error) && compiled.reader && compiled.readonly;
  }

  /** Whether this is one statement that compiles here; the refusal is returned, not thrown. */
  async attempt(act: () => Promise<void>): Promise<boolean> {
    try {
      await act(); // a statement that fails leaves the transaction as it was
      return true;
    } catch (error) {
      if (isAboutRow(error)) return false;
      throw error;
    }
  }

  async compileError(sql: string): Promise<Error | undefined> {
    const compiled = this.#compile(sql);
    return compiled instanceof Error ? compiled : undefined;
  }

  #compile(sql: string): Database.Statement | Error {
    let statement: Database.Statement;
    try {
      statement = prepare(this.#db, sql);
    } catch (error) {
      if (isSqliteError(error) || error instanceof RangeError) return error; // the latter: not one statement
      throw error;
    }
    try {
      return statement.bind();
    } catch (error) {
      return new RangeError('The statement has a parameter', { cause: error }); // nothing is bound to it
    }
  }

  /**
   * Runs `act` in one transaction that holds the write lock from its start: a deferred one that later wants to
   * write fails with SQLITE_BUSY_SNAPSHOT instead of waiting. While another process keeps the lock it is tried again, for
   * a bounded time.
   *
   * @param act may run several times
   */
  async write<Result>(act: () => Promise<Result>): Promise<Result> {
    for (const pauseMs of busyPauses()) {
      try {
        return await this.tryWrite(act);
      } catch (error) {
        if (!isBusy(error)) throw error;
        await sleep(pauseMs);
      }
    }
    return await this.tryWrite(act);
  }

  /** As {@link write}, but tried once: it fails when another process keeps the lock for longer than a second. */
  async tryWrite<Result>(act: () => Promise<Result>): Promise<Result> {
    this.#db.pragma(`busy_timeout = ${WRITE_WAIT_MS}`);
    try {
      const result = await this.#transaction('BEGIN IMMEDIATE', act);
      failpoint('commit', 'BEGIN IMMEDIATE');
      return result;
    } finally {
      this.#db.pragma(`busy_timeout = ${this.#busyWaitMs}`);
    }
  }

  /** Runs `act` on one snapshot of the store: that of the transaction that it is called in, if it is in one. */
  async snapshot<Result>(act: () => Promise<Result>): Promise<Result> {
    return this.#db.inTransaction ? await act() : await this.#transaction('BEGIN', act);
  }

  /**
   * As {@link snapshot}, of its own, for what awaits, and reads each page of a table once: it gets less of a cache. Nothing else
   * may use this connection meanwhile.
   */
  async snapshotAcross<Result>(act: () => Promise<Result>): Promise<Result> {
    this.#db.pragma(`cache_size = -${SCAN_CACHE_KIB}`);
    this.#db.exec('BEGIN');
    try {
      return await act();
    } finally {
      if (this.#db.inTransaction) this.#db.exec('ROLLBACK'); // nothing was written
      this.#db.pragma(`cache_size = -${CACHE_KIB}`);
    }
  }

  async #transaction<Result>(begin: string, act: () => Promise<Result>): Promise<Result> {
    this.#db.exec(begin);
    try {
      const result = await act();
      this.#db.exec('COMMIT');
      return result;
    } catch (error) {
      // A full disk or an I/O error rolls back by itself.
      if (this.#db.inTransaction) this.#db.exec('ROLLBACK');
      throw error;
    }
  }

  /** Nobody else can take part: one process at a time writes. */
  async share<Result>(act: () => Promise<Result>): Promise<Result> {
    return await act();
  }

  /**
   * Tries once to copy the store, as one snapshot, into another SQLite file that stands there already.
   *
   * @param onBegun called when neither file is locked, before the pages are copied; called again while one of them is
   * @returns whether it is done: not when a lock was in the way
   */
  async tryCopy(path: string, onBegun: () => void): Promise<boolean> {
    const { totalPages } = await this.#db.backup(path, {
      progress: () => {
        onBegun();
        return ALL_PAGES;
      },
    });
    // A first step that finds a lock leaves both counts at 0, which the driver takes for the end of the copy.
    return totalPages > 0;
  }

  /** Closes the connection. */
  async close(): Promise<void> {
    this.#db.close();
  }
}

/** A store of this engine's: its dialect is never given another. */
export function requireSqlite(store: Store): SqliteStore {
  if (store instanceof SqliteStore) return store;
  throw new BackfillError('INTERNAL', 'A store of another engine was given to SQLite', 'Report it');
}
