import { spawnSync } from 'node:child_process';
import { realpathSync, type Stats, statSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, resolve } from 'node:path';
import { BackfillError, errnoOf } from '../errors.js';
import { type Message, msg } from '../messages/message.js';
import { shellWord } from '../shell.js';
import { isReadable, isWritable, type Ownership, pathExists, tryStat } from './file.js';
import { entriesOf, refuseOtherOwner, refuseSidecars } from './trust.js';

/** The files of a store, found by `stat` alone. */
export interface StoreFiles {
  /** Absolute path with symbolic links resolved, so that one store has one path. */
  readonly path: string;
  readonly folder: string;
  readonly mainBytes: number;
  /** 0 if there is no `-wal`. */
  readonly walBytes: number;
  readonly hasShm: boolean;
  /** 0 if there is no `-journal`. */
  readonly journalBytes: number;
  /** Owner and mode of the store. Files that are created next to it get the same. */
  readonly ownership: Ownership;
}

/**
 * Returns `stat` of a path, or undefined if it does not exist.
 *
 * @throws {BackfillError} `STORE_FOLDER_READONLY` if this user may not enter a folder of the path
 */
export function find(path: string): Stats | undefined {
  try {
    return tryStat(path, ['ENOTDIR']);
  } catch (error) {
    if (errnoOf(error) !== 'EACCES') throw error;
    const folder = [...entriesOf(path)].at(-1)?.path ?? dirname(path);
    throw new BackfillError(
      'STORE_FOLDER_READONLY',
      msg('The folder {folder} of {path} cannot be entered by {who}', { folder, path, who: thisUser() }),
      msg('Pass another path, or let this user enter the folder: sudo chmod a+x {folder}', {
        folder: shellWord(folder),
      }),
      { cause: error },
    );
  }
}

/** Names the effective user, who differs from the one who typed the command if root has become the owner of the store. */
export function thisUser(): Message {
  const id = process.geteuid?.();
  return id === undefined ? msg('this user') : msg('this user (user id {id})', { id });
}

/** Returns a hint with the command that lets this user read and write an existing file or folder. */
export function howToWrite(path: string): Message {
  const self = process.geteuid?.();
  const stat = statSync(path);
  const { uid, mode } = stat;
  const [needed, change] = stat.isDirectory() ? [0o700, 'u+rwx'] : [0o600, 'u+rw'];
  const file = shellWord(path);
  const chmod = `chmod ${change} ${file}`;
  if (self === undefined || self === uid)
    return msg('Grant this user write permission: {command}', { command: chmod });
  const command = `sudo chown ${self} ${file}${(mode & needed) === needed ? '' : ` && sudo ${chmod}`}`;
  // Root becomes the user who owns any other part of the path.
  const isOwners = [...entriesOf(path)].every(({ stat }) => stat.uid === 0 || stat.uid === uid);
  return isOwners
    ? msg('Run the command as its owner, user id {uid}, or make this user the owner: {command}', {
        uid,
        command,
      })
    : msg('Make this user the owner: {command}', { command });
}

/**
 * Replaces a leading `~/` by the home folder, as a shell does; paths in config files and environment variables may have it too.
 */
export function expandHome(path: string): string {
  return path === '~' || path.startsWith('~/') ? homedir() + path.slice(1) : path;
}

/**
 * Finds the files of a store without opening any of them.
 *
 * Uses only `stat`, because opening and closing the main file through `fs` would drop every POSIX lock that SQLite holds on it in
 * this process.
 *
 * @param given the path; `~/` is the home folder
 * @param options `allowEmpty`: accepts an empty file, for a restore. `isCopy`: the file is a copy of a store, which for root may
 *   belong to another user. Default: neither
 * @throws {BackfillError} `STORE_MISSING`, `STORE_NOT_A_FILE`, `STORE_EMPTY`, `STORE_READONLY`, `STORE_FOLDER_READONLY` or
 *   `USAGE` (white space around the path); `ROOT_REFUSED` or `STORE_UNTRUSTED` if this user is root and the store belongs to
 *   another user; `STORE_UNTRUSTED` if a sidecar belongs to an untrusted user
 * @see https://www.sqlite.org/howtocorrupt.html section 2.2
 */
