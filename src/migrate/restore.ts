import { dirname, join } from 'node:path';
import { pathExists, SIDECARS, withOpen } from '../db/file.js';
import { hasJournalHeader, locateStore, type StoreFiles } from '../db/path.js';
import type { SqliteStore } from '../db/sqlite/store.js';
import { isShared } from '../db/trust.js';
import { openSqlite, sqliteConnector } from '../engine/sqlite/dialect.js';
import { BackfillError, toBackfillError } from '../errors.js';
import { type Message, msg } from '../messages/message.js';
import { checkRequirements } from '../run/schema.js';
import {
  backUp,
  backupFolder,
  belongsToOtherStore,
  isSameFile,
  restorePrefix,
  unguessable,
} from '../safety/backup.js';
import {
  checkDamage,
  type Digest,
  digestOf,
  isDamage,
  refuseUnsafeCopy,
  removeWithSidecars,
  withPrivateFolder,
} from '../safety/copy.js';
import { requireDiskSpace } from '../safety/disk.js';
import { lastModified, restoreInto, StaleCopyError, saveFiles, takeIn } from '../safety/restore.js';
import { chooseBackup, compareBackup, readKnownBackups } from './backups.js';
import { withLock } from './change.js';
import type { MigratorOptions } from './options.js';

/** Maximum attempts to copy the store and write the backup without a write by another process in between. */
const TRIES = 3;

/** Result of `restore`, or of its dry run. */
export interface RestoreResult {
  /** Path of the backup. */
  readonly from: string;
  /** Size of the backup, in bytes. */
  readonly bytes: number;
  /** Path of the store. */
  readonly path: string;
  /** Whether the ledger has a backup with its size and SHA-256. */
  readonly isVerified: boolean;
  /** Path of a copy of the store before the restore; absent in a dry run. */
  readonly saved?: string;
  /** Whether the store was too damaged to be read, so that the copy is one of its files. */
  readonly wasDamaged?: boolean;
  /** Whether the file was replaced, because it could not be written into. */
  readonly isReplaced?: boolean;
  /** Whether other processes wrote after the copy was started, so that it lacks their last writes. */
  readonly isCopyStale?: boolean;
}

/**
 * Restores a backup: checks it, takes the run lock, copies the current store, then writes the backup into the live file. A kill at any point leaves
 * the store as it was or restored; the command can be run again.
 *
 * @param given path or name of the backup. Default: the newest, if the ledger has it
 * @param dryRun whether to only check. Default false
 * @throws {BackfillError} a `BACKUP_…` code, `CONFIRMATION_REQUIRED`, `RUN_LOCKED`, `DISK_SPACE_LOW`, `STORE_BUSY`, `STORE_IN_USE`
 */
export async function restore(
  options: MigratorOptions,
  given: string | undefined,
  dryRun = false,
): Promise<RestoreResult> {
  // Checked before the lock to refuse early, and again under it, because another run may create a newer backup.
  const files = locateLive(options.path);
  if (dryRun || !hasJournalHeader(files)) {
    const plan = await choose(options, files, given, 'read');
    // SQLite may write to a file that it opens, if another user puts a journal next to it.
    if (!isShared(dirname(plan.backup.path))) await checkBackup(options, plan, plan.backup.path);
    if (dryRun) {
      const digest = await withOpen(plan.backup.path, async (fd) => digestOf(fd));
      return resultOf(plan, digest, options.confirmed);
    }
  }
  const how = { ...options, connector: sqliteConnector(options.path, { files }) };
  return await withLock(how, () => restoreAlone(options, given));
}

/**
 * Finds the backup and checks that the store may be restored from it, without opening it.
 *
 * @returns the plan: `copies` is the folder for copies of the store, `known` the backups in its ledger
 */
