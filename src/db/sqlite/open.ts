import { isUtf8 } from 'node:buffer';
import { createRequire } from 'node:module';
import { dirname, sep } from 'node:path';
import type Database from 'better-sqlite3';
import { unsafeUse } from '../../error-meanings.js';
import { BackfillError, toBackfillError } from '../../errors.js';
import { isSqliteError } from '../../store-errors.js';
import type { OpenOptions } from '../connection.js';
import { readJson, usableString } from '../json-text.js';
import { GIVE_UP_MS } from '../locks.js';
import {
  hasJournalHeader,
  isWal,
  isWritable,
  requireWritable,
  requireWritableFolder,
  type StoreFiles,
} from '../path.js';
import { tokensOf } from '../sql.js';
import { refuseSidecars } from '../trust.js';
import { connect } from './connection.js';

/** How long a look waits for another writer, by default, in milliseconds. */
const LOOK_WAIT_MS = 5000;

/** Page cache, in KiB. A batch and the index pages it touches fit; 64 MiB measured no faster, and some percent slower. */
export const CACHE_KIB = 8192;

/** WAL frames between two checkpoints; 4,000 measured some percent faster than SQLite's 1,000. */
export const CHECKPOINT_PAGES = 4000;

/** How long a statement waits for another writer, in milliseconds. */
export const busyWaitOf = ({ access, busyWaitMs }: OpenOptions): number =>
  busyWaitMs ?? (access === 'look' ? LOOK_WAIT_MS : GIVE_UP_MS);

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
export function openDatabase(files: StoreFiles, options: OpenOptions): Database.Database {
  const isLook = options.access === 'look';
  refuseSidecars(files.path, files.ownership.uid);
  const mayBeHot = hasJournalHeader(files);
  // A reader that may not write the file could not remove the sidecars that SQLite makes for it in WAL mode, and as its
  // own they could keep the store's owner from writing.
  const leavesSidecars = !isWritable(files.path) && (files.walBytes > 0 ? !files.hasShm : isWal(files));
  if (!isLook || leavesSidecars) requireWritable(files);
  let db: Database.Database | undefined;
  try {
    db = connect(files.path, {
      fileMustExist: true,
      readonly: isLook && (files.walBytes > 0 || mayBeHot),
      timeout: busyWaitOf(options),
    });
    if (isLook) db.pragma('query_only = ON');
    db.prepare('SELECT count(*) FROM sqlite_schema').get();
    configure(db, isLook);
    registerJsonFunctions(db, String(db.pragma('encoding', { simple: true })));
    return db;
  } catch (error) {
    db?.close();
    if (isSqliteError(error) && /^SQLITE_(?:CANTOPEN|READONLY_DIRECTORY)/.test(error.code))
      requireWritableFolder(files, error);
    throw toBackfillError(error);
  }
}

function configure(db: Database.Database, isLook: boolean): void {
  db.pragma(`cache_size = -${CACHE_KIB}`);
  db.pragma('temp_store = MEMORY');
  if (isLook) return;
  // SQLite's own default for WAL, which a connection does not get when the file is in WAL mode already.
  const isWalMode = db.pragma('journal_mode', { simple: true }) === 'wal';
  db.pragma(`synchronous = ${isWalMode ? 'NORMAL' : 'FULL'}`);
  db.pragma(`wal_autocheckpoint = ${CHECKPOINT_PAGES}`);
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
  const used = isSqliteError(error) ? unsafeUse(error.message)?.used : undefined;
  if (used === undefined) return undefined;
  const word = used.replace(/^the virtual table |\(\)$/g, '').toLowerCase();
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
    `SQLite refuses ${used} in the schema of a file, and it is used by ${objects.join(', ')}`,
    'Drop what stands in the way, run the same command again, then create it anew',
    { cause: error },
  );
}

