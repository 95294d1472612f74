import { existsSync, statSync } from 'node:fs';
import { resolve } from 'node:path';
import { isPostgresUrl, type StoreAddress, variablesOf } from './address.js';
import type { Config } from './config.js';
import { expandHome } from './db/path.js';
import { BackfillError, rootBackfillError } from './errors.js';
import { msg } from './messages/message.js';
import { shellWord } from './shell.js';

/**
 * Runs `act`. If the store is missing or has no version, the error's hint also names the other files that exist at paths in the
 * config, and `--postgres` if `DATABASE_URL` is set.
 */
export async function withKnownPlaces<Result>(
  config: Config,
  { path, postgres }: StoreAddress,
  env: NodeJS.ProcessEnv,
  act: () => Promise<Result>,
): Promise<Result> {
  try {
    return await act();
  } catch (thrown) {
    const { code, texts } = rootBackfillError(thrown);
    if (postgres || (code !== 'STORE_MISSING' && code !== 'VERSION_MISSING')) throw thrown;
    let { hint } = texts;
    const paths = otherStores(config, path, env).map(shellWord);
    if (paths.length > 0)
      hint = msg('{hint}; there is a file at {paths}: pass --db-path if it is the store', { hint, paths });
    if (isPostgresUrl(env.DATABASE_URL ?? ''))
      hint = msg('{hint}; DATABASE_URL contains a database: pass --postgres to use it', { hint });
    if (hint === texts.hint) throw thrown;
    throw new BackfillError(code, texts.message, hint, { cause: thrown });
  }
}

/** Returns the files that exist at paths in the config, except the store itself; absolute, without duplicates. */
function otherStores(config: Config, path: string, env: NodeJS.ProcessEnv): string[] {
  const { path: usual, otherPaths = [] } = config.database;
  const known = [...variablesOf(config).map((name) => env[name]), usual, ...otherPaths];
  const paths = new Set(known.filter((known) => known).map((known) => resolve(expandHome(String(known)))));
  paths.delete(resolve(expandHome(path)));
  return [...paths].filter(isFile);
}

const isFile = (path: string): boolean => existsSync(path) && statSync(path).isFile();
