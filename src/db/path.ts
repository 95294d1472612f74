import { spawnSync } from 'node:child_process';
import { existsSync, realpathSync, type Stats, statSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, resolve } from 'node:path';
import { BackfillError, errnoOf } from '../errors.js';
import { msg } from '../messages/message.js';
import { shellWord } from '../shell.js';
import {
  entriesOf,
  findOpening,
  howToWrite,
  isReadable,
  isRoot,
  isShared,
  isTrustedFile,
  isTrustedOwner,
  isWritable,
  lstatOf,
  type Opening,
  type Ownership,
  pathExists,
  thisUser,
  tryStat,
} from './file.js';

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

/** Endings of the files that SQLite keeps beside a file, and applies to it. */
export const SIDECARS = ['-wal', '-shm', '-journal'] as const;

/**
 * `stat`, with undefined for a path that leads nowhere.
 *
 * @throws {BackfillError} `STORE_FOLDER_READONLY` if this user may not enter a folder on the way
 */
export function find(path: string): Stats | undefined {
  try {
    return statSync(path, { throwIfNoEntry: false });
  } catch (error) {
    const code = errnoOf(error);
    if (code === 'ENOTDIR' || code === 'ENAMETOOLONG' || code === 'ELOOP') return undefined;
    if (code !== 'EACCES') throw error;
    const folder = [...entriesOf(path)].at(-1)?.path ?? dirname(path);
    throw new BackfillError(
      'STORE_FOLDER_READONLY',
      msg('{folder} on the way to {path} can not be entered by {who}', { folder, path, who: thisUser() }),
      msg('Name a path that does not lead through it, or let this user enter it: sudo chmod a+x {folder}', {
        folder: shellWord(folder),
      }),
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
 * @param options `allowEmpty`: whether a file without bytes is no error, since it is to be restored. `isCopy`: whether it is a copy of a
 *   store, which may be of another user than root. Default: neither
 * @throws {BackfillError} `STORE_MISSING`, `STORE_NOT_A_FILE`, `STORE_EMPTY`, `STORE_READONLY`, `STORE_FOLDER_READONLY` or `USAGE` (white space
 *   around the path); `ROOT_REFUSED` or `STORE_UNTRUSTED` if this user is root and the store is not; `STORE_UNTRUSTED` for what a stranger
 *   has put beside it
 * @see https://www.sqlite.org/howtocorrupt.html section 2.2
 */
export function locateStore(given: string, { allowEmpty = false, isCopy = false } = {}): StoreFiles {
  if (given !== given.trim() || given === '') {
    // The driver trims its argument: it would open, or create, another file than the one named.
    throw new BackfillError(
      'USAGE',
      msg('The path of the store is empty or has white space around it'),
      msg('Give it without: --db-path /path/to/store.db'),
    );
  }
  const absolute = resolve(expandHome(given));
  const found = find(absolute);
  if (!found) {
    throw new BackfillError(
      'STORE_MISSING',
      msg('There is no store at {path}', { path: absolute }),
      msg('Give the path of an existing store: --db-path /path/to/store.db; none is ever created'),
    );
  }
  if (!found.isFile()) {
    throw new BackfillError(
      'STORE_NOT_A_FILE',
      msg('{path} is not a file', { path: absolute }),
      msg('Give the path of the store file itself: --db-path /path/to/store.db'),
    );
  }
  if (!isCopy) refuseOtherOwner(absolute);
  const path = realpathSync(absolute);
  if (!isCopy) refuseSidecars(path, found.uid);
  if (!isReadable(path)) {
    throw new BackfillError(
      'STORE_READONLY',
      msg('The store at {path} can not be read by {who}', { path, who: thisUser() }),
      howToWrite(path),
    );
  }
  const files: StoreFiles = {
    path,
    folder: dirname(path),
    mainBytes: found.size,
    walBytes: tryStat(`${path}-wal`)?.size ?? 0,
    hasShm: pathExists(`${path}-shm`),
    journalBytes: tryStat(`${path}-journal`)?.size ?? 0,
    ownership: { uid: found.uid, gid: found.gid, mode: found.mode & 0o666 },
  };
  // Whatever stands in its WAL: SQLite removes that of an empty file when it opens it.
  if (!allowEmpty && files.mainBytes === 0) {
    throw new BackfillError(
      'STORE_EMPTY',
      msg('The store at {path} is an empty file', { path: absolute }),
      msg('Pass the path of a store that the application created: --db-path /path/to/store.db'),
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

/** Whether there is a `-journal` that may be hot: its header is not zeroed. See https://www.sqlite.org/fileformat2.html section 3. */
export const hasJournalHeader = ({ path, journalBytes }: StoreFiles): boolean =>
  journalBytes > 0 && (byteOf(`${path}-journal`, 0) ?? 0) !== 0;

/** Whether the header says that the store is in WAL mode. See https://www.sqlite.org/fileformat2.html section 1.3.3. */
export const isWal = ({ path }: StoreFiles): boolean => byteOf(path, 18) === 2;

/**
 * Refuses a store that this user can not write, before anything is tried.
 *
 * @throws {BackfillError} `STORE_READONLY` or `STORE_FOLDER_READONLY`
 */
export function requireWritable(files: StoreFiles): void {
  if (!isWritable(files.path))
    throw new BackfillError(
      'STORE_READONLY',
      msg('The store at {path} can not be written by {who}', { path: files.path, who: thisUser() }),
      howToWrite(files.path),
    );
  requireWritableFolder(files);
}

/**
 * Refuses a store in a folder that this user can not write.
 *
 * @throws {BackfillError} `STORE_FOLDER_READONLY`
 */
export function requireWritableFolder({ folder }: StoreFiles, cause?: unknown): void {
  if (isWritable(folder)) return;
  throw new BackfillError(
    'STORE_FOLDER_READONLY',
    msg('The folder {folder} can not be written by {who}, and SQLite keeps its journal there', {
      folder,
      who: thisUser(),
    }),
    howToWrite(folder),
    { cause },
  );
}

/**
 * Finds the user whose store root was asked to use: the one who owns the file, or a link or folder on the way to it.
 *
 * @returns their id; undefined if the store and its path are root's own, or if this user is not root
 * @throws {BackfillError} `STORE_UNTRUSTED` if several users own parts of the path, or if others may replace the store
 */
export function otherOwner(given: string): number | undefined {
  if (!isRoot()) return undefined;
  const path = resolve(given);
  // The group of a folder of root's can harm root alone, and no longer does once this process belongs to the store's owner.
  const first = findOpening(path, { groups: true });
  const owner = first?.by === 'owner' ? first.owner : undefined;
  const trust = owner === undefined ? {} : { owners: [owner], groups: true };
  const opening = findOpening(path, trust);
  if (opening) throw untrusted(path, opening, owner);
  if (owner === undefined && existsSync(path)) refuseSharedFolder(path);
  return owner;
}

/** Refuses a store that root would use where a stranger could put a journal beside it, at any time, which SQLite would apply. */
function refuseSharedFolder(path: string): void {
  const store = realpathSync(path);
  const folder = dirname(store);
  if (!isShared(folder)) return;
  const own = shellWord(`${store}.d`);
  const files = ['', '-wal', '-journal'].map((end) => store + end);
  const present = files.filter((file) => {
    const found = lstatOf(file);
    return found !== undefined && isTrustedOwner(found);
  });
  throw new BackfillError(
    'STORE_UNTRUSTED',
    msg('Root does not use the store at {path}: other users may put files beside it in {folder}', {
      path,
      folder,
    }),
    msg(
      'End the application, put the store into a folder of its own, and use it from there: mkdir -m 700 {folder} && mv {files} {folder}',
      { folder: own, files: present.map(shellWord).join(' ') },
    ),
  );
}

function untrusted(path: string, { by, path: at, owner: second }: Opening, first: number | undefined) {
  if (by === 'owner')
    return new BackfillError(
      'STORE_UNTRUSTED',
      msg(
        'Root does not use the store at {path}: user id {first} owns a part of its path, and user id {second} owns {at}',
        { path, first, second, at },
      ),
      msg("Put sudo -u '#{uid}' before the command, so that this user runs it", {
        uid: tryStat(path)?.uid || second,
      }),
    );
  return by === 'group'
    ? new BackfillError(
        'STORE_UNTRUSTED',
        msg('Root does not use the store at {path}: the group of {at} may replace it', { path, at }),
        msg('Remove that permission: chmod g-w {path}; or let the user of the application own the store', {
          path: shellWord(at),
        }),
      )
    : new BackfillError(
        'STORE_UNTRUSTED',
        msg('Root does not use the store at {path}: every user may replace what is in {at}', { path, at }),
        msg('Remove that permission: chmod o-w {path}', { path: shellWord(at) }),
      );
}

/**
 * Looks at what SQLite would apply to a store when it opens that, for every user: it asks for no owner itself.
 *
 * @param path of the store, with links resolved
 * @param owner user id of the store's owner
 * @throws {BackfillError} `STORE_UNTRUSTED` if it is not a file, or if its owner is not trusted
 */
export function refuseSidecars(path: string, owner: number): void {
  for (const end of SIDECARS) {
    const at = path + end;
    const found = lstatOf(at);
    if (!found) continue;
    // With -T it does not go through a link that a stranger has put there.
    const [from, to] = [at, `${at}.moved`].map(shellWord);
    if (!found.isFile())
      throw new BackfillError(
        'STORE_UNTRUSTED',
        msg('The store at {path} is not opened: {at} beside it is not a file', { path, at }),
        msg('End the application and move that away: sudo mv -T {from} {to}', { from, to }),
      );
    if (isTrustedFile(at, found, [owner])) continue;
    throw new BackfillError(
      'STORE_UNTRUSTED',
      msg('The store at {path} is not opened: {at} beside it belongs to user id {owner}', {
        path,
        at,
        owner: found.uid,
      }),
      msg(
        'If no program of yours has made it, end the application and move it away: sudo mv -T {from} {to}; if the application has, it may hold what that has committed: sudo chown --reference={path} {from}',
        { from, to, path: shellWord(path) },
      ),
    );
  }
}

/**
 * Refuses to use another user's store as root. SQLite opens files by name and creates more of them later, so that user could
 * lead root to any other file.
 *
 * @throws {BackfillError} `ROOT_REFUSED`, `STORE_UNTRUSTED`
 */
function refuseOtherOwner(path: string): void {
  const owner = otherOwner(path);
  if (owner === undefined) return;
  throw new BackfillError(
    'ROOT_REFUSED',
    msg('Root does not use the store at {path} from within a program: it belongs to user id {owner}', {
      path,
      owner,
    }),
    msg(
      "Put sudo -u '#{owner}' before the program; the command line, run as a process of its own, becomes that user by itself",
      { owner },
    ),
  );
}
