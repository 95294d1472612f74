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
  readlinkSync,
  renameSync,
  rmSync,
  type Stats,
  statSync,
} from 'node:fs';
import { dirname, isAbsolute, join, parse, resolve, sep } from 'node:path';
import { errnoOf } from '../errors.js';
import { shellWord } from '../shell.js';

/** Whose a file is, and who may read and write it. */
export interface Ownership {
  readonly uid: number;
  readonly gid: number;
  /** Permission bits, without those to execute. */
  readonly mode: number;
}

/** What `lstat` tells of an owner. */
type FileOwner = { readonly uid: number | bigint };

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
  const owner = isRoot() ? uid : own.uid;
  const isSame = own.uid === owner && own.gid === gid;
  const hasGroup = isSame || succeeds(['EPERM'], () => fchownSync(fd, owner, gid));
  const wanted = hasGroup ? mode : mode & 0o606;
  if ((own.mode & 0o777) !== wanted) succeeds(['EPERM'], () => fchmodSync(fd, wanted));
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

/** Whether a file could be given a second name: some file systems, FAT among them, have no links, nor owners. */
export const tryLink = (path: string, name: string): boolean =>
  succeeds(['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS'], () => linkSync(path, name)); // which replaces nothing, unlike rename

/** Acts, and returns false where the system refuses that with one of these codes. */
function succeeds(codes: readonly string[], act: () => void): boolean {
  try {
    act();
    return true;
  } catch (error) {
    if (codes.includes(errnoOf(error) ?? '')) return false;
    throw error;
  }
}

/** Whether something stands at the path. */
export const pathExists = (path: string): boolean => tryStat(path) !== undefined;

/** Whether the name is in use, if only by a link that leads nowhere. */
export const isNamed = (path: string): boolean => lstatOf(path) !== undefined;

/** `lstat`, or undefined when there is nothing. */
export const lstatOf = (path: string): Stats | undefined => found(lstatSync, path);

/** `stat`, or undefined when there is nothing. */
export const tryStat = (path: string): Stats | undefined => found(statSync, path);

/** Looks at a path; at one that is too long, or leads round in links, there is nothing. */
function found(stat: typeof statSync | typeof lstatSync, path: string): Stats | undefined {
  try {
    return stat(path, { throwIfNoEntry: false });
  } catch (error) {
    if (/^(?:ENAMETOOLONG|ELOOP)$/.test(errnoOf(error) ?? '')) return undefined;
    throw error;
  }
}

