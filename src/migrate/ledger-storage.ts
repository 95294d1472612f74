import type { Store } from '../db/connection.js';
import { identifier } from '../db/sql.js';
import { filterEach } from '../each.js';
import { BackfillError } from '../errors.js';
import type { Ledger } from '../ledger/ledger.js';
import { EXTERNAL } from '../ledger/records.js';
import { type Message, msg } from '../messages/message.js';
import { RUN_OPTIONS } from '../option-table.js';
import { checkOptions, refuseUnknownOptions, requireText } from '../options.js';
import { besideOtherSqlite, type LedgerCall } from './beside.js';
import { addressOf, inLedger, type LedgerAddress, type StoreDatabase } from './database.js';
import type { MigrationStorage, UmzugEvents } from './umzug.js';

/** An UmzugStorage in the ledger of a store. */
export interface LedgerStorage extends MigrationStorage {
  /** Path of the store; for PostgreSQL, its URL without the password, or `postgres://` if a function gives it. */
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

/** Options of {@link ledgerStorage}. */
export interface LedgerStorageOptions {
  /** Whether other roles of a server may do whatever this user may, as `--yes` says. Default false: `SEARCH_PATH_UNSAFE` if they may. */
  readonly confirmed?: boolean | undefined;
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
 * its Umzug: see {@link LedgerStorage}. In a process that has loaded another copy of SQLite, each call runs in a child process.
 *
 * @param database the store: a file, or a database of PostgreSQL; no statement runs on a connection of the application
 * @param options see {@link LedgerStorageOptions}
 * @returns the `storage` of `new Umzug()`. Its functions reject with a `BackfillError`: `STORE_MISSING`, `STORE_BUSY` and the other `STORE_…`
 *   codes; `SQLITE_LOADED_TWICE` or `WORKER_LOST` if a child process is needed and cannot be started or was killed; `SEARCH_PATH_UNSAFE` and other
 *   refusals of a server; `RUN_CONFLICT` if a logged step is not applied according to its ledger row
 * @throws {BackfillError} `USAGE` if `database` is none of these, or a setting cannot be carried over; `STORE_NOT_A_FILE` if it is in memory
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
export function ledgerStorage(database: StoreDatabase, options: LedgerStorageOptions = {}): LedgerStorage {
  const what = 'ledgerStorage()';
  checkOptions(options, { confirmed: RUN_OPTIONS.confirmed }, what, 'USAGE');
  return storageAt({ ...addressOf(database, { what, code: 'USAGE' }), confirmed: options.confirmed });
}

/** Addresses of storages. */
const addresses = new WeakMap<object, LedgerAddress>();

/** Returns a storage in the store at an address. */
export function storageAt(address: LedgerAddress): LedgerStorage {
  const inSteps = async <Result>(
    access: 'read' | 'write',
    act: (steps: typeof import('../ledger/steps.js'), ledger: Ledger) => Promise<Result>,
  ): Promise<Result> => {
    const steps = await import('../ledger/steps.js');
    return await inLedger(address, access, async ({ ledger }) => await act(steps, ledger));
  };
  const { path } = address;
  const onFile = <Call extends LedgerCall>(call: Call) => (address.postgres ? undefined : call);
  const commands: string[] = []; // in progress: a migration may call `pending()`
  const storage: LedgerStorage = {
    path,
    attach(umzug) {
      umzug.on('beforeCommand', ({ command }) => void commands.push(command));
      umzug.on('afterCommand', ({ command }) => void commands.splice(commands.lastIndexOf(command), 1));
      return umzug;
    },
    async executed() {
      const direction = commands.at(-1) === 'down' ? 'down' : 'up';
      return await besideOtherSqlite(onFile({ call: 'executed', path, direction }), async () => {
        const names = await inSteps('read', async (steps, ledger) => steps.executedNames(ledger, direction));
        return names.flatMap((name) => [name, ...CODE_EXTENSIONS.map((ending) => name + ending)]);
      });
    },
    async logMigration({ name }) {
      await besideOtherSqlite(onFile({ call: 'logMigration', path, name }), async () =>
        inSteps('write', async (steps, ledger) => steps.logMigration(ledger, stripExtension(name))),
      );
    },
    async unlogMigration({ name }) {
      await besideOtherSqlite(onFile({ call: 'unlogMigration', path, name }), async () =>
        inSteps('write', async (steps, ledger) => steps.unlogMigration(ledger, stripExtension(name))),
      );
    },
  };
  addresses.set(storage, address);
  return storage;
}

/** A table in the store that contains the names of another storage, such as sequelize's. */
export interface MigrationTable {
  /** Name of the table, such as `SequelizeMeta`. */
  readonly table: string;
  /** Column with the names. Default `name`. */
  readonly column?: string;
}

/** Options of {@link importExecuted}. */
export interface ImportOptions {
  /** The previous storage: an UmzugStorage such as `new JSONStorage()`, or a table in the store itself. */
  readonly from: Pick<MigrationStorage, 'executed'> | MigrationTable;
  /** The new storage: the result of `ledgerStorage()`, or its argument. */
  readonly to: LedgerStorage | StoreDatabase;
  /** Whether to report what would be imported, and write nothing. Default false. */
  readonly dryRun?: boolean;
}

/** Result of {@link importExecuted}. */
export interface ImportResult {
  /** Names that were added to the ledger, or would be, ordered by code unit. */
  readonly imported: readonly string[];
  /** Names that were in the ledger already. */
  readonly present: readonly string[];
}

const WHAT = 'importExecuted()';

/**
 * Imports the executed migrations of another storage in one transaction, so that umzug does not run them again on `ledgerStorage()`. The other
 * storage is only read. Names are stored without the extension of a code file: `001.js` becomes `001`.
 *
 * Run it once, when a project adopts this package; again, it changes nothing. It refuses a ledger that has migrations already and lacks some of
 * the imported ones: the other storage was used after the ledger, or one of them was reverted in the ledger.
 *
 * @param options see {@link ImportOptions}
 * @returns the imported names, and those that were in the ledger already
 * @throws {BackfillError} `USAGE` if an option is unknown or of the wrong type; `TABLE_MISSING`, `COLUMN_MISSING`; `IMPORT_REFUSED` if the ledger
 *   contradicts the other storage, or a name is not a text; `SQLITE_LOADED_TWICE`, `WORKER_LOST` or a `STORE_…` code
 *
 * @example
 * import { JSONStorage } from 'umzug';
 *
 * await importExecuted({ from: new JSONStorage({ path: 'umzug.json' }), to: ledgerStorage('shop.db') });
 * @example
 * import Database from 'better-sqlite3';
 *
 * const db = new Database('shop.db');
 * await importExecuted({ from: { table: 'SequelizeMeta' }, to: db });
 */
export async function importExecuted(options: ImportOptions): Promise<ImportResult> {
  refuseUnknownOptions(options, ['from', 'to', 'dryRun'], WHAT, 'USAGE');
  const { from, to, dryRun = false } = options;
  const address = addressIn(to);
  const { path, postgres } = address;
  const source = await sourceOf(from);
  const call = postgres ? undefined : ({ call: 'importExecuted', path, from: source, dryRun } as const);
  return await besideOtherSqlite(call, async () => {
    const { logMigration } = await import('../ledger/steps.js');
    return await inLedger(address, dryRun ? 'read' : 'write', async ({ store, ledger }) => {
      const found = 'table' in source ? await namesIn(store, source) : source;
      const names = [...new Set(found.map(stripExtension))].sort();
      const imported = await filterEach(names, async (name) => (await ledger.step(name)) === undefined);
      await refuseConflict(ledger, names, imported);
      if (!dryRun) for (const name of imported) await logMigration(ledger, name);
      return { imported, present: names.filter((name) => !imported.includes(name)) };
    });
  });
}

function addressIn(to: ImportOptions['to']): LedgerAddress {
  const known = typeof to === 'object' && to !== null ? addresses.get(to) : undefined;
  const isOther = typeof to === 'object' && to !== null && 'attach' in to; // a copy of a storage
  return known ?? addressOf(isOther ? to.path : to, { what: WHAT, code: 'USAGE' });
}

/** Returns the table, or the names of a storage, which is read before the store is opened, because it may be slow. */
async function sourceOf(from: ImportOptions['from']): Promise<Required<MigrationTable> | readonly string[]> {
  if (typeof from !== 'object' || from === null) {
    throw new BackfillError(
      'USAGE',
      msg('Expected `from` in {what} to be a storage of umzug or a table', { what: WHAT }),
      msg("Write from: new JSONStorage({ path: 'umzug.json' }), or from: { table: 'SequelizeMeta' }"),
    );
  }
  if ('executed' in from) {
    const names: readonly unknown[] = await from.executed({ context: {} });
    return names.map(asText);
  }
  refuseUnknownOptions(from, ['table', 'column'], `\`from\` of ${WHAT}`, 'USAGE');
  const table = requireText(from.table, 'from.table', WHAT, 'USAGE');
  return { table, column: requireText(from.column ?? 'name', 'from.column', WHAT, 'USAGE') };
}

async function namesIn(store: Store, { table, column }: Required<MigrationTable>): Promise<string[]> {
  const { absentColumns } = await import('../engine/schema.js');
  if (!(await store.dialect.hasTable(store, table))) {
    throw new BackfillError(
      'TABLE_MISSING',
      msg('The store has no table {table} to import names from', { table }),
      msg(
        'Set `from.table` to the table of the previous storage; sqlite3 STORE .tables lists those of the store',
      ),
    );
  }
  if ((await absentColumns(store, table, [column])).size > 0) {
    throw new BackfillError(
      'COLUMN_MISSING',
      msg('The table {table} has no column {column} to import names from', { table, column }),
      msg('Set `from.column` to the column with the names of migrations'),
    );
  }
  const names = await store.project.pluck(`SELECT ${identifier(column)} FROM ${identifier(table)}`);
  return names.map(asText);
}

const refused = (message: Message, hint: Message): BackfillError =>
  new BackfillError('IMPORT_REFUSED', message, hint);

function asText(name: unknown): string {
  if (typeof name === 'string' && name !== '') return name;
  throw refused(
    msg('One of the names to import is not a text'),
    msg('Fix it in the other storage, or set `from.column`; nothing was imported'),
  );
}

/** Refuses a ledger that is in use and lacks names, and one with an unfinished step among them: those are not executed. */
async function refuseConflict(
  ledger: Ledger,
  names: readonly string[],
  missing: readonly string[],
): Promise<void> {
  const steps = await ledger.steps();
  const halfDone = steps.find(({ name, status }) => status !== 'applied' && names.includes(name));
  if (halfDone) {
    const { name } = halfDone;
    throw refused(
      msg('The other storage says that {name} is executed, and the ledger that it is unfinished', { name }),
      msg('Finish it first, or revert it: run umzug on the other storage once more; nothing was imported'),
    );
  }
  if (missing.length === 0 || !steps.some(({ kind }) => kind === EXTERNAL)) return;
  const list = { names: missing.join(', ') };
  throw refused(
    msg(
      'The ledger has migrations already, and lacks {names}, which the other storage says are executed',
      list,
    ),
    msg(
      'If they are executed, log each: await ledgerStorage(PATH).logMigration({ name }); nothing was imported',
    ),
  );
}
