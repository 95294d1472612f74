import { existsSync, realpathSync } from 'node:fs';
import { resolve } from 'node:path';
import { expandHome } from '../db/path.js';
import { otherOwner } from '../db/store-trust.js';
import { BackfillError } from '../errors.js';
import { msg } from '../messages/message.js';
import { guardedSearch, linkRefused } from './links.js';

/** Whether a path is a pattern: one with signs of a pattern, of which there is no file. */
const isPattern = (path: string): boolean => /[*?[\]{}]/.test(path) && !existsSync(expandHome(path));

/** The values of every `--db-path` of a call, when they are more than one, or a pattern. */
export function storeArguments(argv: readonly string[]): readonly string[] | undefined {
  const paths = argv.flatMap((word, i) =>
    word === '--db-path'
      ? (argv[i + 1] ?? [])
      : word.startsWith('--db-path=')
        ? word.slice('--db-path='.length)
        : [],
  );
  return paths.length > 1 || paths.some(isPattern) ? paths : undefined;
}

/** What paths and patterns name. */
export interface FoundStores {
  /** Absolute, each once, whatever names it has, in the order of their paths. A path without a file stays, so that it fails as a store. */
  readonly paths: readonly string[];
  /** Why some of the paths must not be opened. */
  readonly refused: ReadonlyMap<string, BackfillError>;
}

/**
 * Finds the stores that paths and patterns name.
 *
 * @param given paths, and patterns as `stores/*.db`; `**` is any depth. A pattern does not match what begins with a dot, nor
 *   what this program and SQLite keep beside a store. It does not follow links of users other than root and this one
 * @throws {BackfillError} `STORE_MISSING` when a pattern matches nothing
 */
export async function findStores(given: readonly string[]): Promise<FoundStores> {
  const byFile = new Map<string, string>();
  const refused = new Map<string, BackfillError>();
  for (const each of given) {
    const found = isPattern(each) ? await matches(each) : { paths: [resolve(expandHome(each))] };
    for (const path of found.paths) byFile.set(existsSync(path) ? realpathSync(path) : path, path);
    for (const [path, owner] of found.links ?? []) refused.set(path, linkRefused(path, owner));
  }
  return { paths: [...byFile.values(), ...refused.keys()].sort(), refused };
}

/** The user as whom a store's process works if this one is root; undefined for root's own, and for what that process refuses. */
export function ownerOf(path: string): number | undefined {
  try {
    return otherOwner(path);
  } catch (error) {
    if (error instanceof BackfillError) return undefined;
    throw error;
  }
}

/** What lies beside a store and may match as well. */
const SIDECAR_SUFFIX = /(?:-wal|-shm|-journal|\.lock|\.(?:backup|before-restore)-[^/]*)$/;

async function matches(
  pattern: string,
): Promise<{ readonly paths: readonly string[]; readonly links?: ReadonlyMap<string, number> }> {
  const { glob } = await import('tinyglobby');
  const search = guardedSearch();
  const all = await glob(expandHome(pattern).replaceAll('\\', '/'), {
    absolute: true,
    expandDirectories: false,
    fs: search.fs,
  });
  const found = all.filter((path) => !SIDECAR_SUFFIX.test(path));
  const links = search.refused(found);
  if (found.length + links.size > 0) return { paths: found.filter((path) => !links.has(path)), links };
  throw new BackfillError(
    'STORE_MISSING',
    msg('No file matches {pattern}', { pattern }),
    msg('Give paths, or a pattern in quotes: --db-path "stores/*.db"'),
  );
}
