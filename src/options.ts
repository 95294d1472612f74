import { BackfillError, type ErrorCode } from './errors.js';

/**
 * Refuses options that are not known, by name, so that a misspelt one is never silently ignored.
 *
 * @throws {BackfillError} with `code` when a property of `given` is not in `known`
 */
export function refuseUnknownOptions(
  given: object,
  known: readonly string[],
  what: string,
  code: ErrorCode,
): void {
  for (const name of Object.keys(given)) {
    if (!known.includes(name)) {
      throw new BackfillError(code, `Unknown option \`${name}\` in ${what}`, `It takes: ${known.join(', ')}`);
    }
  }
}

/**
 * Returns `value` if it is a non-empty string.
 *
 * @throws {BackfillError} with `code` otherwise
 */
export function requireText(value: unknown, name: string, what: string, code: ErrorCode): string {
  if (typeof value === 'string' && value.trim() !== '') return value;
  throw new BackfillError(
    code,
    `Expected \`${name}\` in ${what} to be a non-empty string, got \`${String(value)}\``,
    `Set \`${name}\` in ${what}`,
  );
}
