import { spawnSync } from 'node:child_process';
import { accessSync, constants, realpathSync, type Stats, statSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, resolve } from 'node:path';
import { BackfillError } from '../errors.js';
import { shellWord } from '../shell.js';
import type { Ownership } from './file.js';
import { entriesOf, refuseOtherOwner, refuseSidecars } from './trust.js';

/** What stands on disk at the path of a store, found by `stat` alone. */
export interface StoreFiles {
  /** Absolute path with symbolic links resolved: one store has one path. */
  readonly path: string;
  readonly folder: string;
  /** Size of the main file, in bytes. */
  readonly mainBytes: number;
  /** Size of `-wal`, in bytes; 0 when there is none. */
  readonly walBytes: number;
  /** Whether there is a `-shm`. */
  readonly hasShm: boolean;
  /** Size of `-journal`, in bytes; 0 when there is none. */
  readonly journalBytes: number;
  /** Whose the store is, and who else may use it: what files beside it follow. */
  readonly ownership: Ownership;
}

const sizeOf = (path: string): number => statSync(path, { throwIfNoEntry: false })?.size ?? 0;

/**
 * `stat`, with undefined for a path that leads nowhere.
 *
 * @throws {BackfillError} `STORE_FOLDER_READONLY` if this user may not enter a folder on the way
 */
export function find(path: string): Stats | undefined {
  try {
    return statSync(path, { throwIfNoEntry: false });
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOTDIR' || code === 'ENAMETOOLONG' || code === 'ELOOP') return undefined;
    if (code !== 'EACCES') throw error;
    const folder = [...entriesOf(path)].at(-1)?.path ?? dirname(path);
    throw new BackfillError(
      'STORE_FOLDER_READONLY',
      `${folder} on the way to ${path} can not be entered by ${thisUser()}`,
      `Name a path that does not lead through it, or let this user enter it: sudo chmod a+x ${shellWord(folder)}`,
      { cause: error },
    );
  }
}

/** Replaces a leading `~/` by the home folder, as a shell does; config files and environment variables hold it too. */
export function expandHome(path: string): string {
  return path === '~' || path.startsWith('~/') ? homedir() + path.slice(1) : path;
}

/**
 * Finds the files of a store without opening any of them.
 *
 * Opening and closing the main file through `fs` would drop every POSIX lock that SQLite holds on it in this
 * process, so only `stat` is used.
 *
 * @param given the path; `~/` is the home folder
 * @param options `mayBeEmpty`: whether a file without bytes is no error, since it is to be restored. Default false. `isCopy`: whether it is
 *   a copy of a store, which may be of another user than root. Default false
 * @throws {BackfillError} `STORE_MISSING`, `STORE_NOT_A_FILE`, `STORE_EMPTY`, `STORE_READONLY`, `STORE_FOLDER_READONLY` or `USAGE` (white space around the path); `ROOT_REFUSED` or
 *   `STORE_UNTRUSTED` if this user is root and the store is not; `STORE_UNTRUSTED` for what a stranger has put beside it
 * @see https://www.sqlite.org/howtocorrupt.html section 2.2
 */
export function locateStore(given: string, { mayBeEmpty = false, isCopy = false } = {}): StoreFiles {
  if (given !== given.trim() || given === '') {
    // The driver trims its argument: it would open, or create, another file than the one named.
    throw new BackfillError(
      'USAGE',
      'The path of the store is empty or has white space around it',
      'Give it without: --db-path /path/to/store.db',
    );
  }
  const absolute = resolve(expandHome(given));
  const found = find(absolute);
  if (!found) {
    throw new BackfillError(
      'STORE_MISSING',
      `There is no store at ${absolute}`,
      'Give the path of an existing store: --db-path /path/to/store.db; none is ever created',
    );
  }
  if (!found.isFile()) {
    throw new BackfillError(
      'STORE_NOT_A_FILE',
      `${absolute} is not a file`,
      'Give the path of the store file itself: --db-path /path/to/store.db',
    );
  }
  if (!isCopy) refuseOtherOwner(absolute);
  const path = realpathSync(absolute);
  if (!isCopy) refuseSidecars(path, found.uid);
  if (!isAllowed(path, constants.R_OK)) {
    throw new BackfillError(
      'STORE_READONLY',
      `The store at ${path} can not be read by ${thisUser()}`,
      howToWrite(path),
    );
  }
  const files: StoreFiles = {
    path,
    folder: dirname(path),
    mainBytes: found.size,
    walBytes: sizeOf(`${path}-wal`),
    hasShm: find(`${path}-shm`) !== undefined,
    journalBytes: sizeOf(`${path}-journal`),
    ownership: { uid: found.uid, gid: found.gid, mode: found.mode & 0o666 },
  };
  // Whatever stands in its WAL: SQLite removes that of an empty file when it opens it.
  if (!mayBeEmpty && files.mainBytes === 0) {
    throw new BackfillError(
      'STORE_EMPTY',
      `The store at ${absolute} is an empty file`,
      'Give the path of a store that the application has made: --db-path /path/to/store.db',
    );
  }
  return files;
}

