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

/** A table in the store in which another storage keeps the names, as sequelize's does. */
export interface MigrationTable {
  /** As `SequelizeMeta`. */
  readonly table: string;
  /** Column with the names. Default `name`. */
  readonly column?: string;
}

/** What {@link importExecuted} takes. */
export interface ImportOptions {
  /** The storage until now: one of umzug's or one like it, as `new JSONStorage()`, or a table in the store itself. */
  readonly from: Pick<MigrationStorage, 'executed'> | MigrationTable;
  /** The storage from now on: what `ledgerStorage()` returns, or what it takes. */
  readonly to: LedgerStorage | StoreDatabase;
  /** Whether only to say what would be imported. Default false. */
  readonly dryRun?: boolean;
}

/** What {@link importExecuted} did. */
export interface ImportResult {
  /** Names that were not in the ledger and are now, or with `dryRun` would be, by code unit. */
  readonly imported: readonly string[];
  /** Names that were in it already. */
  readonly present: readonly string[];
}

const WHAT = 'importExecuted()';

/**
 * Takes over what another storage says is executed, in one transaction, so that umzug runs none of it again on
 * `ledgerStorage()`. The other storage is only read. Names lose the ending of a file of code: `001.js` becomes `001`.
 *
 * Done once, when a project adopts this package; done again it changes nothing. It refuses a ledger that has migrations
 * already and lacks some of these: the other storage was used after the ledger was, or one of them was reverted in the ledger.
 *
 * @param options see {@link ImportOptions}
 * @returns what was imported, and what was there
 * @throws {BackfillError} `USAGE` for an option that is unknown or of the wrong kind; `TABLE_MISSING`, `COLUMN_MISSING`;
 *   `IMPORT_REFUSED` when the ledger contradicts, or a name is no text; `SQLITE_LOADED_TWICE` or a `STORE_…` code
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

/** How the names are read, once the store is open. A storage is asked before: it may take its time. */
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
  const { absentColumns } = await import('../engine/inspect.js');
  return async (store) => {
    if (!(await store.dialect.hasTable(store, table))) {
      throw new BackfillError(
        'TABLE_MISSING',
        msg('The store has no table {table} to import names from', { table }),
        msg('Name the table of the storage until now; sqlite3 STORE .tables lists those of the store'),
      );
    }
    if ((await absentColumns(store, table, [column])).size > 0) {
      throw new BackfillError(
        'COLUMN_MISSING',
        msg('The table {table} has no column {column} to import names from', { table, column }),
        msg('Name the column with the names of migrations as `from.column`'),
      );
    }
    return await store.project.pluck(`SELECT ${identifier(column)} FROM ${identifier(table)}`);
  };
}

function asText(name: unknown): string {
  if (typeof name === 'string' && name !== '') return name;
  throw new BackfillError(
    'IMPORT_REFUSED',
    msg('Among the names to import is one that is no text'),
    msg('Mend it where it stands, or name the right column; nothing was imported'),
  );
}

/** A ledger that has begun is the storage already: what it lacks then is not executed. Nor is what stands half done in it. */
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
      ? msg('The other storage says that {name} is executed, and the ledger that it is half done', {
          name: halfDone.name,
        })
      : msg(
          'The ledger has migrations already, and lacks {names}, which the other storage says are executed',
          { names: missing.join(', ') },
        ),
    halfDone
      ? msg(
          'Finish it first, or take it back: run umzug on the other storage once more; nothing was imported',
        )
      : msg(
          'If they are executed, log each: await ledgerStorage(PATH).logMigration({ name }); nothing was imported',
        ),
  );
}
