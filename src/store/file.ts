import {
  chmodSync,
  chownSync,
  closeSync,
  fchmodSync,
  fchownSync,
  fstatSync,
  fsyncSync,
  linkSync,
  openSync,
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
 * Gives a file the owner and mode of the store, as far as this user may. A group that can not be given gets no access,
 * since this user's own group may be a wider one.
 */
export function follow(path: string, { uid, gid, mode }: Ownership): void {
  const own = statSync(path);
  // Only root gives files away; anybody else may give them to a group that they are in.
  const owner = process.geteuid?.() === 0 ? uid : own.uid;
  const isSame = own.uid === owner && own.gid === gid;
  const hasGroup = isSame || tryChange(() => chownSync(path, owner, gid));
  const wanted = hasGroup ? mode : mode & 0o606;
  if ((own.mode & 0o777) !== wanted) tryChange(() => chmodSync(path, wanted));
}

/**
 * Does the same to an open file that this process has just made: by its descriptor, so that no other file can be meant.
 *
 * @param fd descriptor of a file that this user owns
 */
export function followOpen(fd: number, { uid, gid, mode }: Ownership): void {
  const owner = process.geteuid?.() === 0 ? uid : fstatSync(fd).uid;
  const hasGroup = tryChange(() => fchownSync(fd, owner, gid));
  tryChange(() => fchmodSync(fd, hasGroup ? mode : mode & 0o606));
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

/** `stat`, or undefined when there is nothing. */
export const statOf = (path: string): Stats | undefined => statSync(path, { throwIfNoEntry: false });

/** Waits until a file's or a folder's contents are on the disk. Not for a file that SQLite has open. */
export function sync(path: string): void {
  const fd = openSync(path, 'r');
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}
