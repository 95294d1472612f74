import { createHash, randomBytes } from 'node:crypto';
import { fstatSync, fsyncSync, readdirSync, realpathSync, statSync, writeSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import {
  createPrivate,
  followOpen,
  fsyncPath,
  isNamed,
  isWritable,
  nameFinished,
  pathExists,
  SIDECARS,
  withOpen,
} from '../db/file.js';
import { expandHome, find, howToWrite, locateStore, type StoreFiles, thisUser } from '../db/path.js';
import type { SqliteStatements } from '../db/sqlite/statements.js';
import { openSqlite } from '../engine/sqlite/dialect.js';
import { BackfillError, toBackfillError } from '../errors.js';
import { failpoint } from '../failpoint.js';
import { msg } from '../messages/message.js';
import { shellWord } from '../shell.js';
import {
  type CheckDepth,
  checkDamage,
  copyInto,
  type Digest,
  digestOf,
  folderUnusable,
  isTrustedCopy,
  refuseUnsafeFolder,
  removeLeftovers,
  removeWithSidecars,
  withPrivateFolder,
} from './copy.js';

/** A finished backup, with its size and its SHA-256. */
export interface Backup extends Digest {
  /** Absolute path of the file. */
  readonly path: string;
  readonly durationMs: number;
  /** Whether its integrity was checked: not if its schema uses functions or collations that only the application provides. */
  readonly isChecked: boolean;
}

/** Purpose of a copy, which is part of its name. */
type CopyKind = 'backup' | 'before-restore';

/**
 * Returns the prefix of the names of a store's copies: its name, and in another folder a hash of its path, which distinguishes
 * stores with the same name.
 */
function nameOf({ path, folder }: StoreFiles, copies: string): string {
  const name = basename(path);
  if (copies === folder) return name;
  return `${name}-${createHash('sha256').update(path).digest('hex').slice(0, 8)}`;
}

/** Name of a copy: {@link nameOf} the store, purpose, time. */
const COPY_NAME = /^(.+)\.(?:backup|before-restore)-\d{8}T\d{6}Z/;

/**
 * Whether a copy belongs to another store, by its name and by the store next to it. False for a file without the name of a copy.
 */
export function belongsToOtherStore(copy: string, files: StoreFiles): boolean {
  const [, name] = COPY_NAME.exec(basename(copy)) ?? [];
  if (name === undefined) return false;
  const beside = join(dirname(resolve(copy)), name);
  if (pathExists(beside) && pathExists(files.path)) return !isSameFile(beside, files.path);
  return name !== nameOf(files, files.folder) && name !== nameOf(files, dirname(resolve(copy)));
}

/** Whether a file has the name of a copy of this store. */
export const isCopyOf = (path: string, files: StoreFiles): boolean =>
  COPY_NAME.test(basename(path)) && !belongsToOtherStore(path, files);

/** Whether two paths lead to the same file. */
export function isSameFile(a: string, b: string): boolean {
  const [one, other] = [statSync(a), statSync(b)];
  return one.dev === other.dev && one.ino === other.ino;
}

/**
 * Returns the folder for a store's copies, absolute, with links resolved.
 *
 * @param given a folder. Default: the store's
 * @param confirmed whether a folder in which every user may rename is accepted, by `--yes`; undefined if the command has no such
 *   option
 * @throws {BackfillError} `BACKUP_FOLDER_UNUSABLE` if it does not exist, this user may not write it, or untrusted users may
 *   rename in it
 */
export function backupFolder(files: StoreFiles, given: string | undefined, confirmed?: boolean): string {
  const folder = given === undefined ? files.folder : namedFolder(given);
  refuseUnsafeFolder(files, folder, confirmed);
  return folder;
}

function namedFolder(given: string): string {
  if (given.trim() === '')
    throw folderUnusable(
      msg('The value of --backup-dir is empty'),
      msg('Pass a folder: --backup-dir /path/to/folder; or omit the option'),
    );
  const folder = resolve(expandHome(given));
  if (!find(folder)?.isDirectory())
    throw folderUnusable(
      msg('The backup folder {folder} does not exist', { folder }),
      msg('Create it first: mkdir -p {folder}', { folder: shellWord(folder) }),
    );
  if (!isWritable(folder))
    throw folderUnusable(
      msg('The backup folder {folder} cannot be written by {who}', { folder, who: thisUser() }),
      howToWrite(folder),
    );
  return realpathSync(folder);
}

/**
 * Backs up the store, as one snapshot, in a private folder inside `folder`. The copy gets its name once it is complete, checked
 * for damage, has the store's owner and mode, and is flushed to disk. A killed backup leaves its private folder, which the next
 * one removes. The run lock must be held.
 *
 * @param folder target folder, from {@link backupFolder}
 * @throws {BackfillError} `STORE_CORRUPT` if the copy, and thus the store, is damaged; `STORE_FULL`, `STORE_BUSY` …
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

/** Returns a random file name, for which another user cannot have prepared a link. */
export const unguessable = (): string => randomBytes(12).toString('hex');

/** Offset of the write version in a file's header, followed by the read version. 1 is rollback mode, 2 is WAL mode. */
export const VERSIONS_OFFSET = 18;

/**
 * Takes a copy out of WAL mode, so that connections to it create no sidecars. SQLite uses only the read version; the write
 * version stays, and preserves the mode for a restore of a lost store.
 *
 * @see https://www.sqlite.org/fileformat2.html section 1.3.3
 */
function leaveWal(fd: number): void {
  if (fstatSync(fd).size > 0) writeSync(fd, Buffer.of(1), 0, 1, VERSIONS_OFFSET + 1);
}

/** Returns the prefix of the paths of copies. */
export const copyPrefix = (files: StoreFiles, folder: string, kind: CopyKind): string =>
  join(folder, `${nameOf(files, folder)}.${kind}`);

/** Returns the prefix of the path of a restore's private folder. */
export const restorePrefix = ({ path }: StoreFiles): string => `${path}.restore`;

/** Formats a time for a name, to the second, so that names sort by time. */
const stamp = (time: Date): string => time.toISOString().replace(/\.\d+/, '').replaceAll(/[-:]/g, '');

/**
 * Returns a path for a new copy. It sorts after all existing backups, even if the clock was set back.
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

/** Checks a copy for damage, and throws if there is any. Returns false if the check is not possible. */
async function checkCopy(path: string, depth: CheckDepth): Promise<boolean> {
  const copy = openSqlite(locateStore(path, { allowEmpty: true, isCopy: true }), { access: 'read' });
  try {
    const isSound = await checkDamage(copy, depth);
    if (isSound !== false) return isSound !== undefined;
    throw new BackfillError(
      'STORE_CORRUPT',
      msg('The backup is damaged, and so is the store; nothing was changed'),
      msg(
        'Check it with: sqlite3 STORE "PRAGMA integrity_check"; then restore an earlier backup: umzug-backfill restore FILE',
      ),
    );
  } finally {
    await copy.close();
  }
}

/**
 * Returns the store's backups, oldest first, without files of untrusted users.
 *
 * @param folder from {@link backupFolder}
 */
export const findBackups = (files: StoreFiles, folder: string): string[] =>
  findNamed(files, folder).filter((path) => isTrustedCopy(files, path));

/** Returns all files with the name of a backup of the store, oldest first. */
export function findNamed(files: StoreFiles, folder: string): string[] {
  const name = `${nameOf(files, folder)}.backup-`;
  return readdirSync(folder)
    .filter((file) => file.startsWith(name) && /^\d{8}T\d{6}Z(?:-\d+)?$/.test(file.slice(name.length)))
    .sort((a, b) => a.localeCompare(b, 'en', { numeric: true })) // -10 comes after -9
    .map((file) => join(folder, file));
}

/**
 * Removes all backups except the newest `keep`. Call it only after a run has been verified, because the backup from before a run
 * must outlive every failed attempt.
 *
 * @param known backups in the store's ledger. In another folder than the store's only these are removed, because another machine
 *   may keep backups of a store with the same path there
 * @returns the removed paths
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
