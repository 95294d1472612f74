import { BackfillError, type ErrorCode, type ErrorTexts, rootBackfillError } from './errors.js';

/** A {@link BackfillError} as data, for another thread or process. */
export interface SentError {
  readonly code: ErrorCode;
  readonly texts: ErrorTexts;
  readonly hint: string;
  /** The explained error; undefined if it is not an `Error`. */
  readonly cause: SentCause | undefined;
}

/** A cause as data. Its class is lost. */
interface SentCause {
  readonly name: string;
  readonly message: string;
  readonly stack: string | undefined;
  /** Such as `SQLITE_FULL`. */
  readonly code: string | undefined;
  readonly cause: SentCause | undefined;
}

/** Returns an error as data, for {@link fromSent}. */
export function toSent(error: unknown): SentError {
  const { code, texts, hint, cause } = rootBackfillError(error);
  return { code, texts, hint, cause: sentCause(cause) };
}

/** Maximum number of causes that are sent: an error may be its own. */
const MAX_CAUSES = 10;

function sentCause(error: unknown, depth = 1): SentCause | undefined {
  if (!(error instanceof Error) || depth > MAX_CAUSES) return undefined;
  const { name, message, stack, cause } = error;
  const code = 'code' in error && typeof error.code === 'string' ? error.code : undefined;
  return { name, message, stack, code, cause: sentCause(cause, depth + 1) };
}

/** Returns the error that another thread or process has sent. */
export function fromSent({ code, texts, hint, cause }: SentError): BackfillError {
  const options = cause && { cause: receivedCause(cause) };
  return Object.assign(new BackfillError(code, texts.message, texts.hint, options), { hint });
}

function receivedCause({ name, message, stack, code, cause }: SentCause): Error {
  const error = new Error(message, cause && { cause: receivedCause(cause) });
  return Object.assign(error, { name, stack, ...(code !== undefined && { code }) });
}
