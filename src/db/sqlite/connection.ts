import Database from 'better-sqlite3';
import { isSqliteError } from '../../engine-errors.js';
import type { Store } from '../connection.js';

/**
 * Opens a connection to SQLite; every connection of this package is opened here. Does not read the file yet.
 *
 * A schema may come from an untrusted author. Its triggers, views, defaults and expressions may therefore use only functions and
 * virtual tables that SQLite calls innocuous, and pages are checked when they are read. The driver opens connections in defensive
 * mode.
 *
 * @see https://www.sqlite.org/security.html
 */
export function connect(path: string, options: Database.Options = {}): Database.Database {
  const db = new Database(path, options);
  db.pragma('trusted_schema = OFF');
  db.pragma('cell_size_check = ON');
  return db;
}

/**
 * Runs `act` with a trusted schema: for `ALTER TABLE`, which compiles every view and trigger of the store without running them.
 */
function withTrustedSchema<Result>(db: Database.Database, act: () => Result): Result {
  db.pragma('trusted_schema = ON');
  try {
    return act();
  } finally {
    db.pragma('trusted_schema = OFF');
  }
}

/** Runs `act`, with a trusted schema if `sql` is an `ALTER TABLE`. */
export const altering = <Result>(db: Database.Database, sql: string, act: () => Result): Result =>
  /^\s*ALTER\s+TABLE\b/i.test(sql) ? withTrustedSchema(db, act) : act();

/** Whether a statement failed only because another connection held a lock for longer than the timeout; a retry may succeed. */
export const isBusy = (error: unknown): boolean =>
  isSqliteError(error) && error.code.startsWith('SQLITE_BUSY');

/** Returns the version of SQLite in this process, such as `3.53.2`. */
export function libraryVersion(): string {
  const db = connect(':memory:');
  try {
    return String(db.prepare('SELECT sqlite_version()').pluck().get());
  } finally {
    db.close();
  }
}

/** Contents of the WAL, in pages; 0 in rollback mode. */
interface WalState {
  readonly pages: number;
  /** Pages that the main file contains too. */
  readonly checkpointed: number;
  /** Whether another connection blocked the checkpoint. */
  readonly isBusy: boolean;
}

/**
 * Returns the state of the WAL, after a checkpoint unless `mode` is `NOOP`. `PASSIVE` moves the pages that no connection reads,
 * without waiting; `RESTART` moves all of them, so that the next write starts at the beginning of the WAL.
 */
export async function checkpoint(store: Store, mode: 'NOOP' | 'PASSIVE' | 'RESTART'): Promise<WalState> {
  const row = await store.get<{ busy: number; log: number; checkpointed: number }>(
    `PRAGMA wal_checkpoint(${mode})`,
  );
  const { busy = 0, log = 0, checkpointed = 0 } = row ?? {};
  return { pages: Math.max(0, log), checkpointed: Math.max(0, checkpointed), isBusy: busy === 1 };
}

/** Tries once to restart the WAL. Returns false while a transaction of another connection reads from it. */
export const restartWal = async (store: Store): Promise<boolean> =>
  await withoutWaiting(store, async () => !(await checkpoint(store, 'RESTART')).isBusy);

/** Runs `act` without waiting for locks: a statement that needs a lock of another connection fails at once. */
export async function withoutWaiting<Result>(store: Store, act: () => Promise<Result>): Promise<Result> {
  const timeoutMs = Number((await store.get<{ timeout: number }>('PRAGMA busy_timeout'))?.timeout ?? 0);
  await store.get('PRAGMA busy_timeout = 0');
  try {
    return await act();
  } finally {
    await store.get(`PRAGMA busy_timeout = ${timeoutMs}`);
  }
}

/** Sets the number of pages in the WAL at which a commit runs a checkpoint; 0: never. */
export async function setAutoCheckpoint(store: Store, pages: number): Promise<void> {
  await store.get(`PRAGMA wal_autocheckpoint = ${pages}`);
}

/** Returns a number that changes when another connection commits, but not when this one does. */
export async function dataVersion(store: Store): Promise<number> {
  return (await store.get<{ data_version: number }>('PRAGMA data_version'))?.data_version ?? 0;
}
