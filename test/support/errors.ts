import { BackfillError, type ErrorCode } from '../../src/index.js';
import { msg } from './pure.js';

/** An error whose message and hint are any texts: they have no translation. */
export const anError = (
  code: ErrorCode,
  message: string,
  hint: string,
  options?: { readonly cause?: unknown },
): BackfillError =>
  new BackfillError(code, msg('{text}', { text: message }), msg('{text}', { text: hint }), options);
