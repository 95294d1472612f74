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
import { type Message, msg } from '../messages/message.js';
import { shellWord } from '../shell.js';

/** Owner and mode of a file. */
export interface Ownership {
  readonly uid: number;
  readonly gid: number;
  /** Permission bits, without those to execute. */
  readonly mode: number;
}

/** The owner in a result of `lstat`. */
type FileOwner = { readonly uid: number | bigint };

/** Creates an empty file that only this user may read, until it gets its final owner and mode. */
export function createPrivate(path: string): void {
  closeSync(openSync(path, 'wx', 0o600));
}

/**
 * Sets the owner and mode of a file that this process has just created, as far as this user may. By descriptor, so that no other file can be
 * affected. If the group cannot be set, no group gets access, because this user's own group may be wider.
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
 * Opens a file, refusing a symbolic link, runs `act` on its descriptor and closes it. Not for a file that SQLite has open: closing it would
 * drop SQLite's locks.
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

/** Returns `lstat` of a path, or undefined if it does not exist. */
export const lstatOf = (path: string): Stats | undefined => found(lstatSync, path);

/** Returns `stat` of a path, or undefined if it does not exist. */
export const tryStat = (path: string): Stats | undefined => found(statSync, path);

/** A path that is too long, or whose links form a loop, counts as nonexistent. */
function found(stat: typeof statSync | typeof lstatSync, path: string): Stats | undefined {
  try {
    return stat(path, { throwIfNoEntry: false });
  } catch (error) {
    if (/^(?:ENAMETOOLONG|ELOOP)$/.test(errnoOf(error) ?? '')) return undefined;
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
  const isFolder = stat.isDirectory();
  const file = shellWord(path);
  const chmod = `chmod ${isFolder ? 'u+rwx' : 'u+rw'} ${file}`;
  if (self === undefined || self === uid)
    return msg('Grant this user write permission: {command}', { command: chmod });
  const needed = isFolder ? 0o700 : 0o600;
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

/** An entry of a path at which an untrusted user may replace the file that the path leads to. */
export interface Opening {
  /** Absolute path of the link, folder or file. */
  readonly path: string;
  /** The users who may do so. */
  readonly by: 'owner' | 'group' | 'everyone';
  /** User id of the entry's owner. */
  readonly owner: number;
}

/** Options of {@link findOpening}. */
interface TrustOptions {
  /** Trusted user ids in addition to root and this user. */
  readonly owners?: readonly number[];
  /** Whether the group of a trusted owner's folder is trusted. Default: unless this user is root. */
  readonly groups?: boolean;
  /** Whether the file itself must not be writable for others, because its contents are executed or trusted. Default false. */
  readonly contents?: boolean;
}

/** Maximum links followed on one path: the limit of Linux. */
const MAX_LINKS = 40;

/**
 * Finds the first entry of a path at which an untrusted user could put another file. Follows links as the system does, and checks each link,
 * each folder and the file: its owner must be trusted, and a folder must not let others rename. In a sticky folder only the owner of an entry
 * may rename it.
 *
 * @param path a file or folder; a missing entry is not an opening
 * @returns undefined if there is none, or if the system has no user ids
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
 * Returns root, this user, `owners`, and the owner of the root folder, who could replace everything: in a user namespace without root, that id
 * represents root. Undefined if the system has no user ids.
 */
function trustedUsers(owners: readonly number[]): ReadonlySet<number> | undefined {
  const self = process.geteuid?.();
  return self === undefined ? undefined : new Set([0, self, lstatSync('/').uid, ...owners]);
}

/** Whether a file belongs to root, this user or one of `owners`; true if the system has no user ids. */
export const isTrustedOwner = ({ uid }: FileOwner, owners: readonly number[] = []): boolean =>
  trustedUsers(owners)?.has(Number(uid)) ?? true;

/**
 * Whether a file's owner is trusted, or is another user in a folder that only a trusted group may write. Root trusts no group. In other
 * folders a file of another user was copied there, and its owner may still write it.
 *
 * @param stat `lstat` of the file
 * @param owners trusted user ids in addition to root and this user
 */
export function isTrustedFile(path: string, stat: FileOwner, owners: readonly number[]): boolean {
  if (isTrustedOwner(stat, owners)) return true;
  const folder = dirname(resolve(path));
  const isOfGroup = (statSync(folder).mode & 0o022) === 0o020 && !isRoot();
  return isOfGroup && findOpening(folder, { owners }) === undefined;
}

/** Whether untrusted users may create files in a folder, even a sticky one. */
export function isShared(folder: string): boolean {
  const self = process.geteuid?.();
  if (self === undefined) return false;
  const { mode, gid } = statSync(folder);
  return (mode & 0o002) !== 0 || ((mode & 0o020) !== 0 && self === 0 && gid !== 0);
}

/** Yields every link, folder and file on a path, in the order in which the system follows them, up to a missing one. */
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
      // Name by name, because `..` after a link leads out of the link's target.
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

/** Returns the untrusted users who may replace an entry or its contents; undefined if there are none. */
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

/** Like {@link lstatOf}; undefined also below a file, or if this user may not enter the folder. */
function seen(path: string): Stats | undefined {
  try {
    return lstatOf(path);
  } catch (error) {
    if (/^(?:ENOTDIR|EACCES)$/.test(errnoOf(error) ?? '')) return undefined;
    throw error;
  }
}
