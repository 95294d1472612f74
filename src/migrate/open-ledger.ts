import type { Transaction } from '../db/connection.js';
import type { SqliteStore } from '../db/sqlite/store.js';
import { BackfillError, toBackfillError } from '../errors.js';
import { isStoreError } from '../store-errors.js';
import { refuseDuplicateSqlite } from './duplicate-sqlite.js';
import type { Session } from './session.js';

/**
 * Opens a store that somebody's own Umzug is about to use, acts in one transaction, and closes it. It may be a file without
 * bytes yet, as a connection makes one: its first migration makes the tables.
 *
 * @param access `look` writes nothing, but that it rolls back what a killed writer has left half done
 * @throws {BackfillError} `SQLITE_LOADED_TWICE`, `PACKAGE_TOO_OLD`, `LEDGER_TOO_OLD` or a `STORE_…` code
 */
export async function inLedger<Result>(
  path: string,
  access: 'read' | 'write',
  act: (session: Session) => Promise<Result>,
): Promise<Result> {
  refuseDuplicateSqlite();
  // Late: whatever imports this package, as every file of a step does, need not load SQLite.
  const { openLedger } = await import('../ledger/ledger.js');
  const { requireKnownFormat } = await import('../ledger/ledger.js');
  const { locateStore } = await import('../db/path.js');
  const { openSqlite } = await import('../engine/sqlite/dialect.js');
  const files = locateStore(path, { allowEmpty: true });
  const open = (): SqliteStore => {
    try {
      return openSqlite(files, { access });
    } catch (error) {
      if (!(error instanceof BackfillError) || error.code !== 'STORE_HOT_JOURNAL') throw error;
      return openSqlite(files, { access: 'write' });
    }
  };
  const store = open();
  try {
    await requireKnownFormat(store);
    const actIn = async (tx: Transaction): Promise<Result> =>
      await act({ store: tx, ledger: openLedger(tx) });
    return access === 'read' ? await store.snapshot(actIn) : await store.write(actIn);
  } catch (error) {
    throw isStoreError(error) ? toBackfillError(error) : error;
  } finally {
    await store.close();
  }
}
