import { withServerHints } from '../address.js';
import { BackfillError } from '../errors.js';
import { type FileUrl, optionFile } from '../file-url.js';
import { msg } from '../messages/message.js';
import { RUN_OPTIONS, type RunSettings } from '../option-table.js';
import { checkOptions, requireText } from '../options.js';
import type { BackfillDefinition } from '../steps/define.js';
import { hasControlCharacter, isDefinition } from '../steps/load.js';
import { stepOf } from '../steps/step.js';
import { besideOtherSqlite } from './beside.js';
import type { RunResult } from './change.js';
import { addressOf, refuseOpenTransaction, type StoreDatabase } from './database.js';
import { stripExtension } from './ledger-storage.js';
import type { MigratorOptions } from './options.js';
import { type RunnableStep, withoutUmzug } from './umzug.js';

/** Options of {@link backfillStep}: those of a run, and these. */
export interface BackfillStepOptions extends RunSettings {
  /** Name of the migration, without a file extension. It must not change, because the ledger identifies the backfill by it. */
  readonly name: string;
  /** The store: a file, or a database of PostgreSQL. No statement runs on a connection of the application. */
  readonly database: StoreDatabase;
  /** The backfill, from `defineBackfill()`. */
  readonly backfill: BackfillDefinition;
  /**
   * The module whose default export is `backfill`: a path or a `file:` URL. It is needed only for a backfill with functions, such as `process`, in
   * a process that has loaded another copy of SQLite: the step then runs in a child process, which loads this module. Default: none.
   */
  readonly file?: string | FileUrl | undefined;
  /** Options of the backup of a file before a change. Default `false`: no backup, as for umzug's other migrations. */
  readonly backup?: RunSettings['backup'];
}

const WHAT = 'backfillStep()';

/**
 * Returns a backfill as a migration for an existing Umzug, with any storage and other migrations.
 *
 * `up` takes the run lock, fills in batches, catches up rows written during the run, and verifies; after a kill it resumes after the last
 * committed batch. `down` reverts exactly the cells that it filled. Both use separate connections and the ledger in the store, which is dropped
 * with its last step. `up` of a finished backfill changes nothing, and neither does `down` of one that was not begun. In a process that has loaded
 * another copy of SQLite, such as that of `sqlite3` or `node:sqlite`, both run in a child process, because two copies drop each other's file locks.
 *
 * @param options see {@link BackfillStepOptions}
 * @returns a migration for umzug's `migrations`. Its functions reject with a {@link BackfillError}, which is the `cause` of umzug's
 *   MigrationError: `VERIFICATION_FAILED`, `RUN_LOCKED`, `TERMINATED`, `SQLITE_LOADED_TWICE` if the child process cannot do it, `WORKER_LOST` if it
 *   was killed, `STORE_BUSY` also if the connection is in a transaction, `STEP_DRIFTED` from `up` if the declaration of an unfinished backfill changed, and the other codes of `up` and `down`
 * @throws {BackfillError} `STEP_INVALID` if an option is missing, unknown or of the wrong type; `STORE_NOT_A_FILE` if the database is in memory
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
 * @example
 * import pg from 'pg';
 *
 * const pool = new pg.Pool({ host: 'db.example', user: 'shop', database: 'shop', ssl: true });
 * const fillTotals = backfillStep({
 *   name: '004-fill-totals',
 *   database: pool,
 *   backfill: defineBackfill({ table: 'orders', key: 'id', columns: { total: sql('price * quantity') } }),
 * });
 */
export function backfillStep(options: BackfillStepOptions): RunnableStep {
  checkOptions(options, RUN_OPTIONS, WHAT, 'STEP_INVALID', ['name', 'database', 'backfill', 'file']);
  const { name, database, backfill, file: given, ...settings } = options;
  checkName(name);
  if (!isDefinition(backfill) || backfill.kind !== 'backfill') {
    throw new BackfillError(
      'STEP_INVALID',
      msg('Expected `backfill` in {what} to be made by defineBackfill()', { what: WHAT }),
      msg('Write backfill: defineBackfill({ … })'),
    );
  }
  const address = addressOf(database, { what: WHAT, code: 'STEP_INVALID' });
  const file = given === undefined ? undefined : optionFile(given, WHAT, 'STEP_INVALID');
  const migrator: MigratorOptions = {
    backup: false,
    umzug: withoutUmzug,
    ...settings,
    project: {
      config: { kind: 'config', database: { path: address.path }, steps: [], requires: {} },
      steps: [stepOf(backfill, name, WHAT)],
      isPart: true, // the ledger may contain others
    },
    ...address,
  };
  const { signal, onEvent, ...sent } = settings;
  const run = async (call: 'up' | 'down', act: () => Promise<RunResult>): Promise<void> => {
    refuseOpenTransaction(database, WHAT);
    const { path, postgres } = address;
    const storeCall = postgres ? undefined : { call, path, name, backfill, file, settings: sent };
    const actHere = async (): Promise<void> =>
      await withServerHints(address, async () => {
        const { error } = await act();
        if (error) throw error; // a command returns it, because part of its work may be done
      });
    await besideOtherSqlite(storeCall, actHere, { signal, onEvent });
  };
  return {
    name,
    async up() {
      await run('up', async () => {
        const { up } = await import('./up.js'); // not with this module, because every step file imports this package
        return await up(migrator);
      });
    },
    async down() {
      await run('down', async () => {
        const { down } = await import('./down.js');
        return await down(migrator, { migrations: [name], rerun: 'SKIP' }); // umzug repeats what it could not unlog
      });
    },
  };
}

function checkName(name: unknown): void {
  const text = requireText(name, 'name', WHAT, 'STEP_INVALID');
  if (!hasControlCharacter(text) && stripExtension(text) === text) return;
  const values = { what: WHAT, value: JSON.stringify(text) };
  const fixed = JSON.stringify(stripExtension(text).replace(/[\u0000-\u001f\u007f]/g, ' '));
  throw new BackfillError(
    'STEP_INVALID',
    msg('Expected `name` in {what} to be one line without a file extension, got {value}', values),
    msg('Set `name` to {name}', { name: fixed }),
  );
}
