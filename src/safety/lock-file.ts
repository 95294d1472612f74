import { randomBytes } from 'node:crypto';
import {
  type BigIntStats,
  closeSync,
  existsSync,
  fstatSync,
  fsyncSync,
  lstatSync,
  openSync,
  readdirSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import type Database from 'better-sqlite3';
import { followOpen, type Ownership, SIDECARS, tryLink } from '../db/file.js';
import type { StoreFiles } from '../db/path.js';
import { connect } from '../db/sqlite/connection.js';
import { isTrustedFile, isTrustedOwner } from '../db/trust.js';
import { isSqliteError } from '../engine-errors.js';
import { BackfillError, errnoOf, toBackfillError } from '../errors.js';
import { failpoint } from '../failpoint.js';
import { type Message, msg } from '../messages/message.js';
import { shellWord } from '../shell.js';

// The file of the run lock. Another user may own its folder, so neither its name nor its contents are trusted: it must be a plain file
// with a trusted owner, and contain exactly our table.

/** DDL of the table with the holder, in the form of `sqlite_schema`. */
const TABLE = 'CREATE TABLE holder (token TEXT, pid INTEGER, host TEXT, since TEXT)';

/** Page size of the file. */
const PAGE_BYTES = 4096;

/**
 * Maximum size of the file: a page with the schema, and one with the row. SQLite may loop forever in pages that refer to each
 * other.
 */
const MAX_BYTES = 2 * PAGE_BYTES;

/** Folder of this process's descriptors, on Linux. */
const DESCRIPTORS = '/proc/self/fd';

/** Maximum length of a host name in DNS. */
const MAX_HOST = 253;

/** A row of the lock's table. */
interface Signature {
  /** Random word of the process that has written it. */
  readonly token: unknown;
  readonly pid: number;
  readonly host: string;
  /** ISO-8601 in UTC. */
  readonly since?: string;
}

/** Returns the path of the lock file. */
export const lockPath = ({ path }: StoreFiles): string => `${path}.lock`;

/** Whether the lock file exists; refuses an unsafe one like {@link openLockFile}. */
export const hasLockFile = (files: StoreFiles): boolean => findLockFile(files) !== undefined;

/**
 * Creates the lock file if it does not exist, atomically with the owner and mode of the store: a killed process leaves no lock
 * file that the store's owner cannot open.
 */
export function createLockFile(files: StoreFiles): void {
  const path = lockPath(files);
  if (lstatOf(path)) return;
  const fresh = `${path}.${randomBytes(6).toString('hex')}`;
  try {
    writeNew(fresh, files.ownership);
    if (!tryLink(fresh, path)) writeNew(path, files.ownership);
  } catch (error) {
    if (errnoOf(error) !== 'EEXIST') throw error;
  } finally {
    rmSync(fresh, { force: true });
  }
}

function writeNew(path: string, ownership: Ownership): void {
  const fd = openSync(path, 'wx', 0o600); // O_EXCL follows no link
  try {
    const made = connect(':memory:');
    writeSync(fd, made.exec(`PRAGMA page_size = ${PAGE_BYTES}; ${TABLE}`).serialize());
    made.close();
    followOpen(fd, ownership);
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

/**
 * Opens the lock file, which must exist.
 *
 * @throws {BackfillError} `LOCK_UNUSABLE` if it is not a plain file with one name, if its owner is not trusted, if it has a
 *   sidecar, or if it is replaced while it is being opened
 */
export function openLockFile(files: StoreFiles, busyTimeoutMs: number): Database.Database {
  const path = lockPath(files);
  const found = findLockFile(files);
  failpoint('lock', 'found');
  const db = connect(path, { fileMustExist: true, timeout: busyTimeoutMs });
  try {
    failpoint('lock', 'opened');
    // The path that SQLite reports differs if the last part was a link.
    const [{ file } = { file: '' }] = db.pragma('database_list') as { file: string }[];
    const now = lstatOf(path);
    const isSame = found && now?.ino === found.ino && now.dev === found.dev && isOpenHere(found);
    if (!isSame || (process.geteuid !== undefined && file !== path)) throw lockReplaced(path);
    return db;
  } catch (error) {
    db.close();
    throw error;
  }
}

/** Whether this process has the file open, and not one that was there only for a moment; true if the system has no `/proc`. */
function isOpenHere({ ino, dev }: BigIntStats): boolean {
  if (!existsSync(DESCRIPTORS)) return true;
  return readdirSync(DESCRIPTORS).some((fd) => {
    try {
      const stat = fstatSync(Number(fd), { bigint: true });
      return stat.ino === ino && stat.dev === dev;
    } catch (error) {
      if (errnoOf(error) === 'EBADF') return false; // already closed, like the descriptor that listed this folder
      throw error;
    }
  });
}

/** Returns `lstat` of the lock file, or undefined if there is none. Does not open it, because SQLite may have it open. */
function findLockFile(files: StoreFiles): BigIntStats | undefined {
  const path = lockPath(files);
  const found = lstatOf(path);
  // Our journal is in memory, so there must be no sidecar.
  for (const suffix of SIDECARS) {
    const sidecar = lstatOf(path + suffix);
    if (!sidecar) continue;
    throw new BackfillError(
      'LOCK_UNUSABLE',
      msg(
        'The lock file has a sidecar, {path}, which SQLite would apply to it and this program never creates',
        { path: path + suffix },
      ),
      removalHint([path, found], [path + suffix, sidecar]),
    );
  }
  if (!found) return undefined;
  const refuse = (why: Message): never => {
    throw new BackfillError('LOCK_UNUSABLE', why, removalHint([path, found]));
  };
  const owners = [files.ownership.uid];
  const owned = { path, owner: found.uid };
  if (found.isSymbolicLink()) refuse(msg('The lock file {path} is a symbolic link', { path }));
  if (!found.isFile()) refuse(msg('The lock file {path} is not a regular file', { path }));
  if (hasOtherNames(path)) refuse(msg('The lock file {path} has a second name', { path }));
  if (!isTrustedFile(path, found, owners))
    refuse(
      msg(
        'The lock file {path} belongs to user id {owner}, who is neither this user nor the owner of the store',
        owned,
      ),
    );
  if (!isTrustedOwner(found, owners) && (Number(found.mode) & ~files.ownership.mode & 0o002) !== 0)
    refuse(msg('The lock file {path} belongs to user id {owner}, and every user may write it', owned));
  if (found.size > MAX_BYTES) throw notOurs(path);
  return found;
}

/** Returns a hint with the commands that remove files; folders are moved away. */
function removalHint(
  ...files: readonly (readonly [path: string, found: BigIntStats | undefined])[]
): Message {
  const commands = files.map(([path, found]) =>
    found?.isDirectory()
      ? ['mv', shellWord(path), shellWord(`${path}.moved`)].join(' ')
      : `rm -f ${shellWord(path)}`,
  );
  return msg('Stop every command on this store, then remove it: {commands}', {
    commands: commands.join('; '),
  });
}

/** Whether the file has other names than this one and the temporary ones of {@link createLockFile}. */
function hasOtherNames(path: string): boolean {
  // A temporary name may disappear between counting the links and the names; then count again.
  for (let tries = 0; tries < 2; tries += 1) {
    const found = lstatOf(path);
    if (!found || found.nlink <= 1n || found.nlink === 1n + BigInt(namesInMaking(path, found))) return false;
  }
  return true;
}

function namesInMaking(path: string, { ino, dev }: BigIntStats): number {
  const [folder, start] = [dirname(path), `${basename(path)}.`];
  return readdirSync(folder).filter((name) => {
    if (!name.startsWith(start) || !/^[0-9a-f]{12}$/.test(name.slice(start.length))) return false;
    const stat = lstatOf(join(folder, name));
    return stat?.ino === ino && stat.dev === dev;
  }).length;
}

const lstatOf = (path: string): BigIntStats | undefined =>
  lstatSync(path, { bigint: true, throwIfNoEntry: false });

/**
 * Refuses a file that SQLite might read forever, then sets the journal to memory, so that no journal is left next to the file.
 * The two pages that a signature changes may be written in either order. Call it before a transaction.
 *
 * @throws {BackfillError} `LOCK_UNUSABLE`
 */
export function prepareLockFile(db: Database.Database): void {
  db.pragma('user_version'); // reads the header, but not the schema
  const isOurs = db.pragma('page_size', { simple: true }) === PAGE_BYTES;
  if (!isOurs || db.pragma('journal_mode', { simple: true }) === 'wal') throw notOurs(db.name);
  db.pragma('journal_mode = MEMORY');
}

/**
 * Returns the last signature. Call it inside a transaction.
 *
 * @returns undefined if there is none, or if the row is not a signature
 * @throws {BackfillError} `LOCK_UNUSABLE` if the file contains anything but our table
 */
export function readSignature(db: Database.Database): Signature | undefined {
  const [table, ...others] = db
    .prepare('SELECT type, name, tbl_name, rootpage, sql FROM sqlite_schema LIMIT 2')
    .raw()
    .all() as unknown[][];
  if (!table) return undefined;
  const expected = ['table', 'holder', 'holder', 2, TABLE];
  if (others.length > 0 || expected.some((value, i) => value !== table[i])) throw notOurs(db.name);
  const row = db.prepare('SELECT token, pid, host, since FROM holder LIMIT 1').get();
  const { token, pid, host, since } = (row ?? {}) as Readonly<Record<string, unknown>>;
  if (!Number.isSafeInteger(pid) || typeof host !== 'string') return undefined;
  const isInstant = typeof since === 'string' && /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/.test(since);
  return { token, pid: Number(pid), host: host.slice(0, MAX_HOST), ...(isInstant ? { since } : {}) };
}

/** Replaces the signature. Call it inside a transaction that has read the last one. */
export function writeSignature(
  db: Database.Database,
  { token, pid, host, since }: Signature & { readonly since: string },
): void {
  db.exec(`${TABLE.replace('TABLE', 'TABLE IF NOT EXISTS')}; DELETE FROM holder`);
  db.prepare('INSERT INTO holder VALUES (?, ?, ?, ?)').run(token, pid, host, since);
}

const notOurs = (path: string): BackfillError =>
  new BackfillError(
    'LOCK_UNUSABLE',
    msg('The lock file {path} was not created by this program', { path }),
    removalHint([path, lstatOf(path)]),
  );

const lockReplaced = (path: string, cause?: unknown): BackfillError =>
  new BackfillError(
    'LOCK_UNUSABLE',
    msg('The lock file {path} was replaced while it was being opened', { path }),
    msg('Check who may write to its folder, then run the same command again: ls -ld {path}', {
      path: shellWord(dirname(path)),
    }),
    { cause },
  );

/**
 * Explains an error of the lock file: `LOCK_UNUSABLE` for damage, and for an owner or mode that excludes this user; else the
 * cause's code.
 */
export function lockUnusable(files: StoreFiles, cause: unknown): BackfillError {
  const path = lockPath(files);
  const code = isSqliteError(cause) ? cause.code : (errnoOf(cause) ?? '');
  if (code === 'SQLITE_READONLY_DBMOVED') return lockReplaced(path, cause);
  const isDamaged = /^SQLITE_(?:CORRUPT|NOTADB|ERROR)/.test(code); // the last: another program's database
  const isKeptOut = /^(?:SQLITE_(?:CANTOPEN|READONLY|PERM)|EACCES$|EPERM$)/.test(code);
  if (!isDamaged && !isKeptOut) return toBackfillError(cause, 'while taking its lock');
  return new BackfillError(
    'LOCK_UNUSABLE',
    msg('The lock file {path} cannot be opened ({code})', { path, code }),
    isDamaged
      ? msg('Stop every command on this store, then remove the file: rm {path}', { path: shellWord(path) })
      : msg('Set its owner and mode to those of the store: {commands}', {
          commands: ['chown', 'chmod']
            .map((change) => `sudo ${change} --reference=${shellWord(files.path)} ${shellWord(path)}`)
            .join('; '),
        }),
    { cause },
  );
}
