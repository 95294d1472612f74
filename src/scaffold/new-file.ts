import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { BackfillError, errnoOf } from '../errors.js';
import { msg } from '../messages/message.js';
import { refuseOthersLinks } from '../safety/output-file.js';

/**
 * Writes a file that is not there yet; its folder is made.
 *
 * @throws {BackfillError} `FILE_EXISTS` when something stands there, `FOLDER_UNWRITABLE` when this user may not write there,
 *   `OUTPUT_UNTRUSTED` if a link of another user leads there
 */
export function createFile(path: string, text: string): void {
  refuseOthersLinks('file', path);
  try {
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, text, { flag: 'wx' });
  } catch (error) {
    if (errnoOf(error) === 'EEXIST') throw fileExists(path);
    throw unwritable(path, error);
  }
}

/** The refusal to write over a file. */
export function fileExists(path: string): BackfillError {
  return new BackfillError(
    'FILE_EXISTS',
    msg('There is a file at {path}, and none is ever written over', { path }),
    msg('Take another name, or move that file away first'),
  );
}

/** What the system refuses, with what may be the reason; anything else as it was. */
export function unwritable(path: string, error: unknown): unknown {
  const isKnown = /^(?:EACCES|EPERM|EROFS|ENOTDIR|ENAMETOOLONG)$/.test(errnoOf(error) ?? '');
  if (!isKnown) return error;
  return new BackfillError(
    'FOLDER_UNWRITABLE',
    msg('{path} can not be written by this user ({code})', { path, code: errnoOf(error) }),
    msg('Give this user write permission on its folder'),
    { cause: error },
  );
}
