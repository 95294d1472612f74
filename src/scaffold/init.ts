import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { findConfig } from '../config.js';
import { BackfillError, errnoOf } from '../errors.js';
import { msg } from '../messages/message.js';
import { refuseOthersLinks } from '../safety/output-file.js';
import { createFile, fileExists, unwritable } from './new-file.js';
import { configTemplate } from './templates.js';

/** Folder of steps in a new config. */
const STEP_FOLDER = 'migrations';

/** Options of {@link initProject}. */
export interface InitOptions {
  /** Store path to write into the config. Default `store.db`. */
  readonly store?: string | undefined;
  /** Whether to write nothing. Default false. */
  readonly dryRun?: boolean | undefined;
}

/** Result of {@link initProject}; with `dryRun`, what it would be. */
export interface InitResult {
  /** Name of the config file. */
  readonly config: string;
  /** Folders of steps, relative to the config. */
  readonly folders: readonly string[];
  /** Whether the config must be compiled before it can be loaded. */
  readonly isCompiled: boolean;
  /** Whether this package can be resolved from the folder. */
  readonly isInstalled: boolean;
}

/**
 * Writes the config of a project, and creates the folder of its steps.
 *
 * The config is TypeScript if there is a tsconfig.json, else JavaScript, named so that Node loads it as a module.
 *
 * @throws {BackfillError} `FILE_EXISTS` if there is a config, `FOLDER_UNWRITABLE`, `OUTPUT_UNTRUSTED`, `USAGE` if `store` is a URL
 */
export function initProject(folder: string, { store = 'store.db', dryRun }: InitOptions = {}): InitResult {
  // A config may be readable by other users, and a URL may contain a password.
  if (/^\s*[a-z][\w+.-]*:\/\//i.test(store))
    throw new BackfillError(
      'USAGE',
      msg('A new config contains the path of a store, not the URL of a database'),
      msg('Run it without --db-path, then run commands with --database-url or DATABASE_URL'),
    );
  const existing = findConfig(folder);
  if (existing !== undefined) throw fileExists(existing);
  const isCompiled = existsSync(join(folder, 'tsconfig.json'));
  const config = `umzug-backfill.config.${isCompiled ? 'ts' : isModule(folder) ? 'js' : 'mjs'}`;
  if (!dryRun) {
    const steps = join(folder, STEP_FOLDER);
    refuseOthersLinks('folder', steps);
    try {
      mkdirSync(steps, { recursive: true });
    } catch (error) {
      throw errnoOf(error) === 'EEXIST' ? fileExists(steps) : unwritable(steps, error);
    }
    createFile(join(folder, config), configTemplate(store, STEP_FOLDER));
  }
  return { config, folders: [STEP_FOLDER], isCompiled, isInstalled: isInstalled(folder) };
}

/** Checks whether Node loads a `.js` file in this folder as a module, by the nearest package.json. */
function isModule(folder: string): boolean {
  const file = join(folder, 'package.json');
  if (existsSync(file)) {
    try {
      return (
        (JSON.parse(readFileSync(file, 'utf8')) as { readonly type?: unknown } | null)?.type === 'module'
      );
    } catch (error) {
      if (error instanceof SyntaxError) return false;
      throw error;
    }
  }
  return dirname(folder) === folder ? false : isModule(dirname(folder));
}

function isInstalled(folder: string): boolean {
  try {
    createRequire(join(folder, 'umzug-backfill.config.js')).resolve('umzug-backfill');
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'MODULE_NOT_FOUND') return false;
    throw error;
  }
}
