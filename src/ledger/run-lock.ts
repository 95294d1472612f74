import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import Database from 'better-sqlite3';
import { BackfillError, errnoOf, isSqliteError, toBackfillError } from '../errors.js';
import { failpoint } from '../failpoint.js';
import { shellWord } from '../shell.js';
import { createFollowing, follow, isThere } from '../store/file.js';
import { isWritable, type StoreFiles } from '../store/path.js';
import { isBusy } from '../store/sqlite/busy.js';

/** Who holds the lock. */
export interface LockHolder {
  readonly pid: number;
  readonly host: string;
  /** ISO-8601 in UTC. Absent where a server does not let this user see it. */
  readonly since?: string;
}

/** Whether a run holds the lock; `unknown` to a user who may not write the lock's file. */
export interface LockState {
  readonly state: 'free' | 'held' | 'unknown';
  /** Absent in the moment before it has signed, and where nobody holds it. */
  readonly holder?: LockHolder;
}

/** How to wait for the lock. */
export interface LockOptions {
  /** How long to wait for another run, in milliseconds; 0: not at all. */
  readonly timeoutMs: number;
  /** Told once, when there is something to wait for; the holder is undefined in the moment before it has signed. */
  readonly onWait?: ((holder: LockHolder | undefined) => void) | undefined;
  /** The present. Default: the system's clock. */
  readonly now?: (() => Date) | undefined;
}

/** Pause between two tries, in milliseconds: by chance, so that rivals do not meet again and again. */
const POLL_MS = { least: 30, most: 120 };

/** How long a statement waits for a rival that reads or signs, in milliseconds: either takes moments. */
const BUSY_WAIT_MS = 200;

/** How long a look waits for another one, in milliseconds. */
const LOOK_WAIT_MS = 50;

/** How often a rival may have signed in between, before the next try is put off. */
const SIGN_TRIES = 5;

/**
 * One run at a time on a store: a write transaction on a small SQLite file beside it, held for as long as the run lasts. The
 * operating system drops it with the process, however that ends, so that nothing has to expire or be taken over. The
 * file stays: to unlink it would let two runs lock two files of one name.
 *
 * Its lifetime is a command's, from before the second look at the store until after the store is closed.
 *
 * @see https://www.sqlite.org/lockingv3.html: under RESERVED, which BEGIN IMMEDIATE takes, others may still read
 */
export class RunLock {
  readonly #db: Database.Database;

  private constructor(db: Database.Database) {
    this.#db = db;
  }

  /**
   * Takes the lock, waiting for another run to end.
   *
   * @param files the store; links to it are resolved, so that one store has one lock
   * @throws {BackfillError} `RUN_LOCKED` naming the holder when the wait is over, `LOCK_UNUSABLE` when the lock's file can
   *   not be opened, `STORE_FULL`, `STORE_IO` …
   */
  static async acquire(
    files: StoreFiles,
    { timeoutMs, onWait, now = () => new Date() }: LockOptions,
  ): Promise<RunLock> {
    const path = lockPath(files);
    const giveUpAt = performance.now() + timeoutMs;
    let hasTold = false;
    for (;;) {
      const db = tryLock(path, files, now);
      if (db) {
        failpoint('lock', 'taken');
        return new RunLock(db);
      }
      const leftMs = giveUpAt - performance.now();
      if (leftMs <= 0) throw runLocked(readHolder(path));
      if (!hasTold) onWait?.(readHolder(path));
      hasTold = true;
      await sleep(Math.min(leftMs, POLL_MS.least + Math.random() * (POLL_MS.most - POLL_MS.least)));
    }
  }

  /** Lets the next run begin. */
  release(): void {
    this.#db.close(); // rolls back
    failpoint('lock', 'released');
  }
}

/**
 * Looks whether a run is under way. Makes no file, and holds the lock itself for no longer than a moment, which a run that
 * begins then waits for.
 *
 * @throws {BackfillError} `LOCK_UNUSABLE` when the lock's file is damaged
 */
