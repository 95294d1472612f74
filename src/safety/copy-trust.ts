import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { findOpening, isTrustedFile, lstatOf } from '../db/file.js';
import { hasJournalHeader, type StoreFiles } from '../db/path.js';
import { BackfillError } from '../errors.js';
import { shellWord } from '../shell.js';

/**
 * Refuses a folder for copies in which a user who is not trusted may rename: the private folder or the copy itself could be replaced.
 * Root trusts nobody else, because that user could lead it anywhere.
 *
 * @param confirmed whether a person has agreed to a folder in which every user may; undefined where none is asked
 * @throws {BackfillError} `BACKUP_FOLDER_UNUSABLE`
 */
export function refuseUnsafeFolder(
  { ownership, folder: own }: StoreFiles,
  folder: string,
  confirmed?: boolean,
): void {
  const self = process.geteuid?.();
  const opening = findOpening(folder, { owners: self === 0 ? [] : [ownership.uid] });
  if (!opening) return;
  const { path, by, owner } = opening;
  const where = shellWord(path);
  const refuse = (message: string, hint: string): BackfillError =>
    new BackfillError('BACKUP_FOLDER_UNUSABLE', message, hint);
  if (by === 'everyone') {
    if (confirmed) return;
    throw refuse(
      `A copy of the store is not safe in ${folder}: every user may replace what is in ${path}`,
      confirmed === undefined
        ? `Remove that permission: chmod o-w ${where}; or pass another folder: --backup-dir /path/to/folder`
        : `Remove that permission: chmod o-w ${where}; if no other user can get at it, as on a mount that shows this mode for every folder, run the same command again with --yes`,
    );
  }
  if (by === 'group')
    throw refuse(
      `A copy of the store is not safe in ${folder}: the group of ${path} may replace what is in it`,
      `Remove that permission: chmod g-w ${where}; or pass another folder: --backup-dir /path/to/folder`,
    );
  throw refuse(
    `A copy of the store is not safe in ${folder}: user id ${owner} owns ${path}`,
    owner === ownership.uid
      ? `Put sudo -u '#${owner}' before the command, so that this user runs it; or pass another folder: --backup-dir /path/to/folder`
      : path === own // the folder of others is theirs
        ? `Pass another folder: --backup-dir /path/to/folder; or change its owner: sudo chown ${self} ${where}`
        : 'Pass another folder: --backup-dir /path/to/folder',
  );
}

/** Whether a copy can be one that this program made for the store: a file that is trusted, not a link to one. */
export function isTrustedCopy({ ownership }: StoreFiles, path: string): boolean {
  const found = lstatOf(path);
  if (!found?.isFile()) return false;
  return isTrustedFile(path, found, [ownership.uid]);
}

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
      `If it leads to the backup that you want, pass that: umzug-backfill restore ${shellWord(backup.path)}`,
    );
  const [file, copy] = [path, `${files.path}.backup-to-restore`].map(shellWord);
  const hint = `If you are sure that it is the backup that you want, pass a copy of your own: install -m 600 ${file} ${copy} && umzug-backfill restore ${copy}`;
  if (found.nlink > 1) throw untrusted(`${path} has another name, through which it can be changed`, hint);
  const owners = [files.ownership.uid];
  if (isTrustedFile(path, found, owners)) owners.push(found.uid);
  const opening = findOpening(path, { owners, contents: !isKnown });
  if (opening) {
    const { path: at, by, owner } = opening;
    if (by === 'owner')
      throw untrusted(`${path} may be the work of another user: user id ${owner} owns ${at}`, hint);
    if (by === 'group')
      throw untrusted(`${path} may be the work of another user: the group of ${at} may write it`, hint);
    throw untrusted(`${path} may be the work of another user: every user may write ${at}`, hint);
  }
  const isJournal = backup.walBytes === 0;
  if (isJournal && !hasJournalHeader(backup)) return;
  throw untrusted(
    `${path}${isJournal ? '-journal' : '-wal'} exists, and SQLite would read it as a part of the backup`,
    `If it is not, pass a copy of the backup alone: install -m 600 ${file} ${copy} && umzug-backfill restore ${copy}; if it is, write it into the backup first: sqlite3 ${file} "SELECT count(*) FROM sqlite_schema; PRAGMA journal_mode = DELETE"`,
  );
}

const untrusted = (message: string, hint: string): BackfillError =>
  new BackfillError('BACKUP_UNTRUSTED', message, hint);

/** Part of the name of whatever is not finished. */
const PARTIAL = '.partial';

/** Endings of private folders, and of the files that earlier versions made in their place. */
const LEFTOVER = /^(?:-\w{6}|(?:-lock)?(?:-wal|-shm|-journal)?)$/;

/**
 * Makes a folder that only this user may enter, for files that are not finished, acts, and removes it with all that it holds. The folder
 * around it must be one in which only trusted users may rename. The run lock must be held: folders of killed runs are removed first.
 *
 * @param prefix how its path begins; it goes on with a random word
 */
export async function withPrivateFolder<Result>(
  prefix: string,
  act: (folder: string) => Promise<Result> | Result,
): Promise<Result> {
  removeLeftovers(prefix);
  const folder = mkdtempSync(`${prefix}${PARTIAL}-`);
  try {
    return await act(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/**
 * Removes the private folders of killed runs that this user made; another user may have put anything in their own.
 *
 * @param prefix as for {@link withPrivateFolder}
 */
export function removeLeftovers(prefix: string): void {
  const name = `${basename(prefix)}${PARTIAL}`;
  for (const entry of readdirSync(dirname(prefix))) {
    if (!entry.startsWith(name) || !LEFTOVER.test(entry.slice(name.length))) continue;
    const path = join(dirname(prefix), entry);
    const found = lstatOf(path);
    const isOurs = found?.uid === (process.geteuid?.() ?? found?.uid);
    if (found && isOurs) rmSync(path, { recursive: true, force: true });
  }
}
