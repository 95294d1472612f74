import { existsSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { BackfillError } from './errors.js';
import { type Message, msg } from './messages/message.js';
import { optionOf, refuseUnknownOptions, requireText } from './options.js';
import { importDefault, loadSteps, refuseOthersCode, staleSteps, type TrustsCode } from './steps/load.js';
import type { Step } from './steps/step.js';
import { atCall } from './steps/step.js';
import { loadFailureText } from './thrown.js';

/** Requirements that a store must meet before every command. */
export interface StoreRequirements {
  /** Required tables with their required columns. */
  readonly tables?: Readonly<Record<string, readonly string[]>>;
  /** Minimum version, and a table with one row per version; the greatest counts, compared number by number. */
  readonly version?: { readonly table: string; readonly column: string; readonly atLeast: string };
}

/** Names of the environment variables with the address of a PostgreSQL database. */
export interface PostgresEnv {
  /** Variable that is `postgresql` for a PostgreSQL store; any other value selects the file. */
  readonly type: string;
  /** Variable with the host or the socket folder. If unset: `localhost`. */
  readonly host: string;
  /** Variable with the port. If unset: 5432. */
  readonly port: string;
  /** Variable with the database name, which must be set unless `defaults` has one. */
  readonly name: string;
  /** Variable with the user. */
  readonly user: string;
  /** Variable with the password, which is never displayed. */
  readonly password: string;
  /** Variable with libpq's `sslmode`, such as `verify-full`. Default: `PGSSLMODE`. */
  readonly sslmode?: string;
  /** Variable with libpq's `sslrootcert`: the file with the authority that signed the server's certificate. Default: none. */
  readonly sslrootcert?: string;
  /** Database and user if the variables are unset. Default: none. */
  readonly defaults?: { readonly name?: string; readonly user?: string };
}

/** Location of the store. */
export interface DatabaseOptions {
  /** Path of the file, if neither an option nor a variable specifies a store. Default: none. */
  readonly path?: string;
  /** Environment variable with the path of the file; in a list, the first that is set counts. Default: none. */
  readonly env?: string | readonly string[];
  /**
   * Other paths where the application may keep its store, such as those of other releases. If the store is missing or has no
   * version, the hint names those that exist; they are never used automatically. Default: none.
   */
  readonly otherPaths?: readonly string[];
  /** Environment variables with the address of a PostgreSQL database. Default: none. */
  readonly postgres?: PostgresEnv;
}

/** Options of {@link defineConfig}. */
export interface ConfigOptions {
  /**
   * Location of the store. `--db-path` and `--database-url` come first, then the environment, then `path`. Default: each command
   * must specify it.
   */
  readonly database?: DatabaseOptions;
  /** Folders with step files, relative to the config file. */
  readonly steps: readonly string[];
  /** Requirements that are checked before every command that reads or changes the store. Default: none. */
  readonly requires?: StoreRequirements;
}

/** A validated config. */
export interface Config {
  readonly kind: 'config';
  readonly database: DatabaseOptions;
  readonly steps: readonly string[];
  readonly requires: StoreRequirements;
}

/**
 * Declares a project: the location of its store and of its steps, and the requirements on the store.
 *
 * @returns a config, for the default export of `umzug-backfill.config.ts`
 * @throws {BackfillError} `CONFIG_INVALID` naming the option that is missing, unknown or of the wrong kind
 *
 * @example
 * export default defineConfig({
 *   database: { path: '~/.myapp/store.db', env: 'MYAPP_DB' },
 *   steps: ['migrations', 'backfills'],
 * });
 */
export function defineConfig(options: ConfigOptions): Config {
  const what = 'defineConfig()';
  refuseUnknownOptions(options, ['database', 'steps', 'requires'], what, 'CONFIG_INVALID');
  const { database = {}, steps, requires = {} } = options;
  refuseUnknownOptions(
    database,
    ['path', 'env', 'otherPaths', 'postgres'],
    optionOf('database', what),
    'CONFIG_INVALID',
  );
  if (database.path !== undefined) requireText(database.path, 'database.path', what, 'CONFIG_INVALID');
  checkNames(database.env ?? [], 'database.env', what);
  checkNames(database.otherPaths ?? [], 'database.otherPaths', what);
  if (database.postgres) checkPostgresEnv(database.postgres, what);
  refuseUnknownOptions(requires, ['tables', 'version'], optionOf('requires', what), 'CONFIG_INVALID');
  if (!Array.isArray(steps) || steps.length === 0) {
    throw new BackfillError(
      'CONFIG_INVALID',
      msg('Expected `steps` in {what} to be a list of folders', { what }),
      msg('Pass at least one folder'),
    );
  }
  checkNames(steps, 'steps', what);
  checkRequirementNames(requires, what);
  return { kind: 'config', database, steps, requires };
}

/**
 * Checks that an option is a non-empty string or a list of such.
 *
 * @throws {BackfillError} `CONFIG_INVALID`
 */
export function checkNames(names: string | readonly string[], option: string, what: string): void {
  for (const name of [names].flat()) requireText(name, option, what, 'CONFIG_INVALID');
}

function checkRequirementNames({ tables, version }: StoreRequirements, what: string): void {
  if (typeof (tables ?? {}) !== 'object') {
    throw new BackfillError(
      'CONFIG_INVALID',
      msg('Expected `requires.tables` in {what} to be an object with a list of columns for each table', {
        what,
      }),
      msg('List the columns that each table must have'),
    );
  }
  for (const [table, columns] of Object.entries(tables ?? {}))
    checkNames(columns, `requires.tables.${table}`, what);
  if (version === undefined) return;
  for (const name of ['table', 'column', 'atLeast'] as const)
    requireText(version[name], `requires.version.${name}`, what, 'CONFIG_INVALID');
}

function checkPostgresEnv({ defaults = {}, ...names }: PostgresEnv, what: string): void {
  const all = ['type', 'host', 'port', 'name', 'user', 'password'] as const;
  const optional = ['sslmode', 'sslrootcert'] as const;
  refuseUnknownOptions(
    names,
    [...all, ...optional, 'defaults'],
    optionOf('database.postgres', what),
    'CONFIG_INVALID',
  );
  for (const name of [...all, ...optional.filter((each) => names[each] !== undefined)])
    requireText(names[name], `database.postgres.${name}`, what, 'CONFIG_INVALID');
  refuseUnknownOptions(
    defaults,
    ['name', 'user'],
    optionOf('database.postgres.defaults', what),
    'CONFIG_INVALID',
  );
  for (const [name, value] of Object.entries(defaults))
    requireText(value, `database.postgres.defaults.${name}`, what, 'CONFIG_INVALID');
}

/** A config with its loaded steps. */
export interface Project {
  readonly config: Config;
  readonly steps: readonly Step[];
  /** Whether the ledger may contain steps that this project does not have. Default false: they are drift. */
  readonly isPart?: boolean;
  /** Warnings for compiled steps that differ from their sources. Default: none. */
  readonly stale?: readonly Message[];
  /** Path of the config file; absent if a program declares the project. */
  readonly file?: string;
}

/** A config with its file. */
interface LoadedConfig {
  readonly config: Config;
  /** Absolute path. */
  readonly file: string;
}

/** Paths of the config file in a project, compiled ones first. */
const CONFIG_FILES = [
  'umzug-backfill.config.js',
  'umzug-backfill.config.mjs',
  'dist/umzug-backfill.config.js',
  'umzug-backfill.config.ts',
] as const;

/** Returns the path of a folder's config file, plain or compiled to `dist/`, or undefined. */
export function findConfig(folder: string): string | undefined {
  return CONFIG_FILES.map((name) => join(folder, name)).find((path) => existsSync(path));
}

/**
 * Loads the project of a folder.
 *
 * @throws {BackfillError} like {@link loadConfig} and {@link loadSteps}
 */
export async function loadProject(folder: string, trust: TrustsCode = {}): Promise<Project> {
  const { config, file } = await loadConfig(folder, trust);
  const folders = config.steps.map((name) => resolve(dirname(file), name));
  return { config, steps: await loadSteps(folders, trust), stale: staleSteps(file, config.steps), file };
}

/**
 * Loads the config of a folder, without its steps.
 *
 * @throws {BackfillError} `CONFIG_MISSING` if there is none, `CONFIG_INVALID` if it does not export a config, `CONFIG_UNTRUSTED`
 *   if root would run code that other users may write
 */
export async function loadConfig(folder: string, trust: TrustsCode = {}): Promise<LoadedConfig> {
  const file = findConfig(folder);
  if (file === undefined) {
    throw new BackfillError(
      'CONFIG_MISSING',
      msg('There is no umzug-backfill.config.js in {folder}, nor a compiled one in its dist folder', {
        folder,
      }),
      msg('Run the command in the folder of the project, or create a project here: umzug-backfill init'),
    );
  }
  refuseOthersCode(file, trust);
  try {
    const config: unknown = await importDefault(file);
    if (isConfig(config)) return { config: checkedConfig(config), file };
  } catch (error) {
    if (error instanceof BackfillError) throw atCall(error, file);
    throw new BackfillError(
      'CONFIG_INVALID',
      msg('The config file {file} cannot be loaded ({thrown})', {
        file,
        thrown: loadFailureText(error, file),
      }),
      file.endsWith('.ts')
        ? msg('Compile it first: npx tsc, or the build command of your project')
        : msg('Run it with node to see the error'),
      { cause: error },
    );
  }
  throw new BackfillError(
    'CONFIG_INVALID',
    msg('The default export of the config file {file} is not a config', { file }),
    msg('Export one: export default defineConfig({ … })'),
  );
}

const isConfig = (value: unknown): value is Config =>
  typeof value === 'object' && value !== null && 'kind' in value && value.kind === 'config';

/** Validates a config, which may have been written without `defineConfig()`. */
const checkedConfig = ({ database, steps, requires }: Config): Config =>
  defineConfig({ database, steps, requires });
