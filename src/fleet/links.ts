import { lstat, type PathLike, readdir, realpath } from 'node:fs';
import type { FileSystemAdapter } from 'tinyglobby';
import { BackfillError } from '../errors.js';
import { msg } from '../messages/message.js';

/** A search for files that follows no links of users other than root and this one. */
export interface GuardedSearch {
  /** File functions for the search. */
  readonly fs: FileSystemAdapter;
  /** Returns the links that were not followed, to folders of the pattern or among the matches, with their owners. */
  refused(matches: readonly string[]): ReadonlyMap<string, number>;
}

type Done<Result> = (error: NodeJS.ErrnoException | null, result?: Result) => void;

/**
 * Returns file functions that record links of other users instead of following them. The search resolves a link before it checks whether
 * the pattern matches. Such a link is therefore returned unresolved, and its folder appears empty.
 */
export function guardedSearch(): GuardedSearch {
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
    refused: (matches) => new Map([...links].filter(([path]) => folders.has(path) || matches.includes(path))),
  };
}

/** Returns the error for a link of another user. */
export const linkRefused = (path: string, owner: number): BackfillError =>
  new BackfillError(
    'STORE_UNTRUSTED',
    msg('The link {path} belongs to user id {owner}; patterns do not follow links of other users', {
      path,
      owner,
    }),
    msg('Pass the path of the store itself: --db-path /path/to/store.db; or remove the link'),
  );
