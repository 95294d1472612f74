import type Database from 'better-sqlite3';
import { toBackfillError } from '../../errors.js';
import { isSqliteError } from '../../store-errors.js';
import { GIVE_UP_MS } from '../busy.js';
import { refuseSidecars } from '../owner.js';
import {
  hasJournalHeader,
  isWal,
  isWritable,
  requireWritable,
  requireWritableFolder,
  type StoreFiles,
} from '../path.js';
import type { OpenOptions } from '../site.js';
import { connect } from './connection.js';
import { registerJsonFunctions } from './json-functions.js';

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
