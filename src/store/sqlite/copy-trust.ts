import { realpathSync, type Stats, statSync } from 'node:fs';
import { BackfillError } from '../../errors.js';
import { shellWord } from '../../shell.js';
import { lstatOf } from '../file.js';
import { hasJournalHeader, type StoreFiles } from '../path.js';
import { findOpening } from '../trust.js';

/** This user's id; undefined where the system has none. */
const selfId = (): number | undefined => process.geteuid?.();

/**
 * Refuses a folder for copies in which a user who is not trusted may rename: a private folder within it, or the copy itself, could be
 * replaced. Root trusts nobody else, since it would follow wherever that user leads.
 *
 * @throws {BackfillError} `BACKUP_FOLDER_UNUSABLE`
 */
export function refuseUnsafeFolder({ ownership }: StoreFiles, folder: string): void {
  const self = selfId();
  const opening = findOpening(folder, { owners: self === 0 ? [] : [ownership.uid] });
  if (!opening) return;
  const { path, by, owner } = opening;
  const where = shellWord(path);
  const other = 'or name another folder: --backup-dir /path/to/folder';
  const refuse = (message: string, hint: string): BackfillError =>
    new BackfillError('BACKUP_FOLDER_UNUSABLE', message, hint);
  if (by === 'everyone')
    throw refuse(
      `Copies of the store are not safe in ${folder}: every user may rename what is in ${path}`,
      `Take that permission away: chmod o-w ${where}; ${other}`,
    );
  if (by === 'group')
    throw refuse(
      `Copies of the store are not safe in ${folder}: the group of ${path} may rename what is in it`,
      `Take that permission away: chmod g-w ${where}; ${other}`,
    );
  throw refuse(
    `Copies of the store are not safe in ${folder}: user id ${owner} owns ${path}, and may rename what is in it`,
    owner === ownership.uid
      ? `Put sudo -u '#${owner}' before the command, so that this user runs it; ${other}`
      : `Let this user own it: sudo chown ${self} ${where}; ${other}`,
  );
}

/** Whether users who are not trusted may put files of theirs into a folder, if only beside others, as into a sticky one. */
export function isShared(folder: string): boolean {
  const self = selfId();
  if (self === undefined) return false;
  const { mode, gid } = statSync(folder);
  return (mode & 0o002) !== 0 || ((mode & 0o020) !== 0 && self === 0 && gid !== 0);
}

/** Whether a copy can be one that this program made for the store: a file of a trusted user's, not a link to one. */
export function isTrustedCopy({ ownership }: StoreFiles, path: string): boolean {
  const found = lstatOf(path);
  if (!found?.isFile()) return false;
  return isTrustedOwner(found, ownership.uid);
}

const isTrustedOwner = ({ uid }: Stats, storeOwner: number): boolean =>
  selfId() === undefined || [0, selfId(), storeOwner].includes(uid);

/**
 * Refuses to restore what another user could have put there, or could still change.
 *
 * @param path as it was given
 * @param backup its files
 * @param isKnown whether its contents will be compared with what the ledger knows, so that its mode does not matter
 * @throws {BackfillError} `BACKUP_UNTRUSTED`
 */
export function refuseUnsafeCopy(
  files: StoreFiles,
  path: string,
  { backup, isKnown }: { readonly backup: StoreFiles; readonly isKnown: boolean },
): void {
  const found = lstatOf(path);
  if (!found) return;
  if (found.isSymbolicLink())
    throw untrusted(
      `${path} is a symbolic link`,
      `If it leads to the backup that you want, name that: umzug-backfill restore ${shellWord(realpathSync(path))}`,
    );
  const copy = shellWord(`${files.path}.to-restore`);
  const mend = `install -m 600 ${shellWord(path)} ${copy} && umzug-backfill restore ${copy}`;
  const hint = `If you know that it is the backup that you want, make a copy of your own and name that: ${mend}`;
  if (found.isFile() && found.nlink > 1)
    throw untrusted(`${path} has another name, by which it may be changed`, hint);
  const opening = findOpening(path, { owners: [files.ownership.uid], contents: !isKnown });
  if (opening) {
    const { path: at, by, owner } = opening;
    throw untrusted(
      by === 'owner'
        ? `${path} may be another user's work: user id ${owner} owns ${at}`
        : by === 'group'
          ? `${path} may be another user's work: the group of ${at} may change it`
          : `${path} may be another user's work: every user may change ${at}`,
      hint,
    );
  }
  const beside =
    backup.walBytes > 0 ? `${path}-wal` : hasJournalHeader(backup) ? `${path}-journal` : undefined;
  if (beside !== undefined)
    throw untrusted(
      `${beside} lies beside the backup: SQLite would take it for the last writes to that`,
      `To go back to the backup without it: ${mend}; if it belongs to the backup, write it into that first: sqlite3 ${shellWord(path)} "SELECT count(*) FROM sqlite_schema; PRAGMA journal_mode = DELETE"`,
    );
}

const untrusted = (message: string, hint: string): BackfillError =>
  new BackfillError('BACKUP_UNTRUSTED', message, hint);
