import { type BackfillError, toBackfillError } from '../errors.js';
import type { ChangingCommand } from '../ledger/records.js';
import { type Backup, backUp, copyFolder, removeWithSidecars, rotate } from '../store/sqlite/backup.js';
import { backfillsOf, isUnverified, type MigratorOptions, type Session, withSession } from './session.js';

/** Backups that are kept when nobody says otherwise. */
export const DEFAULT_KEPT_BACKUPS = 3;

/** A command with the steps that it is to work on; undefined for one before which no backup is made. */
export interface Undertaking {
  readonly command: ChangingCommand | undefined;
  readonly steps: readonly string[];
}

/**
 * Whether it goes on with one that has not reached its end, so that the backup made then stands for this one too: the
 * same command, or an `up` after a rescan that was stopped.
 */
function isResumed({ ledger }: Session, { command, steps }: Undertaking): boolean {
  const last = ledger.lastCommand();
  const goesOn = last?.command === command || (last?.command === 'rescan' && command === 'up');
  if (!last || !goesOn || steps.some((name) => !last.steps.includes(name))) return false;
  if (command === 'down') return last.steps.some((name) => ledger.step(name) !== undefined);
  return last.steps.some(
    (name) => ledger.step(name)?.status !== 'applied' || isUnverified({ ledger }, { name }),
  );
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
export function dueBackup(
  { backup }: MigratorOptions,
  session: Session,
  undertaking: Undertaking,
): PlannedBackup | null {
  const { command, steps } = undertaking;
  if (backup === false || command === undefined || steps.length === 0) return null;
  if (isResumed(session, undertaking)) return null;
  return { folder: copyFolder(session.store.files, backup?.folder), bytes: session.store.size().bytes };
}

/**
 * Backs the store up, unless the command goes on with one that has its backup, and notes that it begins. A backup before
 * which nothing was noted is of no use, and is taken away again.
 */
export async function begin(
  options: MigratorOptions,
  session: Session,
  undertaking: Undertaking,
): Promise<Backup | undefined> {
  const { store, ledger } = session;
  const { command, steps } = undertaking;
  if (command === undefined || isResumed(session, undertaking)) return undefined;
  const note = (backup: string | null): void =>
    store.write(() => ledger.beginCommand({ command, steps, backup }));
  const due = dueBackup(options, session, undertaking);
  if (!due) {
    note(null);
    return undefined;
  }
  store.write(() => undefined); // a store that others keep locked is not copied in vain
  const check = options.backup ? options.backup.check : undefined;
  const made = await backUp(store, { folder: due.folder, check });
  try {
    note(made.path);
  } catch (error) {
    removeWithSidecars(made.path);
    throw error;
  }
  options.onEvent?.({ event: 'backup_made', ...made });
  return made;
}

/**
 * Removes old backups, once every step is applied and every run verified: until then the one made before it may be wanted.
 *
 * @returns why it could not
 */
export async function clearUp(options: MigratorOptions): Promise<BackfillError | undefined> {
  if (options.backup === false) return undefined;
  const { folder, keep = DEFAULT_KEPT_BACKUPS } = options.backup ?? {};
  const { files, last, isSettled } = await withSession(options, 'look', (session) => ({
    files: session.store.files,
    last: session.ledger.lastCommand()?.backup,
    isSettled:
      session.ledger.steps().every(({ status }) => status === 'applied') &&
      !backfillsOf(options.project).some((step) => isUnverified(session, step)),
  }));
  if (!isSettled) return undefined;
  try {
    for (const path of rotate(files, copyFolder(files, folder), { keep, last })) {
      options.onEvent?.({ event: 'backup_removed', path });
    }
    return undefined;
  } catch (error) {
    return toBackfillError(error, 'while removing old backups, after everything else was done');
  }
}
