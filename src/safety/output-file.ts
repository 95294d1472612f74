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
import { isRoot, SIDECARS, tryStat } from '../db/file.js';
import { expandHome, type StoreFiles } from '../db/path.js';
import { entriesOf, findOpening } from '../db/trust.js';
import { BackfillError, errnoOf } from '../errors.js';
import { type Message, msg, type PlainText } from '../messages/message.js';

/** A kind of file that a command writes for its user. */
export interface OutputFileKind {
  /** Name in messages, such as `report`. */
  readonly what: PlainText;
  /** First characters of every such file, which distinguish it from other files. */
  readonly signature: string;
  /** Permission bits of a new one. */
  readonly mode: number;
}

/** Suffixes of the files next to a store that belong to it. */
const SIDECAR_SUFFIX = /^-(?:wal|shm|journal)$|^\.(?:lock|backup-.*|before-restore-.*)$/;

/**
 * Resolves the path of an output file. Refuses to overwrite the store, the files that belong to it, and files of another kind; to
 * follow links of other users; and, for root, to write where other users may replace the folder.
 *
 * @param given the path; its folder must exist
 * @returns the absolute path, with symbolic links resolved so that a link stays one
 * @throws {BackfillError} `OUTPUT_IS_STORE`, `OUTPUT_EXISTS`, `OUTPUT_UNWRITABLE`, `OUTPUT_UNTRUSTED`
 */
export function resolveOutputPath(
  kind: OutputFileKind,
  given: string,
  store: StoreFiles | undefined,
): string {
  const asked = resolve(expandHome(given));
  refuseOthersLinks(kind.what, asked);
  const what = msg(kind.what);
  const found = attempt(what, asked, () => tryStat(asked));
  const path = attempt(what, asked, () =>
    found ? realpathSync(asked) : join(realpathSync(dirname(asked)), basename(asked)),
  );
  if (isRoot()) refuseOthersFolders(what, asked, dirname(path));
  // Checked before it is opened, because closing the store, under any of its names, would drop SQLite's locks on it.
  if (store) refuseStore(what, path, found, store);
  if (!found) return path;
  if (!found.isFile())
    throw new BackfillError(
      'OUTPUT_UNWRITABLE',
      msg('The {what} cannot be written to {path}: that is not a file', { what, path: asked }),
      msg('Pass the path of a file'),
    );
  if (found.size > 0 && !attempt(what, asked, () => beginsWith(path, kind.signature)))
    throw new BackfillError(
      'OUTPUT_EXISTS',
      msg('The file at {path} is not a {what} of this program', { path: asked, what }),
      msg('Choose another file for the {what}, or move that one away first', { what }),
    );
  return path;
}

/**
 * Refuses a path with a link that another user owns, as Linux does in sticky folders by `fs.protected_symlinks`.
 *
 * @throws {BackfillError} `OUTPUT_UNTRUSTED`
 * @see https://www.kernel.org/doc/html/latest/admin-guide/sysctl/fs.html#protected-symlinks
 */
export function refuseOthersLinks(kind: PlainText, asked: string): void {
  const self = process.geteuid?.();
  if (self === undefined) return;
  const what = msg(kind);
  for (const { path, stat } of entriesOf(asked)) {
    if (!stat.isSymbolicLink() || stat.uid === 0 || stat.uid === self) continue;
    throw new BackfillError(
      'OUTPUT_UNTRUSTED',
      msg('The {what} cannot be written to {asked}: the link {path} belongs to user id {uid}', {
        what,
        asked,
        path,
        uid: stat.uid,
      }),
      msg('Remove the link, or choose another file for the {what}', { what }),
    );
  }
}

/**
 * Refuses, for root, a folder that another user may replace by a link between two system calls. Changes within the folder are
 * harmless, because the file is created under a random name, and renaming it replaces a link itself.
 */
function refuseOthersFolders(what: Message, asked: string, folder: string): void {
  const parent = dirname(folder);
  const { mode } = lstatSync(parent);
  const { uid } = lstatSync(folder);
  const isOthers = (mode & 0o1002) === 0o1002 && uid !== 0; // a sticky folder lets the owner of an entry rename it
  const at = findOpening(parent)?.path ?? (isOthers ? folder : undefined);
  if (at === undefined) return;
  throw new BackfillError(
    'OUTPUT_UNTRUSTED',
    msg('The {what} cannot be written to {asked} as root: other users may replace folders in or at {at}', {
      what,
      asked,
      at,
    }),
    msg('Choose a folder of root for the {what}, or run the command as the user of that folder', { what }),
  );
}

function refuseStore(what: Message, path: string, found: Stats | undefined, store: StoreFiles): void {
  const isOf = (file: string): boolean => {
    const theirs = tryStat(file);
    return theirs !== undefined && theirs.ino === found?.ino && theirs.dev === found.dev;
  };
  const isBeside = path.startsWith(store.path) && SIDECAR_SUFFIX.test(path.slice(store.path.length));
  const isSame = path === store.path || ['', ...SIDECARS, '.lock'].some((end) => isOf(store.path + end));
  if (!isBeside && !isSame) return;
  throw new BackfillError(
    'OUTPUT_IS_STORE',
    msg('The {what} cannot be written to {path}: that is the store, or belongs to it', { what, path }),
    msg('Choose another file for the {what}', { what }),
  );
}

function beginsWith(path: string, head: string): boolean {
  const begin = Buffer.alloc(Buffer.byteLength(head));
  // In the meantime it may have become a link, or a pipe without a writer.
  const fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  try {
    readSync(fd, begin, 0, begin.length, 0);
  } finally {
    closeSync(fd);
  }
  return begin.toString('utf8') === head;
}

/**
 * Writes a file atomically.
 *
 * @param path result of {@link resolveOutputPath}
 * @throws {BackfillError} `OUTPUT_UNWRITABLE`; `STORE_FULL` if the disk is full
 */
export function writeAtomically(kind: OutputFileKind, path: string, text: string): void {
  const fresh = join(dirname(path), `.${basename(path)}.${randomBytes(6).toString('hex')}`);
  try {
    attempt(msg(kind.what), path, () => {
      const fd = openSync(fresh, 'wx', kind.mode);
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

const REASONS: Readonly<Record<string, PlainText>> = {
  ENOENT: 'its folder does not exist',
  ENOTDIR: 'a part of its path is not a folder',
  EISDIR: 'that is a folder',
  ELOOP: 'its symbolic links form a loop',
  ENAMETOOLONG: 'its name is too long',
  EACCES: 'this user may not write there',
  EPERM: 'this user may not write there',
  EROFS: 'the disk is mounted read-only',
};

/** Runs `act`, and explains errors of the system. */
function attempt<Result>(what: Message, path: string, act: () => Result): Result {
  try {
    return act();
  } catch (error) {
    const reason = REASONS[errnoOf(error) ?? ''];
    if (reason === undefined) throw error;
    throw new BackfillError(
      'OUTPUT_UNWRITABLE',
      msg('The {what} cannot be written to {path}: {reason}', { what, path, reason: msg(reason) }),
      msg('Choose a folder that this user may write'),
      { cause: error },
    );
  }
}