/** SQL name of the reader of rare JSON texts: bytes in, strict JSON out, or NULL when they are not readable. */
export const READ_JSON = 'umzug_backfill_read_json';
/** SQL name of the judge of rare JSON strings: a string's JSON bytes in, its text out, or NULL when not usable. */
export const READ_STRING = 'umzug_backfill_read_string';
/** SQL name of the judge of whole texts: 1 when its bytes are valid. */
export const IS_UTF8 = 'umzug_backfill_is_utf8';

/**
 * Registers what SQLite's own JSON functions can not judge: texts that its reader refuses or reads too liberally,
 * and strings with escapes or beyond ASCII. Both take bytes: a JavaScript string can not hold invalid UTF-8.
 *
 * @param db the connection
 * @param encoding the store's text encoding, as `PRAGMA encoding` gives it: `CAST(… AS BLOB)` yields its bytes
 */
export function registerJsonFunctions(db: Database.Database, encoding: string): void {
  const utf8 = utf8Bytes(encoding);
  const options = { deterministic: true, directOnly: true };
  db.function(READ_JSON, options, (bytes: unknown) => {
    if (!Buffer.isBuffer(bytes)) return null;
    const text = utf8(bytes);
    const json = text === null ? null : readJson(text);
    // Bytes in the store's own encoding go back as bytes: text of ours would replace what is not valid UTF-8.
    return encoding === 'UTF-8' ? json : (json?.toString('utf8') ?? null);
  });
  db.function(IS_UTF8, options, (bytes: unknown) =>
    Buffer.isBuffer(bytes) && (encoding !== 'UTF-8' || isUtf8(bytes)) ? 1 : 0,
  );
  db.function(READ_STRING, options, (bytes: unknown) => {
    if (!Buffer.isBuffer(bytes)) return null;
    const text = utf8(bytes);
    return text === null ? null : usableString(text);
  });
}

function utf8Bytes(encoding: string): (bytes: Buffer) => Buffer | null {
  if (encoding === 'UTF-8') return (bytes) => bytes;
  return (bytes) => {
    if (bytes.length % 2 !== 0) return null;
    const little = encoding === 'UTF-16be' ? Buffer.from(bytes).swap16() : bytes;
    return Buffer.from(little.toString('utf16le'), 'utf8');
  };
}

/** A native module of that name, or one that a package of that name has built or brought: `better-sqlite3/prebuilds/linux-x64.node`. */
const SQLITE_ADDON = /sqlite3?(?:[\\/](?:build|prebuilds)[\\/].*)?\.node$/;

/**
 * Refuses to work in a process that has loaded another copy of SQLite: two copies drop each other's locks on a file. Takes
 * some milliseconds.
 *
 * @throws {BackfillError} `SQLITE_TWICE` naming it
 * @see https://www.sqlite.org/howtocorrupt.html section 2.2.1
 */
export function refuseSecondSqlite(): void {
  const loaded = loadedAddons().filter((path) => SQLITE_ADDON.test(path));
  const ours = dirname(createRequire(import.meta.url).resolve('better-sqlite3/package.json')) + sep;
  const second = loaded.find((path) => !path.startsWith(ours));
  if (second === undefined) return;
  throw new BackfillError(
    'SQLITE_TWICE',
    `This process has loaded another copy of SQLite, ${second}: two of them drop each other's locks on the store`,
    'Let the application use the same better-sqlite3 (npm ls better-sqlite3), or run umzug-backfill up as a second process',
  );
}

/** Paths of the native modules that this process has loaded. */
function loadedAddons(): string[] {
  const report = process.report as NodeJS.ProcessReport & { excludeNetwork?: boolean };
  const before = report.excludeNetwork ?? false;
  report.excludeNetwork = true; // else it would look up the names of all peers
  const { sharedObjects } = report.getReport() as unknown as { readonly sharedObjects: readonly string[] };
  report.excludeNetwork = before;
  return sharedObjects.filter((path) => path.endsWith('.node'));
}
