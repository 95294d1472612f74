import type { Ledger } from '../ledger/ledger.js';
import { databasePath, inLedger, type StoreDatabase } from './database.js';
import type { MigrationStorage, UmzugEvents } from './types.js';

/** What {@link ledgerStorage} returns: an UmzugStorage that says which store it is of. */
export interface LedgerStorage extends MigrationStorage {
  /** Path of the store. */
  readonly path: string;
  /**
   * Attaches the storage to the Umzug that uses it, and returns that Umzug. umzug asks one `executed()` for both directions: an
   * attached storage learns from the event `beforeCommand` which of them it is for.
   *
   * Attached, a backfill that was stopped, or whose last verification failed, is pending for `up` and executed for `down`. Not
   * attached, it is pending for both: `down()` passes over it and reverts the migration before it, unless it is named with
   * `down({ migrations: [NAME], rerun: 'ALLOW' })`.
   */
  attach<Instance extends UmzugEvents>(umzug: Instance): Instance;
}

/** Endings under which one migration runs: `001.ts` in development is `001.js` once it is built. */
const CODE_EXTENSIONS = ['.js', '.cjs', '.mjs', '.ts', '.cts', '.mts'] as const;

/** A migration's name without the ending that its file has as code. */
export const stripExtension = (name: string): string => name.replace(/(?<=.)\.[cm]?[jt]s$/, '');

/**
 * A storage for umzug in the store itself: the table that this package keeps its steps in. It knows nothing of the migrations
 * but their names, so that any Umzug can have it, with and without backfills among its migrations.
 *
 * Names are kept without the ending of a file of code, and `executed()` lists each with and without: `001.js` is executed
 * where `001.ts` was. It lists names whose file is gone, too; umzug itself then passes them over. Logging a name twice is no
 * error. A backfill counts as executed once it is verified, so that the next `up` goes on with one that was stopped or failed. For `down`
 * it counts as executed as soon as it has begun, if the storage is attached to its Umzug: see {@link LedgerStorage}.
 *
 * @param database the path of the store, or a connection of better-sqlite3 to it; nothing is run on the connection
 * @returns what to pass to `new Umzug({ storage })`. Its functions reject with a `BackfillError`: `STORE_MISSING`, `STORE_BUSY`
 *   and the other `STORE_…` codes; `SQLITE_LOADED_TWICE`; `RUN_CONFLICT` when a step is logged that its row says is not applied
 * @throws {BackfillError} `USAGE` when `database` is no path and no connection, `STORE_NOT_A_FILE` when it is in memory
 *
 * @example
 * import { Umzug } from 'umzug';
 * import Database from 'better-sqlite3';
 *
 * const db = new Database('shop.db');
 * const storage = ledgerStorage(db);
 * const umzug = storage.attach(
 *   new Umzug({ migrations: { glob: 'migrations/*.js' }, context: db, storage, logger: undefined }),
 * );
 */
export function ledgerStorage(database: StoreDatabase): LedgerStorage {
  const path = databasePath(database, 'ledgerStorage()', 'USAGE');
  const external = () => import('../ledger/steps.js');
  const write = (act: (ledger: Ledger) => Promise<void>): Promise<void> =>
    inLedger(path, 'write', async ({ ledger }) => await act(ledger));
  const commands: string[] = []; // in progress: a migration may ask umzug for its pending ones
  return {
    path,
    attach(umzug) {
      umzug.on('beforeCommand', ({ command }) => void commands.push(command));
      umzug.on('afterCommand', ({ command }) => void commands.splice(commands.lastIndexOf(command), 1));
      return umzug;
    },
    async executed() {
      const direction = commands.at(-1) === 'down' ? 'down' : 'up';
      const { executedNames } = await external();
      const names = await inLedger(
        path,
        'read',
        async ({ ledger }) => await executedNames(ledger, direction),
      );
      return names.flatMap((name) => [name, ...CODE_EXTENSIONS.map((ending) => name + ending)]);
    },
    async logMigration({ name }) {
      const { logMigration } = await external();
      await write(async (ledger) => await logMigration(ledger, stripExtension(name)));
    },
    async unlogMigration({ name }) {
      const { unlogMigration } = await external();
      await write(async (ledger) => await unlogMigration(ledger, stripExtension(name)));
    },
  };
}
