import { resolve } from 'node:path';
import { type StoreAddress, storeAddress } from '../address.js';
import { COMMAND_OPTIONS } from '../command-options.js';
import {
  type Config,
  type DatabaseOptions,
  type Project,
  REQUIREMENTS,
  type StoreRequirements,
} from '../config.js';
import { BackfillError } from '../errors.js';
import { type Message, msg } from '../messages/message.js';
import { RUN_OPTIONS, type RunSettings } from '../option-table.js';
import { checkOptions, NAME, NAMES, type OptionTable, object, optionOf } from '../options.js';
import { hasControlCharacter, isDefinition, loadSteps, orderSteps, type TrustsCode } from '../steps/load.js';
import { type StepDefinition, stepOf } from '../steps/step.js';
import { addressOf, refuseOpenTransaction, type StoreDatabase } from './database.js';
import { type Migrator, type MigratorParts, migratorOf } from './migrator.js';

/** A folder of step files, or definitions by name. */
export type StepSource = string | Readonly<Record<string, StepDefinition>>;

/** Options of {@link createMigrator}: those of its runs, and these. */
export interface CreateMigratorOptions extends RunSettings, TrustsCode {
  /**
   * The store: a file, or a database of PostgreSQL. With `env`, an environment variable with a path or a URL overrides `path`, the first that is
   * set. `~/` is the home folder.
   */
  readonly database: StoreDatabase | { readonly path: string; readonly env?: string | readonly string[] };
  /** Steps: a folder, definitions by name, or a list of both. At least one of `steps`, `migrations` and `backfills` is required. */
  readonly steps?: StepSource | readonly StepSource[];
  /** More steps, like `steps`. All steps form one list, ordered by name (code units). */
  readonly migrations?: StepSource | readonly StepSource[];
  /** More steps, like `steps`. */
  readonly backfills?: StepSource | readonly StepSource[];
  /** Folder that folders of steps are relative to. Default: the current folder. */
  readonly folder?: string;
  /** Requirements that every command checks before it reads or changes the store. Default: none. */
  readonly requires?: StoreRequirements;
}

const WHAT = 'createMigrator()';
const SOURCES = ['steps', 'migrations', 'backfills'] as const;

/**
 * Creates an Umzug whose migrations are the steps of a project and whose storage is the ledger in the store. Opens neither the store nor a
 * folder before the first command.
 *
 * `up`, `down`, `pending`, `executed`, their options and the events are umzug's; listeners are awaited. The run lock and the backup come after
 * `beforeCommand` and before the first `migrating`; a backfill is verified before its `migrated`; the lock is released before `afterCommand`. A
 * command that finds nothing to do writes nothing. It differs where umzug would lose something: `rerun: 'ALLOW'` and `create()` are refused,
 * `down()` refuses a step without `down`, `executed()` includes steps whose file no longer exists, and `up()` without a pending step catches up
 * and verifies applied backfills.
 *
 * `up` and `down` reject with umzug's MigrationError if a step fails: its `cause` is a {@link BackfillError}, whose `code` and `hint` it has too.
 * Like with umzug, errors outside of a migration are not wrapped: what is refused before the first step, and the catch-up and verification of an
 * applied backfill, reject with the BackfillError itself. For a listener that throws, that is `INTERNAL`, and its `cause` is what was thrown.
 *
 * @param options see {@link CreateMigratorOptions}
 * @returns the Umzug, with the commands of {@link MigratorCommands}
 * @throws {BackfillError} `CONFIG_INVALID` if an option is missing, unknown or of the wrong type. Commands reject with that code for an unreadable
 *   folder, with `STEP_INVALID`, `USAGE`, `STEP_UNKNOWN`, `STEP_NOT_APPLIED`, `RUN_LOCKED`, `VERIFICATION_FAILED`, `SQLITE_LOADED_TWICE`, and the
 *   other codes of the command line
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
  return migratorOf(check(options));
}

const isRequirements = (value: unknown): value is StoreRequirements =>
  typeof value === 'object' && value !== null;

const OPTIONS: OptionTable = {
  ...RUN_OPTIONS,
  folder: { kind: NAME },
  requires: { kind: object(msg('an object'), isRequirements, REQUIREMENTS) },
  trustConfig: COMMAND_OPTIONS.trustConfig,
};

/** Members of `database`, if it is a path and what overrides it. */
const PATH_OPTIONS: OptionTable = { path: { kind: NAME, isRequired: true }, env: { kind: NAMES } };

