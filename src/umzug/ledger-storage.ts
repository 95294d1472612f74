import type { Ledger } from '../ledger/ledger.js';
import type { MigrationStorage } from './contract.js';
import { databasePath, type StoreDatabase } from './database.js';
import { inLedger } from './open-ledger.js';

/** What {@link ledgerStorage} returns: an UmzugStorage that says which store it is of. */
export interface LedgerStorage extends MigrationStorage {
  /** Path of the store. */
  readonly path: string;
}

/** Endings under which one migration runs: `001.ts` in development is `001.js` once it is built. */
const CODE_ENDINGS = ['.js', '.cjs', '.mjs', '.ts', '.cts', '.mts'] as const;

/** A migration's name without the ending that its file has as code. */
export const nameWithoutEnding = (name: string): string => name.replace(/(?<=.)\.[cm]?[jt]s$/, '');

/**
 * A storage for umzug in the store itself: the table that this package keeps its steps in. It knows nothing of the migrations
 * but their names, so that any Umzug can have it, with and without backfills among its migrations.
 *
 * Names are kept without the ending of a file of code, and `executed()` lists each with and without: `001.js` is executed
 * where `001.ts` was. It lists names whose file is gone, too; umzug itself then passes them over. Logging a name twice is no
 * error. A backfill counts as executed once it is verified, so that the next `up` goes on with one that was stopped or failed.
 *
 * @param database the path of the store, or a connection of better-sqlite3 to it; nothing is run on the connection
 * @returns what to pass to `new Umzug({ storage })`. Its functions reject with a `BackfillError`: `STORE_MISSING`, `STORE_BUSY`
 *   and the other `STORE_…` codes; `SQLITE_TWICE`; `RUN_CONFLICT` when a step is logged that its row says is not applied
 * @throws {BackfillError} `USAGE` when `database` is no path and no connection, `STORE_NOT_A_FILE` when it is in memory
 *
 * @example
 * import { Umzug } from 'umzug';
 * import Database from 'better-sqlite3';
 *
 * const db = new Database('shop.db');
 * const umzug = new Umzug({
 *   migrations: { glob: 'migrations/*.js' },
 *   context: db,
 *   storage: ledgerStorage(db),
 *   logger: undefined,
 * });
 */
export function ledgerStorage(database: StoreDatabase): LedgerStorage {
  const path = databasePath(database, 'ledgerStorage()', 'USAGE');
  const foreign = () => import('../ledger/foreign.js');
  const write = (act: (ledger: Ledger) => void): Promise<void> =>
    inLedger(path, 'write', ({ ledger }) => act(ledger));
  return {
    path,
    async executed() {
      const { executedNames } = await foreign();
      const names = await inLedger(path, 'look', ({ ledger }) => executedNames(ledger));
      return names.flatMap((name) => [name, ...CODE_ENDINGS.map((ending) => name + ending)]);
    },
    async logMigration({ name }) {
      const { logName } = await foreign();
      await write((ledger) => logName(ledger, nameWithoutEnding(name)));
    },
    async unlogMigration({ name }) {
      const { unlogName } = await foreign();
      await write((ledger) => unlogName(ledger, nameWithoutEnding(name)));
    },
  };
}
