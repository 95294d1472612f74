import type { Dialect } from '../../engine/dialect.js';
import { failpoint } from '../../failpoint.js';
import { untilFree } from '../busy.js';
import type { Connection, Transaction } from '../connection.js';
import type { StoreFiles } from '../path.js';
import type { OpenOptions } from '../site.js';
import { isBusy } from './busy.js';
import { busyWaitOf, CACHE_KIB, openDatabase } from './open.js';
import { SqliteStatements } from './statements.js';

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
