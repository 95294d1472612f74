import { setImmediate as nextTurn } from 'node:timers/promises';
import type Database from 'better-sqlite3';
import type { Dialect } from '../../engine/dialect.js';
import { BackfillError } from '../../errors.js';
import { failpoint } from '../../failpoint.js';
import { type StopSignal, throwIfStopped } from '../../stop.js';
import { isAboutRow, isSqliteError } from '../../store-errors.js';
import {
  type Connection,
  type OpenOptions,
  requireTurn,
  type SqlValue,
  type Statements,
  type Store,
  type StoreSize,
  type Transaction,
} from '../connection.js';
import { untilFree } from '../locks.js';
import type { StoreFiles } from '../path.js';
import { altering, isBusy } from './connection.js';
import { busyWaitOf, CACHE_KIB, openDatabase, prepare } from './open.js';

/** More pages than a store can have: a copy is then made in one step, and so of one snapshot. */
const ALL_PAGES = 0x7fffffff;

/** Rows of a result that are read at once, and for how long at most, in milliseconds. */
const [PAGE_ROWS, PAGE_MS] = [1000, 16];

/** After how many rows it looks at the clock. */
const LOOK_ROWS = 50;

/** Statements that are kept compiled: those that name keys do not come again. */
const MAX_STATEMENTS = 200;

/** What a connection shares with its transactions. */
export interface Driver {
  readonly db: Database.Database;
  readonly files: StoreFiles;
  readonly dialect: Dialect;
  readonly statements: Map<string, Database.Statement>;
  readonly isWal: boolean;
  /** Stops whoever reads for long. */
  readonly signal: StopSignal | undefined;
  /** Whether a transaction that writes is open. */
  isWriting: boolean;
  /** The transaction that is open. */
  open: SqliteStatements | undefined;
}

/** A thin hold on the driver, so that statements are compiled once and the connection's settings stand in one place. */
export abstract class SqliteStatements implements Store {
  /** Names have one meaning in a file. */
  readonly project: Statements = this;
  protected readonly driver: Driver;

  constructor(driver: Driver) {
    this.driver = driver;
  }

  /** This, if it is a transaction. */
  protected abstract get transaction(): SqliteStatements | undefined;

  abstract snapshot<Result>(act: (tx: Transaction) => Promise<Result>): Promise<Result>;

  protected get db(): Database.Database {
    requireTurn(this.driver.open === this.transaction);
    return this.driver.db;
  }

  get dialect(): Dialect {
    return this.driver.dialect;
  }

  get files(): StoreFiles {
    return this.driver.files;
  }

  get name(): string {
    return this.driver.files.path;
  }

  get journalMode(): string {
    return String(this.db.pragma('journal_mode', { simple: true }));
  }

  /** Size of the main database, in bytes, by its own header. */
  async size(): Promise<StoreSize> {
    const pageBytes = Number(this.db.pragma('page_size', { simple: true }));
    return {
      bytes: pageBytes * Number(this.db.pragma('page_count', { simple: true })),
      freeBytes: pageBytes * Number(this.db.pragma('freelist_count', { simple: true })),
      pageBytes,
    };
  }

  #prepare(sql: string): Database.Statement {
    const {
      db,
      driver: { statements },
    } = this;
    let statement = statements.get(sql);
    if (!statement) {
      statement = prepare(db, sql);
      const [oldest] = statements.size < MAX_STATEMENTS ? [] : statements.keys();
      if (oldest !== undefined) statements.delete(oldest);
      statements.set(sql, statement);
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
    return this.db
      .prepare(sql)
      .pluck()
      .all(...parameters) as Value[];
  }

