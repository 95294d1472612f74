import { type BigIntStats, lstatSync, readlinkSync, type Stats, statSync } from 'node:fs';
import { dirname, isAbsolute, join, parse, resolve, sep } from 'node:path';
import { errnoOf } from '../errors.js';

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
export interface TrustOptions {
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
  { owners = [], groups = process.geteuid?.() !== 0, contents = false }: TrustOptions = {},
): Opening | undefined {
  const trusted = trustedUsers(owners);
  if (trusted === undefined) return undefined;
  for (const { path: at, stat } of entriesOf(path)) {
    const opening = openingOf(at, stat, { trusted, groups, contents });
    if (opening) return opening;
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

/** What `lstat` tells of an owner. */
type Owned = Pick<Stats, 'uid'> | Pick<BigIntStats, 'uid'>;

/** Whether a file belongs to root, this user or one of `owners`; true where the system has no user ids. */
export const isTrustedOwner = ({ uid }: Owned, owners: readonly number[] = []): boolean =>
  trustedUsers(owners)?.has(Number(uid)) ?? true;

/**
 * Whether a file's owner is trusted, or is one of a group that is: who may write the folder, where no stranger may put files. Root trusts
 * no group. Elsewhere a file of somebody else's was copied there, and they may still write it.
 *
 * @param stat `lstat` of the file
 * @param owners user ids besides root and this user
 */
export function isTrustedFile(path: string, stat: Owned, owners: readonly number[]): boolean {
  if (isTrustedOwner(stat, owners)) return true;
  const folder = dirname(resolve(path));
  const isOfGroup = (statSync(folder).mode & 0o022) === 0o020 && process.geteuid?.() !== 0;
  return isOfGroup && findOpening(folder, { owners }) === undefined;
}

/** Whether users who are not trusted may put files of theirs into a folder, if only beside others, as into a sticky one. */
export function isShared(folder: string): boolean {
  const self = process.geteuid?.();
  if (self === undefined) return false;
  const { mode, gid } = statSync(folder);
  return (mode & 0o002) !== 0 || ((mode & 0o020) !== 0 && self === 0 && gid !== 0);
}

/** A link, folder or file on a path. */
export interface Entry {
  /** Absolute path. */
  readonly path: string;
  readonly stat: Stats;
}

/** Yields every link, folder and file that leads to a path, in the order in which the system follows them, up to what is missing. */
export function* entriesOf(path: string): Generator<Entry> {
  const absolute = resolve(path);
  const names = absolute.slice(parse(absolute).root.length).split(sep);
  let at = parse(absolute).root;
  for (let links = 0; ; ) {
    const stat = lstatOf(at);
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

function openingOf(
  path: string,
  stat: Stats,
  { trusted, groups, contents }: { trusted: ReadonlySet<number>; groups: boolean; contents: boolean },
): Opening | undefined {
  const opening = (by: Opening['by']): Opening => ({ path, by, owner: stat.uid });
  if (!trusted.has(stat.uid)) return opening('owner');
  const isChangeable = stat.isDirectory() ? (stat.mode & 0o1000) === 0 : stat.isFile() && contents;
  if (!isChangeable) return undefined;
  if ((stat.mode & 0o002) !== 0) return opening('everyone');
  return (stat.mode & 0o020) !== 0 && !groups && stat.gid !== 0 ? opening('group') : undefined;
}

/** `lstat`, or undefined if there is nothing, or it is not for this user to see. */
function lstatOf(path: string): Stats | undefined {
  try {
    return lstatSync(path);
  } catch (error) {
    if (/^(?:ENOENT|ENOTDIR|EACCES|ENAMETOOLONG)$/.test(errnoOf(error) ?? '')) return undefined;
    throw error;
  }
}
