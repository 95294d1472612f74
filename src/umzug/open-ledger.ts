import { BackfillError, isStoreError, toBackfillError } from '../errors.js';
import type { Session } from '../migrator/session.js';
import { refuseSecondSqlite } from '../store/sqlite/second-copy.js';
import type { SqliteStore } from '../store/sqlite/store.js';

/**
 * Opens a store that somebody's own Umzug is about to use, acts in one transaction, and closes it. It may be a file without
 * bytes yet, as a connection makes one: its first migration makes the tables.
 *
 * @param access `look` writes nothing, but that it rolls back what a killed writer has left half done
 * @param act synchronous
 * @throws {BackfillError} `SQLITE_TWICE`, `PACKAGE_TOO_OLD` or a `STORE_…` code
 */
export async function inLedger<Result>(
  path: string,
  access: 'look' | 'write',
  act: (session: Session) => Promise<Result>,
): Promise<Result> {
  refuseSecondSqlite();
  // Late: whatever imports this package, as every file of a step does, need not load SQLite.
  const { Ledger } = await import('../ledger/ledger.js');
  const { refuseNewerLedger } = await import('../ledger/format.js');
  const { locateStore } = await import('../store/path.js');
  const { openSqlite } = await import('../store/sqlite/site.js');
  const files = locateStore(path, { mayBeEmpty: true });
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
    await refuseNewerLedger(store);
    const session = { store, ledger: new Ledger(store) };
    return access === 'look'
      ? await store.snapshot(async () => await act(session))
      : await store.write(async () => await act(session));
  } catch (error) {
    throw isStoreError(error) ? toBackfillError(error) : error;
  } finally {
    await store.close();
  }
}
