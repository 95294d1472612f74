import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { lstatOf } from '../db/file.js';

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