export function lookAtLock(files: StoreFiles): LockState {
  const path = lockPath(files);
  if (!isThere(path)) return { state: 'free' };
  if (!isWritable(path)) return { state: 'unknown' }; // SQLite would read it without asking for the lock
  let db: Database.Database | undefined;
  try {
    db = new Database(path, { fileMustExist: true, timeout: LOOK_WAIT_MS });
    db.exec('BEGIN IMMEDIATE; ROLLBACK');
    return { state: 'free' };
  } catch (error) {
    if (!isBusy(error)) throw lockUnusable(path, files.path, error);
    const holder = readHolder(path);
    return { state: 'held', ...(holder ? { holder } : {}) };
  } finally {
    db?.close();
  }
}

const lockPath = ({ path }: StoreFiles): string => `${path}.lock`;

/** A connection that holds the lock, signed, or undefined when a rival has it. */
function tryLock(path: string, files: StoreFiles, now: () => Date): Database.Database | undefined {
  const token = randomBytes(8).toString('hex');
  return withLockFile(path, files, (db) => {
    for (let tries = 0; tries < SIGN_TRIES; tries += 1) {
      db.exec('BEGIN IMMEDIATE');
      if (tries > 0 && db.prepare('SELECT 1 FROM holder WHERE token = ?').get(token)) return true;
      // Signing takes a commit, and that the lock: a rival may take it before this process has it again.
      db.exec(`CREATE TABLE IF NOT EXISTS holder (token TEXT, pid INTEGER, host TEXT, since TEXT);
        DELETE FROM holder`);
      db.prepare('INSERT INTO holder VALUES (?, ?, ?, ?)').run(
        token,
        process.pid,
        hostname(),
        now().toISOString(),
      );
      db.exec('COMMIT');
      failpoint('lock', 'signed');
    }
    return false;
  });
}

/** Opens the lock's file and keeps it open if `act` says so; a rival's lock is no error. */
function withLockFile(
  path: string,
  files: StoreFiles,
  act: (db: Database.Database) => boolean,
): Database.Database | undefined {
  let db: Database.Database | undefined;
  try {
    createFollowing(path, files.ownership);
    db = new Database(path, { fileMustExist: true, timeout: BUSY_WAIT_MS });
    if (act(db)) {
      follow(path, files.ownership); // the store may have got another owner since
      return db;
    }
  } catch (error) {
    if (!isBusy(error)) {
      db?.close();
      throw lockUnusable(path, files.path, error);
    }
  }
  db?.close();
  return undefined;
}

/** Who signed last, or undefined when nobody has, or a rival signs right now. */
function readHolder(path: string): LockHolder | undefined {
  const db = new Database(path, { fileMustExist: true, timeout: BUSY_WAIT_MS });
  try {
    return db.prepare('SELECT pid, host, since FROM holder').get() as LockHolder | undefined;
  } catch (error) {
    if (isSqliteError(error)) return undefined;
    throw error;
  } finally {
    db.close();
  }
}

/** Who holds the lock, for a person. */
export const holderText = ({ pid, host, since }: LockHolder): string =>
  `process ${pid} on ${host}${since === undefined ? '' : `, since ${since}`}`;

function runLocked(holder: LockHolder | undefined): BackfillError {
  const who = holder ? holderText(holder) : 'a process that has just begun';
  return new BackfillError(
    'RUN_LOCKED',
    `Another run holds the lock of this store: ${who}`,
    'Wait until it has ended and run the same command again, or let it wait for longer: --lock-timeout 600',
  );
}

/** Damage, and an owner or mode that keeps this user out, are mended at the file itself; a full disk is not. */
function lockUnusable(path: string, store: string, cause: unknown): BackfillError {
  const code = isSqliteError(cause) ? cause.code : (errnoOf(cause) ?? '');
  const isDamaged = /^SQLITE_(?:CORRUPT|NOTADB|ERROR)/.test(code); // the last: another program's database
  const isKeptOut = /^(?:SQLITE_(?:CANTOPEN|READONLY|PERM)|EACCES$|EPERM$)/.test(code);
  if (!isDamaged && !isKeptOut) return toBackfillError(cause, 'while taking its lock');
  return new BackfillError(
    'LOCK_UNUSABLE',
    `The lock of this store, ${path}, can not be opened (${code})`,
    isDamaged
      ? `End every run on this store, then remove the file: rm ${shellWord(path)}`
      : `Give it the owner and mode of the store: ${['chown', 'chmod'].map((change) => `sudo ${change} --reference=${shellWord(store)} ${shellWord(path)}`).join('; ')}`,
    { cause },
  );
}
