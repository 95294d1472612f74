import { dirname, join } from 'node:path';
import { isShared, pathExists, withOpen } from '../db/file.js';
import { hasJournalHeader, locateStore, SIDECARS, type StoreFiles } from '../db/path.js';
import type { SqliteStore } from '../db/sqlite/store.js';
import { openSqlite, sqliteConnector } from '../engine/sqlite/dialect.js';
import { BackfillError, toBackfillError } from '../errors.js';
import { msg } from '../messages/message.js';
import { checkRequirements } from '../run/schema.js';
import {
  backUp,
  backupFolder,
  belongsToOtherStore,
  isSameFile,
  restorePrefix,
  unguessable,
} from '../safety/backup.js';
import { checkDamage, digestOf, isDamage, removeWithSidecars } from '../safety/copy.js';
import { refuseUnsafeCopy, withPrivateFolder } from '../safety/copy-trust.js';
import { requireDiskSpace } from '../safety/disk.js';
import { lastModified, restoreInto, StaleCopyError, saveFiles, takeIn } from '../safety/restore.js';
import { withLock } from './change.js';
import {
  type ChosenBackup,
  chooseBackup,
  compareBackup,
  type KnownBackups,
  readKnownBackups,
} from './chosen-backup.js';
import type { MigratorOptions } from './options.js';

/** What `restore` did, or would do. */
export interface RestoreResult {
  /** The backup. */
  readonly from: string;
  /** Its size, in bytes. */
  readonly bytes: number;
  /** The store. */
  readonly path: string;
  /** Whether the ledger knows it by its size and SHA-256. */
  readonly isVerified: boolean;
  /** A copy of the store as it was before; absent in a dry run. */
  readonly saved?: string;
  /** Whether the store was too damaged to be read: its copy is of its files as they were. */
  readonly wasDamaged?: boolean;
  /** Whether the file was replaced, as it could not be written into. */
  readonly isReplaced?: boolean;
  /** Whether others wrote between the copy of the present store and the restore, so that the copy lacks their last writes. */
  readonly isCopyStale?: boolean;
}

/**
 * Brings the store back to a backup: checks that, takes the run lock, saves the present store, then writes the backup into
 * the live file. Killed at any instant it leaves the store as it was or restored, and can be run again.
 *
 * @param given the backup. Default: the store's newest, if its ledger knows that
 * @param dryRun whether only to look
 * @throws {BackfillError} a `BACKUP_…` code, `CONFIRMATION_REQUIRED`, `RUN_LOCKED`, `DISK_SPACE_LOW`, `STORE_BUSY`, `STORE_IN_USE`
 */
export async function restore(
  options: MigratorOptions,
  given: string | undefined,
  dryRun = false,
): Promise<RestoreResult> {
  // Looked at first for what can be refused at once, and again under the lock: another run may make a newer backup meanwhile.
  const files = locateLive(options.path);
  if (dryRun || !hasJournalHeader(files)) {
    const plan = await choose(options, files, given, 'read');
    // SQLite may write to what it opens, if another user puts a journal beside it.
    if (!isShared(dirname(plan.backup.path))) await checkBackup(options, plan, plan.backup.path);
    if (dryRun) return await planRestore(options, plan);
  }
  const connector = sqliteConnector(options.path, { files });
  return await withLock({ ...options, connector }, () => restoreAlone(options, given));
}

/** The store, the backup that it can be restored from, and what its ledger knows of backups. */
interface RestorePlan {
  readonly files: StoreFiles;
  /** Folder of the store's copies. */
  readonly copies: string;
  readonly backup: ChosenBackup;
  readonly known: KnownBackups | undefined;
}

/** Finds the store and the backup, and looks whether the one may be restored from the other, without opening that. */
async function choose(
  options: MigratorOptions,
  files: StoreFiles,
  given: string | undefined,
  access: 'read' | 'write',
): Promise<RestorePlan> {
  // Here too copies are made; and it may lie on a mount on which nobody can change a mode.
  const own = backupFolder(files, undefined, options.confirmed ?? false);
  const folder = options.backup ? options.backup.folder : undefined;
  const copies = folder === undefined ? own : backupFolder(files, folder);
  const known = await readKnownBackups(files, access);
  const backup = chooseBackup(files, copies, given, known);
  if (!options.confirmed) refuseForeign(backup.path, files);
  const found = locateBackup(backup.path);
  if (
    ['', ...SIDECARS, '.lock'].some(
      (end) => pathExists(files.path + end) && isSameFile(found.path, files.path + end),
    )
  )
    throw unusable(`${backup.path} is the store itself, or belongs to it`);
  refuseUnsafeCopy(files, backup.path, { backup: found, isKnown: backup.record !== undefined });
  requireSpace(files, copies, found.mainBytes);
  return { files, copies, backup: { ...backup, path: found.path }, known };
}

