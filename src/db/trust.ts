import { lstatSync, readlinkSync, type Stats, statSync } from 'node:fs';
import { dirname, isAbsolute, join, parse, resolve, sep } from 'node:path';
import { errnoOf } from '../errors.js';
import { isRoot, lstatOf } from './file.js';

/** The owner in a result of `lstat`. */
type FileOwner = { readonly uid: number | bigint };

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
 * Finds the first entry of a path at which an untrusted user could put another file. Follows links as the system does, and checks
 * each link, each folder and the file: its owner must be trusted, and a folder must not let others rename. In a sticky folder
 * only the owner of an entry may rename it.
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
 * Returns root, this user, `owners`, and the owner of the root folder, who could replace everything: in a user namespace without
 * root, that id represents root. Undefined if the system has no user ids.
 */
function trustedUsers(owners: readonly number[]): ReadonlySet<number> | undefined {
  const self = process.geteuid?.();
  return self === undefined ? undefined : new Set([0, self, lstatSync('/').uid, ...owners]);
}

/** Whether a file belongs to root, this user or one of `owners`; true if the system has no user ids. */
export const isTrustedOwner = ({ uid }: FileOwner, owners: readonly number[] = []): boolean =>
  trustedUsers(owners)?.has(Number(uid)) ?? true;

/**
 * Whether a file's owner is trusted, or is another user in a folder that only a trusted group may write. Root trusts no group. In
 * other folders a file of another user was copied there, and its owner may still write it.
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
