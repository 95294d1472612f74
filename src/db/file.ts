import {
  accessSync,
  closeSync,
  constants,
  fchmodSync,
  fchownSync,
  fstatSync,
  fsyncSync,
  linkSync,
  lstatSync,
  openSync,
  renameSync,
  rmSync,
  type Stats,
  statSync,
} from 'node:fs';
import { errnoOf } from '../errors.js';

/** Owner and mode of a file. */
export interface Ownership {
  readonly uid: number;
  readonly gid: number;
  /** Permission bits, without those to execute. */
  readonly mode: number;
}

/** Suffixes of the files that SQLite keeps next to a database file, and applies to it. */
export const SIDECARS = ['-wal', '-shm', '-journal'] as const;

/** Creates an empty file that only this user may read, until it gets its final owner and mode. */
export function createPrivate(path: string): void {
  closeSync(openSync(path, 'wx', 0o600));
}

/**
 * Sets the owner and mode of a file that this process has just created, as far as this user may. By descriptor, so that no other
 * file can be affected. If the group cannot be set, no group gets access, because this user's own group may be wider.
 */
export function followOpen(fd: number, { uid, gid, mode }: Ownership): void {
  const own = fstatSync(fd);
  // Only root may change the owner; other users may set a group that they belong to.
  const owner = isRoot() ? uid : own.uid;
  const isSame = own.uid === owner && own.gid === gid;
  const hasGroup = isSame || succeeds(['EPERM'], () => fchownSync(fd, owner, gid));
  const wanted = hasGroup ? mode : mode & 0o606;
  if ((own.mode & 0o777) !== wanted) succeeds(['EPERM'], () => fchmodSync(fd, wanted));
}

/**
 * Opens a file, refusing a symbolic link, runs `act` on its descriptor and closes it. Not for a file that SQLite has open:
 * closing it would drop SQLite's locks.
 *
 * @param write whether to open it for writing too. Default false
 */
export async function withOpen<Result>(
  path: string,
  act: (fd: number) => Promise<Result> | Result,
  { write = false } = {},
): Promise<Result> {
  // Without O_NONBLOCK, opening a pipe would block.
  const { O_RDONLY, O_RDWR, O_NOFOLLOW = 0, O_NONBLOCK = 0 } = constants;
  const fd = openSync(path, (write ? O_RDWR : O_RDONLY) | O_NOFOLLOW | O_NONBLOCK);
  try {
    return await act(fd);
  } finally {
    closeSync(fd);
  }
}

/**
 * Moves a finished file to its name, on the same file system. Never replaces an existing file or follows a link.
 *
 * @returns whether the name was free
 */
export function nameFinished(path: string, name: string): boolean {
  try {
    if (tryLink(path, name)) {
      rmSync(path);
      return true;
    }
  } catch (error) {
    if (errnoOf(error) !== 'EEXIST') throw error;
    return false;
  }
  if (isNamed(name)) return false;
  renameSync(path, name);
  return true;
}

/** Hard-links a file. Returns false if the file system has no links, such as FAT. */
export const tryLink = (path: string, name: string): boolean =>
  succeeds(['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS'], () => linkSync(path, name)); // unlike rename, replaces nothing

/** Runs `act`. Returns false if it fails with one of these codes of the system. */
function succeeds(codes: readonly string[], act: () => void): boolean {
  try {
    act();
    return true;
  } catch (error) {
    if (codes.includes(errnoOf(error) ?? '')) return false;
    throw error;
  }
}

/** Whether the path exists, links followed. */
export const pathExists = (path: string): boolean => tryStat(path) !== undefined;

/** Whether the name is in use, even by a broken link. */
export const isNamed = (path: string): boolean => lstatOf(path) !== undefined;

/**
 * Returns `lstat` of a path, or undefined if it does not exist.
 *
 * @param absent further codes of the system for which it counts as nonexistent. Default: none
 */
export const lstatOf = (path: string, absent: readonly string[] = []): Stats | undefined =>
  found(lstatSync, path, absent);

/** Returns `stat` of a path, or undefined if it does not exist. See {@link lstatOf}. */
export const tryStat = (path: string, absent: readonly string[] = []): Stats | undefined =>
  found(statSync, path, absent);

/** A path that is too long, or whose links form a loop, counts as nonexistent. */
function found(stat: typeof statSync, path: string, absent: readonly string[]): Stats | undefined {
  try {
    return stat(path, { throwIfNoEntry: false });
  } catch (error) {
    if (['ENAMETOOLONG', 'ELOOP', ...absent].includes(errnoOf(error) ?? '')) return undefined;
    throw error;
  }
}

/** Flushes a file or folder to disk. Not for a file that SQLite has open. */
export function fsyncPath(path: string): void {
  const fd = openSync(path, 'r');
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

/** Whether this process runs as root. */
export const isRoot = (): boolean => process.geteuid?.() === 0;

/** Whether this user may read the file or folder. */
export const isReadable = (path: string): boolean => isAllowed(path, constants.R_OK);

/** Whether this user may write the file or folder. */
export const isWritable = (path: string): boolean => isAllowed(path, constants.W_OK);

const isAllowed = (path: string, access: number): boolean =>
  succeeds(['EACCES', 'EROFS', 'EPERM'], () => accessSync(path, access));
