import { existsSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { BackfillError } from './errors.js';
import { type Message, msg } from './messages/message.js';
import { checkOptions, NAME, NAMES, type OptionTable, object } from './options.js';
import { loadDeclaration, loadSteps, refuseOthersCode, staleSteps, type TrustsCode } from './steps/load.js';
import type { Step } from './steps/step.js';

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

const isObject = (value: unknown): value is object => typeof value === 'object' && value !== null;

const isList = (value: unknown): value is readonly string[] => Array.isArray(value) && NAMES.accepts(value);

const isTables = (value: unknown): value is NonNullable<StoreRequirements['tables']> =>
  isObject(value) && Object.values(value).every(isList);

const isFolders = (value: unknown): value is readonly string[] => isList(value) && value.length > 0;

/** Returns the kind of an object with these options. */
const objectOf = (members: OptionTable) => object(msg('an object'), isObject, members);

const NAMED = { kind: NAME, isRequired: true } as const;

/** Rows of {@link StoreRequirements}. */
export const REQUIREMENTS: OptionTable = {
  tables: { kind: object(msg('an object with a list of columns for each table'), isTables) },
  version: { kind: objectOf({ table: NAMED, column: NAMED, atLeast: NAMED }) },
};

const POSTGRES_ENV: OptionTable = {
  ...{ type: NAMED, host: NAMED, port: NAMED, name: NAMED, user: NAMED, password: NAMED },
  sslmode: { kind: NAME },
  sslrootcert: { kind: NAME },
  defaults: { kind: objectOf({ name: { kind: NAME }, user: { kind: NAME } }) },
};

const CONFIG_OPTIONS: OptionTable = {
  database: {
    kind: objectOf({
      path: { kind: NAME },
      env: { kind: NAMES },
      otherPaths: { kind: NAMES },
      postgres: { kind: objectOf(POSTGRES_ENV) },
    }),
  },
  steps: { kind: object(msg('a list of folders'), isFolders), isRequired: true },
  requires: { kind: objectOf(REQUIREMENTS) },
};

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
 * @param options see {@link ConfigOptions}
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
  checkOptions(options, CONFIG_OPTIONS, 'defineConfig()', 'CONFIG_INVALID');
  const { database = {}, steps, requires = {} } = options;
  return { kind: 'config', database, steps, requires };
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
 * @returns the config, and the absolute path of its file
 * @throws {BackfillError} `CONFIG_MISSING` if there is none, `CONFIG_INVALID` if it does not export a config, `CONFIG_UNTRUSTED`
 *   if root would run code that other users may write
 */
export async function loadConfig(
  folder: string,
  trust: TrustsCode = {},
): Promise<{ readonly config: Config; readonly file: string }> {
  const file = findConfig(folder);
  if (file === undefined)
    throw new BackfillError(
      'CONFIG_MISSING',
      msg('There is no umzug-backfill.config.js in {folder}, nor a compiled one in its dist folder', {
        folder,
      }),
      msg('Run the command in the folder of the project, or create a project here: umzug-backfill init'),
    );
  refuseOthersCode(file, trust);
  const config = await loadDeclaration(
    file,
    // validated again, because it may have been written without `defineConfig()`
    (exported) => {
      if (!isConfig(exported)) return undefined;
      const { database, steps, requires } = exported;
      return defineConfig({ database, steps, requires });
    },
    'CONFIG_INVALID',
    (values) => msg('The config file {file} cannot be loaded ({thrown})', values),
    'Compile it first: npx tsc, or the build command of your project',
  );
  if (config) return { config, file };
  throw new BackfillError(
    'CONFIG_INVALID',
    msg('The default export of the config file {file} is not a config', { file }),
    msg('Export one: export default defineConfig({ … })'),
  );
}

const isConfig = (value: unknown): value is Config =>
  isObject(value) && 'kind' in value && value.kind === 'config';
