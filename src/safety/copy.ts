import { createHash } from 'node:crypto';
import { readSync, rmSync, writeSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { backoffDelays } from '../db/connector.js';
import { lstatOf, SIDECARS } from '../db/file.js';
import type { SqliteStatements } from '../db/sqlite/statements.js';
import { isSqliteError } from '../engine-errors.js';
import { BackfillError } from '../errors.js';
import { failpoint } from '../failpoint.js';
import { msg } from '../messages/message.js';

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

/** Bytes per read. */
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