async function planRestore(
  { confirmed = false }: MigratorOptions,
  { files, backup, known }: RestorePlan,
): Promise<RestoreResult> {
  const digest = await withOpen(backup.path, async (fd) => digestOf(fd));
  const isVerified = compareBackup(backup, digest, known, confirmed);
  return { from: backup.path, bytes: digest.bytes, path: files.path, isVerified };
}

/** An empty store may be restored too; for a missing one its file has to be made first, as it says whose it is to be. */
function locateLive(path: string): StoreFiles {
  try {
    return locateStore(path, { allowEmpty: true });
  } catch (error) {
    if (!(error instanceof BackfillError) || error.code !== 'STORE_MISSING') throw error;
    throw new BackfillError(
      'STORE_MISSING',
      error.message,
      msg(
        'If it is lost, make an empty file in its place, as its owner, and run the same command again: touch STORE',
      ),
      { cause: error },
    );
  }
}

/** Tries to copy the present store and write the backup with nobody writing in between. */
const TRIES = 3;

async function restoreAlone(options: MigratorOptions, given: string | undefined): Promise<RestoreResult> {
  const files = locateLive(options.path);
  const plan = await choose(options, files, given, hasJournalHeader(files) ? 'write' : 'read');
  const { backup, known } = plan;
  const act = withPrivateFolder(restorePrefix(files), async (work) => {
    const prepared = join(work, unguessable());
    const digest = await takeIn(backup.path, prepared, files);
    const isVerified = compareBackup(backup, digest, known, options.confirmed ?? false);
    await checkBackup(options, plan, prepared);
    for (let tries = 1; ; tries += 1) {
      const done = await copyThenRestore(plan, prepared, tries < TRIES, options.onEvent);
      if (!done) continue;
      await openSqlite(locateStore(files.path), { access: 'read' }).close(); // can it be read?
      return { from: backup.path, bytes: digest.bytes, path: files.path, isVerified, ...done };
    }
  });
  return await act.catch((error: unknown) => {
    throw toBackfillError(error, 'while restoring it');
  });
}

/**
 * Saves the present store, then writes the backup into it.
 *
 * @param givesUp whether to give up, with nothing changed, when others have written since the copy was begun: what they
 *   wrote would be neither in the copy nor in the store
 * @returns undefined when it gave up
 */
async function copyThenRestore(
  { files: { path }, copies }: RestorePlan,
  prepared: string,
  givesUp: boolean,
  onEvent: MigratorOptions['onEvent'],
): Promise<Pick<RestoreResult, 'saved' | 'wasDamaged' | 'isReplaced' | 'isCopyStale'> | undefined> {
  const files = locateLive(path); // a try before this one may have emptied the WAL
  const before = lastModified(files);
  const { saved, wasDamaged } = await copyCurrent(files, copies);
  onEvent?.({ event: 'store_copied', path: saved });
  let isCopyStale = false;
  const onLocked = (): void => {
    if (wasDamaged) return; // opening it may have changed its files, and they are saved as they were
    isCopyStale ||= lastModified(files) !== before;
    if (isCopyStale && givesUp) throw new StaleCopyError();
  };
  try {
    const isReplaced = await restoreInto(prepared, files, onLocked);
    return { saved, wasDamaged, isReplaced, isCopyStale };
  } catch (error) {
    // Nothing was changed: tries would pile up copies.
    if (error instanceof StaleCopyError || isRefused(error)) removeWithSidecars(saved);
    if (error instanceof StaleCopyError) return undefined;
    throw error;
  }
}

/** Whether the store was not written, since others use it. */
const isRefused = (error: unknown): boolean =>
  error instanceof BackfillError && (error.code === 'STORE_BUSY' || error.code === 'STORE_IN_USE');

