import { existsSync, lstat, type PathLike, readdir, realpath, realpathSync } from 'node:fs';
import { resolve } from 'node:path';
import type { FileSystemAdapter } from 'tinyglobby';
import { expandHome } from '../db/path.js';
import { otherOwner } from '../db/store-trust.js';
import { BackfillError } from '../errors.js';
import { msg } from '../messages/message.js';

/** Checks whether a path is a pattern, and not the path of an existing file. */
const isPattern = (path: string): boolean => /[*?[\]{}]/.test(path) && !existsSync(expandHome(path));

/** Whether paths name several stores: there are several, or one is a pattern. */
export const isFleet = (paths: readonly string[]): boolean => paths.length > 1 || paths.some(isPattern);

/**
 * Finds the stores that paths and patterns name.
 *
 * @param given paths, and patterns such as `stores/*.db`; `**` matches any depth. A pattern matches no names that begin with a dot, no
 *   sidecars and no backups, and follows no links of users other than root and this one
 * @returns `paths`: absolute, sorted, one per file, including those without a file, which fail later; `refused`: errors of paths that must not
 *   be opened
 * @throws {BackfillError} `STORE_MISSING` if a pattern matches nothing
 */
export async function findStores(given: readonly string[]) {
  const byFile = new Map<string, string>();
  const refused = new Map<string, BackfillError>();
  for (const each of given) {
    const found = isPattern(each) ? await matches(each) : { paths: [resolve(expandHome(each))], links: [] };
    for (const path of found.paths) byFile.set(existsSync(path) ? realpathSync(path) : path, path);
    for (const [path, owner] of found.links) refused.set(path, linkRefused(path, owner));
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

const SIDECAR_SUFFIX = /(?:-wal|-shm|-journal|\.lock|\.(?:backup|before-restore)-[^/]*)$/;

async function matches(pattern: string) {
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

type Done<Result> = (error: NodeJS.ErrnoException | null, result?: Result) => void;

/**
 * Returns file functions for a search that record links of users other than root and this one instead of following them. The search resolves a link before it checks whether
 * the pattern matches. Such a link is therefore returned unresolved, and its folder appears empty.
 */
function guardedSearch() {
  const self = process.geteuid?.(); // undefined on Windows, where links are not checked
  const trusted = new Set([0, self]);
  const links = new Map<string, number>();
  const folders = new Set<string>();
  const guarded = {
    realpath(path: string, done: Done<string>): void {
      lstat(path, (error, stat) => {
        if (error) done(error);
        else if (self === undefined || trusted.has(stat.uid)) realpath(path, done);
        else {
          links.set(path, stat.uid);
          done(null, path);
        }
      });
    },
    readdir(path: PathLike, options: { readonly withFileTypes: true }, done: Done<unknown[]>): void {
      const folder = String(path).replace(/(?<=.)\/+$/, '');
      if (links.has(folder)) {
        folders.add(folder);
        done(null, []);
      } else readdir(path, options, done);
    },
  };
  return {
    fs: guarded as unknown as FileSystemAdapter,
    /** Returns the links that were not followed, to folders of the pattern or among the matches, with their owners. */
    refused: (matches: readonly string[]) =>
      new Map([...links].filter(([path]) => folders.has(path) || matches.includes(path))),
  };
}

const linkRefused = (path: string, owner: number): BackfillError =>
  new BackfillError(
    'STORE_UNTRUSTED',
    msg('The link {path} belongs to user id {owner}; patterns do not follow links of other users', {
      path,
      owner,
    }),
    msg('Pass the path of the store itself: --db-path /path/to/store.db; or remove the link'),
  );
