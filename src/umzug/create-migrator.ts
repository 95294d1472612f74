import { createRequire } from 'node:module';
import type { Umzug, UmzugStorage } from 'umzug';
import { type StoreAddress, storeAddress } from '../address.js';
import { COMMAND_OPTIONS } from '../command-options.js';
import { checkNames, type Project, type StoreRequirements } from '../config.js';
import { BackfillError } from '../errors.js';
import { msg } from '../messages/message.js';
import { RUN_OPTIONS, type RunSettings } from '../option-table.js';
import { checkOptions, refuseUnknownOptions, requireText } from '../options.js';
import type { TrustsCode } from '../steps/load.js';
import { extraCommands, type MigratorCommands, metaOf, umzugCommands } from './commands.js';
import { ledgerStorage } from './ledger-storage.js';
import { checkSources, loadSources, type StepSource } from './step-sources.js';
import type { UmzugCommands } from './types.js';

/** Options of {@link createMigrator}: those of its runs, and these. */
export interface CreateMigratorOptions extends RunSettings, TrustsCode {
  /**
   * The store: its path, with the environment variable that overrides it if there is one (of several, the first that is set), or a URL of PostgreSQL. `~/` is the home
   * folder.
   */
  readonly database: string | { readonly path: string; readonly env?: string | readonly string[] };
  /** Steps: folders of step files, or definitions by name, or a list of both. */
  readonly steps?: StepSource | readonly StepSource[];
  /** More steps, as `steps`: all together are one list, ordered by name (code units). At least one of the three is given. */
  readonly migrations?: StepSource | readonly StepSource[];
  /** More steps, as `steps`. */
  readonly backfills?: StepSource | readonly StepSource[];
  /** Folder that folders of steps are relative to. Default: the current one. */
  readonly folder?: string;
  /** Checks on the store before every command that reads or changes it. Default: none. */
  readonly requires?: StoreRequirements;
}

/**
 * An Umzug whose `up` and `down` are those of this package: run lock, backup, checks before, batches, verification. They
 * reject with a {@link BackfillError} itself, not with umzug's MigrationError. It is an `Umzug` when the program runs.
 */
export interface Migrator extends UmzugCommands, MigratorCommands {}

const WHAT = 'createMigrator()';
const SOURCES = ['steps', 'migrations', 'backfills'] as const;

/**
 * Makes a ready Umzug of a project: its steps in their order, the ledger in the store as its storage, the run lock, backups,
 * verification, and this package's command line. Neither the store nor a folder is touched before the first command.
 *
 * What umzug's users know holds: `up({ to | step | migrations })`, `down(…)`, `pending()`, `executed()`, and the events
 * `migrating`, `migrated`, `reverting`, `reverted`, `beforeCommand`, `afterCommand`, whose listeners are waited for. It differs where
 * umzug would lose something: `rerun: 'ALLOW'` and `create()` are refused, a step without `down` is refused by `down()`, `executed()`
 * names also what has no file any more, and `up()` without a pending step still catches up rows and verifies. `migrated` comes
 * before a backfill is verified.
 *
 * @param options see {@link CreateMigratorOptions}
 * @returns the Umzug, with the commands of {@link MigratorCommands}
 * @throws {BackfillError} `CONFIG_INVALID` naming the option that is missing, unknown or of the wrong kind. Its commands reject
 *   with that for a folder that can not be read, `STEP_INVALID`, `USAGE` for options of theirs, `STEP_UNKNOWN`, `STEP_NOT_APPLIED`,
 *   `RUN_LOCKED`, `VERIFICATION_FAILED`, `SQLITE_LOADED_TWICE`, and the other codes of the command line
 *
 * @example
 * const migrator = createMigrator({
 *   database: { path: 'shop.db', env: 'SHOP_DB' },
 *   migrations: 'migrations',
 *   backfills: {
 *     '002-order-times': defineBackfill({
 *       table: 'events',
 *       key: 'id',
 *       columns: { ordered_at: firstOf('body', ['ordered_at', 'ts'], 'created_at') },
 *     }),
 *   },
 * });
 * await migrator.up();
 */
export function createMigrator(options: CreateMigratorOptions): Migrator {
  const { load, address, settings } = check(options);
  // umzug is loaded here, and not with this module: every file of a step imports this package, and it takes its time.
  const { Umzug: UmzugClass } = createRequire(import.meta.url)('umzug') as typeof import('umzug');
  const context = {};
  const storage = (): UmzugStorage => ledgerStorage(address().path);
  const umzug: Umzug<object> = new UmzugClass<object>({
    migrations: async () =>
      (await load()).steps.map(({ name, path: file }) => ({
        ...metaOf(name, file),
        up: () => umzug.up({ migrations: [name], rerun: 'SKIP' }),
        down: () => umzug.down({ migrations: [name], rerun: 'SKIP' }),
      })),
    context,
    storage: {
      executed: (params) => storage().executed(params),
      logMigration: (params) => storage().logMigration(params),
      unlogMigration: (params) => storage().unlogMigration(params),
    },
    logger: undefined,
  });
  const parts = { umzug, context, settings, load, address };
  return Object.assign(umzug, umzugCommands(parts), extraCommands(parts)) as unknown as Migrator;
}

/** Validates the options, and says how the project is loaded, once, and where the store is now. */
function check(options: CreateMigratorOptions) {
  const { trustConfig: trusts } = COMMAND_OPTIONS;
  const others = ['database', ...SOURCES, 'folder', 'requires'];
  checkOptions(options, { ...RUN_OPTIONS, trustConfig: trusts }, WHAT, 'CONFIG_INVALID', others);
  const { database: given, steps, migrations, backfills, folder, requires = {}, ...rest } = options;
  const { trustConfig, ...settings } = rest;
  const database = typeof given === 'string' ? { path: given } : given;
  refuseUnknownOptions(database ?? {}, ['path', 'env'], `\`database\` of ${WHAT}`, 'CONFIG_INVALID');
  requireText(database?.path, 'database', WHAT, 'CONFIG_INVALID');
  checkNames(database.env ?? [], 'database.env', WHAT);
  refuseUnknownOptions(requires, ['tables', 'version'], `\`requires\` of ${WHAT}`, 'CONFIG_INVALID');
  const base = folder === undefined ? process.cwd() : requireText(folder, 'folder', WHAT, 'CONFIG_INVALID');
  const sources = SOURCES.flatMap((name) => checkSources({ steps, migrations, backfills }[name], name, WHAT));
  if (sources.length === 0) {
    throw new BackfillError(
      'CONFIG_INVALID',
      msg('{what} has no steps', { what: WHAT }),
      msg(
        "Name a folder of steps, or give them by name: migrations: 'migrations', backfills: { NAME: defineBackfill({ … }) }",
      ),
    );
  }
  const config = { kind: 'config', database, steps: [], requires } as const;
  let project: Promise<Project> | undefined;
  const load = (trust: TrustsCode = {}): Promise<Project> => {
    project ??= loadSources(sources, base, { trustConfig: trust.trustConfig ?? trustConfig }).then(
      (loaded) => ({ config, steps: loaded }),
    );
    return project;
  };
  const address = (): StoreAddress => storeAddress(config, {}, process.env);
  return { load, address, settings };
}
