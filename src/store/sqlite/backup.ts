import { createHash } from 'node:crypto';
import { readdirSync, realpathSync, renameSync, rmSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { BackfillError, isSqliteError, toBackfillError } from '../../errors.js';
import { failpoint } from '../../failpoint.js';
import { shellWord } from '../../shell.js';
import { createPrivate, follow, isThere, statOf, sync } from '../file.js';
import { expandHome, isWritable, locateStore, type StoreFiles } from '../path.js';
import { busyPauses } from './busy.js';
import { Store } from './store.js';

/** How thoroughly a copy is looked at: every page, or each index against its table too. */
export type CheckDepth = 'quick' | 'full';

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

/** What SQLite may leave beside a file. */
export const SIDECARS = ['-wal', '-shm', '-journal'] as const;

/**
 * How names of a store's copies begin. In a folder that other stores' copies may share, the store's path is part of it,
 * as a hash: rotation must never take another's for its own.
 */
function nameOf({ path, folder }: StoreFiles, copies: string, kind: CopyKind): string {
  const name = basename(path);
  if (copies === folder) return `${name}.${kind}`;
  return `${name}-${createHash('sha256').update(path).digest('hex').slice(0, 8)}.${kind}`;
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
  const refuse = (what: string, hint: string): BackfillError =>
    new BackfillError('BACKUP_FOLDER_UNUSABLE', `${what} ${folder} for backups`, hint);
  if (!statOf(folder)?.isDirectory())
    throw refuse('There is no folder', `Make it first: mkdir -p ${shellWord(folder)}`);
  if (!isWritable(folder))
    throw refuse(
      'This user may not write the folder',
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
  store: Store,
  {
    folder,
    kind = 'backup',
    check = 'quick',
    now = () => new Date(),
  }: { folder: string; kind?: CopyKind; check?: CheckDepth | undefined; now?: () => Date },
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
  join(folder, `${nameOf(files, folder, kind)}${PARTIAL}`);

/** A time as part of a name, to the second: names sort by it. */
const stamp = (time: Date): string => time.toISOString().replace(/\.\d+/, '').replaceAll(/[-:]/g, '');

/**
 * A path for a copy that is made now. It sorts behind every one that is there, though a clock was set back meanwhile: the
 * newest is the one made last.
 */
export function copyPath(files: StoreFiles, folder: string, kind: CopyKind, time = new Date()): string {
  const name = `${nameOf(files, folder, kind)}-`;
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
  const copy = new Store(locateStore(path, { mayBeEmpty: true }), { access: 'look' });
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
 * Copies a store, as one snapshot, into another SQLite file that stands there already: into an empty one to back it up,
 * into a store in use to restore it. What a killed copy has begun is rolled back when the other file is next opened.
 *
 * @param path the other file; its connections see the copy as one commit
 * @param onLocked called when the other file is locked and not written yet; what it throws ends the copy there
 * @throws {BackfillError} `STORE_BUSY` when either file stays locked
 * @throws {Error} SQLite's own: `SQLITE_READONLY` for another page size in WAL mode, `SQLITE_FULL`, `SQLITE_CORRUPT` …
 * @see https://www.sqlite.org/c3ref/backup_finish.html
 */
export async function copyInto(
  store: Store,
  path: string,
  onLocked: () => void = () => undefined,
): Promise<void> {
  if (store.size().bytes === 0) return; // a new store has no pages, and an empty file is one
  const tries = busyPauses(COPY_PAUSE_MS);
  const onBegun = (): void => {
    failpoint('copy', 'begun');
    onLocked();
    if (tries.next().done) throw copyBusy(path);
  };
  for (const pauseMs of tries) {
    if (await store.tryCopy(path, onBegun)) return;
    await sleep(pauseMs);
  }
  throw copyBusy(path);
}

/** Longest pause between two tries to copy into a store that is in use, in milliseconds: the lock is free for moments only. */
const COPY_PAUSE_MS = 20;

function copyBusy(path: string): BackfillError {
  return new BackfillError(
    'STORE_BUSY',
    `Another process kept ${path} or the file that it is copied from locked for longer than the wait`,
    'End or pause the other writer, then run the same command again; nothing was changed',
  );
}

/**
 * Looks for damage.
 *
 * @param depth `quick` reads every page, `full` compares each index with its table too
 * @returns whether all is well; undefined when SQLite can't tell, since the schema uses functions or collations that only
 *   the application has
 * @see https://www.sqlite.org/pragma.html#pragma_quick_check
 */
export function checkDamage(store: Store, depth: CheckDepth): boolean | undefined {
  try {
    const found = store.pluck<string>(`PRAGMA ${depth === 'full' ? 'integrity' : 'quick'}_check(1)`);
    return found.length === 1 && found[0] === 'ok';
  } catch (error) {
    if (isSqliteError(error) && error.code.startsWith('SQLITE_ERROR')) return undefined;
    throw error;
  }
}

/** Removes a file with what SQLite may have left beside it. */
export function removeWithSidecars(path: string): void {
  for (const suffix of ['', ...SIDECARS]) rmSync(path + suffix, { force: true });
}

/**
 * The store's backups, oldest first.
 *
 * @param folder where they are, from {@link copyFolder}
 */
export function findBackups(files: StoreFiles, folder: string): string[] {
  const name = `${nameOf(files, folder, 'backup')}-`;
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

/** Whether an error says that the file that was read is damaged or no database at all. */
export const isDamage = (error: unknown): boolean =>
  (isSqliteError(error) && /^SQLITE_(?:CORRUPT|NOTADB)/.test(error.code)) ||
  (error instanceof BackfillError &&
    (error.code === 'STORE_CORRUPT' || error.code === 'STORE_NOT_A_DATABASE'));
