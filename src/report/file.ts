import { randomBytes } from 'node:crypto';
import {
  closeSync,
  fsyncSync,
  openSync,
  readSync,
  realpathSync,
  renameSync,
  rmSync,
  type Stats,
  writeFileSync,
} from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { BackfillError, errnoOf } from '../errors.js';
import { shellWord } from '../shell.js';
import { statOf } from '../store/file.js';
import { expandHome, type StoreFiles } from '../store/path.js';
import { DEFAULT_REPORT } from './default-file.js';

/** How every report begins: what tells it from other files. */
export const REPORT_HEAD = '<!doctype html>\n<!-- A report of umzug-backfill -->\n';

/** What stands beside a store and belongs to it, by the ending of its name. */
const BESIDE = /^-(?:wal|shm|journal)$|^\.(?:lock|backup-.*|before-restore-.*)$/;

/**
 * Finds where a report is to go, and refuses what must not be written over: the store, what belongs to it, and any file that
 * is no report.
 *
 * @param given the path; its folder must be there
 * @returns the absolute path, with symbolic links resolved so that a link stays one
 * @throws {BackfillError} `REPORT_OVER_STORE`, `REPORT_FILE_TAKEN`, `REPORT_UNWRITABLE`
 */
export function findTarget(given: string, store: StoreFiles): string {
  const asked = resolve(expandHome(given));
  const found = attempt(asked, () => statOf(asked));
  const path = attempt(asked, () =>
    found ? realpathSync(asked) : join(realpathSync(dirname(asked)), basename(asked)),
  );
  // Looked at before it is opened: to close the store, by whichever of its names, would drop SQLite's locks on it.
  refuseStore(path, found, store);
  if (!found) return path;
  if (!found.isFile()) {
    throw new BackfillError(
      'REPORT_UNWRITABLE',
      `The report can not be written to ${asked}: that is not a file`,
      `Name a file: ${shellWord(join(asked, DEFAULT_REPORT))}`,
    );
  }
  if (found.size > 0 && !attempt(asked, () => isReport(path))) {
    throw new BackfillError(
      'REPORT_FILE_TAKEN',
      `There is a file at ${asked} that is no report of this program`,
      'Name another file for the report, or move that one away first',
    );
  }
  return path;
}

function refuseStore(path: string, found: Stats | undefined, store: StoreFiles): void {
  const isOf = (file: string): boolean => {
    const theirs = statOf(file);
    return theirs !== undefined && theirs.ino === found?.ino && theirs.dev === found.dev;
  };
  const isBeside = path.startsWith(store.path) && BESIDE.test(path.slice(store.path.length));
  const isSame =
    path === store.path || ['', '-wal', '-shm', '-journal', '.lock'].some((end) => isOf(store.path + end));
  if (!isBeside && !isSame) return;
  throw new BackfillError(
    'REPORT_OVER_STORE',
    `The report can not be written to ${path}: that is the store, or belongs to it`,
    'Name another file for the report',
  );
}

/** Whether a file begins as a report does. */
function isReport(path: string): boolean {
  const head = Buffer.alloc(Buffer.byteLength(REPORT_HEAD));
  const fd = openSync(path, 'r');
  try {
    readSync(fd, head, 0, head.length, 0);
  } finally {
    closeSync(fd);
  }
  return head.toString('utf8') === REPORT_HEAD;
}

/**
 * Writes a report, at once or not at all, for this user's eyes only: it describes an audit log.
 *
 * @param path as {@link findTarget} gives it
 * @throws {BackfillError} `REPORT_UNWRITABLE`; `STORE_FULL` when the disk has no room
 */
export function writeReport(path: string, text: string): void {
  const fresh = join(dirname(path), `.${basename(path)}.${randomBytes(6).toString('hex')}`);
  try {
    attempt(path, () => {
      const fd = openSync(fresh, 'wx', 0o600);
      try {
        writeFileSync(fd, text);
        fsyncSync(fd);
      } finally {
        closeSync(fd);
      }
      renameSync(fresh, path);
    });
  } finally {
    rmSync(fresh, { force: true });
  }
}

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: 'its folder is not there',
  ENOTDIR: 'a part of its path is no folder',
  EISDIR: 'that is a folder',
  ELOOP: 'its symbolic links go round',
  ENAMETOOLONG: 'its name is too long',
  EACCES: 'this user may not write there',
  EPERM: 'this user may not write there',
  EROFS: 'the disk is mounted for reading only',
};

/** Runs `act`, and says of what the system refuses why the report can't be written. */
function attempt<Result>(path: string, act: () => Result): Result {
  try {
    return act();
  } catch (error) {
    const reason = REASONS[errnoOf(error) ?? ''];
    if (reason === undefined) throw error;
    throw new BackfillError(
      'REPORT_UNWRITABLE',
      `The report can not be written to ${path}: ${reason}`,
      'Name a file in a folder that this user may write',
      { cause: error },
    );
  }
}
