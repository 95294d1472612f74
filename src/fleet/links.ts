import { lstat, type PathLike, readdir, realpath } from 'node:fs';
import type { FileSystemAdapter } from 'tinyglobby';
import { BackfillError } from '../errors.js';
import { msg } from '../messages/message.js';

/** A search for files that does not follow links of users other than root and this one. */
export interface GuardedSearch {
  /** File functions for the search. */
  readonly fs: FileSystemAdapter;
  /** Links to folders that the pattern would have led through, and those among the matches, with their owners. */
  refused(matches: readonly string[]): ReadonlyMap<string, number>;
}

type Done<Result> = (error: NodeJS.ErrnoException | null, result?: Result) => void;

/**
 * Guards the search of a pattern: a link of another user is neither followed nor left out, but noted. The search resolves a link before
 * it asks whether the pattern matches it, so such a link stays unresolved, and its folder has no entries.
 */
export function guardedSearch(): GuardedSearch {
  const self = process.geteuid?.(); // none on Windows: there is nothing to guard
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
    refused: (matches) => new Map([...links].filter(([path]) => folders.has(path) || matches.includes(path))),
  };
}

/** The refusal of a link. */
export const linkRefused = (path: string, owner: number): BackfillError =>
  new BackfillError(
    'STORE_UNTRUSTED',
    msg('The link {path} belongs to user id {owner}, and a pattern does not follow links of other users', {
      path,
      owner,
    }),
    msg('Pass the path of the store itself: --db-path /path/to/store.db; or remove the link'),
  );
