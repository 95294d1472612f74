import { closeSync, existsSync, lstatSync, openSync } from 'node:fs';
import { createRequire } from 'node:module';
import { homedir, type UserInfo, userInfo } from 'node:os';
import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Project } from '../config.js';
import { expandHome } from '../db/path.js';
import { otherOwner } from '../db/store-trust.js';
import { BackfillError, errnoOf } from '../errors.js';
import { msg } from '../messages/message.js';

/** The group for a user without an entry, if the store's is not theirs to have: `nogroup`. */
const NO_GROUP = 65_534;

/** Packages that are loaded only when they are needed, and then by the store's owner. */
const LATE_PACKAGES = ['better-sqlite3', 'umzug', 'pino'];

/** Lacks in the types of Node. */
type WithGroups = NodeJS.Process & { readonly initgroups?: (user: string, group: number) => void };

/** Who this process has become. */
export interface NewUser {
  readonly uid: number;
  readonly gid: number;
}

/**
 * Gives up root for good if the store belongs to another user: groups, group and user, before any file of the store is opened. Call it
 * on the main thread of a process that does nothing else.
 *
 * @param given path of the store; a missing one changes nothing
 * @param project the loaded project, whose files that user must be able to read
 * @returns who this process is now; undefined if nothing changed
 * @throws {BackfillError} `STORE_UNTRUSTED`, or `ROOT_REFUSED` if this process cannot become that user
 */
export function becomeOwner(given: string, project: Project): NewUser | undefined {
  const path = resolve(expandHome(given));
  if (!existsSync(path)) return undefined;
  const uid = otherOwner(path);
  if (uid === undefined) return undefined;
  process.env.HOME ??= homedir(); // without it, `~` would become another folder
  const owner = { path, uid };
  const files = filesOf(project);
  const user = change(owner, () => entryOf(uid));
  const gid = user?.gid ?? groupOf(owner);
  change(owner, () => {
    if (user) (process as WithGroups).initgroups?.(user.username, gid);
    else process.setgroups?.([gid]);
    process.setgid?.(gid);
  });
  const unreadable = asUser(uid, () => files.find((file) => !canRead(file)));
  if (unreadable !== undefined) {
    throw refused(
      owner,
      `that user may not read ${unreadable}`,
      `Let that user read the project and its node_modules, as in a folder of mode 755; or put sudo -u '#${uid}' before the command in a project of theirs`,
    );
  }
  // That user may send this process signals as soon as it is theirs. By this one, unheard, Node would open its debugger.
  process.on('SIGUSR1', () => undefined);
  change(owner, () => process.setuid?.(uid));
  if (canReturn() || process.getuid?.() !== uid || process.getgid?.() !== gid)
    throw refused(owner, 'the system let this process keep rights of root');
  return { uid, gid };
}

/** The group of the user's own file: never that of another file, to which they may have put a link. */
function groupOf({ path, uid }: Owner): number {
  const file = lstatSync(path);
  return (file.isFile() && file.uid === uid && file.gid) || NO_GROUP;
}

/** The user's entry in the system's list, if there is one. */
function entryOf(uid: number): UserInfo<string> | undefined {
  return asUser(uid, () => {
    try {
      return userInfo();
    } catch (error) {
      if (error instanceof Error && 'code' in error && error.code === 'ERR_SYSTEM_ERROR') return undefined;
      throw error;
    }
  });
}

/** Runs `act` as that user for a moment: files are opened, and the user is looked up, by the effective user. */
function asUser<Result>(uid: number, act: () => Result): Result {
  process.seteuid?.(uid);
  try {
    return act();
  } finally {
    process.seteuid?.(0);
  }
}

/** Files that are read after the change: one of each folder, as packages have one owner and mode. */
const filesOf = ({ file, steps }: Project): string[] => [
  process.execPath,
  fileURLToPath(import.meta.url),
  ...LATE_PACKAGES.map((name) => createRequire(import.meta.url).resolve(name)),
  ...(file === undefined ? [] : [file, ...steps.map(({ path }) => path)]),
];

function canRead(path: string): boolean {
  try {
    closeSync(openSync(path, 'r'));
    return true;
  } catch (error) {
    if (errnoOf(error) === 'EACCES') return false;
    throw error;
  }
}

function canReturn(): boolean {
  try {
    process.setuid?.(0);
    return true;
  } catch (error) {
    if (errnoOf(error) === 'EPERM') return false;
    throw error;
  }
}

/** Runs `act`, which changes who this process is. */
function change<Result>(owner: Owner, act: () => Result): Result {
  try {
    return act();
  } catch (error) {
    throw refused(owner, `this process may not become that user (${errnoOf(error)})`);
  }
}

interface Owner {
  readonly path: string;
  readonly uid: number;
}

const refused = (
  { path, uid }: Owner,
  reason: string,
  hint = `Put sudo -u '#${uid}' before the command, or start the container as that user`,
): BackfillError =>
  new BackfillError(
    'ROOT_REFUSED',
    msg('Root does not use the store at {path}, which belongs to user id {uid}, and {reason}', {
      path,
      uid,
      reason,
    }),
    hint,
  );
