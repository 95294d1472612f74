import { RETRY_TIMEOUT_MS } from '../db/connection.js';
import { tryStat } from '../db/file.js';
import type { StoreFiles } from '../db/path.js';
import { requireSqlite } from '../db/sqlite/statements.js';
import { someEach } from '../each.js';
import { type BackfillError, toBackfillError } from '../errors.js';
import type { Ledger, WriteCommand } from '../ledger/ledger.js';
import { BACKUP_OPTIONS } from '../option-table.js';
import { type Backup, backUp, backupFolder, isCopyOf, rotate } from '../safety/backup.js';
import { isTrustedCopy, removeWithSidecars } from '../safety/copy.js';
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
export async function pruneBackups(
  options: MigratorOptions,
): Promise<{ readonly removed: readonly string[]; readonly error?: BackfillError }> {
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
  } catch (error) {
    return {
      removed,
      error: toBackfillError(error, 'while removing old backups, after everything else was done'),
    };
  }
}
