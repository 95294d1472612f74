import { existsSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { BackfillError } from './errors.js';
import { msg } from './messages/message.js';
import { refuseUnknownOptions, requireText } from './options.js';
import { importDefault, loadSteps, refuseOthersCode, staleSteps, type TrustsCode } from './steps/load.js';
import type { Step } from './steps/step.js';
import { atCall } from './steps/step.js';
import { loadFailureText } from './thrown.js';

/** What a store must have before anything is tried. */
export interface StoreRequirements {
  /** Tables with the columns that must be there. */
  readonly tables?: Readonly<Record<string, readonly string[]>>;
  /** A table with one row a version; the greatest counts, compared number by number. */
  readonly version?: { readonly table: string; readonly column: string; readonly atLeast: string };
}

/** Names of environment variables that say where a database of PostgreSQL is. */
export interface PostgresEnv {
  /** The variable that says `postgresql` where the store is one; anything else leaves it a file. */
  readonly type: string;
  /** The variable with the host, or the folder of a socket. Where it is not set: `localhost`. */
  readonly host: string;
  /** The variable with the port. Where it is not set: 5432. */
  readonly port: string;
  /** The variable with the name of the database, which has to be set unless `defaults` has one. */
  readonly name: string;
  /** The variable with the user. */
  readonly user: string;
  /** The variable with the password, which is never shown. */
  readonly password: string;
  /** The variable with libpq's `sslmode`, such as `verify-full`. Default: none, and `PGSSLMODE` counts. */
  readonly sslmode?: string;
  /** The variable with libpq's `sslrootcert`: the file with the authority that has signed the server's certificate. Default: none. */
  readonly sslrootcert?: string;
  /** Database and user, where the variables name none. Default: none. */
  readonly defaults?: { readonly name?: string; readonly user?: string };
}

/** Where a store is. */
export interface DatabaseOptions {
  /** Path of its file, if neither an option nor a variable names a store. Default: none, as for a project of PostgreSQL alone. */
  readonly path?: string;
  /** Environment variable with the path of its file; of several, the first that is set counts. Default: none. */
  readonly env?: string | readonly string[];
  /**
   * Other paths where the application may keep its store, such as those of its other releases. If the store is missing or states no version,
   * the hint names those that exist; none is ever used by itself. Default: none.
   */
  readonly otherPaths?: readonly string[];
  /** Environment variables with a database of PostgreSQL. Default: none; `--database-url` names one. */
  readonly postgres?: PostgresEnv;
}

/** What {@link defineConfig} takes. */
export interface ConfigOptions {
  /** Where the store is. `--db-path` and `--database-url` come first, then the environment, then `path`. Default: each call names it. */
  readonly database?: DatabaseOptions;
  /** Folders with step files, relative to the config file. */
  readonly steps: readonly string[];
  /** Checks on the store before every command that reads or changes it. Default: none. */
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
 * Declares a project: where its store is, where its steps are, what its store must have.
 *
 * @param options see {@link ConfigOptions}
 * @returns the default export of `umzug-backfill.config.ts`
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
    `\`database\` of ${what}`,
    'CONFIG_INVALID',
  );
  if (database.path !== undefined) requireText(database.path, 'database.path', what, 'CONFIG_INVALID');
  checkNames(database.env ?? [], 'database.env', what);
  checkNames(database.otherPaths ?? [], 'database.otherPaths', what);
  if (database.postgres) checkPostgresEnv(database.postgres, what);
  refuseUnknownOptions(requires, ['tables', 'version'], `\`requires\` of ${what}`, 'CONFIG_INVALID');
  if (!Array.isArray(steps) || steps.length === 0) {
    throw new BackfillError(
      'CONFIG_INVALID',
      msg('Expected `steps` in {what} to be a list of folders', { what }),
      msg('Name one'),
    );
  }
  checkNames(steps, 'steps', what);
  checkRequirementNames(requires, what);
  return { kind: 'config', database, steps, requires };
}