const isPath = (database: unknown): database is DatabaseOptions =>
  typeof database === 'object' && database !== null && ('path' in database || 'env' in database);

/** Checks `database`. Returns how to find the store, and what names it in a config. */
function checkDatabase(database: CreateMigratorOptions['database']) {
  if (isPath(database) || typeof database === 'string') {
    const options = typeof database === 'string' ? { path: database } : database;
    checkOptions(options, PATH_OPTIONS, optionOf('database', WHAT), 'CONFIG_INVALID');
    const config: Config = { kind: 'config', database: options, steps: [], requires: {} };
    return { options, address: () => storeAddress(config, {}, process.env) };
  }
  const address = addressOf(database, { what: WHAT, code: 'CONFIG_INVALID' });
  const refusing = (): StoreAddress => {
    refuseOpenTransaction(database, WHAT);
    return address;
  };
  return { options: { path: address.path }, address: refusing };
}

const invalid = (message: Message, hint: Message): BackfillError =>
  new BackfillError('CONFIG_INVALID', message, hint);

/** Checks the options. Returns how to load the project, once, and how to find the store. */
function check(options: CreateMigratorOptions): MigratorParts {
  checkOptions(options, OPTIONS, WHAT, 'CONFIG_INVALID', ['database', ...SOURCES]);
  const {
    database: store,
    steps,
    migrations,
    backfills,
    folder = process.cwd(),
    requires = {},
    trustConfig,
    ...settings
  } = options;
  const { options: database, address } = checkDatabase(store);
  const sources = SOURCES.flatMap((name) => checkSources({ steps, migrations, backfills }[name], name));
  if (sources.length === 0) {
    throw invalid(
      msg('{what} has no steps', { what: WHAT }),
      msg(
        "Pass a folder of steps, or steps by name: migrations: 'migrations', backfills: { NAME: defineBackfill({ … }) }",
      ),
    );
  }
  const config = { kind: 'config', database, steps: [], requires } as const;
  let project: Promise<Project> | undefined;
  const folders = sources.filter((source) => typeof source === 'string');
  const named = sources.flatMap((source) => (typeof source === 'string' ? [] : Object.entries(source)));
  const loadWith = async (trust: TrustsCode): Promise<Project> => {
    const paths = folders.map((name) => resolve(folder, name));
    const loaded = await loadSteps(paths, trust);
    const given = named.map(([name, definition]) => stepOf(definition, name, WHAT));
    return { config, steps: orderSteps([...loaded, ...given]) };
  };
  return {
    load: (trust) => (project ??= loadWith({ trustConfig: trust?.trustConfig ?? trustConfig })),
    address,
    settings,
  };
}

/**
 * Refuses sources of the wrong type, before any folder is read.
 *
 * @throws {BackfillError} `CONFIG_INVALID` naming the option or the step
 */
function checkSources(
  given: StepSource | readonly StepSource[] | undefined,
  option: string,
): readonly StepSource[] {
  const sources: readonly unknown[] = given === undefined ? [] : Array.isArray(given) ? given : [given];
  for (const source of sources) {
    if (typeof source === 'string' && source.trim() !== '') continue;
    if (typeof source !== 'object' || source === null) {
      const values = { option, what: WHAT, value: String(source) };
      throw invalid(
        msg('Expected `{option}` in {what} to be a folder or steps by name, got `{value}`', values),
        msg("Write {option}: 'FOLDER', or {same}: { NAME: defineBackfill({ … }) }", { option, same: option }),
      );
    }
    for (const [name, definition] of Object.entries(source)) {
      if (name !== '' && !hasControlCharacter(name) && isDefinition(definition)) continue;
      throw invalid(
        msg(
          'The step {name} of `{option}` in {what} was not created by a define function, or its name is not one line',
          { name: JSON.stringify(name), option, what: WHAT },
        ),
        msg(
          'Write {option}: { NAME: defineBackfill({ … }) }, or one of defineSchemaStep(), defineSqlStep() and requireBackfill(NAME)',
          { option },
        ),
      );
    }
  }
  return sources as readonly StepSource[];
}
