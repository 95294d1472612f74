import { BackfillError, type ErrorCode } from './errors.js';
import { msg } from './messages/message.js';

/**
 * Refuses unknown options by name, so that a misspelt one is never silently ignored.
 *
 * @throws {BackfillError} `code` if a property of `given` is not in `known`
 */
export function refuseUnknownOptions(
  given: object,
  known: readonly string[],
  what: string,
  code: ErrorCode,
): void {
  for (const name of Object.keys(given)) {
    if (!known.includes(name)) {
      throw new BackfillError(
        code,
        msg('Unknown option `{option}` in {what}', { option: name, what }),
        msg('It takes: {options}', { options: known.join(', ') }),
      );
    }
  }
}

/**
 * Returns `value` if it is a non-empty string.
 *
 * @throws {BackfillError} `code` otherwise
 */
export function requireText(value: unknown, name: string, what: string, code: ErrorCode): string {
  if (typeof value === 'string' && value.trim() !== '') return value;
  throw new BackfillError(
    code,
    msg('Expected `{option}` in {what} to be a non-empty string, got `{value}`', {
      option: name,
      what,
      value: String(value),
    }),
    msg('Set `{option}` in {what}', { option: name, what }),
  );
}
