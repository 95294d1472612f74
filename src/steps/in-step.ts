import { BackfillError, type ErrorCode, rootBackfillError } from '../errors.js';
import { placeOf } from '../thrown.js';
import type { Step } from './step.js';

/** Codes of errors that a step's declaration may be the cause of. */
const DECLARED: ReadonlySet<ErrorCode> = new Set([
  'STEP_INVALID',
  'TABLE_MISSING',
  'COLUMN_MISSING',
  'KEY_UNSUITABLE',
  'STORE_REFUSED',
  'PROCESS_FAILED',
  'NOT_DETERMINISTIC',
  'INTERNAL',
]);

/** Runs a part of a step's work; an error about its declaration then names its file. */
export async function inStep<Result>(step: Pick<Step, 'path'>, act: () => Promise<Result>): Promise<Result> {
  try {
    return await act();
  } catch (error) {
    throw atStep(error, step);
  }
}

/** The error with the step's file in its hint, if it may be about its declaration and does not name it yet. */
export function atStep(error: unknown, { path }: Pick<Step, 'path'>): unknown {
  const { code, message, hint, cause = error } = rootBackfillError(error);
  if (!DECLARED.has(code) || `${message} ${hint}`.includes(path)) return error;
  return new BackfillError(code, message, `${hint}; the step is declared in ${path}`, { cause });
}

/** An error of a define function, thrown while its file was loaded, with the place of the call. */
export function atCall(error: BackfillError, file: string): BackfillError {
  const { code, message, hint } = error;
  return new BackfillError(code, `${message} (at ${placeOf(error) ?? file})`, hint, { cause: error });
}
