import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { findConfig } from '../config.js';
import { BackfillError, errnoOf } from '../errors.js';
import { msg } from '../messages/message.js';
import { refuseOthersLinks } from '../safety/output-file.js';
import { createFile, fileExists, unwritable } from './new-file.js';
import { configTemplate } from './templates.js';

/** The folder of steps that a new config names. One is enough: the kinds of steps differ by what they declare. */
const STEP_FOLDER = 'migrations';

/** How to make a project. */
export interface InitOptions {
  /** The store's path, as the config is to name it. Default `store.db`. */
  readonly store?: string | undefined;
  /** Whether to write nothing. Default false. */
  readonly dryRun?: boolean | undefined;
}

/** What `init` has written, or would. */
export interface InitResult {
  /** Name of the config file. */
  readonly config: string;
  /** Folders of steps, relative to it. */
  readonly folders: readonly string[];
  /** Whether the config has to be compiled before it can be loaded. */
  readonly isCompiled: boolean;
  /** Whether this package is found from the folder. */
  readonly isInstalled: boolean;
}

/**
 * Makes a folder a project: writes its config and makes the folder of its steps.
 *
 * The config is TypeScript where there is a tsconfig.json, else JavaScript, named so that Node takes it for a module.
 *
 * @throws {BackfillError} `FILE_EXISTS` when there is a config, `FOLDER_UNWRITABLE`, `OUTPUT_UNTRUSTED`, `USAGE` for a URL
 */
export function initProject(folder: string, { store = 'store.db', dryRun }: InitOptions = {}): InitResult {
  // A config is a file that others read, and a URL may hold a password.
  if (/^\s*[a-z][\w+.-]*:\/\//i.test(store))
    throw new BackfillError(
      'USAGE',
      msg('A new config names the path of a store, and not the URL of a database'),
      msg(
        'Leave --db-path out, and name the database with --database-url or DATABASE_URL when a command runs',
      ),
    );
  const standing = findConfig(folder);
  if (standing !== undefined) throw fileExists(standing);
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

/** Whether Node takes a `.js` file of this folder for a module, by the package.json that is nearest. */
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
