import { resolve } from 'node:path';
import { isPostgresUrl } from '../address.js';
import { BackfillError, type ErrorCode } from '../errors.js';
import { msg } from '../messages/message.js';
import { requireText } from '../options.js';
import { learnSecrets } from '../secrets.js';

/** Of an open connection of better-sqlite3, what is looked at. Nothing is run on it: steps open one of their own. */
export interface SqliteConnection {
  /** Path of its file, as it was opened. */
  readonly name: string;
  /** Whether its database is in memory, or a temporary one. */
  readonly memory: boolean;
  /** Whether it is in a transaction. */
  readonly inTransaction: boolean;
}

/**
 * A store: the path of its file, or a connection to it. The connection is there to take the path from: the file is opened once
 * more, by the same copy of better-sqlite3, as batches need settings and transactions of their own.
 */
export type StoreDatabase = string | SqliteConnection;

/**
 * The path of a store's file.
 *
 * @param what the call that the store was given to, as `ledgerStorage()`
 * @throws {BackfillError} with `code` when it is neither a path nor a connection; `STORE_NOT_A_FILE` when its database is in
 *   memory or temporary, which no second connection could open
 */
export function databasePath(database: StoreDatabase, what: string, code: ErrorCode): string {
  if (typeof database !== 'object' || database === null) {
    const path = requireText(database, 'database', what, code);
    learnSecrets([path]);
    if (!isPostgresUrl(path)) return path;
    throw new BackfillError(
      code,
      msg('{what} is for a store that is a file, and got a URL', { what }),
      msg('Use createMigrator() for a database of PostgreSQL'),
    );
  }
  const { name, memory } = database;
  if (typeof name !== 'string' || typeof memory !== 'boolean') {
    throw new BackfillError(
      code,
      msg('Expected `database` in {what} to be a path or a connection of better-sqlite3', { what }),
      msg('Give the path of the store, or what new Database(PATH) returns'),
    );
  }
  if (memory) {
    throw new BackfillError(
      'STORE_NOT_A_FILE',
      msg(
        'The connection given to {what} is to a database in memory or a temporary one, which no second connection can open',
        { what },
      ),
      msg('Give one to a file: new Database(PATH)'),
    );
  }
  return resolve(name);
}

/**
 * Refuses to begin while the connection that the store was given by is in a transaction: it would keep every batch waiting, in
 * the same thread, until the wait is over.
 *
 * @throws {BackfillError} `STORE_BUSY`
 */
export function refuseOpenTransaction(database: StoreDatabase, what: string): void {
  if (typeof database === 'string' || !database.inTransaction) return;
  throw new BackfillError(
    'STORE_BUSY',
    msg(
      'The connection given to {what} is in the middle of a transaction, which would keep others from writing',
      { what },
    ),
    msg('Commit it first, and run umzug outside of transactions: each batch has one of its own'),
  );
}