/**
 * Refuses what is neither a non-empty string nor a list of such.
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
      msg('Name the columns that each table must have'),
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
    `\`database.postgres\` of ${what}`,
    'CONFIG_INVALID',
  );
  for (const name of [...all, ...optional.filter((each) => names[each] !== undefined)])
    requireText(names[name], `database.postgres.${name}`, what, 'CONFIG_INVALID');
  refuseUnknownOptions(
    defaults,
    ['name', 'user'],
    `\`database.postgres.defaults\` of ${what}`,
    'CONFIG_INVALID',
  );
  for (const [name, value] of Object.entries(defaults))
    requireText(value, `database.postgres.defaults.${name}`, what, 'CONFIG_INVALID');
}

/** A config with its steps, loaded. */
export interface Project {
  readonly config: Config;
  readonly steps: readonly Step[];
  /** Whether the ledger may hold further steps, of which this project knows nothing. Default false: that is drift. */
  readonly isPart?: boolean;
  /** Where the steps that run are not what their sources say, a sentence each. Default: nowhere. */
  readonly stale?: readonly string[];
  /** The config file; absent where a program declares the project. */
  readonly file?: string;
}

/** A config with the file that it was loaded from. */
export interface LoadedConfig {
  readonly config: Config;
  /** Absolute path. */
  readonly file: string;
}

/** Where the config is looked for, from the current folder: compiled first, as it is what runs. */
const CONFIG_FILES = [
  'umzug-backfill.config.js',
  'umzug-backfill.config.mjs',
  'dist/umzug-backfill.config.js',
  'umzug-backfill.config.ts',
] as const;

/** The config file of a folder, plain or compiled to `dist/`, or undefined. */
export function findConfig(folder: string): string | undefined {
  return CONFIG_FILES.map((name) => join(folder, name)).find((path) => existsSync(path));
}

/**
 * Loads the project of a folder.
 *
 * @param folder where to look for the config file, plain or compiled to `dist/`
 * @throws {BackfillError} what `loadConfig` and `loadSteps` throw
 */
export async function loadProject(folder: string, trust: TrustsCode = {}): Promise<Project> {
  const { config, file } = await loadConfig(folder, trust);
  const folders = config.steps.map((name) => resolve(dirname(file), name));
  return { config, steps: await loadSteps(folders, trust), stale: staleSteps(file, config.steps), file };
}

/**
 * Loads the config of a folder, without its steps.
 *
 * @param folder where to look for the config file, plain or compiled to `dist/`
 * @throws {BackfillError} `CONFIG_MISSING` when there is none, `CONFIG_INVALID` when it exports no config, `CONFIG_UNTRUSTED` if root would
 *   run what others may write
 */
export async function loadConfig(folder: string, trust: TrustsCode = {}): Promise<LoadedConfig> {
  const file = findConfig(folder);
  if (file === undefined) {
    throw new BackfillError(
      'CONFIG_MISSING',
      msg('There is no umzug-backfill.config.js in {folder}, nor a compiled one in its dist folder', {
        folder,
      }),
      msg('Run the command in the folder of your project, or make this folder one: umzug-backfill init'),
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
      msg('The config file {file} can not be loaded ({thrown})', {
        file,
        thrown: loadFailureText(error, file),
      }),
      file.endsWith('.ts')
        ? msg('Compile it first: npx tsc, or what builds your project')
        : msg('Run it alone with node to see why'),
      { cause: error },
    );
  }
  throw new BackfillError(
    'CONFIG_INVALID',
    msg('The config file {file} has no config as its default export', { file }),
    msg('Export one: export default defineConfig({ … })'),
  );
}

const isConfig = (value: unknown): value is Config =>
  typeof value === 'object' && value !== null && 'kind' in value && value.kind === 'config';

/** The same, checked: it may have been written without `defineConfig()`. */
const checkedConfig = ({ database, steps, requires }: Config): Config =>
  defineConfig({ database, steps, requires });
