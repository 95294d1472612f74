import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import type Database from 'better-sqlite3';
import { pauseFor, throwIfAborted } from '../abort.js';
import {
  type AcquireOptions,
  type HeldLock,
  type LockHolder,
  type LockState,
  POLL_MS,
  runLocked,
} from '../db/connector.js';
import { isWritable } from '../db/file.js';
import type { StoreFiles } from '../db/path.js';
import { isBusy } from '../db/sqlite/connection.js';
import { BackfillError } from '../errors.js';
import { failpoint } from '../failpoint.js';
import { msg } from '../messages/message.js';
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

/** How long a statement waits for a rival that reads or signs, in milliseconds: either takes moments. */
const BUSY_TIMEOUT_MS = 200;

/** How long a look waits for another one, in milliseconds. */
const PROBE_TIMEOUT_MS = 50;

/** How often a rival may have signed in between, before the next try is put off. */
const MAX_SIGN_ATTEMPTS = 5;

/**
 * Takes the run lock, waiting for another run to end: one run at a time on a store. It is a write transaction on a small SQLite file
 * beside the store, held for as long as the run lasts. The operating system drops it with the process, however that ends, so that nothing
 * has to expire or be taken over. The file stays: to unlink it would let two runs lock two files of one name.
 *
 * @param files the store; links to it are resolved, so that one store has one lock
 * @throws {BackfillError} `RUN_LOCKED` naming the holder when the wait is over, `LOCK_UNUSABLE` when the lock's file must
 *   not or can not be opened, `STORE_FULL`, `STORE_IO` …, `TERMINATED`, `INTERRUPTED`
 * @see https://www.sqlite.org/lockingv3.html: under RESERVED, which BEGIN IMMEDIATE takes, others may still read
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
    await pauseFor(Math.min(leftMs, POLL_MS.min + Math.random() * (POLL_MS.max - POLL_MS.min)), signal);
    throwIfAborted(signal, msg('while waiting for the run lock'));
  }
}

/**
 * Looks whether a run is under way. Makes no file, and holds the lock itself for no longer than a moment, which a run that
 * begins then waits for.
 *
 * @throws {BackfillError} `LOCK_UNUSABLE` when the lock's file is damaged, or must not be opened
 */
export function readLockState(files: StoreFiles): LockState {
  return explained(files, () => {
    if (!hasLockFile(files)) return { state: 'free' };
    if (!isWritable(lockPath(files))) return { state: 'unknown' }; // SQLite would read it without asking for the lock
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

/** A connection that holds the lock, signed, or undefined when a rival has it. */
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

/** Signs the lock and takes it; false when rivals sign over it time and again. */
function sign(db: Database.Database, now: () => Date): boolean {
  const token = randomBytes(8).toString('hex');
  prepareLockFile(db);
  for (let tries = 0; tries < MAX_SIGN_ATTEMPTS; tries += 1) {
    db.exec('BEGIN IMMEDIATE');
    const last = readSignature(db);
    if (tries > 0 && last?.token === token) return true;
    // Signing takes a commit, and that the lock: a rival may take it before this process has it again.
    writeSignature(db, { token, pid: process.pid, host: hostname(), since: now().toISOString() });
    db.exec('COMMIT');
    failpoint('lock', 'signed');
  }
  return false;
}

/** Who signed last, or undefined when nobody has, or a rival signs right now. On a connection without a transaction. */
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

/** The same for a lock that is not open. */
function findHolder(files: StoreFiles): LockHolder | undefined {
  const db = openLockFile(files, BUSY_TIMEOUT_MS);
  try {
    return readHolder(db);
  } finally {
    db.close();
  }
}

/** Runs `act`; an error of the lock's file is told as one. */
function explained<Result>(files: StoreFiles, act: () => Result): Result {
  try {
    return act();
  } catch (error) {
    throw error instanceof BackfillError ? error : lockUnusable(files, error);
  }
}
