import {
  type BigIntStats,
  existsSync,
  lstatSync,
  readlinkSync,
  realpathSync,
  type Stats,
  statSync,
} from 'node:fs';
import { dirname, isAbsolute, join, parse, resolve, sep } from 'node:path';
import { BackfillError, errnoOf } from '../errors.js';
import { shellWord } from '../shell.js';
import { lstatOf, statOf } from './file.js';

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

/** As {@link lstatOf}, and undefined behind a file, or if it is not for this user to see. */
function seen(path: string): Stats | undefined {
  try {
    return lstatOf(path);
  } catch (error) {
    if (/^(?:ENOTDIR|EACCES)$/.test(errnoOf(error) ?? '')) return undefined;
    throw error;
  }
}

/** Whether this process is root's: the only user who can lose more than a store. */
export const isRoot = (): boolean => process.geteuid?.() === 0;

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
    `Root does not use the store at ${path}: other users may put files beside it in ${folder}`,
    `End the application, put the store into a folder of its own, and use it from there: mkdir -m 700 ${own} && mv ${present.map(shellWord).join(' ')} ${own}`,
  );
}

function untrusted(path: string, { by, path: at, owner: second }: Opening, first: number | undefined) {
  if (by === 'owner') {
    return new BackfillError(
      'STORE_UNTRUSTED',
      `Root does not use the store at ${path}: user id ${first} owns a part of its path, and user id ${second} owns ${at}`,
      `Put sudo -u '#${statOf(path)?.uid || second}' before the command, so that this user runs it`,
    );
  }
  return by === 'group'
    ? new BackfillError(
        'STORE_UNTRUSTED',
        `Root does not use the store at ${path}: the group of ${at} may replace it`,
        `Remove that permission: chmod g-w ${shellWord(at)}; or let the user of the application own the store`,
      )
    : new BackfillError(
        'STORE_UNTRUSTED',
        `Root does not use the store at ${path}: every user may replace what is in ${at}`,
        `Remove that permission: chmod o-w ${shellWord(at)}`,
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
  for (const end of ['-wal', '-shm', '-journal']) {
    const at = path + end;
    const found = lstatOf(at);
    if (!found) continue;
    // With -T it does not go through a link that a stranger has put there.
    const [from, to] = [at, `${at}.moved`].map(shellWord);
    if (!found.isFile())
      throw new BackfillError(
        'STORE_UNTRUSTED',
        `The store at ${path} is not opened: ${at} beside it is not a file`,
        `End the application and move that away: sudo mv -T ${from} ${to}`,
      );
    if (isTrustedFile(at, found, [owner])) continue;
    throw new BackfillError(
      'STORE_UNTRUSTED',
      `The store at ${path} is not opened: ${at} beside it belongs to user id ${found.uid}`,
      `If no program of yours has made it, end the application and move it away: sudo mv -T ${from} ${to}; if the application has, it may hold what that has committed: sudo chown --reference=${shellWord(path)} ${from}`,
    );
  }
}

/**
 * Refuses to use another user's store as root. SQLite opens files by name and creates more of them later, so that user could
 * lead root to any other file.
 *
 * @throws {BackfillError} `ROOT_REFUSED`, `STORE_UNTRUSTED`
 */
export function refuseOtherOwner(path: string): void {
  const owner = otherOwner(path);
  if (owner === undefined) return;
  throw new BackfillError(
    'ROOT_REFUSED',
    `Root does not use the store at ${path} from within a program: it belongs to user id ${owner}`,
    `Put sudo -u '#${owner}' before the program; the command line, run as a process of its own, becomes that user by itself`,
  );
}
