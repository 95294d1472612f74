import { existsSync, realpathSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { BackfillError } from '../errors.js';
import { shellWord } from '../shell.js';
import { lstatOf, statOf } from './file.js';
import { findOpening, isShared, isTrustedFile, isTrustedOwner, type Opening } from './trust.js';

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
