import type { Project } from '../config.js';
import { BackfillError } from '../errors.js';
import { msg } from '../messages/message.js';
import { RUN_OPTIONS, type RunSettings } from '../option-table.js';
import { checkOptions, requireText } from '../options.js';
import type { BackfillDefinition } from '../steps/define.js';
import { hasControlCharacter, isDefinition } from '../steps/load.js';
import { stepOf } from '../steps/step.js';
import { databasePath, refuseOpenTransaction, type StoreDatabase } from './database.js';
import { refuseDuplicateSqlite } from './duplicate-sqlite.js';
import { stripExtension } from './ledger-storage.js';
import type { MigratorOptions } from './options.js';
import type { RunnableStep } from './types.js';
import { withoutUmzug } from './umzug.js';

/** Options of {@link backfillStep}: those of a run, and these. */
export interface BackfillStepOptions extends RunSettings {
  /** Name of the migration, without the ending of a file. The ledger knows the backfill by it: it must stay. */
  readonly name: string;
  /** The store: the path of its file, or a connection of better-sqlite3 to it; nothing is run on the connection. */
  readonly database: StoreDatabase;
  /** What to fill, as `defineBackfill()` returns it. */
  readonly backfill: BackfillDefinition;
  /** How to back the store up before it is changed. Default `false`: not at all, as with umzug's other migrations. */
  readonly backup?: RunSettings['backup'];
}

const WHAT = 'backfillStep()';

/**
 * A backfill as a migration for the list of an Umzug that is there already, whatever its storage and its other migrations.
 *
 * `up` takes the run lock, fills in batches, catches up rows that were written meanwhile and verifies as its end; after a kill it
 * goes on behind the last committed batch. `down` takes back exactly the cells that it filled. Both use the ledger in the
 * store, which goes with the last step in it, and connections of their own. On a backfill that is done `up` changes nothing,
 * and `down` on one that is not begun neither.
 *
 * @param options see {@link BackfillStepOptions}
 * @returns a migration for umzug's `migrations`. Its functions reject with a {@link BackfillError}, which umzug gives as the
 *   `cause` of its MigrationError: `VERIFICATION_FAILED`, `RUN_LOCKED`, `TERMINATED`, `SQLITE_LOADED_TWICE`, `STORE_BUSY` also when the
 *   connection is in a transaction, `STEP_DRIFTED` from an `up` of an unfinished backfill whose declaration has changed, and the others of `up` and `down`
 * @throws {BackfillError} `STEP_INVALID` naming the option that is missing, unknown or of the wrong kind; `STORE_NOT_A_FILE`
 *   when the database is in memory
 *
 * @example
 * import Database from 'better-sqlite3';
 *
 * const db = new Database('shop.db');
 * const fillOrderTimes = backfillStep({
 *   name: '003-fill-order-times',
 *   database: db,
 *   backfill: defineBackfill({
 *     table: 'orders',
 *     key: 'id',
 *     columns: { ordered_at: firstOf('body', ['ordered_at', 'ts'], 'created_at') },
 *   }),
 * });
 */
export function backfillStep(options: BackfillStepOptions): RunnableStep {
  checkOptions(options, RUN_OPTIONS, WHAT, 'STEP_INVALID', ['name', 'database', 'backfill']);
  const { name, database, backfill, ...settings } = options;
  checkName(name);
  if (!isDefinition(backfill) || backfill.kind !== 'backfill') {
    throw new BackfillError(
      'STEP_INVALID',
      msg('Expected `backfill` in {what} to be made by defineBackfill()', { what: WHAT }),
      msg('Write backfill: defineBackfill({ … })'),
    );
  }
  const path = databasePath(database, WHAT, 'STEP_INVALID');
  const migrator: MigratorOptions = {
    backup: false,
    umzug: withoutUmzug,
    ...settings,
    project: projectOf(name, backfill, path),
    path,
  };
  const ready = (): void => {
    refuseDuplicateSqlite();
    refuseOpenTransaction(database, WHAT);
  };
  return {
    name,
    async up() {
      ready();
      const { up } = await import('./up.js'); // late: every step file imports this package
      const { error } = await up(migrator);
      if (error) throw error;
    },
    async down() {
      ready();
      const { down } = await import('./down.js');
      const { error } = await down(migrator, { migrations: [name], rerun: 'SKIP' }); // umzug repeats what it could not unlog
      if (error) throw error;
    },
  };
}

function checkName(name: unknown): void {
  const text = requireText(name, 'name', WHAT, 'STEP_INVALID');
  if (!hasControlCharacter(text) && stripExtension(text) === text) return;
  throw new BackfillError(
    'STEP_INVALID',
    msg('Expected `name` in {what} to be one line without the ending of a file, got {value}', {
      what: WHAT,
      value: JSON.stringify(text),
    }),
    msg('Name it {name}', {
      name: JSON.stringify(stripExtension(text).replace(/[\u0000-\u001f\u007f]/g, ' ')),
    }),
  );
}

/** A project of this step alone, in a ledger that may hold others. */
function projectOf(name: string, backfill: BackfillDefinition, path: string): Project {
  return {
    config: { kind: 'config', database: { path }, steps: [], requires: {} },
    steps: [stepOf(backfill, name, WHAT)],
    isPart: true,
  };
}