export function locateStore(given: string, { allowEmpty = false, isCopy = false } = {}): StoreFiles {
  // The driver trims its argument, so it would open or create another file.
  if (given !== given.trim() || given === '')
    throw new BackfillError(
      'USAGE',
      msg('The path of the store is empty, or begins or ends with white space'),
      msg('Pass it without white space: --db-path /path/to/store.db'),
    );
  const absolute = resolve(expandHome(given));
  const found = find(absolute);
  if (!found)
    throw new BackfillError(
      'STORE_MISSING',
      msg('There is no store at {path}', { path: absolute }),
      msg('Pass the path of an existing store: --db-path /path/to/store.db; this program creates none'),
    );
  if (!found.isFile())
    throw new BackfillError(
      'STORE_NOT_A_FILE',
      msg('{path} is not a file', { path: absolute }),
      msg('Pass the path of the store file: --db-path /path/to/store.db'),
    );
  if (!isCopy) refuseOtherOwner(absolute);
  const path = realpathSync(absolute);
  if (!isCopy) refuseSidecars(path, found.uid);
  if (!isReadable(path))
    throw new BackfillError(
      'STORE_READONLY',
      msg('The store at {path} cannot be read by {who}', { path, who: thisUser() }),
      howToWrite(path),
    );
  const files: StoreFiles = {
    path,
    folder: dirname(path),
    mainBytes: found.size,
    walBytes: tryStat(`${path}-wal`)?.size ?? 0,
    hasShm: pathExists(`${path}-shm`),
    journalBytes: tryStat(`${path}-journal`)?.size ?? 0,
    ownership: { uid: found.uid, gid: found.gid, mode: found.mode & 0o666 },
  };
  // Whatever its WAL contains: SQLite removes the WAL of an empty file.
  if (!allowEmpty && files.mainBytes === 0)
    throw new BackfillError(
      'STORE_EMPTY',
      msg('The store at {path} is an empty file', { path: absolute }),
      msg('Pass the path of a store that the application created: --db-path /path/to/store.db'),
    );
  return files;
}

/**
 * Returns one byte of a store's file, or undefined if the file is shorter. A separate process reads it, because closing the file
 * in this one would drop SQLite's locks on it.
 */
function byteOf(path: string, offset: number): number | undefined {
  const script = `const fs = require('node:fs'); const byte = Buffer.alloc(1);
    const [path, offset] = process.argv.slice(1);
    if (fs.readSync(fs.openSync(path), byte, 0, 1, Number(offset)) === 1) process.stdout.write(String(byte[0]));`;
  const { stdout } = spawnSync(process.execPath, ['-e', script, path, String(offset)], {
    encoding: 'utf8',
    env: {}, // after root privileges are dropped, other users can read a child's environment
  });
  return stdout === '' ? undefined : Number(stdout);
}

/**
 * Whether the store has a `-journal` that may be hot: its header is not zeroed. See https://www.sqlite.org/fileformat2.html
 * section 3.
 */
export const hasJournalHeader = ({ path, journalBytes }: StoreFiles): boolean =>
  journalBytes > 0 && (byteOf(`${path}-journal`, 0) ?? 0) !== 0;

/** Whether the store's header specifies WAL mode. See https://www.sqlite.org/fileformat2.html section 1.3.3. */
export const isWal = ({ path }: StoreFiles): boolean => byteOf(path, 18) === 2;

/**
 * Refuses a store that this user cannot write.
 *
 * @throws {BackfillError} `STORE_READONLY` or `STORE_FOLDER_READONLY`
 */
export function requireWritable(files: StoreFiles): void {
  if (!isWritable(files.path))
    throw new BackfillError(
      'STORE_READONLY',
      msg('The store at {path} cannot be written by {who}', { path: files.path, who: thisUser() }),
      howToWrite(files.path),
    );
  requireWritableFolder(files);
}

/**
 * Refuses a store in a folder that this user cannot write.
 *
 * @throws {BackfillError} `STORE_FOLDER_READONLY`
 */
export function requireWritableFolder({ folder }: StoreFiles, cause?: unknown): void {
  if (isWritable(folder)) return;
  throw new BackfillError(
    'STORE_FOLDER_READONLY',
    msg('The folder {folder} cannot be written by {who}, and SQLite keeps its journal there', {
      folder,
      who: thisUser(),
    }),
    howToWrite(folder),
    { cause },
  );
}