/**
 * A path from an environment that is another today, or a hint of another shell, must not bring one store into another.
 *
 * @throws {BackfillError} `CONFIRMATION_REQUIRED` when the name of a backup, or where it lies, says that it is another store's
 */
function refuseForeign(backup: string, files: StoreFiles): void {
  if (!belongsToOtherStore(backup, files)) return;
  throw new BackfillError(
    'CONFIRMATION_REQUIRED',
    msg('{backup} is a backup of another store than {path}', { backup, path: files.path }),
    msg(
      'Name its own store with --db-path; if this one is to be overwritten with it, run the same command again with --yes',
    ),
  );
}

/** Finds the files of a backup. */
function locateBackup(path: string): StoreFiles {
  try {
    return locateStore(path, { isCopy: true });
  } catch (error) {
    if (!(error instanceof BackfillError)) throw error;
    if (error.code !== 'STORE_MISSING') throw notRestorable(path, error);
    throw new BackfillError(
      'BACKUP_MISSING',
      msg('There is no backup at {path}', { path }),
      msg('Name one that is there, or none for the newest: umzug-backfill restore'),
      { cause: error },
    );
  }
}

/** Opens a backup to look whether it is a sound store of this project. */
async function checkBackup(
  { project, backup: options }: MigratorOptions,
  { backup: { path } }: RestorePlan,
  at: string,
): Promise<void> {
  const check = (options ? options.check : undefined) ?? 'quick';
  let source: SqliteStore | undefined;
  try {
    source = openSqlite(locateStore(at, { isCopy: true }), { access: 'read' });
    if ((await checkDamage(source, check)) === false) throw unusable(`${path} is damaged`);
    await checkRequirements(source, project.config.requires);
  } catch (error) {
    if (!(error instanceof BackfillError)) throw error;
    if (/^(?:BACKUP_UNUSABLE|STORE_(?:BUSY|FULL|IO))$/.test(error.code)) throw error;
    if (error.code === 'STORE_READONLY' || error.code === 'STORE_FOLDER_READONLY') {
      throw new BackfillError(
        'BACKUP_UNUSABLE',
        msg('{path} can not be opened where it is: SQLite needs to write beside it', { path }),
        msg('Copy it to a folder that this user may write, and name the copy: umzug-backfill restore COPY'),
        { cause: error },
      );
    }
    throw notRestorable(path, error);
  } finally {
    await source?.close();
  }
}

const notRestorable = (path: string, error: BackfillError): BackfillError =>
  unusable(`${path} can not be restored: ${lower(error.message)}`, error);

const lower = (text: string): string => text.charAt(0).toLowerCase() + text.slice(1);

function unusable(message: string, cause?: unknown): BackfillError {
  return new BackfillError(
    'BACKUP_UNUSABLE',
    message,
    msg('Name another backup: umzug-backfill restore FILE; nothing was changed'),
    { cause },
  );
}

/** The copies of the present store and of the backup; its growth; and in its journal the old pages or in its WAL the new ones. */
function requireSpace({ folder, mainBytes, walBytes }: StoreFiles, copies: string, bytes: number): void {
  requireDiskSpace(
    [
      { what: 'a copy of the present store', bytes: mainBytes + walBytes, folder: copies },
      { what: 'a private copy of the backup', bytes, folder },
      {
        what: 'the restored store and its journal',
        bytes: Math.max(bytes, mainBytes) + Math.max(0, bytes - mainBytes),
        folder,
      },
    ],
    'Make room, or name another disk for the copy with --backup-dir, then run the same command again; nothing was changed',
  );
}

/** Saves the present store, readable or not. */
async function copyCurrent(files: StoreFiles, copies: string) {
  // SQLite removes the WAL of an empty file when it opens that.
  if (files.mainBytes === 0) return { saved: await saveFiles(files, copies), wasDamaged: true };
  let live: SqliteStore | undefined;
  try {
    // Closing a connection that writes would move what waits in the WAL into a file that turns out to be damaged.
    live = openSqlite(files, { access: files.walBytes > 0 ? 'read' : 'write' });
    const { path } = await backUp(live, { folder: copies, kind: 'before-restore' });
    return { saved: path, wasDamaged: false };
  } catch (error) {
    if (!isDamage(error)) throw error;
    return { saved: await saveFiles(files, copies), wasDamaged: true };
  } finally {
    await live?.close();
  }
}
