import { createHash, randomBytes } from 'node:crypto';
import { fstatSync, fsyncSync, readdirSync, realpathSync, statSync, writeSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import {
  createPrivate,
  followOpen,
  fsyncPath,
  howToWrite,
  isNamed,
  isWritable,
  nameFinished,
  pathExists,
  thisUser,
  withOpen,
} from '../db/file.js';
import { expandHome, find, locateStore, SIDECARS, type StoreFiles } from '../db/path.js';
import type { SqliteStatements } from '../db/sqlite/statements.js';
import { openSqlite } from '../engine/sqlite/dialect.js';
import { BackfillError, toBackfillError } from '../errors.js';
import { failpoint } from '../failpoint.js';
import { msg } from '../messages/message.js';
import { shellWord } from '../shell.js';
import { type CheckDepth, checkDamage, copyInto, type Digest, digestOf, removeWithSidecars } from './copy.js';
import { isTrustedCopy, refuseUnsafeFolder, removeLeftovers, withPrivateFolder } from './copy-trust.js';

/** A finished backup, with its size and its SHA-256. */
export interface Backup extends Digest {
  /** Absolute path of the file. */
  readonly path: string;
  readonly durationMs: number;
  /** Whether it could be looked at for damage: not when its schema uses what only the application has. */
  readonly isChecked: boolean;
}

/** What the name of a copy says it was made for. */
type CopyKind = 'backup' | 'before-restore';

/**
 * How names of a store's copies begin: with the store's. In a folder that other stores' copies may share, its path is part of
 * it, as a hash: two stores of one name on one machine are told apart.
 */
function nameOf({ path, folder }: StoreFiles, copies: string): string {
  const name = basename(path);
  if (copies === folder) return name;
  return `${name}-${createHash('sha256').update(path).digest('hex').slice(0, 8)}`;
}

/** A copy's name: the store's as {@link nameOf} has it, what it was made for, and when. */
const COPY_NAME = /^(.+)\.(?:backup|before-restore)-\d{8}T\d{6}Z/;

/**
 * Whether a copy is another store's, by its name and by the store that lies beside it; never of a file that is not named as a
 * copy.
 */
export function belongsToOtherStore(copy: string, files: StoreFiles): boolean {
  const [, name] = COPY_NAME.exec(basename(copy)) ?? [];
  if (name === undefined) return false;
  const beside = join(dirname(resolve(copy)), name);
  if (pathExists(beside) && pathExists(files.path)) return !isSameFile(beside, files.path);
  return name !== nameOf(files, files.folder) && name !== nameOf(files, dirname(resolve(copy)));
}

/** Whether a file is named as a copy of this store. */
export const isCopyOf = (path: string, files: StoreFiles): boolean =>
  COPY_NAME.test(basename(path)) && !belongsToOtherStore(path, files);

/** Whether two paths are of one file: it may have several names. */
export function isSameFile(a: string, b: string): boolean {
  const [one, other] = [statSync(a), statSync(b)];
  return one.dev === other.dev && one.ino === other.ino;
}

/**
 * The folder for a store's copies, absolute, with links resolved.
 *
 * @param given a folder. Default: the store's own
 * @param confirmed whether a person has agreed to a folder in which every user may rename; undefined where none is asked
 * @throws {BackfillError} `BACKUP_FOLDER_UNUSABLE` when there is none, this user may not write it, or others may rename in it
 */
export function backupFolder(files: StoreFiles, given: string | undefined, confirmed?: boolean): string {
  const folder = given === undefined ? files.folder : namedFolder(given);
  refuseUnsafeFolder(files, folder, confirmed);
  return folder;
}

function namedFolder(given: string): string {
  if (given.trim() === '') {
    throw new BackfillError(
      'BACKUP_FOLDER_UNUSABLE',
      msg('The folder for backups has no name'),
      msg('Name it: --backup-dir /path/to/folder, or leave the option out'),
    );
  }
  const folder = resolve(expandHome(given));
  const refuse = (message: string, hint: string): BackfillError =>
    new BackfillError('BACKUP_FOLDER_UNUSABLE', message, hint);
  if (!find(folder)?.isDirectory())
    throw refuse(`There is no folder ${folder} for backups`, `Make it first: mkdir -p ${shellWord(folder)}`);
  if (!isWritable(folder))
    throw refuse(`The folder ${folder} for backups can not be written by ${thisUser()}`, howToWrite(folder));
  return realpathSync(folder);
}

/**
 * Backs the store up: as one snapshot, into a private folder within `folder`. It gets its name when it is whole, has been looked at for
 * damage, is as readable as the store and is on the disk. Killed half way it leaves that folder, which the next one removes. The run lock
 * must be held.
 *
 * @param folder where to, from {@link backupFolder}
 * @throws {BackfillError} `STORE_CORRUPT` when the copy is damaged as the store is, `STORE_FULL`, `STORE_BUSY` …
 */
export async function backUp(
  store: SqliteStatements,
  {
    folder,
    kind = 'backup',
    check = 'quick',
    now = () => new Date(),
  }: { folder: string; kind?: CopyKind; check?: CheckDepth | undefined; now?: (() => Date) | undefined },
): Promise<Backup> {
  const startedAt = performance.now();
  const { files } = store;
  try {
    if (kind === 'backup') removeLeftovers(restorePrefix(files));
    return await withPrivateFolder(copyPrefix(files, folder, kind), async (work) => {
      const copy = join(work, unguessable());
      createPrivate(copy);
      failpoint('copy', 'made');
      await copyInto(store, copy);
      failpoint('copy', 'copied');
      const finish = async (fd: number): Promise<{ isChecked: boolean } & Digest> => {
        leaveWal(fd);
        const isChecked = await checkCopy(copy, check);
        failpoint('copy', 'checked');
        followOpen(fd, files.ownership);
        fsyncSync(fd);
        failpoint('copy', 'synced');
        return { isChecked, ...digestOf(fd) };
      };
      const finished = await withOpen(copy, finish, { write: true });
      let path: string;
      do {
        path = copyPath(files, folder, kind, now());
        failpoint('copy', 'naming');
      } while (!nameFinished(copy, path));
      failpoint('copy', 'renamed');
      fsyncPath(folder);
      failpoint('copy', 'done');
      return { path, durationMs: performance.now() - startedAt, ...finished };
    });
  } catch (error) {
    throw toBackfillError(error, 'while backing it up');
  }
}

/** A name for a file in a private folder that another user could not have prepared for, wherever the folder's own name led. */
export const unguessable = (): string => randomBytes(12).toString('hex');

/** Offset in a file's header of its version for writing; that for reading follows. 1 is rollback mode, 2 is WAL mode. */
export const VERSIONS_OFFSET = 18;

/**
 * Takes a copy out of WAL mode, so that no connection to it makes sidecars. SQLite goes by the version for reading alone: that for writing
 * stays, and tells a restore the mode of a store that is lost.
 *
 * @see https://www.sqlite.org/fileformat2.html section 1.3.3
 */
function leaveWal(fd: number): void {
  if (fstatSync(fd).size > 0) writeSync(fd, Buffer.of(1), 0, 1, VERSIONS_OFFSET + 1);
}

/** How the path of a copy begins. */
export const copyPrefix = (files: StoreFiles, folder: string, kind: CopyKind): string =>
  join(folder, `${nameOf(files, folder)}.${kind}`);

/** How the path of the private folder of a restore begins. */
export const restorePrefix = ({ path }: StoreFiles): string => `${path}.restore`;

/** A time as part of a name, to the second: names sort by it. */
const stamp = (time: Date): string => time.toISOString().replace(/\.\d+/, '').replaceAll(/[-:]/g, '');

/**
 * A path for a copy that is made now. It sorts behind every one that is there, though a clock was set back meanwhile: the
 * newest is the one made last.
 */
export function copyPath(files: StoreFiles, folder: string, kind: CopyKind, time = new Date()): string {
  const prefix = `${copyPrefix(files, folder, kind)}-`;
  const newest = kind === 'backup' ? (findBackups(files, folder).at(-1) ?? '') : '';
  const [latest = '', n = '1'] = newest.slice(prefix.length).split('-');
  const now = stamp(time);
  const wanted = `${prefix}${latest < now ? now : `${latest}-${Number(n) + 1}`}`;
  let path = wanted;
  for (let again = 2; ['', ...SIDECARS].some((suffix) => isNamed(path + suffix)); again += 1)
    path = `${wanted}-${again}`;
  return path;
}

/** Whether the copy could be checked; throws when it is damaged. */
async function checkCopy(path: string, depth: CheckDepth): Promise<boolean> {
  const copy = openSqlite(locateStore(path, { allowEmpty: true, isCopy: true }), { access: 'read' });
  try {
    const isSound = await checkDamage(copy, depth);
    if (isSound !== false) return isSound !== undefined;
    throw new BackfillError(
      'STORE_CORRUPT',
      msg('The backup is damaged, as then the store is too; nothing was changed'),
      msg(
        'Look at it with: sqlite3 STORE "PRAGMA integrity_check", and go back to an earlier backup: umzug-backfill restore FILE',
      ),
    );
  } finally {
    await copy.close();
  }
}

/**
 * The store's backups, oldest first. What another user has put there under such a name is passed over.
 *
 * @param folder where they are, from {@link backupFolder}
 */
export const findBackups = (files: StoreFiles, folder: string): string[] =>
  findNamed(files, folder).filter((path) => isTrustedCopy(files, path));

/** Whatever is named as the store's backups are, by whomever, in their order. */
export function findNamed(files: StoreFiles, folder: string): string[] {
  const name = `${nameOf(files, folder)}.backup-`;
  return readdirSync(folder)
    .filter((file) => file.startsWith(name) && /^\d{8}T\d{6}Z(?:-\d+)?$/.test(file.slice(name.length)))
    .sort((a, b) => a.localeCompare(b, 'en', { numeric: true })) // -10 comes after -9
    .map((file) => join(folder, file));
}

/**
 * Removes the oldest backups but `keep`. Only after a run has been verified: the backup made before a run must outlive
 * every failed try.
 *
 * @param known what the store's own ledger says was made: in a folder that is not the store's, nothing else is taken, since
 *   another machine may keep there the backups of a store with the same path
 * @returns the paths removed
 */
export function rotate(
  files: StoreFiles,
  folder: string,
  { keep, known }: { readonly keep: number; readonly known: readonly string[] },
): string[] {
  const own = findBackups(files, folder).filter((path) => folder === files.folder || known.includes(path));
  const old = own.slice(0, -keep);
  for (const path of old) {
    removeWithSidecars(path);
    failpoint('rotate', path);
  }
  return old;
}