  /** Rows in pages, as arrays, integers as bigint: for results that do not fit in memory. The event loop turns between two. */
  async *pages<Row extends readonly unknown[]>(
    sql: string,
    ...parameters: readonly SqlValue[]
  ): AsyncIterableIterator<Row[]> {
    const rows = this.db
      .prepare(sql)
      .raw()
      .safeIntegers()
      .iterate(...parameters) as IterableIterator<Row>;
    let page: Row[] = [];
    let turnAt = performance.now() + PAGE_MS;
    for (const row of rows) {
      page.push(row);
      if (page.length < PAGE_ROWS && (page.length % LOOK_ROWS > 0 || performance.now() < turnAt)) continue;
      yield page;
      page = [];
      if (this.driver.isWal) await this.turn(); // else this statement keeps writers out as a transaction does
      turnAt = performance.now() + PAGE_MS;
    }
    if (page.length > 0) yield page;
  }

  /**
   * Lets the event loop turn between two pieces of work, and hears a stop. In a transaction in rollback mode it does neither: who reads
   * keeps writers from committing, and an application that writes in this thread would wait for itself. Nor in a transaction that writes.
   *
   * @throws {BackfillError} `TERMINATED`, `INTERRUPTED`
   */
  async turn(): Promise<void> {
    const { isWal, isWriting, open, signal } = this.driver;
    if (isWal ? isWriting : open) return;
    await nextTurn();
    throwIfStopped(signal, 'while the database was read');
  }

