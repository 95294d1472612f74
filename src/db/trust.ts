import { existsSync, lstatSync, readlinkSync, realpathSync, type Stats, statSync } from 'node:fs';
import { dirname, isAbsolute, join, parse, resolve, sep } from 'node:path';
import { BackfillError } from '../errors.js';
import { type Message, msg } from '../messages/message.js';
import { shellWord } from '../shell.js';
import { isRoot, lstatOf, SIDECARS, tryStat } from './file.js';

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

/** Maximum links followed on one path: the limit of Linux. */
const MAX_LINKS = 40;

/**
 * Finds the first entry of a path at which an untrusted user could put another file. Follows links as the system does, and checks
 * each link, each folder and the file: its owner must be trusted, and a folder must not let others rename. In a sticky folder
 * only the owner of an entry may rename it.
 *
 * @param path a file or folder; a missing entry is not an opening
 * @param options `owners`: trusted user ids in addition to root and this user. `groups`: whether the group of a trusted owner's
 *   folder is trusted; default: unless this user is root. `contents`: whether the file itself must not be writable for others,
 *   because its contents are executed or trusted; default false
 * @returns undefined if there is none, or if the system has no user ids
 * @see https://man7.org/linux/man-pages/man7/path_resolution.7.html
 */
export function findOpening(
  path: string,
  {
    owners = [],
    groups = !isRoot(),
    contents = false,
  }: { owners?: readonly number[]; groups?: boolean; contents?: boolean } = {},
): Opening | undefined {
  const trusted = trustedUsers(owners);
  if (trusted === undefined) return undefined;
  for (const { path: at, stat } of entriesOf(path)) {
    const by = trusted.has(stat.uid) ? writerOf(stat, groups, contents) : 'owner';
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
    const stat = lstatOf(at, ['ENOTDIR', 'EACCES']); // below a file, or in a folder that this user may not enter
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

/** Returns the untrusted users who may write a folder, or a file if its `contents` count; undefined if there are none. */
function writerOf(stat: Stats, groups: boolean, contents: boolean): Opening['by'] | undefined {
  const isChangeable = stat.isDirectory() ? (stat.mode & 0o1000) === 0 : stat.isFile() && contents;
  if (!isChangeable) return undefined;
  if ((stat.mode & 0o002) !== 0) return 'everyone';
  return (stat.mode & 0o020) !== 0 && !groups && stat.gid !== 0 ? 'group' : undefined;
}

const untrusted = (message: Message, hint: Message): BackfillError =>
  new BackfillError('STORE_UNTRUSTED', message, hint);

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
  if (opening) throw replaceable(path, opening, owner);
  if (owner === undefined && existsSync(path)) refuseSharedFolder(path);
  return owner;
}

/**
 * Refuses, for root, a store in a folder where an untrusted user could at any time create a journal, which SQLite would apply.
 */
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
  throw untrusted(
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

function replaceable(path: string, { by, path: at, owner: second }: Opening, first: number | undefined) {
  if (by === 'owner')
    return untrusted(
      msg(
        'Root does not use the store at {path}: user id {first} owns a part of its path, and user id {second} owns {at}',
        { path, first, second, at },
      ),
      msg("Put sudo -u '#{uid}' before the command, so that this user runs it", {
        uid: tryStat(path)?.uid || second,
      }),
    );
  const word = { path: shellWord(at) };
  return by === 'group'
    ? untrusted(
        msg('Root does not use the store at {path}: the group of {at} may replace it', { path, at }),
        msg(
          'Remove that permission: chmod g-w {path}; or let the user of the application own the store',
          word,
        ),
      )
    : untrusted(
        msg('Root does not use the store at {path}: every user may replace files in {at}', { path, at }),
        msg('Remove that permission: chmod o-w {path}', word),
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
      throw untrusted(
        msg('The store at {path} is not opened: {at} next to it is not a file', { path, at }),
        msg('Stop the application and move it away: sudo mv -T {from} {to}', { from, to }),
      );
    if (isTrustedFile(at, found, [owner])) continue;
    throw untrusted(
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
 * Refuses to use another user's store as root. SQLite opens and creates files by name, so that user could lead root to any other
 * file.
 *
 * @throws {BackfillError} `ROOT_REFUSED`, `STORE_UNTRUSTED`
 */
export function refuseOtherOwner(path: string): void {
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
