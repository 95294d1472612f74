import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { BackfillError, errnoOf } from '../errors.js';
import { msg } from '../messages/message.js';
import { refuseOthersLinks } from '../safety/output-file.js';

/**
 * Creates a file, and its folder if necessary.
 *
 * @throws {BackfillError} as {@link createAt}
 */
export const createFile = (path: string, text: string): void =>
  createAt('file', path, () => {
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, text, { flag: 'wx' });
  });

/**
 * Runs `create`, which creates a file or a folder at a path.
 *
 * @throws {BackfillError} `FILE_EXISTS` if the path exists, `FOLDER_UNWRITABLE` if this user cannot write there, `OUTPUT_UNTRUSTED` if
 *   the path leads through a link of another user
 */
export function createAt(what: 'file' | 'folder', path: string, create: () => void): void {
  refuseOthersLinks(what, path);
  try {
    create();
  } catch (error) {
    throw errnoOf(error) === 'EEXIST' ? fileExists(path) : unwritable(path, error);
  }
}

/** Returns the error for an existing file. */
export function fileExists(path: string): BackfillError {
  return new BackfillError(
    'FILE_EXISTS',
    msg('{path} exists, and existing files are never overwritten', { path }),
    msg('Choose another name, or move that file away first'),
  );
}

/** Returns `FOLDER_UNWRITABLE` for an error of the system about a path, any other error unchanged. */
function unwritable(path: string, error: unknown): unknown {
  const isKnown = /^(?:EACCES|EPERM|EROFS|ENOTDIR|ENAMETOOLONG)$/.test(errnoOf(error) ?? '');
  if (!isKnown) return error;
  return new BackfillError(
    'FOLDER_UNWRITABLE',
    msg('{path} cannot be written by this user ({code})', { path, code: errnoOf(error) }),
    msg('Grant this user write permission on its folder'),
    { cause: error },
  );
}
