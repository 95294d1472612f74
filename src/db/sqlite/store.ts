import { isUtf8 } from 'node:buffer';
import type Database from 'better-sqlite3';
import type { Dialect } from '../../engine/dialect.js';
import { isSqliteError } from '../../engine-errors.js';
import { toBackfillError } from '../../errors.js';
import { failpoint } from '../../failpoint.js';
import type { Connection, Transaction } from '../connection.js';
import {
  ATTEMPT_TIMEOUT_MS,
  type OpenOptions,
  READ_TIMEOUT_MS,
  RETRY_TIMEOUT_MS,
  untilFree,
} from '../connector.js';
import { isWritable } from '../file.js';
import { readJson, usableString } from '../json-text.js';
import { hasJournalHeader, isWal, requireWritable, requireWritableFolder, type StoreFiles } from '../path.js';
import { refuseSidecars } from '../store-trust.js';
import { connect, isBusy } from './connection.js';
import { SqliteStatements } from './statements.js';

/** Page cache, in KiB. A batch and its index pages fit; 64 MiB measured a few percent slower. */
const CACHE_KIB = 8192;

/** Page cache of each thread of a scan, which reads each page once, in KiB. */
const SCAN_CACHE_KIB = 1024;

/** WAL frames between two checkpoints; 4,000 measured a few percent faster than SQLite's 1,000. */
export const CHECKPOINT_PAGES = 4000;

/** SQL function for JSON texts that SQLite cannot read: bytes to strict JSON, or NULL if unreadable. */
export const READ_JSON = 'umzug_backfill_read_json';

/** SQL function for JSON strings that SQLite would misread: bytes of the JSON string to its text, or NULL if not usable. */
export const READ_STRING = 'umzug_backfill_read_string';

/** SQL function that returns 1 if the bytes of a text are valid UTF-8. */
export const IS_UTF8 = 'umzug_backfill_is_utf8';

/**
 * Opens a store with this package's settings and SQL functions.
 *
 * For read access with an empty WAL, the connection is read-write with `query_only`, because a read-only one would leave `-wal`
 * and `-shm` on disk. With frames in the WAL it is read-only, because closing a read-write one would move them into the main
 * file.
 *
 * @throws {BackfillError} a `STORE_…` code: not a database, hot journal, not writable, locked, damaged
 * @see https://www.sqlite.org/wal.html section 5, https://www.sqlite.org/pragma.html#pragma_query_only
 */
function openDatabase(files: StoreFiles, isReadOnly: boolean, busyTimeoutMs: number): Database.Database {
  refuseSidecars(files.path, files.ownership.uid);
  const mayBeHot = hasJournalHeader(files);
  // A reader without write permission could not remove the sidecars that SQLite creates in WAL mode. It would own them, and they
  // could keep the store's owner from writing.
  const leavesSidecars = !isWritable(files.path) && (files.walBytes > 0 ? !files.hasShm : isWal(files));
  if (!isReadOnly || leavesSidecars) requireWritable(files);
  let db: Database.Database | undefined;
  try {
    db = connect(files.path, {
      fileMustExist: true,
      readonly: isReadOnly && (files.walBytes > 0 || mayBeHot),
      timeout: busyTimeoutMs,
    });
    if (isReadOnly) db.pragma('query_only = ON');
    db.prepare('SELECT count(*) FROM sqlite_schema').get();
    configure(db, isReadOnly);
    registerJsonFunctions(db, String(db.pragma('encoding', { simple: true })));
    return db;
  } catch (error) {
    db?.close();
    if (isSqliteError(error) && /^SQLITE_(?:CANTOPEN|READONLY_DIRECTORY)/.test(error.code))
      requireWritableFolder(files, error);
    throw toBackfillError(error);
  }
}

function configure(db: Database.Database, isReadOnly: boolean): void {
  db.pragma(`cache_size = -${CACHE_KIB}`);
  db.pragma('temp_store = MEMORY');
  if (isReadOnly) return;
  // SQLite's default for WAL, which a connection does not get if the file is already in WAL mode.
  const isWalMode = db.pragma('journal_mode', { simple: true }) === 'wal';
  db.pragma(`synchronous = ${isWalMode ? 'NORMAL' : 'FULL'}`);
  db.pragma(`wal_autocheckpoint = ${CHECKPOINT_PAGES}`);
}

/**
 * Registers SQL functions for texts that SQLite's JSON functions reject or accept too liberally, and for strings with escapes or
 * beyond ASCII. All take bytes from `CAST(… AS BLOB)`, because a JavaScript string cannot contain invalid UTF-8.
 *
 * @param encoding result of `PRAGMA encoding`
 */