async function choose(
  options: MigratorOptions,
  files: StoreFiles,
  given: string | undefined,
  access: 'read' | 'write',
) {
  // The store's folder receives copies too. On some mounts its mode cannot be changed.
  const own = backupFolder(files, undefined, options.confirmed ?? false);
  const folder = options.backup ? options.backup.folder : undefined;
  const copies = folder === undefined ? own : backupFolder(files, folder);
  const known = await readKnownBackups(files, access);
  const { path, record } = chooseBackup(files, copies, given, known);
  if (!options.confirmed) refuseForeign(path, files);
  const found = locateBackup(path);
  const ownFiles = ['', ...SIDECARS, '.lock'].map((end) => files.path + end);
  if (ownFiles.some((own) => pathExists(own) && isSameFile(found.path, own)))
    throw unusable(msg('{path} is the store itself, or belongs to it', { path }));
  refuseUnsafeCopy(files, path, { backup: found, isKnown: record !== undefined });
  requireSpace(files, copies, found.mainBytes);
  return { files, copies, backup: { path: found.path, record }, known };
}

type RestorePlan = Awaited<ReturnType<typeof choose>>;

function resultOf({ files, backup, known }: RestorePlan, digest: Digest, confirmed = false): RestoreResult {
  const isVerified = compareBackup(backup, digest, known, confirmed);
  return { from: backup.path, bytes: digest.bytes, path: files.path, isVerified };
}

/** Finds the files of the store, which may be empty. If it is missing, its file must be created first, because that decides its owner. */
function locateLive(path: string): StoreFiles {
  try {
    return locateStore(path, { allowEmpty: true });
  } catch (error) {
    if (!(error instanceof BackfillError) || error.code !== 'STORE_MISSING') throw error;
    throw new BackfillError(
      'STORE_MISSING',
      error.texts.message,
      msg(
        'If it is lost, create an empty file in its place, as its owner, and run the same command again: touch STORE',
      ),
      { cause: error },
    );
  }
}

async function restoreAlone(options: MigratorOptions, given: string | undefined): Promise<RestoreResult> {
  const files = locateLive(options.path);
  const plan = await choose(options, files, given, hasJournalHeader(files) ? 'write' : 'read');
  const act = withPrivateFolder(restorePrefix(files), async (work) => {
    const prepared = join(work, unguessable());
    const digest = await takeIn(plan.backup.path, prepared, files);
    const result = resultOf(plan, digest, options.confirmed);
    await checkBackup(options, plan, prepared);
    for (let tries = 1; ; tries += 1) {
      const done = await copyThenRestore(plan, prepared, tries < TRIES, options.onEvent);
      if (!done) continue;
      await openSqlite(locateStore(files.path), { access: 'read' }).close(); // fails if it cannot be read
      return { ...result, ...done };
    }
  });
  return await act.catch((error: unknown) => Promise.reject(toBackfillError(error, 'while restoring it')));
}

/**
 * Copies the current store, then writes the backup into it.
 *
 * @param givesUp whether to give up, with nothing changed, if another process wrote after the copy was started: that would be neither in the copy
 *   nor in the store
 * @returns undefined if it gave up
 */
async function copyThenRestore(
  { files: { path }, copies }: RestorePlan,
  prepared: string,
  givesUp: boolean,
  onEvent: MigratorOptions['onEvent'],
): Promise<Pick<RestoreResult, 'saved' | 'wasDamaged' | 'isReplaced' | 'isCopyStale'> | undefined> {
  const files = locateLive(path); // an earlier attempt may have emptied the WAL
  const before = lastModified(files);
  const { saved, wasDamaged } = await copyCurrent(files, copies);
  onEvent?.({ event: 'store_copied', path: saved });
  let isCopyStale = false;
  const onLocked = (): void => {
    if (wasDamaged) return; // opening it may have changed its files, which were copied before
    isCopyStale ||= lastModified(files) !== before;
    if (isCopyStale && givesUp) throw new StaleCopyError();
  };
  try {
    const isReplaced = await restoreInto(prepared, files, onLocked);
    return { saved, wasDamaged, isReplaced, isCopyStale };
  } catch (error) {
    const isStale = error instanceof StaleCopyError;
    const isInUse = error instanceof BackfillError && /^STORE_(?:BUSY|IN_USE)$/.test(error.code);
    if (isStale || isInUse) removeWithSidecars(saved); // nothing was changed, so the copy is not needed
    if (isStale) return undefined;
    throw error;
  }
}

