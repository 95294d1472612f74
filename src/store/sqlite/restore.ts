import { spawnSync } from 'node:child_process';
import { renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import Database from 'better-sqlite3';
import { BackfillError, isSqliteError, toBackfillError } from '../../errors.js';
import { failpoint } from '../../failpoint.js';
import { createPrivate, follow, statOf, sync, tryLink } from '../file.js';
import { locateStore, type StoreFiles } from '../path.js';
import { copyPath, PARTIAL, partialPath } from './backup.js';
import { isBusy } from './busy.js';
import { copyInto, isDamage, removeWithSidecars, SIDECARS } from './copy.js';
import { SqliteStore } from './store.js';

/** Others have written since the store was copied. */
export class CopyBehind extends Error {}

/**
 * When the store was last written, by anybody: equal before and after means that nothing was. Found by `stat`, since no
 * connection may read while another holds the store exclusively.
 */
export function writtenAt({ path }: StoreFiles): string {
  const ofFile = (file: string): string => {
    const found = statSync(file, { bigint: true, throwIfNoEntry: false });
    return found && found.size > 0n ? `${found.size} ${found.mtimeNs}` : 'nothing';
  };
  return `${ofFile(path)} ${ofFile(`${path}-wal`)}`;
}

/**
 * Writes a backup into the store.
 *
 * Through SQLite, as one transaction, so that open connections see it and a killed one is rolled back. Where SQLite can't,
 * since the store is damaged, or in WAL mode and of another page size, its file is replaced: only when nobody has it open.
 *
 * @param source the backup, opened to look
 * @param onLocked called when nobody else can write any more and nothing is written yet; what it throws ends it there
 * @returns whether the file was replaced: an idle connection in rollback mode can't be detected, and goes on with the old one
 * @throws {BackfillError} `STORE_BUSY`, `STORE_IN_USE`, `STORE_FULL` …
 * @see https://www.sqlite.org/c3ref/backup_finish.html
 */
export async function writeBack(
  source: SqliteStore,
  files: StoreFiles,
  onLocked: () => void,
): Promise<boolean> {
  const prepared = `${files.path}.restore${PARTIAL}`;
  const clearUp = (): void => [prepared, secondName(files.path)].forEach(removeWithSidecars);
  clearUp(); // of a restore that was killed
  try {
    const isWal = liveMode(files);
    const isSameMode = isWal === undefined || isWal === (source.journalMode === 'wal');
    if (isSameMode && (await writeInto(source, files, onLocked))) return false;
    createPrivate(prepared);
    await copyInto(source, prepared);
    if (isWal !== undefined) setMode(prepared, isWal);
    failpoint('restore', 'prepared');
    if (!isSameMode) {
      const other = new SqliteStore(locateStore(prepared, { isCopy: true }), { access: 'look' });
      try {
        if (await writeInto(other, files, onLocked)) return false;
      } finally {
        other.close();
      }
    }
    replace(prepared, files, onLocked);
    return true;
  } catch (error) {
    if (error instanceof CopyBehind) throw error;
    throw toBackfillError(error, 'while restoring it');
  } finally {
    clearUp();
  }
}

/** Whether the store is in WAL mode; undefined when it is too damaged, or too empty, to tell. */
function liveMode(files: StoreFiles): boolean | undefined {
  if (files.mainBytes === 0) return undefined;
  try {
    // A connection that writes would, as it closes, move what waits in the WAL into the file.
    const live = new SqliteStore(files, { access: files.walBytes > 0 ? 'look' : 'write' });
    const isWal = live.journalMode === 'wal';
    live.close();
    return isWal;
  } catch (error) {
    if (isDamage(error)) return undefined;
    throw error;
  }
}

/** Copies into the live store, through SQLite; false when that can't work. */
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

function setMode(path: string, isWal: boolean): void {
  const db = new Database(path, { fileMustExist: true });
  try {
    db.pragma(`journal_mode = ${isWal ? 'WAL' : 'DELETE'}`);
  } finally {
    db.close();
  }
}

/**
 * Puts a file in the place of the store's, alone with it under an exclusive lock. What a `-wal` or a `-journal` holds would
 * be applied to the new file, so they go first.
 */
function replace(prepared: string, files: StoreFiles, onLocked: () => void): void {
  const { path, folder, ownership } = files;
  follow(prepared, ownership);
  sync(prepared);
  let alone: Database.Database | undefined;
  try {
    alone = openAlone(path, onLocked);
    for (const suffix of SIDECARS) rmSync(path + suffix, { force: true });
    failpoint('restore', 'sidecars removed');
    renameSync(prepared, path);
    failpoint('restore', 'renamed');
    sync(folder);
  } catch (error) {
    if (!isBusy(error)) throw error;
    throw new BackfillError(
      'STORE_IN_USE',
      `${path} can not be written into, as it is damaged or has another page size, and other programs have it open`,
      'End every program that uses the store, then run the same command again; nothing was changed',
      { cause: error },
    );
  } finally {
    alone?.close();
  }
}

/** A second name of the store's file. */
const secondName = (path: string): string => `${path}.restore${PARTIAL}-lock`;

/**
 * A connection that keeps others out until it is closed. A sound store takes its WAL up. The journal mode stays: a kill may
 * leave this file in use. SQLite sees that it has been replaced, and leaves the new one's WAL alone.
 *
 * Of a damaged store SQLite reads a page before it asks for that lock, and so never gets to it, unless a `-wal` stands
 * there. A lock is the file's, whatever its name: by a second name, beside which one stands, it is locked all the same.
 */
function openAlone(path: string, onLocked: () => void): Database.Database {
  const [db, isSound] = openExclusive(path);
  if (isSound) {
    onLocked();
    db.pragma('wal_checkpoint(TRUNCATE)');
    return db;
  }
  db.close();
  const name = secondName(path);
  if (!tryLink(path, name)) return db; // a file system without links: nobody can tell
  createPrivate(`${name}-wal`);
  writeFileSync(`${name}-wal`, 'no header, and so no frames');
  return openExclusive(name)[0];
}

/** Opens a store for nobody else, and says whether it could be read. */
function openExclusive(path: string): readonly [db: Database.Database, isSound: boolean] {
  const db = new Database(path, { fileMustExist: true, timeout: 1000 });
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
 * Copies a store's files as they are, for one that SQLite can't read. Another process does it: in this one, closing a file
 * would drop SQLite's locks.
 *
 * @param folder where to
 * @returns path of the main file's copy
 */
export function saveFiles(files: StoreFiles, folder: string): string {
  const path = copyPath(files, folder, 'before-restore');
  const partial = partialPath(files, folder, 'before-restore');
  const suffixes = ['-wal', '-journal', ''].filter(
    (suffix) => suffix === '' || statOf(files.path + suffix)?.size,
  );
  try {
    removeWithSidecars(partial); // of a restore that was killed
    for (const suffix of suffixes) {
      createPrivate(partial + suffix);
      copyFile(files.path + suffix, partial + suffix);
      follow(partial + suffix, files.ownership);
      sync(partial + suffix);
    }
    for (const suffix of suffixes) renameSync(partial + suffix, path + suffix);
  } finally {
    removeWithSidecars(partial);
  }
  sync(folder);
  failpoint('restore', 'files saved');
  return path;
}

/** Unlike fs.copyFile it leaves the mode of the new file as it is. */
function copyFile(from: string, to: string): void {
  const script = `const fs = require('node:fs'); const [from, to] = process.argv.slice(1);
    fs.createReadStream(from).pipe(fs.createWriteStream(to, { flags: 'r+' }));`;
  const { status, stderr } = spawnSync(process.execPath, ['-e', script, from, to], { encoding: 'utf8' });
  if (status !== 0) throw notSaved(from, stderr);
}

function notSaved(path: string, stderr: string): BackfillError {
  const [errno = 'unknown'] = /\bE[A-Z]+\b/.exec(stderr) ?? [];
  return new BackfillError(
    errno === 'ENOSPC' ? 'STORE_FULL' : 'STORE_IO',
    `${path} could not be copied (${errno}), and is not replaced before it is`,
    'Make room, or name another disk: --backup-dir; then run the same command again; nothing was changed',
  );
}
