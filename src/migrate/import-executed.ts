import type { Store } from '../db/connection.js';
import { identifier } from '../db/sql.js';
import { filterEach } from '../each.js';
import { BackfillError } from '../errors.js';
import type { Ledger } from '../ledger/ledger.js';
import { EXTERNAL } from '../ledger/records.js';
import { msg } from '../messages/message.js';
import { refuseUnknownOptions, requireText } from '../options.js';
import { databasePath, inLedger, type StoreDatabase } from './database.js';
import { type LedgerStorage, stripExtension } from './ledger-storage.js';
import type { MigrationStorage } from './types.js';

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
 *   contradicts the other storage, or a name is not a text; `SQLITE_LOADED_TWICE` or a `STORE_…` code
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
  const path =
    typeof to === 'object' && to !== null && 'path' in to ? to.path : databasePath(to, WHAT, 'USAGE');
  const readNames = await reader(from);
  const { logMigration } = await import('../ledger/steps.js');
  return await inLedger(path, dryRun ? 'read' : 'write', async ({ store, ledger }) => {
    const names = [...new Set((await readNames(store)).map((name) => stripExtension(asText(name))))].sort();
    const imported = await filterEach(names, async (name) => (await ledger.step(name)) === undefined);
    await refuseConflict(ledger, names, imported);
    if (!dryRun) for (const name of imported) await logMigration(ledger, name);
    return { imported, present: names.filter((name) => !imported.includes(name)) };
  });
}

/** Returns a function that reads the names from the open store. A storage is read before that, because it may be slow. */
async function reader(from: ImportOptions['from']): Promise<(store: Store) => Promise<readonly unknown[]>> {
  if (typeof from === 'object' && from !== null && 'executed' in from) {
    const names: readonly unknown[] = await from.executed({ context: {} });
    return async () => names;
  }
  if (typeof from !== 'object' || from === null) {
    throw new BackfillError(
      'USAGE',
      msg('Expected `from` in {what} to be a storage of umzug or a table', { what: WHAT }),
      msg("Write from: new JSONStorage({ path: 'umzug.json' }), or from: { table: 'SequelizeMeta' }"),
    );
  }
  refuseUnknownOptions(from, ['table', 'column'], `\`from\` of ${WHAT}`, 'USAGE');
  const table = requireText(from.table, 'from.table', WHAT, 'USAGE');
  const column = requireText(from.column ?? 'name', 'from.column', WHAT, 'USAGE');
  const { absentColumns } = await import('../engine/schema.js');
  return async (store) => {
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
    return await store.project.pluck(`SELECT ${identifier(column)} FROM ${identifier(table)}`);
  };
}

function asText(name: unknown): string {
  if (typeof name === 'string' && name !== '') return name;
  throw new BackfillError(
    'IMPORT_REFUSED',
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
  const hasBegun = steps.some(({ kind }) => kind === EXTERNAL);
  if (!halfDone && (!hasBegun || missing.length === 0)) return;
  throw new BackfillError(
    'IMPORT_REFUSED',
    halfDone
      ? msg('The other storage says that {name} is executed, and the ledger that it is unfinished', {
          name: halfDone.name,
        })
      : msg(
          'The ledger has migrations already, and lacks {names}, which the other storage says are executed',
          { names: missing.join(', ') },
        ),
    halfDone
      ? msg('Finish it first, or revert it: run umzug on the other storage once more; nothing was imported')
      : msg(
          'If they are executed, log each: await ledgerStorage(PATH).logMigration({ name }); nothing was imported',
        ),
  );
}
