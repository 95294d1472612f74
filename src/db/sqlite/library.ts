import { connect } from './connection.js';

/** The version of the SQLite that this process has, as `3.53.2`. */
export function libraryVersion(): string {
  const db = connect(':memory:');
  try {
    return String(db.prepare('SELECT sqlite_version()').pluck().get());
  } finally {
    db.close();
  }
}
