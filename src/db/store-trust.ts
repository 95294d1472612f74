import { existsSync, realpathSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { BackfillError } from '../errors.js';
import { msg } from '../messages/message.js';
import { shellWord } from '../shell.js';
import { isRoot, lstatOf, SIDECARS, tryStat } from './file.js';
import { findOpening, isShared, isTrustedFile, isTrustedOwner, type Opening } from './trust.js';

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
