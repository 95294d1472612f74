import Database from 'better-sqlite3';

/** The version of the SQLite that this process has, as `3.53.2`. */
export function libraryVersion(): string {
  const db = new Database(':memory:');
  try {
    return String(db.prepare('SELECT sqlite_version()').pluck().get());
  } finally {
    db.close();
  }
}
