import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import type Database from 'better-sqlite3';
import {
  type AcquireOptions,
  type HeldLock,
  type LockHolder,
  type LockState,
  pollPause,
  runLocked,
} from '../db/connection.js';
import { isWritable } from '../db/file.js';
import type { StoreFiles } from '../db/path.js';
import { isBusy } from '../db/sqlite/connection.js';
import { BackfillError } from '../errors.js';
import { failpoint } from '../failpoint.js';
import {
  createLockFile,
  hasLockFile,
  lockPath,
  lockUnusable,
  openLockFile,
  prepareLockFile,
  readSignature,
  writeSignature,
} from './lock-file.js';

/** Time that a statement waits for another process that reads or signs, in milliseconds; both take only moments. */
const BUSY_TIMEOUT_MS = 200;

/** Time that a probe of the lock waits for another probe, in milliseconds. */
const PROBE_TIMEOUT_MS = 50;

/** Maximum attempts to sign before the lock counts as held. */
const MAX_SIGN_ATTEMPTS = 5;

/**
 * Acquires the run lock, which allows one command at a time to change a store: a write transaction on a small SQLite file next to
 * the store. The operating system releases it when the process ends, in whatever way, so locks never expire or go stale. The file
 * is never unlinked, because two processes could then lock two files with the same name.
 *
 * @throws {BackfillError} `RUN_LOCKED` naming the holder after the timeout, `LOCK_UNUSABLE` if the lock file must not or cannot
 *   be opened, `STORE_FULL`, `STORE_IO` …, `TERMINATED`, `INTERRUPTED`
 * @see https://www.sqlite.org/lockingv3.html: under RESERVED, which BEGIN IMMEDIATE takes, other connections may still read
 */
export async function acquireLock(
  files: StoreFiles,
  { timeoutMs, onWait, now = () => new Date(), signal }: AcquireOptions,
): Promise<HeldLock> {
  const giveUpAt = performance.now() + timeoutMs;
  for (let hasTold = false; ; hasTold = true) {
    const db = explained(files, () => tryLock(files, now));
    if (db) {
      failpoint('lock', 'taken');
      return {
        async release() {
          db.close(); // rolls back
          failpoint('lock', 'released');
        },
      };
    }
    const leftMs = giveUpAt - performance.now();
    if (leftMs <= 0) throw runLocked(explained(files, () => findHolder(files)));
    if (!hasTold) onWait?.(explained(files, () => findHolder(files)));
    await pollPause(signal, leftMs);
  }
}

/**
 * Returns the state of the run lock. Creates no file, and holds the lock only for a moment, which a starting command waits out.
 *
 * @throws {BackfillError} `LOCK_UNUSABLE` if the lock file is damaged, or must not be opened
 */
export function readLockState(files: StoreFiles): LockState {
  return explained(files, () => {
    if (!hasLockFile(files)) return { state: 'free' };
    if (!isWritable(lockPath(files))) return { state: 'unknown' }; // a read-only connection cannot probe the lock
    const db = openLockFile(files, PROBE_TIMEOUT_MS);
    try {
      prepareLockFile(db);
      db.exec('BEGIN IMMEDIATE');
      readSignature(db);
      return { state: 'free' };
    } catch (error) {
      if (!isBusy(error)) throw error;
      const holder = readHolder(db);
      return { state: 'held', ...(holder ? { holder } : {}) };
    } finally {
      db.close(); // rolls back
    }
  });
}

/** Returns a connection that holds the signed lock, or undefined if another process has it. */
function tryLock(files: StoreFiles, now: () => Date): Database.Database | undefined {
  createLockFile(files);
  const db = openLockFile(files, BUSY_TIMEOUT_MS);
  try {
    if (sign(db, now)) return db;
  } catch (error) {
    if (!isBusy(error)) {
      db.close();
      throw error;
    }
  }
  db.close();
  return undefined;
}

/** Signs and acquires the lock. Returns false if other processes keep overwriting the signature. */
function sign(db: Database.Database, now: () => Date): boolean {
  const token = randomBytes(8).toString('hex');
  prepareLockFile(db);
  for (let tries = 0; tries < MAX_SIGN_ATTEMPTS; tries += 1) {
    db.exec('BEGIN IMMEDIATE');
    const last = readSignature(db);
    if (tries > 0 && last?.token === token) return true;
    // The commit that makes the signature visible releases the lock, so another process may acquire it first.
    writeSignature(db, { token, pid: process.pid, host: hostname(), since: now().toISOString() });
    db.exec('COMMIT');
    failpoint('lock', 'signed');
  }
  return false;
}

/** Returns the last signer, or undefined if there is none or a process is just signing. Call it outside a transaction. */
function readHolder(db: Database.Database): LockHolder | undefined {
  try {
    prepareLockFile(db);
    db.exec('BEGIN');
    const { token: _, ...holder } = readSignature(db) ?? {};
    return 'pid' in holder ? (holder as LockHolder) : undefined;
  } catch (error) {
    if (isBusy(error)) return undefined;
    throw error;
  }
}

/** Like {@link readHolder}, for a lock file that is not open. */
function findHolder(files: StoreFiles): LockHolder | undefined {
  const db = openLockFile(files, BUSY_TIMEOUT_MS);
  try {
    return readHolder(db);
  } finally {
    db.close();
  }
}

/** Runs `act`, and explains errors of the lock file. */
function explained<Result>(files: StoreFiles, act: () => Result): Result {
  try {
    return act();
  } catch (error) {
    throw error instanceof BackfillError ? error : lockUnusable(files, error);
  }
}
