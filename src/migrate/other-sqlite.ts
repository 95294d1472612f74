import { createRequire } from 'node:module';
import { dirname, sep } from 'node:path';
import { BackfillError } from '../errors.js';
import { type Message, msg } from '../messages/message.js';

/** A native module of SQLite, or of a package with its name: `better-sqlite3/prebuilds/linux-x64.node`; or libsql's: `@libsql/linux-x64-gnu/index.node`. */
const SQLITE_ADDON =
  /(?:sqlite3?(?:[\\/](?:build|prebuilds)[\\/].*)?|[\\/]@libsql[\\/][^\\/]+[\\/]index)\.node$/;

/** Entry of Node's list of loaded modules for `node:sqlite`, which no native module shows, because its SQLite is a part of Node. */
const BUILT_IN = 'NativeModule sqlite';

/** Property of the global object that marks a process of call-process.ts, for every copy of this package in it. */
const CHILD = Symbol.for('umzug-backfill.beside-sqlite');

/** Marks this process as one of call-process.ts, which must not start another. */
export const becomeChild = (): boolean => Reflect.set(globalThis, CHILD, true);

/**
 * Returns the path of another copy of SQLite that this process has loaded, or `node:sqlite`; undefined if there is none. Takes a few milliseconds.
 *
 * Native modules are found whichever thread loaded them; `node:sqlite` only if the calling thread did, because Node lists it by thread.
 */
function findOtherSqlite(): string | undefined {
  const { moduleLoadList } = process as { readonly moduleLoadList?: unknown };
  if (Array.isArray(moduleLoadList) && moduleLoadList.includes(BUILT_IN)) return 'node:sqlite';
  const ours = dirname(createRequire(import.meta.url).resolve('better-sqlite3/package.json')) + sep;
  return loadedAddons().find((path) => SQLITE_ADDON.test(path) && !path.startsWith(ours));
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

/** Returns the error of a process that has loaded another copy, whose path is `path`. */
export const loadedTwice = (path: string, hint: Message): BackfillError =>
  new BackfillError(
    'SQLITE_LOADED_TWICE',
    msg(
      "This process has loaded another copy of SQLite, {path}: two of them drop each other's locks on the store",
      { path },
    ),
    hint,
  );

/**
 * Refuses a process that has loaded another copy of SQLite, because two copies drop each other's locks on a file. Takes a few milliseconds.
 *
 * @throws {BackfillError} `SQLITE_LOADED_TWICE` with the path of the other copy
 * @see https://www.sqlite.org/howtocorrupt.html section 2.2.1
 */
export function refuseDuplicateSqlite(): void {
  const other = findOtherSqlite();
  if (other === undefined) return;
  throw loadedTwice(
    other,
    msg(
      'Use the same better-sqlite3 in the application (npm ls better-sqlite3), or run umzug-backfill up as a second process',
    ),
  );
}

/**
 * Returns the other copy of SQLite that this process has loaded, so that work on a store must run in a child process; undefined if it can run here.
 *
 * @throws {BackfillError} `SQLITE_LOADED_TWICE` if this process is that child: the step's file has loaded another copy, too
 */
export function sqliteBeside(): string | undefined {
  const other = findOtherSqlite();
  if (other === undefined || !Reflect.has(globalThis, CHILD)) return other;
  throw loadedTwice(
    other,
    msg(
      'Declare the backfill in a file that does not import the database, even indirectly, and set `file` to it',
    ),
  );
}
