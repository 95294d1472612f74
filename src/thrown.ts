import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { sep } from 'node:path';
import { fileURLToPath } from 'node:url';

// Describes errors of the project's code without their messages, which may quote a row.

/** A stack frame: file, line. */
const FRAME = /^\s+at .*?((?:file:\/\/)?(?:\/|[A-Za-z]:\\)[^()]*):(\d+):\d+\)?$/;

/** The line that Node writes above the stack of a module that does not compile or link: file, line. */
const HEADING = /^((?:file:\/\/)?(?:\/|[A-Za-z]:\\).*):(\d+)$/;

/** Folders of this package's own frames: its modules one by one and bundled, and through a source map as TypeScript. */
const OWN = ['./', '../src/', '../lib/', '../../src/'].map((path) =>
  fileURLToPath(new URL(path, import.meta.url)),
);

/** A line of a file. */
interface Place {
  readonly path: string;
  readonly line: number;
}

/**
 * Returns an error's stack frames in existing files, innermost first. A line of the message is not mistaken for a frame, because
 * its file would not exist.
 */
export function framesOf(error: unknown): readonly Place[] {
  if (!(error instanceof Error) || typeof error.stack !== 'string') return [];
  return error.stack.split('\n').flatMap((text, i) => {
    const [, file = '', line = ''] = (i === 0 ? HEADING : FRAME).exec(text) ?? [];
    const path = file.startsWith('file://') && URL.canParse(file) ? fileURLToPath(file) : file;
    return path !== '' && existsSync(path) ? [{ path, line: Number(line) }] : [];
  });
}

const isProjects = ({ path }: Place): boolean =>
  !path.includes(`${sep}node_modules${sep}`) && !OWN.some((folder) => path.startsWith(folder));

/** Returns the class of an error and its code, such as `Error ERR_MODULE_NOT_FOUND`; the type of any other value. */
export function classOf(error: unknown): string {
  if (!(error instanceof Error)) return typeof error;
  const code = 'code' in error && typeof error.code === 'string' && /^[A-Z][A-Z0-9_]*$/.test(error.code);
  return code ? `${error.constructor.name} ${(error as NodeJS.ErrnoException).code}` : error.constructor.name;
}

/** Returns the message of an error, which may quote a row; any other value as text. */
export const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/**
 * Returns the place where the project's code raised an error, such as `/app/backfills/002-names.js:12`.
 *
 * @returns undefined if no frame is in a file of the project
 */
export function placeOf(error: unknown): string | undefined {
  const place = framesOf(error).find(isProjects);
  return place && `${place.path}:${place.line}`;
}

/** Returns the class of an error and its place, such as `TypeError at /app/backfills/002-names.js:12`. */
export function thrownText(error: unknown, place = placeOf(error)): string {
  return place === undefined ? classOf(error) : `${classOf(error)} at ${place}`;
}

/**
 * Like {@link thrownText}, for a module that does not load. A syntax error has no frame in its file, so Node parses the file
 * again.
 */
export function loadFailureText(error: unknown, path: string): string {
  return thrownText(
    error,
    placeOf(error) ?? (error instanceof SyntaxError ? syntaxErrorIn(path) : undefined),
  );
}

function syntaxErrorIn(path: string): string | undefined {
  const { stderr } = spawnSync(process.execPath, ['--check', path], { encoding: 'utf8', env: {} });
  const line = /^.*?:(\d+)$/m.exec(stderr)?.[1];
  return line === undefined ? undefined : `${path}:${line}`;
}
