import { basename, join, resolve } from 'node:path';
import { RETRY_TIMEOUT_MS } from '../db/connection.js';
import { lstatOf, pathExists, tryStat } from '../db/file.js';
import { expandHome, type StoreFiles } from '../db/path.js';
import { requireSqlite } from '../db/sqlite/statements.js';
import type { SqliteStore } from '../db/sqlite/store.js';
import { isShared } from '../db/trust.js';
import { someEach } from '../each.js';
import { openSqlite } from '../engine/sqlite/dialect.js';
import { isSqliteError } from '../engine-errors.js';
import { BackfillError, toBackfillError } from '../errors.js';
import { type BackupRecord, type Ledger, openLedger, type WriteCommand } from '../ledger/ledger.js';
import { msg } from '../messages/message.js';
import { BACKUP_OPTIONS } from '../option-table.js';
import {
  type Backup,
  backUp,
  backupFolder,
  findBackups,
  findNamed,
  isCopyOf,
  rotate,
} from '../safety/backup.js';
import { type Digest, isDamage, isTrustedCopy, removeWithSidecars } from '../safety/copy.js';
import { shellWord } from '../shell.js';
import type { MigratorOptions } from './options.js';
import { backfillsOf, inSnapshot, type OpenSession, type Session } from './session.js';

/** A backup that would be created, and its size. */
export interface PlannedBackup {
  readonly folder: string;
  readonly bytes: number;
}

/** A command before it starts. */
export interface PlannedCommand {
  readonly command: WriteCommand;
  /** Names of the steps that it changes. */
  readonly steps: readonly string[];
  /** Whether it resumes an unfinished command, and so shares its ledger entry and backup. */
  readonly isResumed: boolean;
  /** The backup to create first; null if backups are off, or the resumed command has one. */
  readonly backup: PlannedBackup | null;
}

/**
 * Plans the start of a command.
 *
 * @throws {BackfillError} `BACKUP_FOLDER_UNUSABLE`
 */
export async function planCommand(
  options: MigratorOptions,
  session: Session,
  command: WriteCommand,
  steps: readonly string[],
): Promise<PlannedCommand> {
  const { files } = session.store;
  const isResumed = steps.length > 0 && (await resumes(options, session, command, steps));
  const isOff = options.backup === false || command === 'backfill' || steps.length === 0 || isResumed;
  const backup =
    isOff || !files // a database server has separate backups
      ? null
      : {
          folder: backupFolder(files, options.backup ? options.backup.folder : undefined),
          bytes: (await session.store.size()).bytes,
        };
  return { command, steps, isResumed, backup };
}

/**
 * Whether a command resumes the last one: the same command, or an `up` after an unfinished rescan. If it needs a backup, that of the last one
 * must still exist.
 */
async function resumes(
  { backup }: MigratorOptions,
  { store, ledger }: Session,
  command: WriteCommand,
  steps: readonly string[],
): Promise<boolean> {
  const last = await ledger.lastCommand();
  const isSame = last?.command === command || (last?.command === 'rescan' && command === 'up');
  if (!last || !isSame || steps.some((name) => !last.steps.includes(name))) return false;
  if (command === 'backfill') return true; // recorded only so that a later `up` does not resume an earlier command
  if (backup !== false && store.files && !(await hasBackup(store.files, ledger, last.backup))) return false;
  return await someEach(last.steps, async (name) => {
    const status = (await ledger.step(name))?.status;
    if (command === 'down') return status !== undefined;
    return status !== 'applied' || (await ledger.isUnverified(name));
  });
}

/**
 * Whether the backup that the ledger names exists: a copy of this store by its name and owner, of the recorded size. The ledger alone is not
 * trusted, because other users may be able to write the file.
 */
