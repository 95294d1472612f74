import { basename, join, resolve } from 'node:path';
import { lstatOf, pathExists } from '../db/file.js';
import { expandHome, type StoreFiles } from '../db/path.js';
import type { SqliteStore } from '../db/sqlite/store.js';
import { isShared } from '../db/trust.js';
import { openSqlite } from '../engine/sqlite/dialect.js';
import { isSqliteError } from '../engine-errors.js';
import { BackfillError, toBackfillError } from '../errors.js';
import { type BackupRecord, openLedger } from '../ledger/ledger.js';
import { msg } from '../messages/message.js';
import { findBackups, findNamed } from '../safety/backup.js';
import { type Digest, isDamage } from '../safety/copy.js';
import { shellWord } from '../shell.js';

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
  throw new BackfillError(
    'BACKUP_UNKNOWN',
    known
      ? msg('The ledger of {store} does not contain its newest backup, {path}', {
          store: files.path,
          path: newest,
        })
      : msg('{store} has no readable ledger that could contain its newest backup, {path}', {
          store: files.path,
          path: newest,
        }),
    older === undefined
      ? msg('If you want that one, pass it: umzug-backfill restore {newest}', {
          newest: shellWord(newest),
        })
      : msg(
          'If you want that one, pass it: umzug-backfill restore {newest}; the newest in the ledger: umzug-backfill restore {known}',
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
        msg('All backups of {path} in {folder} belong to other users, such as {file} to user id {owner}', {
          path: files.path,
          folder: copies,
          file: passedOver,
          owner: found.uid,
        }),
        msg('If you want that one, pass it: umzug-backfill restore {newest}', {
          newest: shellWord(passedOver),
        }),
      )
    : new BackfillError(
        'BACKUP_MISSING',
        msg('There is no backup of {path} in {folder}', { path: files.path, folder: copies }),
        msg('Pass the file: umzug-backfill restore FILE, or its folder: --backup-dir'),
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
