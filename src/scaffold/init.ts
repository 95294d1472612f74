import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { findConfig } from '../config.js';
import { BackfillError } from '../errors.js';
import { msg } from '../messages/message.js';
import { createAt, createFile, fileExists } from './new-file.js';

/** Folder of steps in a new config. */
const STEP_FOLDER = 'migrations';

/**
 * Writes the config of a project, and creates the folder of its steps.
 *
 * The config is TypeScript if there is a tsconfig.json, else JavaScript, named so that Node loads it as a module.
 *
 * @param options `store`: path of the store for the config, `store.db` by default; `dryRun`: whether to write nothing
 * @returns the name of the config; the folders of steps, relative to it; `isCompiled`: whether it must be compiled before it can be loaded;
 *   `isInstalled`: whether this package can be resolved from the folder
 * @throws {BackfillError} `FILE_EXISTS` if there is a config, `FOLDER_UNWRITABLE`, `OUTPUT_UNTRUSTED`, `USAGE` if `store` is a URL
 */
export function initProject(
  folder: string,
  { store = 'store.db', dryRun }: { readonly store?: string | undefined; readonly dryRun: boolean },
) {
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
    createAt('folder', steps, () => mkdirSync(steps, { recursive: true }));
    createFile(join(folder, config), configTemplate(store));
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

/**
 * Returns the text of a config file.
 *
 * @param store path of the store, relative to a command's current folder
 */
const configTemplate = (store: string): string =>
  `import { defineConfig } from 'umzug-backfill';

export default defineConfig({
  // The store. --db-path overrides it, as does an environment variable: env: 'ITS_NAME'
  // For PostgreSQL, remove it and run commands with --database-url URL, or with --postgres for DATABASE_URL.
  database: { path: ${quoted(store)} },
  // Folders of steps, relative to this file. All steps run in the order of their names.
  steps: ['${STEP_FOLDER}'],
});
`;

/** Returns a JavaScript literal, in single quotes if nothing must be escaped. */
const quoted = (text: string): string => (/^[^'\\\p{Cc}]*$/u.test(text) ? `'${text}'` : JSON.stringify(text));
