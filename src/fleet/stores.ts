import { existsSync, realpathSync } from 'node:fs';
import { resolve } from 'node:path';
import { BackfillError } from '../errors.js';
import { expandHome } from '../store/path.js';

/** Whether a path is a pattern: one with signs of a pattern, of which there is no file. */
const isPattern = (path: string): boolean => /[*?[\]{}]/.test(path) && !existsSync(expandHome(path));

/** The values of every `--db-path` of a call, when they are more than one, or a pattern. */
export function givenStores(argv: readonly string[]): readonly string[] | undefined {
  const paths = argv.flatMap((word, i) =>
    word === '--db-path'
      ? (argv[i + 1] ?? [])
      : word.startsWith('--db-path=')
        ? word.slice('--db-path='.length)
        : [],
  );
  return paths.length > 1 || paths.some(isPattern) ? paths : undefined;
}

/**
 * The stores that paths and patterns name: absolute, each once, whatever names it has, in the order of their paths. A path
 * without a file stays, so that it fails as a store.
 *
 * @param given paths, and patterns as `stores/*.db`; `**` is any depth. A pattern does not match what begins with a dot, nor
 *   what this program and SQLite keep beside a store
 * @throws {BackfillError} `STORE_MISSING` when a pattern matches nothing
 */
export async function findStores(given: readonly string[]): Promise<string[]> {
  const byFile = new Map<string, string>();
  for (const each of given)
    for (const path of isPattern(each) ? await matches(each) : [resolve(expandHome(each))])
      byFile.set(existsSync(path) ? realpathSync(path) : path, path);
  return [...byFile.values()].sort();
}

/** What lies beside a store and may match as well. */
const BESIDE = /(?:-wal|-shm|-journal|\.lock|\.(?:backup|before-restore)-[^/]*)$/;

async function matches(pattern: string): Promise<string[]> {
  const { glob } = await import('tinyglobby');
  const all = await glob(expandHome(pattern).replaceAll('\\', '/'), {
    absolute: true,
    expandDirectories: false,
  });
  const found = all.filter((path) => !BESIDE.test(path));
  if (found.length > 0) return found;
  throw new BackfillError(
    'STORE_MISSING',
    `No file matches ${pattern}`,
    'Give paths, or a pattern in quotes: --db-path "stores/*.db"',
  );
}