async function hasBackup(files: StoreFiles, ledger: Ledger, path: string | null): Promise<boolean> {
  if (path === null || !isCopyOf(path, files) || !isTrustedCopy(files, path)) return false;
  const known = (await ledger.knownBackups()).get(path);
  return known === undefined || known.bytes === tryStat(path)?.size;
}

/**
 * Creates the planned backup and records the start of the command, unless it resumes another. A backup whose command cannot be recorded is
 * removed.
 */
export async function startCommand(
  options: MigratorOptions,
  { store, ledger }: OpenSession,
  { command, steps, isResumed, backup: due }: PlannedCommand,
): Promise<Backup | undefined> {
  if (isResumed) return undefined;
  const record = async (backup: Backup | null): Promise<void> =>
    await store.write(async (tx) => await ledger.in(tx).beginCommand({ command, steps }, backup));
  if (!due) {
    await record(null);
    return undefined;
  }
  await store.write(async () => undefined); // fail before the copy if the store stays locked
  const check = options.backup ? options.backup.check : undefined;
  const backup = await backUp(requireSqlite(store), { folder: due.folder, check, now: options.now });
  try {
    await record(backup);
  } catch (error) {
    removeWithSidecars(backup.path);
    throw error;
  }
  options.onEvent?.({ event: 'backup_created', ...backup });
  return backup;
}

/**
 * Removes old backups once every step is applied and every run is verified. Until then, the backup before the run may be needed.
 *
 * @returns the paths of removed backups, and the error that kept it from removing more
 */
export async function pruneBackups(options: MigratorOptions) {
  const removed: string[] = [];
  if (options.backup === false) return { removed };
  const { folder, keep = BACKUP_OPTIONS.keep.default } = options.backup ?? {};
  try {
    const read = async ({ store, ledger }: Session) => ({
      files: store.files,
      known: [...(await ledger.knownBackups()).keys()],
      isSettled:
        (await ledger.steps()).every(({ status }) => status === 'applied') &&
        !(await someEach(backfillsOf(options.project), async ({ name }) => await ledger.isUnverified(name))),
    });
    const { files, known, isSettled } = await inSnapshot(options, read, RETRY_TIMEOUT_MS);
    if (!isSettled || !files) return { removed };
    for (const path of rotate(files, backupFolder(files, folder), { keep, known })) {
      options.onEvent?.({ event: 'backup_removed', path });
      removed.push(path);
    }
    return { removed };
  } catch (thrown) {
    const error = toBackfillError(thrown, 'while removing old backups, after everything else was done');
    return { removed, error };
  }
}

/** Backups in the ledger of a store, by path; undefined if an earlier version created them, without size and hash. */
export type KnownBackups = ReadonlyMap<string, BackupRecord | undefined>;

/** A backup to restore. */
export interface ChosenBackup {
  readonly path: string;
  /** The ledger's record of a backup with this name, if there is one. */
  readonly record: BackupRecord | undefined;
}

/**
 * Reads the backups in the ledger of the store.
 *
 * @returns undefined if there is no ledger, or it cannot be read because the store is damaged
 */
export async function readKnownBackups(
  files: StoreFiles,
  access: 'read' | 'write',
): Promise<KnownBackups | undefined> {
  if (files.mainBytes === 0) return undefined;
  let store: SqliteStore | undefined;
  try {
    store = openSqlite(files, { access });
    const ledger = openLedger(store);
    return (await ledger.exists()) ? await ledger.knownBackups() : undefined;
  } catch (error) {
    // A ledger that was tampered with is treated as missing.
    const isChanged =
      (isSqliteError(error) && error.code.startsWith('SQLITE_ERROR')) ||
      (error instanceof BackfillError && error.code === 'LEDGER_DAMAGED');
    if (isDamage(error) || isChanged) return undefined;
    throw toBackfillError(error, 'while reading its ledger');
  } finally {
    await store?.close();
  }
}

