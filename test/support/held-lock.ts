import { realpathSync } from 'node:fs';
import Database from 'better-sqlite3';

/** Holds the run lock of a store for a holder of any name; call what is returned to end it. */
export function holdLock(
  store: string,
  { host, since }: { readonly host: string; readonly since: string },
): () => void {
  const db = new Database(`${realpathSync(store)}.lock`);
  db.exec('CREATE TABLE holder (token TEXT, pid INTEGER, host TEXT, since TEXT)');
  db.prepare(`INSERT INTO holder VALUES ('a holder', 1, ?, ?)`).run(host, since);
  db.exec('BEGIN IMMEDIATE');
  return () => db.close();
}
