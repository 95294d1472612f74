import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { ErrorCode } from './errors.js';
import { requireText } from './options.js';

/** A URL of a file, such as `new URL('../backfills/002-names.js', import.meta.url)`. */
export interface FileUrl {
  readonly href: string;
}

/**
 * Returns the absolute path of the option `file`, a path or a URL of a file.
 *
 * @param what the function whose option it is
 * @throws {BackfillError} with `code` if it is neither
 */
export function optionFile(file: unknown, what: string, code: ErrorCode): string {
  const text = typeof file === 'object' && file !== null && 'href' in file ? String(file.href) : file;
  const given = requireText(text, 'file', what, code);
  return given.startsWith('file:') ? fileURLToPath(given) : resolve(given);
}
