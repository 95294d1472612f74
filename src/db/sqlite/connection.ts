import Database from 'better-sqlite3';

/**
 * Opens a connection. Every connection of this package to SQLite comes from here.
 *
 * A schema is the work of whoever wrote the file. Its triggers, views, defaults and expressions may therefore use only functions and
 * virtual tables that SQLite calls innocuous, and pages are checked when they are read. The driver opens connections in defensive
 * mode. Nothing is read of the file.
 *
 * @see https://www.sqlite.org/security.html
 */
export function connect(path: string, options: Database.Options = {}): Database.Database {
  const db = new Database(path, options);
  db.pragma('trusted_schema = OFF');
  db.pragma('cell_size_check = ON');
  return db;
}

/**
 * Runs `act` on a schema that is trusted: for `ALTER TABLE`, which compiles every view and trigger of the store, and runs none of
 * them.
 */
export function withTrustedSchema<Result>(db: Database.Database, act: () => Result): Result {
  db.pragma('trusted_schema = ON');
  try {
    return act();
  } finally {
    db.pragma('trusted_schema = OFF');
  }
}

/** Runs a statement by `act`, as {@link withTrustedSchema} if it is an `ALTER TABLE`. */
export const altering = <Result>(db: Database.Database, sql: string, act: () => Result): Result =>
  /^\s*ALTER\s+TABLE\b/i.test(sql) ? withTrustedSchema(db, act) : act();
