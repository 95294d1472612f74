import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { lstatOf } from '../db/file.js';
import { hasJournalHeader, type StoreFiles } from '../db/path.js';
import { findOpening, isTrustedFile } from '../db/trust.js';
import { BackfillError } from '../errors.js';
import { type Message, msg } from '../messages/message.js';
import { shellWord } from '../shell.js';

/**
 * Refuses a folder for copies in which an untrusted user may rename, and thus replace the private folder or the copy. Root trusts
 * no other user, because that user could lead it anywhere.
 *
 * @param confirmed whether a folder in which every user may rename is accepted, by `--yes`; undefined if the command has no such
 *   option
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
  const where = { path: shellWord(path) };
  const refuse = (message: Message, hint: Message): BackfillError =>
    new BackfillError('BACKUP_FOLDER_UNUSABLE', message, hint);
  if (by === 'everyone') {
    if (confirmed) return;
    throw refuse(
      msg('A copy of the store is not safe in {folder}: every user may replace files in {path}', {
        folder,
        path,
      }),
      confirmed === undefined
        ? msg(
            'Remove that permission: chmod o-w {path}; or pass another folder: --backup-dir /path/to/folder',
            where,
          )
        : msg(
            'Remove that permission: chmod o-w {path}; if no other user has access, for example on a mount that shows this mode for every folder, run the same command again with --yes',
            where,
          ),
    );
  }
  if (by === 'group')
    throw refuse(
      msg('A copy of the store is not safe in {folder}: the group of {path} may replace files in it', {
        folder,
        path,
      }),
      msg(
        'Remove that permission: chmod g-w {path}; or pass another folder: --backup-dir /path/to/folder',
        where,
      ),
    );
  throw refuse(
    msg('A copy of the store is not safe in {folder}: user id {owner} owns {path}', { folder, owner, path }),
    owner === ownership.uid
      ? msg(
          "Put sudo -u '#{owner}' before the command, so that this user runs it; or pass another folder: --backup-dir /path/to/folder",
          { owner },
        )
      : path === own && self !== undefined // another folder must keep its owner
        ? msg(
            'Pass another folder: --backup-dir /path/to/folder; or change its owner: sudo chown {self} {path}',
            { self, ...where },
          )
        : msg('Pass another folder: --backup-dir /path/to/folder'),
  );
}

/** Whether a copy may come from this program: a trusted file, and not a link. */
export function isTrustedCopy({ ownership }: StoreFiles, path: string): boolean {
  const found = lstatOf(path);
  if (!found?.isFile()) return false;
  return isTrustedFile(path, found, [ownership.uid]);
}

/**
 * Refuses to restore a file that an untrusted user could have created, or could still change.
 *
 * @param path path as given
 * @param backup files of the backup
 * @param isKnown whether the contents will be compared with the ledger, so that the file's mode does not matter
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
      msg('{path} is a symbolic link', { path }),
      msg('If it leads to the right backup, pass that: umzug-backfill restore {target}', {
        target: shellWord(backup.path),
      }),
    );
  const [file, copy] = [shellWord(path), shellWord(`${files.path}.backup-to-restore`)];
  const hint = msg(
    'If it is certainly the right backup, pass a copy of it: install -m 600 {file} {copy} && umzug-backfill restore {copy}',
    { file, copy },
  );
  if (found.nlink > 1)
    throw untrusted(msg('{path} has another name, through which it can be changed', { path }), hint);
  const owners = [files.ownership.uid];
  if (isTrustedFile(path, found, owners)) owners.push(found.uid);
  const opening = findOpening(path, { owners, contents: !isKnown });
  if (opening) {
    const { path: at, by, owner } = opening;
    if (by === 'owner')
      throw untrusted(
        msg('{path} may come from another user: user id {owner} owns {at}', { path, owner, at }),
        hint,
      );
    throw untrusted(
      by === 'group'
        ? msg('{path} may come from another user: the group of {at} may write it', { path, at })
        : msg('{path} may come from another user: every user may write {at}', { path, at }),
      hint,
    );
  }
  const isJournal = backup.walBytes === 0;
  if (isJournal && !hasJournalHeader(backup)) return;
  throw untrusted(
    msg('{path} exists, and SQLite would read it as part of the backup', {
      path: `${path}${isJournal ? '-journal' : '-wal'}`,
    }),
    msg(
      'If it is not, pass a copy of the backup alone: install -m 600 {file} {copy} && umzug-backfill restore {copy}; if it is, merge it into the backup first: sqlite3 {file} "SELECT count(*) FROM sqlite_schema; PRAGMA journal_mode = DELETE"',
      { file, copy },
    ),
  );
}

const untrusted = (message: Message, hint: Message): BackfillError =>
  new BackfillError('BACKUP_UNTRUSTED', message, hint);

/** Part of the name of an unfinished file or folder. */
const PARTIAL = '.partial';

/** Suffixes of private folders, and of the files that earlier versions created instead. */
const LEFTOVER = /^(?:-\w{6}|(?:-lock)?(?:-wal|-shm|-journal)?)$/;

/**
 * Creates a folder that only this user may enter, for unfinished files, runs `act`, and removes the folder with its contents.
 * Only trusted users may be able to rename in its parent. The run lock must be held, because folders of killed commands are
 * removed first.
 *
 * @param prefix prefix of the path; a random word follows
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
 * Removes the private folders that killed commands of this user left. Those of other users may contain anything, and stay.
 *
 * @param prefix as in {@link withPrivateFolder}
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
