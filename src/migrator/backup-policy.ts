import { RETRY_TIMEOUT_MS } from '../db/connector.js';
import { tryStat } from '../db/file.js';
import type { StoreFiles } from '../db/path.js';
import { requireSqlite } from '../db/sqlite/statements.js';
import { someEach } from '../each.js';
import { type BackfillError, toBackfillError } from '../errors.js';
import type { Ledger, WriteCommand } from '../ledger/ledger.js';
import { BACKUP_OPTIONS } from '../option-table.js';
import { type Backup, backUp, backupFolder, isCopyOf, rotate } from '../safety/backup.js';
import { removeWithSidecars } from '../safety/copy.js';
import { isTrustedCopy } from '../safety/copy-trust.js';
import {
  backfillsOf,
  inSnapshot,
  type MigratorOptions,
  needsVerification,
  type OpenSession,
  type Session,
} from './session.js';

/** A command with the steps that it is to work on. */
export interface PlannedCommand {
  readonly command: WriteCommand;
  readonly steps: readonly string[];
}

/**
 * Whether it goes on with one that has not reached its end, so that this one's note and backup stand for both: the same
 * command, or an `up` after a rescan that was stopped. Where a backup is wanted, that must still be there.
 */
async function isResumed(
  { backup }: MigratorOptions,
  { store, ledger }: Session,
  { command, steps }: PlannedCommand,
): Promise<boolean> {
  const last = await ledger.lastCommand();
  const goesOn = last?.command === command || (last?.command === 'rescan' && command === 'up');
  if (!last || !goesOn || steps.some((name) => !last.steps.includes(name))) return false;
  if (command === 'backfill') return true; // noted only so that an `up` behind it does not take itself for an earlier one
  if (backup !== false && store.files && !(await hasBackup(store.files, ledger, last.backup))) return false;
  if (command === 'down')
    return await someEach(last.steps, async (name) => (await ledger.step(name)) !== undefined);
  return await someEach(
    last.steps,
    async (name) =>
      (await ledger.step(name))?.status !== 'applied' || (await needsVerification({ ledger }, { name })),
  );
}

/**
 * Whether the backup that an earlier command has noted is there: a copy of this store by its name and owner, of the size that is noted. The
 * ledger alone is not believed, since the file may be anybody's.
 */
async function hasBackup(files: StoreFiles, ledger: Ledger, path: string | null): Promise<boolean> {
  if (path === null || !isCopyOf(path, files) || !isTrustedCopy(files, path)) return false;
  const known = (await ledger.knownBackups()).get(path);
  return known === undefined || known.bytes === tryStat(path)?.size;
}

/** A backup that would be made: where, and how large. */
export interface PlannedBackup {
  readonly folder: string;
  readonly bytes: number;
}

/**
 * The backup that is due before an undertaking, or null when none is: not wanted, or made already.
 *
 * @throws {BackfillError} `BACKUP_FOLDER_UNUSABLE`
 */
export async function planBackup(
  options: MigratorOptions,
  session: Session,
  planned: PlannedCommand,
): Promise<PlannedBackup | null> {
  const { command, steps } = planned;
  const { backup } = options;
  if (backup === false || command === 'backfill' || steps.length === 0) return null;
  // A database of a server is backed up by who keeps it.
  if (!session.store.files || (await isResumed(options, session, planned))) return null;
  return {
    folder: backupFolder(session.store.files, backup?.folder),
    bytes: (await session.store.size()).bytes,
  };
}

/**
 * Backs the store up, unless the command goes on with one that has its backup, and notes that it begins. A backup before
 * which nothing was noted is of no use, and is taken away again.
 */
export async function startCommand(
  options: MigratorOptions,
  session: OpenSession,
  planned: PlannedCommand,
): Promise<Backup | undefined> {
  const { store, ledger } = session;
  const { command, steps } = planned;
  if (await isResumed(options, session, planned)) return undefined;
  const note = async (backup: Backup | null): Promise<void> =>
    await store.write(async (tx) => await ledger.in(tx).beginCommand({ command, steps }, backup));
  const due = await planBackup(options, session, planned);
  if (!due) {
    await note(null);
    return undefined;
  }
  await store.write(async () => undefined); // a store that others keep locked is not copied in vain
  const check = options.backup ? options.backup.check : undefined;
  const made = await backUp(requireSqlite(store), { folder: due.folder, check, now: options.now });
  try {
    await note(made);
  } catch (error) {
    removeWithSidecars(made.path);
    throw error;
  }
  options.onEvent?.({ event: 'backup_created', ...made });
  return made;
}

/**
 * Removes old backups, once every step is applied and every run verified: until then the one made before it may be wanted.
 *
 * @returns paths of those that were removed, and why it could not remove more
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
        !(await someEach(
          backfillsOf(options.project),
          async (step) => await needsVerification({ ledger }, step),
        )),
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
