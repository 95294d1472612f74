import { setImmediate as nextTurn } from 'node:timers/promises';
import type Database from 'better-sqlite3';
import { type AbortSignalLike, throwIfAborted } from '../../abort.js';
import type { Dialect } from '../../engine/dialect.js';
import { isAboutRow, isSqliteError, unsafeUse } from '../../engine-errors.js';
import { BackfillError } from '../../errors.js';
import { failpoint } from '../../failpoint.js';
import { msg } from '../../messages/message.js';
import {
  requireTurn,
  type SqlValue,
  type Statements,
  type Store,
  type StoreSize,
  type Transaction,
} from '../connection.js';
import type { StoreFiles } from '../path.js';
import { tokensOf } from '../sql.js';
import { altering } from './connection.js';

/** More pages than a store can have, so that a copy is one step and thus one snapshot. */
const ALL_PAGES = 0x7fffffff;

/** Rows per page; few enough to be garbage before the collector has to move them. */
const PAGE_ROWS = 64;

/** Maximum time between two turns of the event loop, in milliseconds. */
const TURN_MS = 16;

/** Maximum compiled statements in the cache; statements that contain keys are not reused. */
const MAX_STATEMENTS = 200;

/** State that a connection shares with its transactions. */
interface Driver {
  readonly db: Database.Database;
  readonly files: StoreFiles;
  readonly dialect: Dialect;
  readonly statements: Map<string, Database.Statement>;
  readonly isWal: boolean;
  /** Stops long reads. */
  readonly signal: AbortSignalLike | undefined;
  /** Whether the open transaction is a write transaction. */
  isWriting: boolean;
  /** The open transaction. */
  open: SqliteStatements | undefined;
}

/** Statements on the connection of a SQLite store, or in one transaction. */
export abstract class SqliteStatements implements Store {
  /** SQLite has no search path. */
  readonly project: Statements = this;
  protected readonly driver: Driver;

  constructor(driver: Driver) {
    this.driver = driver;
  }

  /** This object if it is a transaction. */
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

  async size(): Promise<StoreSize> {
    const pageBytes = Number(this.db.pragma('page_size', { simple: true }));
    return {
      bytes: pageBytes * Number(this.db.pragma('page_count', { simple: true })),
      freeBytes: pageBytes * Number(this.db.pragma('freelist_count', { simple: true })),
      pageBytes,
    };
  }

