import { createHash } from 'node:crypto';
import { readdirSync, realpathSync, renameSync, statSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { BackfillError, toBackfillError } from '../../errors.js';
import { failpoint } from '../../failpoint.js';
import { shellWord } from '../../shell.js';
import { createPrivate, follow, isThere, statOf, sync } from '../file.js';
import { expandHome, isWritable, locateStore, type StoreFiles } from '../path.js';
import { type CheckDepth, checkDamage, copyInto, removeWithSidecars } from './copy.js';
import { SqliteStore } from './store.js';

/** A finished backup. */
export interface Backup {
  /** Absolute path of the file. */
  readonly path: string;
  readonly bytes: number;
  readonly durationMs: number;
  /** Whether it could be looked at for damage: not when its schema uses what only the application has. */
  readonly isChecked: boolean;
}

/** What the name of a copy says it was made for. */
export type CopyKind = 'backup' | 'before-restore';

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
export function isOthersCopy(copy: string, files: StoreFiles): boolean {
  const [, name] = COPY_NAME.exec(basename(copy)) ?? [];
  if (name === undefined) return false;
  const beside = join(dirname(resolve(copy)), name);
  if (isThere(beside) && isThere(files.path)) return !isSameFile(beside, files.path);
  return name !== nameOf(files, files.folder) && name !== nameOf(files, dirname(resolve(copy)));
}

/** Whether two paths are of one file: it may have several names. */
export function isSameFile(a: string, b: string): boolean {
  const [one, other] = [statSync(a), statSync(b)];
  return one.dev === other.dev && one.ino === other.ino;
}

/**
 * The folder for a store's copies, absolute, with links resolved.
 *
 * @param given a folder. Default: the store's own
 * @throws {BackfillError} `BACKUP_FOLDER_UNUSABLE` when there is none, or this user may not write it
 */
export function copyFolder(files: StoreFiles, given: string | undefined): string {
  if (given === undefined) return files.folder;
  if (given.trim() === '') {
    throw new BackfillError(
      'BACKUP_FOLDER_UNUSABLE',
      'The folder for backups has no name',
      'Name it: --backup-dir /path/to/folder, or leave the option out',
    );
  }
  const folder = resolve(expandHome(given));
  const refuse = (message: string, hint: string): BackfillError =>
    new BackfillError('BACKUP_FOLDER_UNUSABLE', message, hint);
  if (!statOf(folder)?.isDirectory())
    throw refuse(`There is no folder ${folder} for backups`, `Make it first: mkdir -p ${shellWord(folder)}`);
  if (!isWritable(folder))
    throw refuse(
      `This user may not write the folder ${folder} for backups`,
      `Give this user write permission: chmod u+w ${shellWord(folder)}`,
    );
  return realpathSync(folder);
}

/**
 * Backs the store up: as one snapshot, into a file that only this user may read until it is whole, has been looked at
 * for damage and is on the disk. Killed half way it leaves a `.partial`, which the next one removes. The run lock must be
 * held.
 *
 * @param folder where to, from {@link copyFolder}
 * @throws {BackfillError} `STORE_CORRUPT` when the copy is damaged as the store is, `STORE_FULL`, `STORE_BUSY` …
 */
export async function backUp(
  store: SqliteStore,
  {
    folder,
    kind = 'backup',
    check = 'quick',
    now = () => new Date(),
  }: { folder: string; kind?: CopyKind; check?: CheckDepth | undefined; now?: (() => Date) | undefined },
): Promise<Backup> {
  const startedAt = performance.now();
  const { files } = store;
  const path = copyPath(files, folder, kind, now());
  const partial = partialPath(files, folder, kind);
  try {
    removeWithSidecars(partial); // of a run that was killed
    createPrivate(partial);
    failpoint('copy', 'made');
    await copyInto(store, partial);
    failpoint('copy', 'copied');
    const isChecked = checkCopy(partial, check);
    failpoint('copy', 'checked');
    follow(partial, files.ownership);
    sync(partial);
    failpoint('copy', 'synced');
    renameSync(partial, path);
    failpoint('copy', 'renamed');
    sync(folder);
    failpoint('copy', 'done');
    return { path, bytes: statOf(path)?.size ?? 0, durationMs: performance.now() - startedAt, isChecked };
  } catch (error) {
    removeWithSidecars(partial);
    throw toBackfillError(error, 'while backing it up');
  }
}

/** Ending of a copy that is not whole yet. */
export const PARTIAL = '.partial';

/** Where a copy is while it is made. */
export const partialPath = (files: StoreFiles, folder: string, kind: CopyKind): string =>
  join(folder, `${nameOf(files, folder)}.${kind}${PARTIAL}`);

/** A time as part of a name, to the second: names sort by it. */
const stamp = (time: Date): string => time.toISOString().replace(/\.\d+/, '').replaceAll(/[-:]/g, '');

/**
 * A path for a copy that is made now. It sorts behind every one that is there, though a clock was set back meanwhile: the
 * newest is the one made last.
 */
export function copyPath(files: StoreFiles, folder: string, kind: CopyKind, time = new Date()): string {
  const name = `${nameOf(files, folder)}.${kind}-`;
  const newest = kind === 'backup' ? basename(findBackups(files, folder).at(-1) ?? '') : '';
  const [latest = '', n = '1'] = newest.slice(name.length).split('-');
  const now = stamp(time);
  const wanted = join(folder, `${name}${latest < now ? now : `${latest}-${Number(n) + 1}`}`);
  let path = wanted;
  for (let again = 2; isThere(path); again += 1) path = `${wanted}-${again}`;
  return path;
}

/** Whether the copy could be checked; throws when it is damaged. */
function checkCopy(path: string, depth: CheckDepth): boolean {
  // It may be in WAL mode: closed as the last connection to it, this one takes its sidecars away again.
  const copy = new SqliteStore(locateStore(path, { mayBeEmpty: true, isCopy: true }), { access: 'look' });
  try {
    const isSound = checkDamage(copy, depth);
    if (isSound !== false) return isSound !== undefined;
    throw new BackfillError(
      'STORE_CORRUPT',
      'The backup is damaged, as then the store is too; nothing was changed',
      'Look at it with: sqlite3 STORE "PRAGMA integrity_check", and go back to an earlier backup: umzug-backfill restore FILE',
    );
  } finally {
    copy.close();
  }
}

/**
 * The store's backups, oldest first.
 *
 * @param folder where they are, from {@link copyFolder}
 */
export function findBackups(files: StoreFiles, folder: string): string[] {
  const name = `${nameOf(files, folder)}.backup-`;
  const order = (file: string): [string, number] => {
    const [time = '', n = '1'] = file.slice(name.length).split('-');
    return [time, Number(n)];
  };
  return readdirSync(folder)
    .filter((file) => file.startsWith(name) && /^\d{8}T\d{6}Z(?:-\d+)?$/.test(file.slice(name.length)))
    .sort((a, b) => {
      const [[timeA, nA], [timeB, nB]] = [order(a), order(b)];
      return timeA === timeB ? nA - nB : timeA < timeB ? -1 : 1;
    })
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
