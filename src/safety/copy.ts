import { createHash } from 'node:crypto';
import { mkdtempSync, readdirSync, readSync, rmSync, writeSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { backoffDelays } from '../db/connection.js';
import { lstatOf, SIDECARS } from '../db/file.js';
import { hasJournalHeader, type StoreFiles } from '../db/path.js';
import type { SqliteStatements } from '../db/sqlite/statements.js';
import { findOpening, isTrustedFile } from '../db/trust.js';
import { isSqliteError } from '../engine-errors.js';
import { BackfillError } from '../errors.js';
import { failpoint } from '../failpoint.js';
import { type Message, msg } from '../messages/message.js';
import { shellWord } from '../shell.js';

/** Returns the error for a folder that cannot receive copies. */
export const folderUnusable = (message: Message, hint: Message): BackfillError =>
  new BackfillError('BACKUP_FOLDER_UNUSABLE', message, hint);

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
  if (by === 'everyone') {
    if (confirmed) return;
    throw folderUnusable(
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
    throw folderUnusable(
      msg('A copy of the store is not safe in {folder}: the group of {path} may replace files in it', {
        folder,
        path,
      }),
      msg(
        'Remove that permission: chmod g-w {path}; or pass another folder: --backup-dir /path/to/folder',
        where,
      ),
    );
  throw folderUnusable(
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
  return found?.isFile() === true && isTrustedFile(path, found, [ownership.uid]);
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
    const why = {
      owner: msg('{path} may come from another user: user id {owner} owns {at}', { path, owner, at }),
      group: msg('{path} may come from another user: the group of {at} may write it', { path, at }),
      everyone: msg('{path} may come from another user: every user may write {at}', { path, at }),
    };
    throw untrusted(why[by], hint);
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

/** Depth of a damage check: `quick` reads every page, `full` also compares each index with its table. */
export type CheckDepth = 'quick' | 'full';

/**
 * Copies a store, as one snapshot, into another existing SQLite file: an empty one for a backup, the live store for a restore. A
 * killed copy is rolled back when the target is next opened.
 *
 * @param path the target; its connections see the copy as one commit
 * @param onLocked called when the target is locked and not yet written; throw to cancel the copy
 * @throws {BackfillError} `STORE_BUSY` if either file stays locked
 * @throws {Error} SQLite's errors: `SQLITE_READONLY` for another page size in WAL mode, `SQLITE_FULL`, `SQLITE_CORRUPT` …
 * @see https://www.sqlite.org/c3ref/backup_finish.html
 */
export async function copyInto(
  store: SqliteStatements,
  path: string,
  onLocked: () => void = () => undefined,
): Promise<void> {
  if ((await store.size()).bytes === 0) return; // a new store has no pages, and an empty file is one
  const tries = backoffDelays(COPY_PAUSE_MS);
  const onBegun = (): void => {
    failpoint('copy', 'begun');
    onLocked();
    if (tries.next().done) throw copyBusy(path);
  };
  for (const pauseMs of tries) {
    if (await store.tryCopy(path, onBegun)) return;
    await sleep(pauseMs);
  }
  throw copyBusy(path);
}

/**
 * Maximum pause between two attempts to copy, in milliseconds; short, because the lock of a busy store is free only for moments.
 */
const COPY_PAUSE_MS = 20;

function copyBusy(path: string): BackfillError {
  return new BackfillError(
    'STORE_BUSY',
    msg('Another process kept {path}, or the file that is copied to it, locked for longer than the timeout', {
      path,
    }),
    msg('Stop or pause the other writer, then run the same command again; nothing was changed'),
  );
}

/**
 * Checks a store for damage.
 *
 * @returns whether it is sound; undefined if SQLite cannot check it, because the schema uses functions or collations that only
 *   the application provides
 * @see https://www.sqlite.org/pragma.html#pragma_quick_check
 */
export async function checkDamage(store: SqliteStatements, depth: CheckDepth): Promise<boolean | undefined> {
  try {
    const found = await store.pluck<string>(`PRAGMA ${depth === 'full' ? 'integrity' : 'quick'}_check(1)`);
    return found.length === 1 && found[0] === 'ok';
  } catch (error) {
    if (isSqliteError(error) && error.code.startsWith('SQLITE_ERROR')) return undefined;
    throw error;
  }
}

/** Removes a file and its sidecars, except those of other users. */
export function removeWithSidecars(path: string): void {
  const self = process.geteuid?.() ?? 0;
  for (const file of SIDECARS.map((suffix) => path + suffix)) {
    const owner = lstatOf(file)?.uid;
    if (owner !== undefined && (self === 0 || owner === self)) rmSync(file, { force: true });
  }
  rmSync(path, { force: true });
}

/** Whether an error means that the file is damaged or not a database. */
export const isDamage = (error: unknown): boolean =>
  (isSqliteError(error) && /^SQLITE_(?:CORRUPT|NOTADB)/.test(error.code)) ||
  (error instanceof BackfillError &&
    (error.code === 'STORE_CORRUPT' || error.code === 'STORE_NOT_A_DATABASE'));

/** Size and SHA-256 of a file. */
export interface Digest {
  readonly bytes: number;
  /** In hexadecimal. */
  readonly sha256: string;
}

const CHUNK_BYTES = 1 << 20;

/**
 * Returns the size and SHA-256 of a file, optionally copying it.
 *
 * @param fd descriptor of the file
 * @param to descriptor of a new file for the copy. Default: none
 */
export function digestOf(fd: number, to?: number): Digest {
  const hash = createHash('sha256');
  const chunk = Buffer.allocUnsafe(CHUNK_BYTES);
  let bytes = 0;
  for (;;) {
    const count = readSync(fd, chunk, 0, chunk.length, bytes);
    if (count === 0) return { bytes, sha256: hash.digest('hex') };
    const read = chunk.subarray(0, count);
    hash.update(read);
    for (let done = 0; to !== undefined && done < count; )
      done += writeSync(to, read, done, count - done, bytes + done);
    bytes += count;
  }
}
