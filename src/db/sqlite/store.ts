import { isUtf8 } from 'node:buffer';
import type Database from 'better-sqlite3';
import type { Dialect } from '../../engine/dialect.js';
import { toBackfillError } from '../../errors.js';
import { failpoint } from '../../failpoint.js';
import { isSqliteError } from '../../store-errors.js';
import type { Connection, Transaction } from '../connection.js';
import { type OpenOptions, RETRY_TIMEOUT_MS, untilFree } from '../connector.js';
import { isWritable } from '../file.js';
import { readJson, usableString } from '../json-text.js';
import {
  hasJournalHeader,
  isWal,
  refuseSidecars,
  requireWritable,
  requireWritableFolder,
  type StoreFiles,
} from '../path.js';
import { connect, isBusy } from './connection.js';
import { SqliteStatements } from './statements.js';

/** How long a look waits for another writer, by default, in milliseconds. */
const PROBE_TIMEOUT_MS = 5000;

/**
 * How long a statement of a transaction that writes waits for another writer, in milliseconds, before the transaction is rolled
 * back and tried again: a signal is heard only between two tries, and a COMMIT that waits for readers in rollback mode
 * keeps everybody else out.
 */
const WRITE_TIMEOUT_MS = 1000;

/** Page cache, in KiB. A batch and the index pages it touches fit; 64 MiB measured no faster, and some percent slower. */
const CACHE_KIB = 8192;

/** Page cache where each page is read once, by each of two threads, in KiB. */
const SCAN_CACHE_KIB = 1024;

/** WAL frames between two checkpoints; 4,000 measured some percent faster than SQLite's 1,000. */
export const CHECKPOINT_PAGES = 4000;

/** SQL name of the reader of rare JSON texts: bytes in, strict JSON out, or NULL when they are not readable. */
export const READ_JSON = 'umzug_backfill_read_json';

/** SQL name of the judge of rare JSON strings: a string's JSON bytes in, its text out, or NULL when not usable. */
export const READ_STRING = 'umzug_backfill_read_string';

/** SQL name of the judge of whole texts: 1 when its bytes are valid. */
export const IS_UTF8 = 'umzug_backfill_is_utf8';

/**
 * Opens the store at `files`, with this package's settings and SQL functions.
 *
 * A look opens for reading and writing with `query_only` when no WAL frame waits: a read-only open would leave
 * `-wal` and `-shm` behind. With frames in the WAL it opens read-only, since closing a writing connection would
 * move them into the main file.
 *
 * @throws {BackfillError} a `STORE_…` code: not a database, hot journal, not writable, locked, damaged
 * @see https://www.sqlite.org/wal.html section 5, https://www.sqlite.org/pragma.html#pragma_query_only
 */
function openDatabase(files: StoreFiles, isReadOnly: boolean, busyTimeoutMs: number): Database.Database {
  refuseSidecars(files.path, files.ownership.uid);
  const mayBeHot = hasJournalHeader(files);
  // A reader that may not write the file could not remove the sidecars that SQLite makes for it in WAL mode, and as its
  // own they could keep the store's owner from writing.
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
  // SQLite's own default for WAL, which a connection does not get when the file is in WAL mode already.
  const isWalMode = db.pragma('journal_mode', { simple: true }) === 'wal';
  db.pragma(`synchronous = ${isWalMode ? 'NORMAL' : 'FULL'}`);
  db.pragma(`wal_autocheckpoint = ${CHECKPOINT_PAGES}`);
}

/**
 * Registers what SQLite's own JSON functions can not judge: texts that its reader refuses or reads too liberally, and strings with escapes
 * or beyond ASCII. All take bytes, as `CAST(… AS BLOB)` yields them: a JavaScript string can not hold invalid UTF-8.
 *
 * @param encoding the store's text encoding, as `PRAGMA encoding` gives it
 */
function registerJsonFunctions(db: Database.Database, encoding: string): void {
  const isUtf8Store = encoding === 'UTF-8';
  const utf8 = (bytes: Buffer): Buffer | null => {
    if (isUtf8Store) return bytes;
    if (bytes.length % 2 !== 0) return null;
    const little = encoding === 'UTF-16be' ? Buffer.from(bytes).swap16() : bytes;
    return Buffer.from(little.toString('utf16le'), 'utf8');
  };
  const define = (name: string, ofOthers: 0 | null, judge: (bytes: Buffer) => unknown): void => {
    db.function(name, { deterministic: true, directOnly: true }, (value: unknown) =>
      Buffer.isBuffer(value) ? judge(value) : ofOthers,
    );
  };
  define(READ_JSON, null, (bytes) => {
    const text = utf8(bytes);
    const json = text && readJson(text);
    // Bytes in the store's own encoding go back as bytes: text of ours would replace what is not valid UTF-8.
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

  /** Statements that would set something of the connection are refused where a step is declared. */
  async runStep(act: () => Promise<void>): Promise<void> {
    await act();
  }
}

/** The connection of one open SQLite store. Its lifetime is a command's. */
export class SqliteStore extends SqliteStatements implements Connection {
  readonly #busyTimeoutMs: number;

  /** Opens the store at `files`; throws a `STORE_…` code: not a database, hot journal, not writable, locked, damaged. */
  constructor(files: StoreFiles, { access, busyTimeoutMs, signal }: OpenOptions, dialect: Dialect) {
    const isReadOnly = access === 'read';
    const timeoutMs = busyTimeoutMs ?? (isReadOnly ? PROBE_TIMEOUT_MS : RETRY_TIMEOUT_MS);
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

  /** Holds the write lock from its start: a deferred one that later wants to write fails with SQLITE_BUSY_SNAPSHOT instead of waiting. */
  async tryWrite<Result>(act: (tx: Transaction) => Promise<Result>): Promise<Result> {
    this.db.pragma(`busy_timeout = ${WRITE_TIMEOUT_MS}`);
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

  /** As {@link snapshot}, for what reads each page of a table once: it gets less of a cache. */
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
      // A full disk or an I/O error rolls back by itself.
      if (db.inTransaction) db.exec('ROLLBACK');
      throw error;
    } finally {
      driver.open = undefined;
    }
  }

  /** Nobody else can take part: one process at a time writes. */
  async withSharedLock<Result>(act: () => Promise<Result>): Promise<Result> {
    return await act();
  }

  async close(): Promise<void> {
    this.driver.db.close();
  }
}
