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

/** The files of a store, found by `stat` alone. */
export interface StoreFiles {
  /** Absolute path with symbolic links resolved, so that one store has one path. */
  readonly path: string;
  readonly folder: string;
  /** Size of the main file, in bytes. */
  readonly mainBytes: number;
  /** Size of `-wal`, in bytes; 0 if there is none. */
  readonly walBytes: number;
  /** Whether there is a `-shm`. */
  readonly hasShm: boolean;
  /** Size of `-journal`, in bytes; 0 if there is none. */
  readonly journalBytes: number;
  /** Owner and mode of the store. Files that are created next to it get the same. */
  readonly ownership: Ownership;
}

/** Suffixes of the files that SQLite keeps next to a database file, and applies to it. */
export const SIDECARS = ['-wal', '-shm', '-journal'] as const;

/**
 * Returns `stat` of a path, or undefined if it does not exist.
 *
 * @throws {BackfillError} `STORE_FOLDER_READONLY` if this user may not enter a folder of the path
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
      msg('The folder {folder} of {path} cannot be entered by {who}', { folder, path, who: thisUser() }),
      msg('Pass another path, or let this user enter the folder: sudo chmod a+x {folder}', {
        folder: shellWord(folder),
      }),
      { cause: error },
    );
  }
}

/** Replaces a leading `~/` by the home folder, as a shell does; paths in config files and environment variables may have it too. */
export function expandHome(path: string): string {
  return path === '~' || path.startsWith('~/') ? homedir() + path.slice(1) : path;
}

/**
 * Finds the files of a store without opening any of them.
 *
 * Uses only `stat`, because opening and closing the main file through `fs` would drop every POSIX lock that SQLite holds on it in this
 * process.
 *
 * @param given the path; `~/` is the home folder
 * @param options `allowEmpty`: accepts an empty file, for a restore. `isCopy`: the file is a copy of a store, which for root may belong to
 *   another user. Default: neither
 * @throws {BackfillError} `STORE_MISSING`, `STORE_NOT_A_FILE`, `STORE_EMPTY`, `STORE_READONLY`, `STORE_FOLDER_READONLY` or `USAGE` (white space
 *   around the path); `ROOT_REFUSED` or `STORE_UNTRUSTED` if this user is root and the store belongs to another user; `STORE_UNTRUSTED` if a
 *   sidecar belongs to an untrusted user
 * @see https://www.sqlite.org/howtocorrupt.html section 2.2
 */
export function locateStore(given: string, { allowEmpty = false, isCopy = false } = {}): StoreFiles {
  if (given !== given.trim() || given === '') {
    // The driver trims its argument, so it would open or create another file.
    throw new BackfillError(
      'USAGE',
      msg('The path of the store is empty, or begins or ends with white space'),
      msg('Pass it without white space: --db-path /path/to/store.db'),
    );
  }
  const absolute = resolve(expandHome(given));
  const found = find(absolute);
  if (!found) {
    throw new BackfillError(
      'STORE_MISSING',
      msg('There is no store at {path}', { path: absolute }),
      msg('Pass the path of an existing store: --db-path /path/to/store.db; this program creates none'),
    );
  }
  if (!found.isFile()) {
    throw new BackfillError(
      'STORE_NOT_A_FILE',
      msg('{path} is not a file', { path: absolute }),
      msg('Pass the path of the store file: --db-path /path/to/store.db'),
    );
  }
  if (!isCopy) refuseOtherOwner(absolute);
  const path = realpathSync(absolute);
  if (!isCopy) refuseSidecars(path, found.uid);
  if (!isReadable(path)) {
    throw new BackfillError(
      'STORE_READONLY',
      msg('The store at {path} cannot be read by {who}', { path, who: thisUser() }),
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
  // Whatever its WAL contains: SQLite removes the WAL of an empty file.
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
 * Returns one byte of a store's file, or undefined if the file is shorter. A separate process reads it, because closing the file in this one
 * would drop SQLite's locks on it.
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

/** Whether the store has a `-journal` that may be hot: its header is not zeroed. See https://www.sqlite.org/fileformat2.html section 3. */
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

/**
 * For root, finds another user who owns the store, or a link or folder of its path.
 *
 * @returns the user id; undefined if root owns the store and its path, or if this user is not root
 * @throws {BackfillError} `STORE_UNTRUSTED` if several users own parts of the path, or if another user may replace the store
 */
export function otherOwner(given: string): number | undefined {
  if (!isRoot()) return undefined;
  const path = resolve(given);
  // The group of a folder of root can harm only root, and no longer can once this process runs as the store's owner.
  const first = findOpening(path, { groups: true });
  const owner = first?.by === 'owner' ? first.owner : undefined;
  const trust = owner === undefined ? {} : { owners: [owner], groups: true };
  const opening = findOpening(path, trust);
  if (opening) throw untrusted(path, opening, owner);
  if (owner === undefined && existsSync(path)) refuseSharedFolder(path);
  return owner;
}

/** Refuses, for root, a store in a folder where an untrusted user could at any time create a journal, which SQLite would apply. */
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
    msg('Root does not use the store at {path}: other users may create files next to it in {folder}', {
      path,
      folder,
    }),
    msg(
      'Stop the application, and move the store to a separate folder: mkdir -m 700 {folder} && mv {files} {folder}',
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
        msg('Root does not use the store at {path}: every user may replace files in {at}', { path, at }),
        msg('Remove that permission: chmod o-w {path}', { path: shellWord(at) }),
      );
}

/**
 * Refuses untrusted sidecars, which SQLite would apply to the store without checking their owner.
 *
 * @param path path of the store, with links resolved
 * @param owner user id of the store's owner
 * @throws {BackfillError} `STORE_UNTRUSTED` if a sidecar is not a file, or if its owner is not trusted
 */
export function refuseSidecars(path: string, owner: number): void {
  for (const end of SIDECARS) {
    const at = path + end;
    const found = lstatOf(at);
    if (!found) continue;
    // -T does not follow a link at the target.
    const [from, to] = [at, `${at}.moved`].map(shellWord);
    if (!found.isFile())
      throw new BackfillError(
        'STORE_UNTRUSTED',
        msg('The store at {path} is not opened: {at} next to it is not a file', { path, at }),
        msg('Stop the application and move it away: sudo mv -T {from} {to}', { from, to }),
      );
    if (isTrustedFile(at, found, [owner])) continue;
    throw new BackfillError(
      'STORE_UNTRUSTED',
      msg('The store at {path} is not opened: {at} next to it belongs to user id {owner}', {
        path,
        at,
        owner: found.uid,
      }),
      msg(
        'If the application did not create it, stop the application and move it away: sudo mv -T {from} {to}; if it did, the file may contain committed data: sudo chown --reference={path} {from}',
        { from, to, path: shellWord(path) },
      ),
    );
  }
}

/**
 * Refuses to use another user's store as root. SQLite opens and creates files by name, so that user could lead root to any other file.
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
      "Put sudo -u '#{owner}' before the program; the command line, run as a separate process, switches to that user by itself",
      { owner },
    ),
  );
}
