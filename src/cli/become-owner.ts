import { closeSync, existsSync, lstatSync, openSync } from 'node:fs';
import { createRequire } from 'node:module';
import { homedir, type UserInfo, userInfo } from 'node:os';
import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Project } from '../config.js';
import { expandHome } from '../db/path.js';
import { otherOwner } from '../db/store-trust.js';
import { BackfillError, errnoOf } from '../errors.js';
import { type Message, msg } from '../messages/message.js';

/** Group of a user without an entry, if the store's group cannot be used: `nogroup`. */
const NO_GROUP = 65_534;

/** Packages that are loaded late, as the store's owner. */
const LATE_PACKAGES = ['better-sqlite3', 'umzug', 'pino'];

/** Missing in the types of Node. */
type WithGroups = NodeJS.Process & { readonly initgroups?: (user: string, group: number) => void };

interface Owner {
  readonly path: string;
  readonly uid: number;
}

/**
 * Gives up root for good if the store belongs to another user: groups, group and user, before any file of the store is opened. Call it
 * on the main thread of a process that does nothing else.
 *
 * @param given path of the store; a missing one changes nothing
 * @param project the loaded project, whose files that user must be able to read
 * @returns the new user and group; undefined if nothing changed
 * @throws {BackfillError} `STORE_UNTRUSTED`, or `ROOT_REFUSED` if this process cannot become that user
 */
export function becomeOwner(given: string, project: Project) {
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
      msg('that user may not read {file}', { file: unreadable }),
      msg(
        "Make the project and its node_modules readable for that user, for example in a folder of mode 755; or run the command with sudo -u '#{uid}' in a project that this user owns",
        { uid },
      ),
    );
  }
  // That user can send signals to this process after the change; SIGUSR1 without a handler would open Node's debugger.
  process.on('SIGUSR1', () => undefined);
  change(owner, () => process.setuid?.(uid));
  if (canReturn() || process.getuid?.() !== uid || process.getgid?.() !== gid)
    throw refused(owner, msg('this process would keep rights of root'));
  return { uid, gid };
}

/** Returns the group of the user's file; not that of another file, to which they may have put a link. */
function groupOf({ path, uid }: Owner): number {
  const file = lstatSync(path);
  return (file.isFile() && file.uid === uid && file.gid) || NO_GROUP;
}

/** Returns the user's entry in the system's user database, if there is one. */
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

/** Runs `act` with that effective user, which opens files and looks up the user. */
function asUser<Result>(uid: number, act: () => Result): Result {
  process.seteuid?.(uid);
  try {
    return act();
  } finally {
    process.seteuid?.(0);
  }
}

/** Returns files that are read after the change: one per folder, because packages have one owner and mode. */
const filesOf = ({ file, steps }: Project): string[] => [
  process.execPath,
  fileURLToPath(import.meta.url),
  ...LATE_PACKAGES.map((name) => createRequire(import.meta.url).resolve(name)),
  ...(file === undefined ? [] : [file, ...steps.map(({ path }) => path)]),
];

const canRead = (path: string): boolean => isAllowed(() => closeSync(openSync(path, 'r')), 'EACCES');

const canReturn = (): boolean => isAllowed(() => process.setuid?.(0), 'EPERM');

/** Runs `act`; returns false if the system refuses it with a code. */
function isAllowed(act: () => void, refusal: string): boolean {
  try {
    act();
    return true;
  } catch (error) {
    if (errnoOf(error) === refusal) return false;
    throw error;
  }
}

/** Runs `act`, which changes the user of this process. */
function change<Result>(owner: Owner, act: () => Result): Result {
  try {
    return act();
  } catch (error) {
    throw refused(owner, msg('this process may not become that user ({code})', { code: errnoOf(error) }));
  }
}

const refused = (
  { path, uid }: Owner,
  reason: Message,
  hint = msg("Run the command with sudo -u '#{uid}', or start the container as that user", { uid }),
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
