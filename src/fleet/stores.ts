import { existsSync, realpathSync } from 'node:fs';
import { resolve } from 'node:path';
import { expandHome } from '../db/path.js';
import { otherOwner } from '../db/trust.js';
import { BackfillError } from '../errors.js';
import { msg } from '../messages/message.js';
import { guardedSearch, linkRefused } from './links.js';

/** Checks whether a path is a pattern, and not the path of an existing file. */
const isPattern = (path: string): boolean => /[*?[\]{}]/.test(path) && !existsSync(expandHome(path));

/** Returns the values of all `--db-path` options if there are several or one is a pattern, else undefined. */
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

/** Stores that paths and patterns name. */
export interface FoundStores {
  /** Absolute paths, sorted, one per file. Includes paths without a file, which fail later. */
  readonly paths: readonly string[];
  /** Errors of paths that must not be opened. */
  readonly refused: ReadonlyMap<string, BackfillError>;
}

/**
 * Finds the stores that paths and patterns name.
 *
 * @param given paths, and patterns such as `stores/*.db`; `**` matches any depth. A pattern matches no names that begin with a dot, no
 *   sidecars and no backups, and follows no links of users other than root and this one
 * @throws {BackfillError} `STORE_MISSING` if a pattern matches nothing
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

/** Returns the user that a process of root becomes for a store; undefined for root's stores, and for those that the process will refuse. */
export function ownerOf(path: string): number | undefined {
  try {
    return otherOwner(path);
  } catch (error) {
    if (error instanceof BackfillError) return undefined;
    throw error;
  }
}

/** Suffixes of sidecars and backups. */
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
    msg('Pass paths, or a pattern in quotes: --db-path "stores/*.db"'),
  );
}