/**
 * Refuses the backup of another store, according to its name and folder: the path may come from another environment, or from a hint in another
 * shell.
 *
 * @throws {BackfillError} `CONFIRMATION_REQUIRED`
 */
function refuseForeign(backup: string, files: StoreFiles): void {
  if (!belongsToOtherStore(backup, files)) return;
  throw new BackfillError(
    'CONFIRMATION_REQUIRED',
    msg('{backup} is a backup of another store than {path}', { backup, path: files.path }),
    msg(
      'Pass its own store with --db-path; to overwrite this one with it, run the same command again with --yes',
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
      msg('Pass one that exists, or none for the newest: umzug-backfill restore'),
      { cause: error },
    );
  }
}

/** Opens a backup and checks that it is an undamaged store of this project. */
async function checkBackup(
  { project, backup: options }: MigratorOptions,
  { backup: { path } }: RestorePlan,
  at: string,
): Promise<void> {
  const check = (options ? options.check : undefined) ?? 'quick';
  let source: SqliteStore | undefined;
  try {
    source = openSqlite(locateStore(at, { isCopy: true }), { access: 'read' });
    if ((await checkDamage(source, check)) === false) throw unusable(msg('{path} is damaged', { path }));
    await checkRequirements(source, project.config.requires);
  } catch (error) {
    if (!(error instanceof BackfillError)) throw error;
    if (/^(?:BACKUP_UNUSABLE|STORE_(?:BUSY|FULL|IO))$/.test(error.code)) throw error;
    if (error.code === 'STORE_READONLY' || error.code === 'STORE_FOLDER_READONLY') {
      throw new BackfillError(
        'BACKUP_UNUSABLE',
        msg('{path} cannot be opened where it is: SQLite needs to write next to it', { path }),
        msg('Copy it to a folder that this user may write, and pass the copy: umzug-backfill restore COPY'),
        { cause: error },
      );
    }
    throw notRestorable(path, error);
  } finally {
    await source?.close();
  }
}

const notRestorable = (path: string, error: BackfillError): BackfillError =>
  unusable(msg('{path} cannot be restored: {reason}', { path, reason: error.texts.message }), error);

function unusable(message: Message, cause?: unknown): BackfillError {
  return new BackfillError(
    'BACKUP_UNUSABLE',
    message,
    msg('Pass another backup: umzug-backfill restore FILE; nothing was changed'),
    { cause },
  );
}

/** Checks disk space for the copies of the store and the backup, the growth of the store, and its journal or WAL. */
function requireSpace({ folder, mainBytes, walBytes }: StoreFiles, copies: string, bytes: number): void {
  const restored = Math.max(bytes, mainBytes) + Math.max(0, bytes - mainBytes);
  requireDiskSpace(
    [
      { what: 'a copy of the present store', bytes: mainBytes + walBytes, folder: copies },
      { what: 'a private copy of the backup', bytes, folder },
      { what: 'the restored store and its journal', bytes: restored, folder },
    ],
    msg(
      'Free disk space, or pass another disk for the copy with --backup-dir, then run the same command again; nothing was changed',
    ),
  );
}

/** Copies the current store, even if it cannot be read. */
async function copyCurrent(files: StoreFiles, copies: string) {
  // SQLite removes the WAL of an empty file when it opens the file.
  if (files.mainBytes === 0) return { saved: await saveFiles(files, copies), wasDamaged: true };
  let live: SqliteStore | undefined;
  try {
    // Closing a writing connection would move the WAL into a file that may turn out to be damaged.
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