  /** Runs one statement and returns how many rows it changed. */
  async run(sql: string, ...parameters: readonly SqlValue[]): Promise<number> {
    const { changes } = altering(this.db, sql, () => this.#prepare(sql).run(...parameters));
    failpoint('statement', sql);
    return changes;
  }

  /** Runs a script of statements without parameters: DDL. */
  async exec(sql: string): Promise<void> {
    altering(this.db, sql, () => this.db.exec(sql));
    failpoint('statement', sql);
  }

  /** Whether this is one statement that compiles here, returns rows, and only reads. */
  async isReading(sql: string): Promise<boolean> {
    const compiled = this.#compile(sql);
    return !(compiled instanceof Error) && compiled.reader && compiled.readonly;
  }

  async attempt(act: () => Promise<void>): Promise<boolean> {
    try {
      await act(); // a statement that fails leaves the transaction as it was
      return true;
    } catch (error) {
      if (isAboutRow(error)) return false;
      throw error;
    }
  }

  /** Whether this is one statement that compiles here; the refusal is returned, not thrown. */
  async compileError(sql: string): Promise<Error | undefined> {
    const compiled = this.#compile(sql);
    return compiled instanceof Error ? compiled : undefined;
  }

  #compile(sql: string): Database.Statement | Error {
    let statement: Database.Statement;
    try {
      statement = prepare(this.db, sql);
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
   * Tries once to copy the store, as one snapshot, into another SQLite file that stands there already.
   *
   * @param onBegun called when neither file is locked, before the pages are copied; called again while one of them is
   * @returns whether it is done: not when a lock was in the way
   */
  async tryCopy(path: string, onBegun: () => void): Promise<boolean> {
    const { totalPages } = await this.db.backup(path, {
      progress: () => {
        onBegun();
        return ALL_PAGES;
      },
    });
    // A first step that finds a lock leaves both counts at 0, which the driver takes for the end of the copy.
    return totalPages > 0;
  }
}

/** A store of this engine's, or a transaction of it: its dialect is never given another. */
export function requireSqlite(store: Store): SqliteStatements {
  if (store instanceof SqliteStatements) return store;
  throw new BackfillError('INTERNAL', 'A store of another engine was given to SQLite', 'Report it');
}

/**
 * How long a statement of a transaction that writes waits for another writer, in milliseconds, before the transaction is rolled
 * back and tried again: a signal is heard only between two tries, and a COMMIT that waits for readers in rollback mode
 * keeps everybody else out.
 */
const WRITE_WAIT_MS = 1000;

/** Page cache where each page is read once, by each of two threads, in KiB. */
const SCAN_CACHE_KIB = 1024;

/** A transaction of a SQLite store. */
class SqliteTransaction extends SqliteStatements implements Transaction {
  protected override get transaction(): SqliteTransaction {
    return this;
  }

  async snapshot<Result>(act: (tx: Transaction) => Promise<Result>): Promise<Result> {
    return await act(this);
  }

  /** Runs the statements of a SQL step; those that would set something of the connection are refused where they are declared. */
  async runStep(act: () => Promise<void>): Promise<void> {
    await act();
  }
}

/** The connection of one open SQLite store. Its lifetime is a command's. */
export class SqliteStore extends SqliteStatements implements Connection {
  readonly #busyWaitMs: number;

  /**
   * Opens the store at `files`, as {@link openDatabase} does.
   *
   * @param dialect this engine's
   * @throws {BackfillError} a `STORE_…` code: not a database, hot journal, not writable, locked, damaged
   */
  constructor(files: StoreFiles, options: OpenOptions, dialect: Dialect) {
    const db = openDatabase(files, options);
    super({
      db,
      files,
      dialect,
      statements: new Map(),
      isWal: db.pragma('journal_mode', { simple: true }) === 'wal',
      signal: options.signal,
      isWriting: false,
      open: undefined,
    });
    this.#busyWaitMs = busyWaitOf(options);
  }

  protected override get transaction(): undefined {
    return undefined;
  }

  /**
   * Runs `act` in one transaction that holds the write lock from its start: a deferred one that later wants to
   * write fails with SQLITE_BUSY_SNAPSHOT instead of waiting. While another process keeps the lock it is tried again, for
   * a bounded time.
   *
   * @param act may run several times
   */
  async write<Result>(act: (tx: Transaction) => Promise<Result>): Promise<Result> {
    return await untilFree(() => this.tryWrite(act), isBusy);
  }

  /** As {@link write}, but tried once: it fails when another process keeps the lock for longer than a second. */
  async tryWrite<Result>(act: (tx: Transaction) => Promise<Result>): Promise<Result> {
    this.db.pragma(`busy_timeout = ${WRITE_WAIT_MS}`);
    this.driver.isWriting = true;
    try {
      const result = await this.#transaction('BEGIN IMMEDIATE', act);
      failpoint('commit', 'BEGIN IMMEDIATE');
      return result;
    } finally {
      this.driver.isWriting = false;
      this.db.pragma(`busy_timeout = ${this.#busyWaitMs}`);
    }
  }

  /** Runs `act` on one snapshot of the store. */
  async snapshot<Result>(act: (tx: Transaction) => Promise<Result>): Promise<Result> {
    return await this.#transaction('BEGIN', act);
  }

  /** As {@link snapshot}, for what reads each page of a table once: it gets less of a cache. */
  async snapshotAcross<Result>(act: (tx: Transaction) => Promise<Result>): Promise<Result> {
    this.db.pragma(`cache_size = -${SCAN_CACHE_KIB}`);
    try {
      return await this.#transaction('BEGIN', act);
    } finally {
      this.db.pragma(`cache_size = -${CACHE_KIB}`);
    }
  }

  async #transaction<Result>(
    begin: string,
    act: (tx: SqliteTransaction) => Promise<Result>,
  ): Promise<Result> {
    const { db, driver } = this;
    const tx = new SqliteTransaction(driver);
    db.exec(begin);
    driver.open = tx;
    try {
      const result = await act(tx);
      db.exec('COMMIT');
      return result;
    } catch (error) {
      // A full disk or an I/O error rolls back by itself.
      if (db.inTransaction) db.exec('ROLLBACK');
      throw error;
    } finally {
      driver.open = undefined;
    }
  }

  /** Nobody else can take part: one process at a time writes. */
  async share<Result>(act: () => Promise<Result>): Promise<Result> {
    return await act();
  }

  /** Closes the connection. */
  async close(): Promise<void> {
    this.driver.db.close();
  }
}
