import type { Ledger } from '../ledger/ledger.js';
import { databasePath, inLedger, type StoreDatabase } from './database.js';
import type { MigrationStorage, UmzugEvents } from './types.js';

/** An UmzugStorage in the ledger of a store. */
export interface LedgerStorage extends MigrationStorage {
  /** Path of the store. */
  readonly path: string;
  /**
   * Attaches the storage to the Umzug that uses it, and returns the Umzug. umzug calls one `executed()` for both directions; an attached storage
   * reads the direction from the event `beforeCommand`.
   *
   * Attached, a backfill that was stopped, or whose last verification failed, is pending for `up` and executed for `down`. Otherwise it is
   * pending for both: `down()` passes over it and reverts the migration before it, unless it is named with
   * `down({ migrations: [NAME], rerun: 'ALLOW' })`.
   */
  attach<Instance extends UmzugEvents>(umzug: Instance): Instance;
}

/** Extensions of one migration: `001.ts` in development is `001.js` after the build. */
const CODE_EXTENSIONS = ['.js', '.cjs', '.mjs', '.ts', '.cts', '.mts'] as const;

/** Returns the name of a migration without the extension of a code file. */
export const stripExtension = (name: string): string => name.replace(/(?<=.)\.[cm]?[jt]s$/, '');

/**
 * Returns a storage for umzug in the store itself: the ledger's table of steps. It records only names, so any Umzug can use it, with and without
 * backfills among its migrations.
 *
 * Names are stored without the extension of a code file, and `executed()` returns each with and without: `001.js` is executed if `001.ts` was.
 * It includes names whose file no longer exists; umzug ignores them. Logging a name twice is not an error. A backfill is executed once it is
 * verified, so that the next `up` resumes a stopped or failed one. For `down` it is executed as soon as it begins, if the storage is attached to
 * its Umzug: see {@link LedgerStorage}.
 *
 * @param database path of the store, or a better-sqlite3 connection to it; no statement runs on the connection
 * @returns the `storage` of `new Umzug()`. Its functions reject with a `BackfillError`: `STORE_MISSING`, `STORE_BUSY` and the other `STORE_…`
 *   codes; `SQLITE_LOADED_TWICE`; `RUN_CONFLICT` if a logged step is not applied according to its ledger row
 * @throws {BackfillError} `USAGE` if `database` is neither a path nor a connection, `STORE_NOT_A_FILE` if it is in memory
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
  const commands: string[] = []; // in progress: a migration may call `pending()`
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
