import { isUtf8 } from 'node:buffer';
import Database from 'better-sqlite3';
import { isSqliteError } from '../../store-errors.js';
import type { Store } from '../connection.js';
import { readJson, usableString } from '../json-text.js';

/**
 * Opens a connection. Every connection of this package to SQLite comes from here.
 *
 * A schema is the work of whoever wrote the file. Its triggers, views, defaults and expressions may therefore use only functions and
 * virtual tables that SQLite calls innocuous, and pages are checked when they are read. The driver opens connections in defensive
 * mode. Nothing is read of the file.
 *
 * @see https://www.sqlite.org/security.html
 */
export function connect(path: string, options: Database.Options = {}): Database.Database {
  const db = new Database(path, options);
  db.pragma('trusted_schema = OFF');
  db.pragma('cell_size_check = ON');
  return db;
}

/** Runs `act` on a schema that is trusted: for `ALTER TABLE`, which compiles every view and trigger of the store, and runs none of them. */
export function withTrustedSchema<Result>(db: Database.Database, act: () => Result): Result {
  db.pragma('trusted_schema = ON');
  try {
    return act();
  } finally {
    db.pragma('trusted_schema = OFF');
  }
}

/** Runs a statement by `act`, as {@link withTrustedSchema} if it is an `ALTER TABLE`. */
export const altering = <Result>(db: Database.Database, sql: string, act: () => Result): Result =>
  /^\s*ALTER\s+TABLE\b/i.test(sql) ? withTrustedSchema(db, act) : act();

/** Whether another process kept a lock for longer than SQLite was told to wait: nothing is wrong, and trying again may do. */
export const isBusy = (error: unknown): boolean =>
  isSqliteError(error) && error.code.startsWith('SQLITE_BUSY');

/** The version of the SQLite that this process has, as `3.53.2`. */
export function libraryVersion(): string {
  const db = connect(':memory:');
  try {
    return String(db.prepare('SELECT sqlite_version()').pluck().get());
  } finally {
    db.close();
  }
}

/** What is in the WAL, in pages; 0 in rollback mode. */
interface WalState {
  readonly pages: number;
  /** Of them, those that the main file has too. */
  readonly checkpointed: number;
  /** Whether another connection was in the way of a checkpoint. */
  readonly isBusy: boolean;
}

/**
 * Reads the state of the WAL, or moves it into the main file first: `PASSIVE` what nobody reads any more, without
 * waiting; `RESTART` all of it, so that the next write begins at the WAL's start again.
 */
export async function checkpoint(store: Store, mode: 'NOOP' | 'PASSIVE' | 'RESTART'): Promise<WalState> {
  const row = await store.get<{ busy: number; log: number; checkpointed: number }>(
    `PRAGMA wal_checkpoint(${mode})`,
  );
  const { busy = 0, log = 0, checkpointed = 0 } = row ?? {};
  return { pages: Math.max(0, log), checkpointed: Math.max(0, checkpointed), isBusy: busy === 1 };
}

/** Tries once whether the WAL can begin anew: not while a transaction elsewhere still reads from it. */
export const restartWal = async (store: Store): Promise<boolean> =>
  await withoutWaiting(store, async () => !(await checkpoint(store, 'RESTART')).isBusy);

/** Acts without waiting for a lock of another connection's: a statement that meets one fails at once. */
export async function withoutWaiting<Result>(store: Store, act: () => Promise<Result>): Promise<Result> {
  const waitMs = Number((await store.get<{ timeout: number }>('PRAGMA busy_timeout'))?.timeout ?? 0);
  await store.get('PRAGMA busy_timeout = 0');
  try {
    return await act();
  } finally {
    await store.get(`PRAGMA busy_timeout = ${waitMs}`);
  }
}

/** Pages in the WAL at which a commit moves them into the main file by itself; 0: never. */
export async function setAutoCheckpoint(store: Store, pages: number): Promise<void> {
  await store.get(`PRAGMA wal_autocheckpoint = ${pages}`);
}

/** A number that changes when another connection commits, and not by this one's own commits. */
export async function dataVersion(store: Store): Promise<number> {
  return (await store.get<{ data_version: number }>('PRAGMA data_version'))?.data_version ?? 0;
}

/** SQL name of the reader of rare JSON texts: bytes in, strict JSON out, or NULL when they are not readable. */
export const READ_JSON = 'umzug_backfill_read_json';
/** SQL name of the judge of rare JSON strings: a string's JSON bytes in, its text out, or NULL when not usable. */
export const READ_STRING = 'umzug_backfill_read_string';
/** SQL name of the judge of whole texts: 1 when its bytes are valid. */
export const IS_UTF8 = 'umzug_backfill_is_utf8';

/**
 * Registers what SQLite's own JSON functions can not judge: texts that its reader refuses or reads too liberally, and strings with escapes
 * or beyond ASCII. All take bytes, as `CAST(… AS BLOB)` yields them: a JavaScript string can not hold invalid UTF-8.
 *
 * @param encoding the store's text encoding, as `PRAGMA encoding` gives it
 */
export function registerJsonFunctions(db: Database.Database, encoding: string): void {
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
