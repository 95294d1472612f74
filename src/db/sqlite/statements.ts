import { setImmediate as nextTurn } from 'node:timers/promises';
import type Database from 'better-sqlite3';
import { type AbortSignalLike, throwIfAborted } from '../../abort.js';
import type { Dialect } from '../../engine/dialect.js';
import { unsafeUse } from '../../engine-errors.js';
import { BackfillError } from '../../errors.js';
import { failpoint } from '../../failpoint.js';
import { msg } from '../../messages/message.js';
import { isAboutRow, isSqliteError } from '../../store-errors.js';
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

/** More pages than a store can have: a copy is then made in one step, and so of one snapshot. */
const ALL_PAGES = 0x7fffffff;

/** Rows of a result that are read at once: so few are gone before the garbage collector would have to move them. */
const PAGE_ROWS = 64;

/** For how long pages are read before the event loop turns, in milliseconds. */
const TURN_MS = 16;

/** Statements that are kept compiled: those that name keys do not come again. */
const MAX_STATEMENTS = 200;

/** What a connection shares with its transactions. */
interface Driver {
  readonly db: Database.Database;
  readonly files: StoreFiles;
  readonly dialect: Dialect;
  readonly statements: Map<string, Database.Statement>;
  readonly isWal: boolean;
  /** Stops whoever reads for long. */
  readonly signal: AbortSignalLike | undefined;
  /** Whether a transaction that writes is open. */
  isWriting: boolean;
  /** The transaction that is open. */
  open: SqliteStatements | undefined;
}

/** Statements of a store, on its connection or in one transaction. */
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
    // pluck() changes a statement for good, so it has one of its own.
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
      if (this.driver.isWal) await this.turn(isDue); // else this statement keeps writers out as a transaction does
      if (isDue) turnAt = performance.now() + TURN_MS;
    }
    if (page.length > 0) yield page;
  }

  /**
   * Lets the event loop turn between two pieces of work, and hears a stop. In a transaction in rollback mode it does neither: who reads
   * keeps writers from committing, and an application that writes in this thread would wait for itself. Nor in a transaction that writes.
   *
   * @param isDue whether it turns. Default true; else only a stop is heard
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
  throw new BackfillError('INTERNAL', msg('A store of another engine was given to SQLite'), msg('Report it'));
}

/**
 * Compiles a statement.
 *
 * @throws {BackfillError} `SCHEMA_BLOCKED` naming what SQLite refuses to use in a schema that it does not trust, and the triggers and
 *   views that have its name in their text
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
  if (objects.length === 0) return undefined; // the error itself says what is used
  return new BackfillError(
    'SCHEMA_BLOCKED',
    msg('SQLite refuses {used} in the schema of a file, and it is used by {objects}', { used, objects }),
    msg('Drop what stands in the way, run the same command again, then create it anew'),
    { cause: error },
  );
}