/**
 * One byte of a store's file, or undefined when there is none. A process of its own reads it: in this one, closing the
 * file would drop SQLite's locks on it.
 */
function byteOf(path: string, offset: number): number | undefined {
  const script = `const fs = require('node:fs'); const byte = Buffer.alloc(1);
    const [path, offset] = process.argv.slice(1);
    if (fs.readSync(fs.openSync(path), byte, 0, 1, Number(offset)) === 1) process.stdout.write(String(byte[0]));`;
  const { stdout } = spawnSync(process.execPath, ['-e', script, path, String(offset)], {
    encoding: 'utf8',
    env: {}, // others may read that of a child where this process has given up root
  });
  return stdout === '' ? undefined : Number(stdout);
}

/**
 * Whether a `-journal` stands there whose header is not zeroed, so that it may be hot.
 *
 * @see https://www.sqlite.org/fileformat2.html section 3
 */
export function hasJournalHeader(files: StoreFiles): boolean {
  return files.journalBytes > 0 && (byteOf(`${files.path}-journal`, 0) ?? 0) !== 0;
}

/**
 * Whether the header says that the store is in WAL mode.
 *
 * @see https://www.sqlite.org/fileformat2.html section 1.3.3
 */
export function isWal(files: StoreFiles): boolean {
  return byteOf(files.path, 18) === 2;
}

/** Whether this user may write the file or folder. */
export const isWritable = (path: string): boolean => isAllowed(path, constants.W_OK);

function isAllowed(path: string, access: number): boolean {
  try {
    accessSync(path, access);
    return true;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EACCES' || code === 'EROFS' || code === 'EPERM') return false;
    throw error;
  }
}

/**
 * Refuses a store that this user can not write, before anything is tried.
 *
 * @throws {BackfillError} `STORE_READONLY` or `STORE_FOLDER_READONLY`
 */
export function requireWritable(files: StoreFiles): void {
  if (!isWritable(files.path)) {
    throw new BackfillError(
      'STORE_READONLY',
      `The store at ${files.path} can not be written by ${thisUser()}`,
      howToWrite(files.path),
    );
  }
  requireWritableFolder(files);
}

/**
 * Refuses a store in a folder that this user can not write.
 *
 * @throws {BackfillError} `STORE_FOLDER_READONLY`
 */
export function requireWritableFolder(files: StoreFiles, cause?: unknown): void {
  if (!isWritable(files.folder)) {
    throw new BackfillError(
      'STORE_FOLDER_READONLY',
      `The folder ${files.folder} can not be written by ${thisUser()}, and SQLite keeps its journal there`,
      howToWrite(files.folder),
      { cause },
    );
  }
}

/** Who this process is: where root has become the owner of the store, not the user who has typed the command. */
export function thisUser(): string {
  const self = process.geteuid?.();
  return self === undefined ? 'this user' : `this user (user id ${self})`;
}

/** The hint with the command that lets this user read and write a file or folder that is there. */
export function howToWrite(path: string): string {
  const self = process.geteuid?.();
  const found = statSync(path);
  const { uid, mode } = found;
  const isFolder = found.isDirectory();
  const file = shellWord(path);
  const chmod = `chmod ${isFolder ? 'u+rwx' : 'u+rw'} ${file}`;
  if (self === undefined || self === uid) return `Give this user write permission: ${chmod}`;
  const needed = isFolder ? 0o700 : 0o600;
  const give = `sudo chown ${self} ${file}${(mode & needed) === needed ? '' : ` && sudo ${chmod}`}`;
  // Root becomes whoever else owns a part of the path.
  const isOwners = [...entriesOf(path)].every(({ stat }) => stat.uid === 0 || stat.uid === uid);
  return isOwners
    ? `Run the command as user id ${uid}, who owns it, or give it to this user: ${give}`
    : `Give it to this user: ${give}`;
}