/** Waits until what a file or folder holds is on the disk. Not for a file that SQLite has open. */
export function fsyncPath(path: string): void {
  const fd = openSync(path, 'r');
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

/** Whether this process is root's. */
export const isRoot = (): boolean => process.geteuid?.() === 0;

/** Whether this user may read the file or folder. */
export const isReadable = (path: string): boolean => isAllowed(path, constants.R_OK);

/** Whether this user may write the file or folder. */
export const isWritable = (path: string): boolean => isAllowed(path, constants.W_OK);

const isAllowed = (path: string, access: number): boolean =>
  succeeds(['EACCES', 'EROFS', 'EPERM'], () => accessSync(path, access));

/** Who this process is: where root has become the owner of the store, not the user who has typed the command. */
export function thisUser(): string {
  const self = process.geteuid?.();
  return self === undefined ? 'this user' : `this user (user id ${self})`;
}

/** The hint with the command that lets this user read and write a file or folder that is there. */
export function howToWrite(path: string): string {
  const self = process.geteuid?.();
  const stat = statSync(path);
  const { uid, mode } = stat;
  const isFolder = stat.isDirectory();
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

/** A place at which a user who is not trusted may replace a file, or what a path leads to. */
export interface Opening {
  /** Absolute path of the link, folder or file. */
  readonly path: string;
  /** Who may: its owner, its group, or every user. */
  readonly by: 'owner' | 'group' | 'everyone';
  /** User id of its owner. */
  readonly owner: number;
}

/** Options of {@link findOpening}. */
interface TrustOptions {
  /** User ids besides root and this user. */
  readonly owners?: readonly number[];
  /** Whether a folder's group is trusted as its owner is. Default: unless this user is root. */
  readonly groups?: boolean;
  /** Whether the file's own mode counts, because its contents will be run or believed. Default false. */
  readonly contents?: boolean;
}

/** Links followed on one path, as many as Linux follows. */
const MAX_LINKS = 40;

/**
 * Finds the first place on a path at which a user who is not trusted could put another file. Follows links as the system does and
 * looks at each link, folder and the file itself: its owner must be trusted, and a folder must not let others rename. In a sticky folder
 * only the owner of an entry may rename it.
 *
 * @param path a file or folder; what is missing on the way is not an opening
 * @returns undefined if there is none, and where the system has no user ids
 * @see https://man7.org/linux/man-pages/man7/path_resolution.7.html
 */
export function findOpening(
  path: string,
  { owners = [], groups = !isRoot(), contents = false }: TrustOptions = {},
): Opening | undefined {
  const trusted = trustedUsers(owners);
  if (trusted === undefined) return undefined;
  for (const { path: at, stat } of entriesOf(path)) {
    const by = openTo(stat, { trusted, groups, contents });
    if (by) return { path: at, by, owner: stat.uid };
  }
  return undefined;
}

/**
 * Root, this user and the owner of the root folder, who could replace everything: in a user namespace without root that is an id which
 * stands for root. Undefined where the system has no user ids.
 */
function trustedUsers(owners: readonly number[]): ReadonlySet<number> | undefined {
  const self = process.geteuid?.();
  return self === undefined ? undefined : new Set([0, self, lstatSync('/').uid, ...owners]);
}

/** Whether a file belongs to root, this user or one of `owners`; true where the system has no user ids. */
export const isTrustedOwner = ({ uid }: FileOwner, owners: readonly number[] = []): boolean =>
  trustedUsers(owners)?.has(Number(uid)) ?? true;

/**
 * Whether a file's owner is trusted, or is one of a group that is: who may write the folder, where no stranger may put files. Root trusts
 * no group. Elsewhere a file of somebody else's was copied there, and they may still write it.
 *
 * @param stat `lstat` of the file
 * @param owners user ids besides root and this user
 */
export function isTrustedFile(path: string, stat: FileOwner, owners: readonly number[]): boolean {
  if (isTrustedOwner(stat, owners)) return true;
  const folder = dirname(resolve(path));
  const isOfGroup = (statSync(folder).mode & 0o022) === 0o020 && !isRoot();
  return isOfGroup && findOpening(folder, { owners }) === undefined;
}

/** Whether users who are not trusted may put files of theirs into a folder, if only beside others, as into a sticky one. */
export function isShared(folder: string): boolean {
  const self = process.geteuid?.();
  if (self === undefined) return false;
  const { mode, gid } = statSync(folder);
  return (mode & 0o002) !== 0 || ((mode & 0o020) !== 0 && self === 0 && gid !== 0);
}

/** Yields every link, folder and file that leads to a path, in the order in which the system follows them, up to what is missing. */
export function* entriesOf(path: string): Generator<{ readonly path: string; readonly stat: Stats }> {
  const absolute = resolve(path);
  const names = absolute.slice(parse(absolute).root.length).split(sep);
  let at = parse(absolute).root;
  for (let links = 0; ; ) {
    const stat = seen(at);
    if (stat === undefined) return;
    yield { path: at, stat };
    if (stat.isSymbolicLink()) {
      links += 1;
      if (links > MAX_LINKS) return;
      // Name by name: `..` behind a link leads out of the folder that the link points to.
      const target = readlinkSync(at);
      names.unshift(...target.split(sep));
      at = isAbsolute(target) ? parse(target).root : dirname(at);
      continue;
    }
    const name = names.shift();
    if (name === undefined) return;
    at = join(at, name);
  }
}

/** Who may replace what is found at a place, or its contents; undefined if none but users who are trusted. */
function openTo(
  stat: Stats,
  { trusted, groups, contents }: { trusted: ReadonlySet<number>; groups: boolean; contents: boolean },
): Opening['by'] | undefined {
  if (!trusted.has(stat.uid)) return 'owner';
  const isChangeable = stat.isDirectory() ? (stat.mode & 0o1000) === 0 : stat.isFile() && contents;
  if (!isChangeable) return undefined;
  if ((stat.mode & 0o002) !== 0) return 'everyone';
  return (stat.mode & 0o020) !== 0 && !groups && stat.gid !== 0 ? 'group' : undefined;
}

/** As {@link lstatOf}, and undefined behind a file, or if it is not for this user to see. */
function seen(path: string): Stats | undefined {
  try {
    return lstatOf(path);
  } catch (error) {
    if (/^(?:ENOTDIR|EACCES)$/.test(errnoOf(error) ?? '')) return undefined;
    throw error;
  }
}
