import { basename, join, resolve } from 'node:path';
import { isShared, lstatOf, pathExists } from '../db/file.js';
import { expandHome, type StoreFiles } from '../db/path.js';
import type { SqliteStore } from '../db/sqlite/store.js';
import { openSqlite } from '../engine/sqlite/dialect.js';
import { BackfillError, toBackfillError } from '../errors.js';
import { type BackupRecord, openLedger } from '../ledger/ledger.js';
import { msg } from '../messages/message.js';
import { findBackups, findNamed } from '../safety/backup.js';
import { type Digest, isDamage } from '../safety/copy.js';
import { shellWord } from '../shell.js';
import { isSqliteError } from '../store-errors.js';

/** The backups that a store's own ledger knows, by their paths: without size and hash those of earlier versions. */
export type KnownBackups = ReadonlyMap<string, BackupRecord | undefined>;

/** A backup to go back to. */
export interface ChosenBackup {
  readonly path: string;
  /** What the ledger knows of the backup of this name; undefined if it knows nothing. */
  readonly record: BackupRecord | undefined;
}

/**
 * Reads which backups the store's ledger knows.
 *
 * @returns undefined if there is no ledger, or if it is lost with the store
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
    // A ledger that somebody has changed is as good as none.
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
 * Chooses the backup to restore: the one that is named, or else the newest, which the ledger must know. In a folder that others share,
 * it must know its hash too.
 *
 * @param copies the folder of the store's backups
 * @throws {BackfillError} `BACKUP_MISSING`, `BACKUP_UNKNOWN`
 */
export function chooseBackup(
  files: StoreFiles,
  copies: string,
  given: string | undefined,
  known: KnownBackups | undefined,
): ChosenBackup {
  if (given !== undefined) {
    // A bare name, as a listing of the backups shows it, is looked for among them too.
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
  throw new BackfillError(
    'BACKUP_UNKNOWN',
    known
      ? msg('The ledger of {store} does not know its newest backup, {path}', {
          store: files.path,
          path: newest,
        })
      : msg('There is no ledger to read in {store} that would know its newest backup, {path}', {
          store: files.path,
          path: newest,
        }),
    older === undefined
      ? msg('If it is the one that you want, pass it: umzug-backfill restore {newest}', {
          newest: shellWord(newest),
        })
      : msg(
          'If it is the one that you want, pass it: umzug-backfill restore {newest}; the newest that the ledger knows: umzug-backfill restore {known}',
          { newest: shellWord(newest), known: shellWord(older) },
        ),
  );
}

function noBackup(files: StoreFiles, copies: string): BackfillError {
  const passedOver = findNamed(files, copies).at(-1);
  const found = passedOver === undefined ? undefined : lstatOf(passedOver);
  return passedOver !== undefined && found?.isFile()
    ? new BackfillError(
        'BACKUP_MISSING',
        msg(
          'There is no backup of {path} in {folder} but those of other users, as {file} of user id {owner}',
          { path: files.path, folder: copies, file: passedOver, owner: found.uid },
        ),
        msg('If it is the one that you want, pass it: umzug-backfill restore {newest}', {
          newest: shellWord(passedOver),
        }),
      )
    : new BackfillError(
        'BACKUP_MISSING',
        msg('There is no backup of {path} in {folder}', { path: files.path, folder: copies }),
        msg('Name the file: umzug-backfill restore FILE, or the folder it is in: --backup-dir'),
      );
}

/** What the ledger knows of a backup of this name: the store may have been moved with its backups. */
function recordOf(path: string, known: KnownBackups | undefined): BackupRecord | undefined {
  const name = basename(path);
  return known?.get(path) ?? [...(known?.values() ?? [])].find((it) => it && basename(it.path) === name);
}

/**
 * Compares a backup with what the ledger knows.
 *
 * @param confirmed whether it may be another than the ledger knows under its name
 * @returns whether the ledger knows it, under whatever name
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
      ? msg('{path} is not as it was made: its SHA-256 is not the one in the ledger', { path })
      : msg('{path} is not as it was made: its size is not the one in the ledger', { path }),
    msg(
      'Pass an earlier backup: umzug-backfill restore FILE; if you want what this one contains, pass it with --yes: umzug-backfill restore {path} --yes',
      { path: shellWord(path) },
    ),
  );
}