  #prepare(sql: string, isExact = false): Database.Statement {
    const { db } = this;
    const { statements } = this.driver;
    let statement = statements.get(sql);
    if (!statement) {
      statement = prepare(db, sql);
      const [oldest] = statements.size < MAX_STATEMENTS ? [] : statements.keys();
      if (oldest !== undefined) statements.delete(oldest);
      statements.set(sql, statement);
    }
    return statement.safeIntegers(isExact);
  }

  async get<Row>(sql: string, ...parameters: readonly SqlValue[]): Promise<Row | undefined> {
    return this.#prepare(sql).get(...parameters) as Row | undefined;
  }

  async all<Row>(sql: string, ...parameters: readonly SqlValue[]): Promise<Row[]> {
    return this.#prepare(sql).all(...parameters) as Row[];
  }

  async allExact<Row>(sql: string, ...parameters: readonly SqlValue[]): Promise<Row[]> {
    return this.#prepare(sql, true).all(...parameters) as Row[];
  }

  async getExact<Row>(sql: string, ...parameters: readonly SqlValue[]): Promise<Row | undefined> {
    return this.#prepare(sql, true).get(...parameters) as Row | undefined;
  }

  async pluck<Value>(sql: string, ...parameters: readonly SqlValue[]): Promise<Value[]> {
    // Not from the cache, because pluck() changes a statement permanently.
    return this.db
      .prepare(sql)
      .pluck()
      .all(...parameters) as Value[];
  }

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
    let turnAt = performance.now() + TURN_MS;
    for (const row of rows) {
      page.push(row);
      if (page.length < PAGE_ROWS) continue;
      yield page;
      page = [];
      const isDue = performance.now() >= turnAt;
      if (this.driver.isWal) await this.turn(isDue); // else this statement blocks writers as a transaction does
      if (isDue) turnAt = performance.now() + TURN_MS;
    }
    if (page.length > 0) yield page;
  }

  /**
   * Lets the event loop turn, and checks the signal. Does nothing in a write transaction, nor in any transaction in rollback
   * mode: a reader keeps writers from committing there, so an application that writes in this thread would wait for itself.
   *
   * @param isDue whether the event loop turns; the signal is checked in any case. Default true
   * @throws {BackfillError} `TERMINATED`, `INTERRUPTED`
   */
  async turn(isDue = true): Promise<void> {
    const { isWal, isWriting, open, signal } = this.driver;
    if (isWal ? isWriting : open) return;
    if (isDue) await nextTurn();
    throwIfAborted(signal, msg('while reading the database'));
  }

  async run(sql: string, ...parameters: readonly SqlValue[]): Promise<number> {
    const { changes } = altering(this.db, sql, () => this.#prepare(sql).run(...parameters));
    failpoint('statement', sql);
    return changes;
  }

  async exec(sql: string): Promise<void> {
    altering(this.db, sql, () => this.db.exec(sql));
    failpoint('statement', sql);
  }

  async isReadOnlyQuery(sql: string): Promise<boolean> {
    const compiled = this.#compile(sql);
    return !(compiled instanceof Error) && compiled.reader && compiled.readonly;
  }

  async attempt(act: () => Promise<void>): Promise<boolean> {
    try {
      await act(); // a failed statement leaves the transaction unchanged
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
      statement = prepare(this.db, sql);
    } catch (error) {
      if (isSqliteError(error) || error instanceof RangeError) return error; // RangeError: not a single statement
      throw error;
    }
    try {
      return statement.bind();
    } catch (error) {
      return new RangeError('The statement has a parameter', { cause: error });
    }
  }

  /**
   * Tries once to copy the store, as one snapshot, into another existing SQLite file.
   *
   * @param onBegun called before the pages are copied, and again while a file is locked
   * @returns false if a lock blocked the copy
   */
  async tryCopy(path: string, onBegun: () => void): Promise<boolean> {
    const { totalPages } = await this.db.backup(path, {
      progress: () => {
        onBegun();
        return ALL_PAGES;
      },
    });
    // If the first step is blocked by a lock, both counts stay 0, which the driver takes for the end of the copy.
    return totalPages > 0;
  }
}

/** Narrows a store to one of SQLite. */
export function requireSqlite(store: Store): SqliteStatements {
  if (store instanceof SqliteStatements) return store;
  throw new BackfillError(
    'INTERNAL',
    msg('SQLite received a store of another engine'),
    msg('Report this error'),
  );
}

/**
 * Compiles a statement.
 *
 * @throws {BackfillError} `SCHEMA_BLOCKED` naming a function or virtual table that SQLite rejects in an untrusted schema, and the
 *   triggers and views whose SQL contains its name
 */
export function prepare(db: Database.Database, sql: string): Database.Statement {
  try {
    return db.prepare(sql);
  } catch (error) {
    throw unsafeUseIn(db, error) ?? error;
  }
}

function unsafeUseIn(db: Database.Database, error: unknown): BackfillError | undefined {
  const unsafe = isSqliteError(error) ? unsafeUse(error.message) : undefined;
  if (unsafe === undefined) return undefined;
  const { used } = unsafe;
  const word = unsafe.name.toLowerCase();
  const objects = db
    .prepare<[], { type: string; name: string; sql: string }>(
      `SELECT type, name, sql FROM sqlite_schema WHERE type IN ('trigger', 'view') ORDER BY type, name`,
    )
    .all()
    .filter(({ sql }) => [...tokensOf(sql)].some((token) => token.replace(/^"|"$/g, '') === word))
    .map(({ type, name }) => `${type} ${name}`);
  if (objects.length === 0) return undefined; // the error itself names what is used
  return new BackfillError(
    'SCHEMA_BLOCKED',
    msg('SQLite rejects {used} in the schema of a file, and it is used by {objects}', { used, objects }),
    msg('Drop these objects, run the same command again, then recreate them'),
    { cause: error },
  );
}
