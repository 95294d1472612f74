import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { sep } from 'node:path';
import { fileURLToPath } from 'node:url';

/** An error of a project's own code, as it may be told: without its message, which may quote a row. */

/** A frame of a stack: the file, the line. */
const FRAME = /^\s+at .*?((?:file:\/\/)?(?:\/|[A-Za-z]:\\)[^()]*):(\d+):\d+\)?$/;

/** The line before a stack that Node writes for what does not compile or link: the file, the line. */
const HEADING = /^((?:file:\/\/)?(?:\/|[A-Za-z]:\\).*):(\d+)$/;

/** Where this package's own frames are, compiled and, through a source map, as TypeScript. */
const OWN = ['./', '../../src/'].map((path) => fileURLToPath(new URL(path, import.meta.url)));

/** A place in a file. */
interface Place {
  readonly path: string;
  readonly line: number;
}

/** The frames of an error that are in files, innermost first. A line of a message is none: there is no such file. */
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

/** The class of an error, with its code if it has one, as `Error ERR_MODULE_NOT_FOUND`; the type of anything else that was thrown. */
export function classOf(error: unknown): string {
  if (!(error instanceof Error)) return typeof error;
  const code = 'code' in error && typeof error.code === 'string' && /^[A-Z][A-Z0-9_]*$/.test(error.code);
  return code ? `${error.constructor.name} ${(error as NodeJS.ErrnoException).code}` : error.constructor.name;
}

/** The message of an error, which may quote a row; the text of anything else that was thrown. */
export const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/**
 * Where the project's own code raised an error: the topmost of its frames, as `/app/backfills/002-names.js:12`.
 *
 * @returns undefined if no frame is in a file of the project
 */
export function placeOf(error: unknown): string | undefined {
  const place = framesOf(error).find(isProjects);
  return place && `${place.path}:${place.line}`;
}

/** The class of an error and where the project's own code raised it, as `TypeError at /app/backfills/002-names.js:12`. */
export function thrownText(error: unknown, place = placeOf(error)): string {
  return place === undefined ? classOf(error) : `${classOf(error)} at ${place}`;
}

/**
 * As {@link thrownText}, for a module that does not load. A syntax error has no frame of its file, so that Node parses that once more.
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
