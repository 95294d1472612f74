import {
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

/** Whose a file is, and who may read and write it. */
export interface Ownership {
  readonly uid: number;
  readonly gid: number;
  /** Permission bits, without those to execute. */
  readonly mode: number;
}

/** Makes an empty file that only this user may read: nobody else sees it before it has its owner and mode. */
export function createPrivate(path: string): void {
  closeSync(openSync(path, 'wx', 0o600));
}

/**
 * Gives an open file that this process has just made the owner and mode of the store, as far as this user may: by its descriptor, so that no
 * other file can be meant. A group that cannot be given gets no access, since this user's own group may be a wider one.
 */
export function followOpen(fd: number, { uid, gid, mode }: Ownership): void {
  const own = fstatSync(fd);
  // Only root gives files away; anybody else may give them to a group that they are in.
  const owner = process.geteuid?.() === 0 ? uid : own.uid;
  const isSame = own.uid === owner && own.gid === gid;
  const hasGroup = isSame || tryChange(() => fchownSync(fd, owner, gid));
  const wanted = hasGroup ? mode : mode & 0o606;
  if ((own.mode & 0o777) !== wanted) tryChange(() => fchmodSync(fd, wanted));
}

/**
 * Opens a file, not through a symbolic link, acts on its descriptor and closes it. Not for a file that SQLite has open at the end: closing
 * it would drop SQLite's locks.
 *
 * @param write whether to write to it. Default false
 */
export async function withOpen<Result>(
  path: string,
  act: (fd: number) => Promise<Result> | Result,
  { write = false } = {},
): Promise<Result> {
  // Without O_NONBLOCK a pipe would be waited for.
  const { O_RDONLY, O_RDWR, O_NOFOLLOW = 0, O_NONBLOCK = 0 } = constants;
  const fd = openSync(path, (write ? O_RDWR : O_RDONLY) | O_NOFOLLOW | O_NONBLOCK);
  try {
    return await act(fd);
  } finally {
    closeSync(fd);
  }
}

/**
 * Gives a finished file its name, on the same file system. Whatever has that name is neither followed nor replaced.
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

/** Whether this user was allowed to do it. */
function tryChange(act: () => void): boolean {
  try {
    act();
    return true;
  } catch (error) {
    if (errnoOf(error) === 'EPERM') return false;
    throw error;
  }
}

/** Whether a file could be given a second name: some file systems, FAT among them, have no links, nor owners. */
export function tryLink(path: string, name: string): boolean {
  try {
    linkSync(path, name); // fails where there is one, unlike rename
    return true;
  } catch (error) {
    if (/^(?:EPERM|ENOTSUP|EOPNOTSUPP|ENOSYS)$/.test(errnoOf(error) ?? '')) return false;
    throw error;
  }
}

/** Whether something stands at the path. */
export const isThere = (path: string): boolean => statOf(path) !== undefined;

/** Whether the name is in use, if only by a link that leads nowhere. */
export const isNamed = (path: string): boolean => lstatOf(path) !== undefined;

/** `lstat`, or undefined when there is nothing. */
export const lstatOf = (path: string): Stats | undefined => found(lstatSync, path);

/** `stat`, or undefined when there is nothing. */
export const statOf = (path: string): Stats | undefined => found(statSync, path);

/** Looks at a path; at one that is too long, or leads round in links, there is nothing. */
function found(look: typeof statSync | typeof lstatSync, path: string): Stats | undefined {
  try {
    return look(path, { throwIfNoEntry: false });
  } catch (error) {
    if (/^(?:ENAMETOOLONG|ELOOP)$/.test(errnoOf(error) ?? '')) return undefined;
    throw error;
  }
}

/** Waits until a file's or a folder's contents are on the disk. Not for a file that SQLite has open. */
export function sync(path: string): void {
  const fd = openSync(path, 'r');
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}
