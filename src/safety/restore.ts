import { spawnSync } from 'node:child_process';
import {
  fstatSync,
  fsyncSync,
  readSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import type Database from 'better-sqlite3';
import {
  createPrivate,
  followOpen,
  fsyncPath,
  nameFinished,
  type Ownership,
  SIDECARS,
  tryLink,
  tryStat,
  withOpen,
} from '../db/file.js';
import { locateStore, type StoreFiles } from '../db/path.js';
import { connect, isBusy } from '../db/sqlite/connection.js';
import type { SqliteStore } from '../db/sqlite/store.js';
import { openSqlite } from '../engine/sqlite/dialect.js';
import { isSqliteError } from '../engine-errors.js';
import { BackfillError, toBackfillError } from '../errors.js';
import { failpoint } from '../failpoint.js';
import { msg } from '../messages/message.js';
import { copyPath, copyPrefix, unguessable, VERSIONS_OFFSET } from './backup.js';
import { copyInto, type Digest, digestOf, isDamage } from './copy.js';
import { withPrivateFolder } from './copy-trust.js';

/** Thrown if other programs have written since the store was copied. */
export class StaleCopyError extends Error {}

/**
 * Returns a text that changes with every write to the store. Uses `stat`, because no connection can read while another holds the
 * store exclusively.
 */
export function lastModified({ path }: StoreFiles): string {
  const ofFile = (file: string): string => {
    const found = statSync(file, { bigint: true, throwIfNoEntry: false });
    return found && found.size > 0n ? `${found.size} ${found.mtimeNs}` : 'nothing';
  };
  return `${ofFile(path)} ${ofFile(`${path}-wal`)}`;
}

/**
 * Copies a backup into a private folder, so that the checked file is the restored one, and sets the copy's journal mode to the
 * store's.
 *
 * @param path the backup
 * @param copy path of the copy, which must not exist
 * @returns size and SHA-256 of the backup
 */
export async function takeIn(path: string, copy: string, files: StoreFiles): Promise<Digest> {
  createPrivate(copy);
  const digest = await withOpen(path, async (from) =>
    withOpen(copy, async (to) => digestOf(requireFile(from, path), to), { write: true }),
  );
  failpoint('restore', 'taken in');
  const isWal = await liveMode(files);
  const setMode = async (fd: number): Promise<void> => {
    const versions = Buffer.alloc(2);
    readSync(fd, versions, 0, 2, VERSIONS_OFFSET);
    versions.fill(isWal === undefined ? (versions[0] ?? 1) : isWal ? 2 : 1);
    writeSync(fd, versions, 0, 2, VERSIONS_OFFSET);
  };
  if (digest.bytes > 0) await withOpen(copy, setMode, { write: true });
  return digest;
}

/** Returns the descriptor if it is still that of a file with one name. */
function requireFile(fd: number, path: string): number {
  const found = fstatSync(fd);
  if (found.isFile() && found.nlink === 1) return fd;
  throw new BackfillError(
    'BACKUP_UNTRUSTED',
    msg('{path} was replaced by another file during the command', { path }),
    msg('Check which program replaces it, then run the same command again; nothing was changed'),
  );
}

/**
 * Writes a backup into the store: through SQLite, as one transaction, so that open connections see it and a killed restore is
 * rolled back. If SQLite cannot do so, because the store is damaged, or in WAL mode with another page size, replaces the file,
 * unless another program has it open.
 *
 * @param prepared copy of the backup in its private folder next to the store, from {@link takeIn}; the call may move it
 * @param onLocked called when other programs can no longer write and nothing is written yet; throw to cancel the restore
 * @returns whether the file was replaced: an idle connection in rollback mode cannot be detected, and keeps the old file
 * @throws {BackfillError} `STORE_BUSY`, `STORE_IN_USE`, `STORE_FULL` …
 * @see https://www.sqlite.org/c3ref/backup_finish.html
 */
export async function restoreInto(
  prepared: string,
  files: StoreFiles,
  onLocked: () => void,
): Promise<boolean> {
  try {
    const source = openSqlite(locateStore(prepared, { isCopy: true }), { access: 'read' });
    try {
      if (await writeInto(source, files, onLocked)) return false;
    } finally {
      await source.close();
    }
    failpoint('restore', 'prepared');
    await replace(prepared, files, onLocked);
    return true;
  } catch (error) {
    if (error instanceof StaleCopyError) throw error;
    throw toBackfillError(error, 'while restoring it');
  }
}

/** Reads whether the store is in WAL mode; undefined if it is unreadable or empty. */
async function liveMode(files: StoreFiles): Promise<boolean | undefined> {
  if (files.mainBytes === 0) return undefined;
  try {
    // Closing a connection with write access would move the WAL into the file.
    const live = openSqlite(files, { access: files.walBytes > 0 ? 'read' : 'write' });
    const isWal = live.journalMode === 'wal';
    await live.close();
    return isWal;
  } catch (error) {
    if (isDamage(error)) return undefined;
    throw error;
  }
}

/** Copies into the live store through SQLite. Returns false if that is not possible. */
async function writeInto(source: SqliteStore, files: StoreFiles, onLocked: () => void): Promise<boolean> {
  try {
    await copyInto(source, files.path, onLocked);
    failpoint('restore', 'written');
    return true;
  } catch (error) {
    const isOtherPageSize = isSqliteError(error) && error.code === 'SQLITE_READONLY';
    if (isOtherPageSize || isDamage(error)) return false;
    throw error;
  }
}

/**
 * Replaces the store's file under an exclusive lock. Removes `-wal` and `-journal` first, because SQLite would apply them to the
 * new file.
 */
async function replace(prepared: string, files: StoreFiles, onLocked: () => void): Promise<void> {
  const { path, folder, ownership } = files;
  await withOpen(prepared, async (fd) => settle(fd, ownership));
  let alone: Database.Database | undefined;
  try {
    alone = acquireExclusive(path, join(dirname(prepared), unguessable()), onLocked);
    for (const suffix of SIDECARS) rmSync(path + suffix, { force: true });
    failpoint('restore', 'sidecars removed');
    renameSync(prepared, path);
    failpoint('restore', 'renamed');
    fsyncPath(folder);
  } catch (error) {
    if (!isBusy(error)) throw error;
    throw new BackfillError(
      'STORE_IN_USE',
      msg(
        '{path} must be replaced, because it is damaged or has another page size, but other programs have it open',
        { path },
      ),
      msg('Stop every program that uses the store, then run the same command again; nothing was changed'),
      { cause: error },
    );
  } finally {
    alone?.close();
  }
}

/** Sets the owner and mode of an open file to the store's, and flushes it to disk. */
function settle(fd: number, ownership: Ownership): void {
  followOpen(fd, ownership);
  fsyncSync(fd);
}

/**
 * Returns a connection that excludes all others until it is closed. For a sound store, also checkpoints the WAL. The journal mode
 * stays, because a kill may leave this file in use. SQLite notices that the file has been replaced, and does not touch the new
 * one's WAL.
 *
 * In a damaged store SQLite reads a page before it requests the lock, and so never acquires it, unless a `-wal` exists. A lock
 * applies to the file under all of its names, so a second name with a `-wal` next to it is locked instead.
 *
 * @param name the second name, in a private folder
 */
function acquireExclusive(path: string, name: string, onLocked: () => void): Database.Database {
  const [db, isSound] = openExclusive(path);
  if (isSound) {
    onLocked();
    db.pragma('wal_checkpoint(TRUNCATE)');
    return db;
  }
  db.close();
  if (!tryLink(path, name)) return db; // without links, open connections cannot be detected
  createPrivate(`${name}-wal`);
  writeFileSync(`${name}-wal`, 'no header, and so no frames');
  return openExclusive(name)[0];
}

/** Opens a store exclusively, and returns whether it could be read. */
function openExclusive(path: string): readonly [db: Database.Database, isSound: boolean] {
  const db = connect(path, { fileMustExist: true, timeout: 1000 });
  try {
    db.pragma('locking_mode = EXCLUSIVE'); // see https://www.sqlite.org/pragma.html#pragma_locking_mode
    return [db, isReadable(db)];
  } catch (error) {
    db.close();
    throw error;
  }
}

function isReadable(db: Database.Database): boolean {
  try {
    db.exec('BEGIN EXCLUSIVE; COMMIT');
    return true;
  } catch (error) {
    if (isDamage(error)) return false;
    throw error;
  }
}

/**
 * Copies a store's files as they are, for one that SQLite cannot read. A separate process does it, because closing a file in this
 * one would drop SQLite's locks.
 *
 * @returns path of the main file's copy
 */
export async function saveFiles(files: StoreFiles, folder: string): Promise<string> {
  // The main file comes last, so that an incomplete copy has none.
  const suffixes = ['-wal', '-journal', ''].filter(
    (suffix) => suffix === '' || tryStat(files.path + suffix)?.size,
  );
  return await withPrivateFolder(copyPrefix(files, folder, 'before-restore'), async (work) => {
    const copy = join(work, unguessable());
    for (const suffix of suffixes) {
      createPrivate(copy + suffix);
      const fill = async (fd: number): Promise<void> => {
        copyFile(files.path + suffix, fd);
        settle(fd, files.ownership);
      };
      await withOpen(copy + suffix, fill, { write: true });
    }
    const path = nameAll(copy, suffixes, () => copyPath(files, folder, 'before-restore'));
    fsyncPath(folder);
    failpoint('restore', 'files saved');
    return path;
  });
}

/** Moves the finished files of one copy to their names, all or none; retries with another name if one is in use. */
function nameAll(copy: string, suffixes: readonly string[], pick: () => string): string {
  for (;;) {
    const path = pick();
    const taken = suffixes.findIndex((suffix) => !nameFinished(copy + suffix, path + suffix));
    if (taken < 0) return path;
    for (const suffix of suffixes.slice(0, taken)) renameSync(path + suffix, copy + suffix);
  }
}

/** @param to descriptor of the new file */
function copyFile(from: string, to: number): void {
  const script = `const fs = require('node:fs'); const flags = fs.constants.O_RDONLY | (fs.constants.O_NOFOLLOW ?? 0);
    fs.createReadStream(process.argv[1], { flags }).pipe(fs.createWriteStream('', { fd: 3 }));`;
  const { status, stderr } = spawnSync(process.execPath, ['-e', script, from], {
    encoding: 'utf8',
    env: {}, // after root privileges are dropped, other users can read a child's environment
    stdio: ['ignore', 'ignore', 'pipe', to],
  });
  if (status !== 0) throw notSaved(from, stderr);
}

function notSaved(path: string, stderr: string): BackfillError {
  const [errno = 'unknown'] = /\bE[A-Z]+\b/.exec(stderr) ?? [];
  return new BackfillError(
    errno === 'ENOSPC' ? 'STORE_FULL' : 'STORE_IO',
    msg('{path} could not be copied ({code}), and is not replaced without a copy', { path, code: errno }),
    msg(
      'Free disk space, or pass a folder on another disk: --backup-dir; then run the same command again; nothing was changed',
    ),
  );
}
