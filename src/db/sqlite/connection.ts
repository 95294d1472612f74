import Database from 'better-sqlite3';
import { isSqliteError } from '../../store-errors.js';
import type { Store } from '../connection.js';

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
  const timeoutMs = Number((await store.get<{ timeout: number }>('PRAGMA busy_timeout'))?.timeout ?? 0);
  await store.get('PRAGMA busy_timeout = 0');
  try {
    return await act();
  } finally {
    await store.get(`PRAGMA busy_timeout = ${timeoutMs}`);
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
