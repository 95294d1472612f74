import { createRequire } from 'node:module';
import { dirname, sep } from 'node:path';
import { BackfillError } from '../errors.js';
import { msg } from '../messages/message.js';

/** A native module of SQLite, or of a package with its name: `better-sqlite3/prebuilds/linux-x64.node`. */
const SQLITE_ADDON = /sqlite3?(?:[\\/](?:build|prebuilds)[\\/].*)?\.node$/;

/**
 * Refuses a process that has loaded another copy of SQLite, because two copies drop each other's locks on a file. Takes a few milliseconds.
 *
 * @throws {BackfillError} `SQLITE_LOADED_TWICE` with the path of the other copy
 * @see https://www.sqlite.org/howtocorrupt.html section 2.2.1
 */
export function refuseDuplicateSqlite(): void {
  const loaded = loadedAddons().filter((path) => SQLITE_ADDON.test(path));
  const ours = dirname(createRequire(import.meta.url).resolve('better-sqlite3/package.json')) + sep;
  const second = loaded.find((path) => !path.startsWith(ours));
  if (second === undefined) return;
  throw new BackfillError(
    'SQLITE_LOADED_TWICE',
    msg(
      "This process has loaded another copy of SQLite, {path}: two of them drop each other's locks on the store",
      { path: second },
    ),
    msg(
      'Use the same better-sqlite3 in the application (npm ls better-sqlite3), or run umzug-backfill up as a second process',
    ),
  );
}

/** Returns the paths of the native modules that this process has loaded. */
function loadedAddons(): string[] {
  const report = process.report as NodeJS.ProcessReport & { excludeNetwork?: boolean };
  const before = report.excludeNetwork ?? false;
  report.excludeNetwork = true; // otherwise it resolves the host names of all peers
  const { sharedObjects } = report.getReport() as unknown as { readonly sharedObjects: readonly string[] };
  report.excludeNetwork = before;
  return sharedObjects.filter((path) => path.endsWith('.node'));
}