function registerJsonFunctions(db: Database.Database, encoding: string): void {
  const isUtf8Store = encoding === 'UTF-8';
  const utf8 = (bytes: Buffer): Buffer | null => {
    if (isUtf8Store) return bytes;
    if (bytes.length % 2 !== 0) return null;
    const little = encoding === 'UTF-16be' ? Buffer.from(bytes).swap16() : bytes;
    return Buffer.from(little.toString('utf16le'), 'utf8');
  };
  const define = (name: string, otherwise: 0 | null, act: (bytes: Buffer) => unknown): void => {
    db.function(name, { deterministic: true, directOnly: true }, (value: unknown) =>
      Buffer.isBuffer(value) ? act(value) : otherwise,
    );
  };
  define(READ_JSON, null, (bytes) => {
    const text = utf8(bytes);
    const json = text && readJson(text);
    // Returned as bytes in the store's encoding, because a JavaScript string would replace invalid UTF-8.
    return isUtf8Store ? json : (json?.toString('utf8') ?? null);
  });
  define(READ_STRING, null, (bytes) => {
    const text = utf8(bytes);
    return text && usableString(text);
  });
  define(IS_UTF8, 0, (bytes) => (!isUtf8Store || isUtf8(bytes) ? 1 : 0));
}

/** A transaction of a SQLite store. */
class SqliteTransaction extends SqliteStatements implements Transaction {
  protected override get transaction(): SqliteTransaction {
    return this;
  }

  async snapshot<Result>(act: (tx: Transaction) => Promise<Result>): Promise<Result> {
    return await act(this);
  }

  /** Just runs `act`: a step's declaration refuses statements that change the connection's settings. */
  async runStep(act: () => Promise<void>): Promise<void> {
    await act();
  }
}

/** The connection of one open SQLite store. */
export class SqliteStore extends SqliteStatements implements Connection {
  readonly #busyTimeoutMs: number;

  /** Opens a store; throws a `STORE_…` code: not a database, hot journal, not writable, locked, damaged. */
  constructor(files: StoreFiles, { access, busyTimeoutMs, signal }: OpenOptions, dialect: Dialect) {
    const isReadOnly = access === 'read';
    const timeoutMs = busyTimeoutMs ?? (isReadOnly ? READ_TIMEOUT_MS : RETRY_TIMEOUT_MS);
    const db = openDatabase(files, isReadOnly, timeoutMs);
    super({
      db,
      files,
      dialect,
      statements: new Map(),
      isWal: db.pragma('journal_mode', { simple: true }) === 'wal',
      signal,
      isWriting: false,
      open: undefined,
    });
    this.#busyTimeoutMs = timeoutMs;
  }

  protected override get transaction(): undefined {
    return undefined;
  }

  async write<Result>(act: (tx: Transaction) => Promise<Result>): Promise<Result> {
    return await untilFree(() => this.tryWrite(act), isBusy);
  }

  /** Takes the write lock first: a deferred transaction fails with SQLITE_BUSY_SNAPSHOT at its first write instead of waiting. */
  async tryWrite<Result>(act: (tx: Transaction) => Promise<Result>): Promise<Result> {
    this.db.pragma(`busy_timeout = ${ATTEMPT_TIMEOUT_MS}`);
    this.driver.isWriting = true;
    try {
      const result = await this.#transaction('BEGIN IMMEDIATE', act);
      failpoint('commit', 'BEGIN IMMEDIATE');
      return result;
    } finally {
      this.driver.isWriting = false;
      this.db.pragma(`busy_timeout = ${this.#busyTimeoutMs}`);
    }
  }

  async snapshot<Result>(act: (tx: Transaction) => Promise<Result>): Promise<Result> {
    return await this.#transaction('BEGIN', act);
  }

  /** Uses a smaller cache, because a pass over a table reads each page once. */
  async snapshotAsync<Result>(act: (tx: Transaction) => Promise<Result>): Promise<Result> {
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
      // A full disk or an I/O error has already rolled back.
      if (db.inTransaction) db.exec('ROLLBACK');
      throw error;
    } finally {
      driver.open = undefined;
    }
  }

  /** Just runs `act`: one process at a time can write. */
  async withSharedLock<Result>(act: () => Promise<Result>): Promise<Result> {
    return await act();
  }

  async close(): Promise<void> {
    this.driver.db.close();
  }
}
