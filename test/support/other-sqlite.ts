import { cpSync, mkdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

// Other copies of SQLite than this package's, as an application loads them. An application of the tests imports this, so it imports little.

/** A connection of the application's. */
export interface OtherConnection {
  exec(sql: string): unknown;
}

/** The copies: of better-sqlite3 in another folder; of `sqlite3`, by its fork with binaries; of libsql; and Node's. */
export const COPIES = ['better-sqlite3', 'sqlite3', 'libsql', 'node:sqlite'] as const;
export type Copy = (typeof COPIES)[number];

/** Whether this Node has the copy. */
export const hasCopy = (copy: Copy): boolean =>
  copy !== 'node:sqlite' || Number(process.versions.node.split('.')[0]) >= 22;

/** Puts a second copy of better-sqlite3 into a folder, with the connection's module alone. */
export function copyBetterSqlite(folder: string): void {
  const from = fileURLToPath(new URL('../../../node_modules', import.meta.url));
  const to = join(folder, 'node_modules');
  mkdirSync(to, { recursive: true });
  const isNeeded = (path: string): boolean => !/better-sqlite3\/(?:deps|src|build\/(?!Release))/.test(path);
  for (const name of ['better-sqlite3', 'bindings', 'file-uri-to-path'])
    cpSync(join(from, name), join(to, name), {
      recursive: true,
      filter: (path) => isNeeded(path) && !path.endsWith('.a'),
    });
}

/**
 * Loads a copy, and opens a store with it.
 *
 * @param folder one that {@link copyBetterSqlite} was called with
 */
export function openWith(copy: Copy, path: string, folder: string): OtherConnection {
  const require = createRequire(copy === 'better-sqlite3' ? join(folder, 'app.js') : import.meta.url);
  if (copy === 'sqlite3') return new (require('@appthreat/sqlite3').default.Database)(path);
  if (copy === 'node:sqlite') return new (require(copy).DatabaseSync)(path);
  const db = new (require(copy))(path);
  db.exec('PRAGMA busy_timeout = 10000');
  return db;
}
