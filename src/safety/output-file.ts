import { randomBytes } from 'node:crypto';
import {
  closeSync,
  constants,
  fsyncSync,
  lstatSync,
  openSync,
  readSync,
  realpathSync,
  renameSync,
  rmSync,
  type Stats,
  writeFileSync,
} from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { entriesOf, findOpening, isRoot, tryStat } from '../db/file.js';
import { expandHome, SIDECARS, type StoreFiles } from '../db/path.js';
import { BackfillError, errnoOf } from '../errors.js';
import { msg } from '../messages/message.js';

/** A kind of file that is written for its user. */
export interface OutputFileKind {
  /** What it is called in messages, as `report`. */
  readonly what: string;
  /** How every such file begins: what tells it from other files. */
  readonly signature: string;
  /** Permission bits of a new one. */
  readonly mode: number;
}

/** What stands beside a store and belongs to it, by the ending of its name. */
const SIDECAR_SUFFIX = /^-(?:wal|shm|journal)$|^\.(?:lock|backup-.*|before-restore-.*)$/;

/**
 * Finds where a file is to go, and refuses what must not be written over: the store, what belongs to it, and any file that
 * is not of the same kind. Links of other users are not followed, nor does root write where they may replace the folder.
 *
 * @param given the path; its folder must be there
 * @returns the absolute path, with symbolic links resolved so that a link stays one
 * @throws {BackfillError} `OUTPUT_IS_STORE`, `OUTPUT_EXISTS`, `OUTPUT_UNWRITABLE`, `OUTPUT_UNTRUSTED`
 */
export function resolveOutputPath(
  { what, signature }: OutputFileKind,
  given: string,
  store: StoreFiles | undefined,
): string {
  const asked = resolve(expandHome(given));
  refuseOthersLinks(what, asked);
  const found = attempt(what, asked, () => tryStat(asked));
  const path = attempt(what, asked, () =>
    found ? realpathSync(asked) : join(realpathSync(dirname(asked)), basename(asked)),
  );
  if (isRoot()) refuseOthersFolders(what, asked, dirname(path));
  // Looked at before it is opened: to close the store, by whichever of its names, would drop SQLite's locks on it.
  if (store) refuseStore(what, path, found, store);
  if (!found) return path;
  if (!found.isFile()) {
    throw new BackfillError(
      'OUTPUT_UNWRITABLE',
      msg('The {what} can not be written to {path}: that is not a file', { what, path: asked }),
      msg('Name a file'),
    );
  }
  if (found.size > 0 && !attempt(what, asked, () => beginsWith(path, signature))) {
    throw new BackfillError(
      'OUTPUT_EXISTS',
      msg('There is a file at {path} that is no {what} of this program', { path: asked, what }),
      msg('Name another file for the {what}, or move that one away first', { what }),
    );
  }
  return path;
}

/**
 * Refuses a path with a link that another user owns, as `fs.protected_symlinks` of Linux does in sticky folders.
 *
 * @throws {BackfillError} `OUTPUT_UNTRUSTED`
 * @see https://www.kernel.org/doc/html/latest/admin-guide/sysctl/fs.html#protected-symlinks
 */
export function refuseOthersLinks(what: string, asked: string): void {
  const self = process.geteuid?.();
  if (self === undefined) return;
  for (const { path, stat } of entriesOf(asked)) {
    if (!stat.isSymbolicLink() || stat.uid === 0 || stat.uid === self) continue;
    throw new BackfillError(
      'OUTPUT_UNTRUSTED',
      msg('The {what} can not be written to {asked}: the link {path} belongs to user id {uid}', {
        what,
        asked,
        path,
        uid: stat.uid,
      }),
      msg('Remove the link, or pass another file for the {what}', { what }),
    );
  }
}

/**
 * Refuses, for root, a folder that another user may replace by a link between two calls of the system. What that user does within
 * the folder is harmless: the file is made under a random name, and a link in its place is replaced itself.
 */
function refuseOthersFolders(what: string, asked: string, folder: string): void {
  const parent = dirname(folder);
  const { mode } = lstatSync(parent);
  const { uid } = lstatSync(folder);
  const isOthers = (mode & 0o1002) === 0o1002 && uid !== 0; // a sticky folder lets the owner of an entry rename it
  const at = findOpening(parent)?.path ?? (isOthers ? folder : undefined);
  if (at === undefined) return;
  throw new BackfillError(
    'OUTPUT_UNTRUSTED',
    msg('The {what} can not be written to {asked} as root: other users may replace folders in or at {at}', {
      what,
      asked,
      at,
    }),
    msg("Pass a file in a folder of root's for the {what}, or run the command as the user of that folder", {
      what,
    }),
  );
}

function refuseStore(what: string, path: string, found: Stats | undefined, store: StoreFiles): void {
  const isOf = (file: string): boolean => {
    const theirs = tryStat(file);
    return theirs !== undefined && theirs.ino === found?.ino && theirs.dev === found.dev;
  };
  const isBeside = path.startsWith(store.path) && SIDECAR_SUFFIX.test(path.slice(store.path.length));
  const isSame = path === store.path || ['', ...SIDECARS, '.lock'].some((end) => isOf(store.path + end));
  if (!isBeside && !isSame) return;
  throw new BackfillError(
    'OUTPUT_IS_STORE',
    msg('The {what} can not be written to {path}: that is the store, or belongs to it', { what, path }),
    msg('Name another file for the {what}', { what }),
  );
}

/** Whether a file begins as those of its kind do. */
function beginsWith(path: string, head: string): boolean {
  const begin = Buffer.alloc(Buffer.byteLength(head));
  // By now it may be a link, or a pipe that nobody writes to.
  const fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  try {
    readSync(fd, begin, 0, begin.length, 0);
  } finally {
    closeSync(fd);
  }
  return begin.toString('utf8') === head;
}

/**
 * Writes a file, at once or not at all.
 *
 * @param path as {@link resolveOutputPath} gives it
 * @throws {BackfillError} `OUTPUT_UNWRITABLE`; `STORE_FULL` when the disk has no room
 */
export function writeAtomically({ what, mode }: OutputFileKind, path: string, text: string): void {
  const fresh = join(dirname(path), `.${basename(path)}.${randomBytes(6).toString('hex')}`);
  try {
    attempt(what, path, () => {
      const fd = openSync(fresh, 'wx', mode);
      try {
        writeFileSync(fd, text);
        fsyncSync(fd);
      } finally {
        closeSync(fd);
      }
      renameSync(fresh, path);
    });
  } finally {
    rmSync(fresh, { force: true });
  }
}

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: 'its folder is not there',
  ENOTDIR: 'a part of its path is no folder',
  EISDIR: 'that is a folder',
  ELOOP: 'its symbolic links go round',
  ENAMETOOLONG: 'its name is too long',
  EACCES: 'this user may not write there',
  EPERM: 'this user may not write there',
  EROFS: 'the disk is mounted for reading only',
};

/** Runs `act`, and says of what the system refuses why the file can't be written. */
function attempt<Result>(what: string, path: string, act: () => Result): Result {
  try {
    return act();
  } catch (error) {
    const reason = REASONS[errnoOf(error) ?? ''];
    if (reason === undefined) throw error;
    throw new BackfillError(
      'OUTPUT_UNWRITABLE',
      msg('The {what} can not be written to {path}: {reason}', { what, path, reason }),
      msg('Name a file in a folder that this user may write'),
      { cause: error },
    );
  }
}
