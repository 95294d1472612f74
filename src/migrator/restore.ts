import { statSync } from 'node:fs';
import { BackfillError } from '../errors.js';
import { checkRequirements } from '../schema/requirements.js';
import { requireSpace } from '../store/disk.js';
import { locateStore, type StoreFiles } from '../store/path.js';
import {
  backUp,
  checkDamage,
  copyFolder,
  findBackups,
  isDamage,
  removeWithSidecars,
} from '../store/sqlite/backup.js';
import { saveFiles, writeBack } from '../store/sqlite/restore.js';
import { Store } from '../store/sqlite/store.js';
import { withLock } from './change.js';
import type { MigratorOptions } from './session.js';

/** What `restore` did, or would do. */
export interface RestoreOutcome {
  /** The backup. */
  readonly from: string;
  /** Its size, in bytes. */
  readonly bytes: number;
  /** The store. */
  readonly path: string;
  /** A copy of the store as it was before; absent in a dry run. */
  readonly saved?: string;
  /** Whether the store was too damaged to be read: its copy is of its files as they were. */
  readonly wasDamaged?: boolean;
  /** Whether the file was replaced, as it could not be written into. */
  readonly isReplaced?: boolean;
}

/**
 * Brings the store back to a backup: checks that, takes the run lock, saves the present store, then writes the backup into
 * the live file. Killed at any instant it leaves the store as it was or restored, and can be run again.
 *
 * @param given the backup. Default: the store's newest
 * @param isDryRun whether only to look
 * @throws {BackfillError} `BACKUP_MISSING`, `BACKUP_UNUSABLE`, `RUN_LOCKED`, `DISK_SPACE_LOW`, `STORE_BUSY`, `STORE_IN_USE`
 */
export async function restore(
  options: MigratorOptions,
  given: string | undefined,
  isDryRun = false,
): Promise<RestoreOutcome> {
  const files = locateStore(options.path, { mayBeEmpty: true });
  const copies = copyFolder(files, options.backup ? options.backup.folder : undefined);
  const source = openBackup(options, findBackup(files, copies, given), files);
  try {
    const { bytes } = source.size();
    const outcome = { from: source.files.path, bytes, path: files.path };
    requireRoom(files, copies, bytes);
    if (isDryRun) return outcome;
    const act = async (): Promise<RestoreOutcome> => {
      const { saved, wasDamaged } = await save(files, copies);
      options.onEvent?.({ event: 'store_saved', path: saved });
      const isReplaced = await writeBack(source, files).catch((error: unknown) => {
        if (isRefused(error)) removeWithSidecars(saved); // nothing was changed: tries would pile up copies
        throw error;
      });
      new Store(locateStore(files.path), { access: 'look' }).close(); // can it be read?
      return { ...outcome, saved, wasDamaged, isReplaced };
    };
    return await withLock(options, act, files);
  } finally {
    source.close();
  }
}

/** Whether the store was not written, since others use it. */
const isRefused = (error: unknown): boolean =>
  error instanceof BackfillError && (error.code === 'STORE_BUSY' || error.code === 'STORE_IN_USE');

function findBackup(files: StoreFiles, copies: string, given: string | undefined): string {
  const path = given ?? findBackups(files, copies).at(-1);
  if (path !== undefined) return path;
  throw new BackfillError(
    'BACKUP_MISSING',
    `There is no backup of ${files.path} in ${copies}`,
    'Name the file: umzug-backfill restore FILE, or the folder it is in: --backup-dir',
  );
}

/** Opens a backup to look, and looks whether it is one. */
function openBackup({ project, backup }: MigratorOptions, path: string, live: StoreFiles): Store {
  let source: Store | undefined;
  try {
    const files = locateStore(path);
    if (isSameFile(files.path, live.path)) throw unusable(path, 'is the store itself');
    source = new Store(files, { access: 'look' });
    if (checkDamage(source, (backup ? backup.check : undefined) ?? 'quick') === false)
      throw unusable(path, 'is damaged');
    checkRequirements(source, project.config.requires);
    return source;
  } catch (error) {
    source?.close();
    if (!(error instanceof BackfillError) || error.code === 'BACKUP_UNUSABLE') throw error;
    if (error.code === 'STORE_MISSING') {
      throw new BackfillError(
        'BACKUP_MISSING',
        `There is no backup at ${path}`,
        'Name one that is there, or none for the newest: umzug-backfill restore',
        { cause: error },
      );
    }
    if (error.code === 'STORE_READONLY' || error.code === 'STORE_FOLDER_READONLY') {
      throw new BackfillError(
        'BACKUP_UNUSABLE',
        `${path} can not be opened where it is: SQLite needs to write beside it`,
        'Copy it to a folder that this user may write, and name the copy: umzug-backfill restore COPY',
        { cause: error },
      );
    }
    throw unusable(path, `can not be restored: ${lower(error.message)}`, error);
  }
}

/** One file may have two names. */
function isSameFile(a: string, b: string): boolean {
  const [one, other] = [statSync(a), statSync(b)];
  return one.dev === other.dev && one.ino === other.ino;
}

const lower = (text: string): string => text.charAt(0).toLowerCase() + text.slice(1);

function unusable(path: string, what: string, cause?: unknown): BackfillError {
  return new BackfillError(
    'BACKUP_UNUSABLE',
    `${path} ${what}`,
    'Name another backup: umzug-backfill restore FILE; nothing was changed',
    { cause },
  );
}

/** The copy of the present store; its growth; and in its journal the old pages or in its WAL the new ones. */
function requireRoom({ folder, mainBytes, walBytes }: StoreFiles, copies: string, bytes: number): void {
  requireSpace(
    [
      { what: 'a copy of the present store', bytes: mainBytes + walBytes, folder: copies },
      { what: 'the restored store and its journal', bytes: Math.max(bytes, mainBytes) + bytes, folder },
    ],
    'Make room, or name another disk for the copy with --backup-dir, then run the same command again; nothing was changed',
  );
}

/** Saves the present store, readable or not. */
async function save(files: StoreFiles, copies: string): Promise<{ saved: string; wasDamaged: boolean }> {
  // SQLite removes the WAL of an empty file when it opens that.
  if (files.mainBytes === 0) return { saved: saveFiles(files, copies), wasDamaged: true };
  let live: Store | undefined;
  try {
    // Closing a connection that writes would move what waits in the WAL into a file that turns out to be damaged.
    live = new Store(files, { access: files.walBytes > 0 ? 'look' : 'write' });
    const { path } = await backUp(live, { folder: copies, kind: 'before-restore' });
    return { saved: path, wasDamaged: false };
  } catch (error) {
    if (!isDamage(error)) throw error;
    return { saved: saveFiles(files, copies), wasDamaged: true };
  } finally {
    live?.close();
  }
}