/**
 * Chooses the backup to restore: the given one, or the newest, which must be in the ledger. In a folder that other users share, the ledger must
 * also have its hash.
 *
 * @param copies folder of the store's backups
 * @throws {BackfillError} `BACKUP_MISSING`, `BACKUP_UNKNOWN`
 */
export function chooseBackup(
  files: StoreFiles,
  copies: string,
  given: string | undefined,
  known: KnownBackups | undefined,
): ChosenBackup {
  if (given !== undefined) {
    // A bare name, as in a directory listing, is also searched for among the backups.
    const isBare = !given.includes('/') && !pathExists(given) && pathExists(join(copies, given));
    const path = isBare ? join(copies, given) : resolve(expandHome(given));
    return { path, record: recordOf(path, known) };
  }
  const found = findBackups(files, copies).reverse();
  const [newest] = found;
  if (newest === undefined) throw noBackup(files, copies);
  const record = recordOf(newest, known);
  if (record || (known?.has(newest) && !isShared(copies))) return { path: newest, record };
  const older = found.find((path) => recordOf(path, known));
  const values = { store: files.path, path: newest };
  throw new BackfillError(
    'BACKUP_UNKNOWN',
    known
      ? msg('The ledger of {store} does not contain its newest backup, {path}', values)
      : msg('{store} has no readable ledger that could contain its newest backup, {path}', values),
    older === undefined
      ? msg('If you want that one, pass it: umzug-backfill restore {newest}', { newest: shellWord(newest) })
      : msg(
          'If you want that one, pass it: umzug-backfill restore {newest}; the newest in the ledger: umzug-backfill restore {known}',
          { newest: shellWord(newest), known: shellWord(older) },
        ),
  );
}

function noBackup(files: StoreFiles, copies: string): BackfillError {
  const file = findNamed(files, copies).at(-1); // another user owns it
  const found = file === undefined ? undefined : lstatOf(file);
  const values = { path: files.path, folder: copies };
  if (file === undefined || !found?.isFile())
    return new BackfillError(
      'BACKUP_MISSING',
      msg('There is no backup of {path} in {folder}', values),
      msg('Pass the file: umzug-backfill restore FILE, or its folder: --backup-dir'),
    );
  return new BackfillError(
    'BACKUP_MISSING',
    msg('All backups of {path} in {folder} belong to other users, such as {file} to user id {owner}', {
      ...values,
      file,
      owner: found.uid,
    }),
    msg('If you want that one, pass it: umzug-backfill restore {newest}', { newest: shellWord(file) }),
  );
}

/** Returns the ledger's record of a backup with this name, because the store may have been moved with its backups. */
function recordOf(path: string, known: KnownBackups | undefined): BackupRecord | undefined {
  const name = basename(path);
  return known?.get(path) ?? [...(known?.values() ?? [])].find((it) => it && basename(it.path) === name);
}

/**
 * Compares a backup with the ledger.
 *
 * @param confirmed whether it may differ from the ledger's record
 * @returns whether a backup with its size and hash is in the ledger, under any name
 * @throws {BackfillError} `BACKUP_CHANGED`
 */
export function compareBackup(
  { path, record }: ChosenBackup,
  { bytes, sha256 }: Digest,
  known: KnownBackups | undefined,
  confirmed: boolean,
): boolean {
  const isSame = (it: BackupRecord | undefined): boolean => it?.bytes === bytes && it.sha256 === sha256;
  if ([...(known?.values() ?? [])].some(isSame)) return true;
  if (!record || confirmed) return false;
  throw new BackfillError(
    'BACKUP_CHANGED',
    record.bytes === bytes
      ? msg('{path} has changed: its SHA-256 is not the one in the ledger', { path })
      : msg('{path} has changed: its size is not the one in the ledger', { path }),
    msg(
      'Pass an earlier backup: umzug-backfill restore FILE; if you want what this one contains, pass it with --yes: umzug-backfill restore {path} --yes',
      { path: shellWord(path) },
    ),
  );
}
