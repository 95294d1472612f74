import { resolve } from 'node:path';
import { isPostgresUrl } from '../address.js';
import type { Transaction } from '../db/connection.js';
import { BackfillError, type ErrorCode } from '../errors.js';
import { msg } from '../messages/message.js';
import { requireText } from '../options.js';
import { learnSecrets } from '../secrets.js';
import type { Session } from './session.js';

/** The properties of a better-sqlite3 connection that are read. No statement runs on it: steps open separate ones. */
export interface SqliteConnection {
  /** Path that it was opened with. */
  readonly name: string;
  /** Whether its database is in memory or temporary. */
  readonly memory: boolean;
  /** Whether it is in a transaction. */
  readonly inTransaction: boolean;
}

/**
 * A store: the path of its file, or a connection to it, of which only the path is used. The same copy of better-sqlite3 opens the file again,
 * because batches need separate settings and transactions.
 */
export type StoreDatabase = string | SqliteConnection;

/**
 * Returns the path of a store's file.
 *
 * @param what the function it was passed to, such as `ledgerStorage()`
 * @throws {BackfillError} with `code` if it is neither a path nor a connection; `STORE_NOT_A_FILE` if its database is in memory or temporary,
 *   because no second connection could open it
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
      msg('Pass the path of the store, or the result of new Database(PATH)'),
    );
  }
  if (memory) {
    throw new BackfillError(
      'STORE_NOT_A_FILE',
      msg(
        'The connection passed to {what} is to a database in memory or a temporary one, which no second connection can open',
        { what },
      ),
      msg('Pass a connection to a file: new Database(PATH)'),
    );
  }
  return resolve(name);
}

/**
 * Refuses a connection in a transaction: every batch would wait for it, in the same thread, until the timeout.
 *
 * @throws {BackfillError} `STORE_BUSY`
 */
export function refuseOpenTransaction(database: StoreDatabase, what: string): void {
  if (typeof database === 'string' || !database.inTransaction) return;
  throw new BackfillError(
    'STORE_BUSY',
    msg(
      'The connection passed to {what} is in the middle of a transaction, which would keep others from writing',
      { what },
    ),
    msg('Commit it first, and run umzug outside of transactions: each batch has a separate one'),
  );
}

/**
 * Opens a store that another Umzug uses, runs `act` in one transaction, and closes the store. The file may be empty, because a connection
 * creates it that way: the first migration creates its tables.
 *
 * @param access `read` writes nothing, except that it rolls back the transaction of a killed writer
 * @throws {BackfillError} `PACKAGE_TOO_OLD`, `LEDGER_TOO_OLD` or a `STORE_…` code
 */
export async function inLedger<Result>(
  path: string,
  access: 'read' | 'write',
  act: (session: Session) => Promise<Result>,
): Promise<Result> {
  // Not with this module, because every step file imports this package.
  const { inTransaction, withStore } = await import('./session.js');
  const { locateStore } = await import('../db/path.js');
  const { sqliteConnector } = await import('../engine/sqlite/dialect.js');
  const connector = sqliteConnector(path, { files: locateStore(path, { allowEmpty: true }) });
  const open = async (openFor: 'read' | 'write'): Promise<Result> =>
    await withStore({ path, connector, project: { steps: [] } }, openFor, async (session) => {
      const actIn = async (tx: Transaction): Promise<Result> => await act(inTransaction(session, tx));
      return access === 'read' ? await session.store.snapshot(actIn) : await session.store.write(actIn);
    });
  try {
    return await open(access);
  } catch (error) {
    if (!(error instanceof BackfillError) || error.code !== 'STORE_HOT_JOURNAL') throw error;
    return await open('write');
  }
}
