import { createHash } from 'node:crypto';
import { normaliseSql } from '../db/sql.js';
import { BackfillError, type ErrorCode, rootBackfillError } from '../errors.js';
import { msg } from '../messages/message.js';
import { requireText } from '../options.js';
import { placeOf } from '../thrown.js';
import { type BackfillDefinition, canonicalBackfill } from './define.js';
import { addColumnSql, createIndexSql, type SchemaStepDefinition } from './schema-step.js';
import type { SqlStepDefinition } from './sql-step.js';

/** What a step file exports by default. */
export type StepDefinition =
  | BackfillDefinition
  | SchemaStepDefinition
  | SqlStepDefinition
  | RequireStepDefinition;

/** A step with the name that its file gives it. */
export type Step = StepDefinition & {
  /** File name without its extension, so that source and compiled file are one step. */
  readonly name: string;
  /** Absolute path of the file it was loaded from. */
  readonly path: string;
};

/** Returns the step that a definition is, for one project: others may have the same definition, and run at the same time. */
export function stepOf(definition: StepDefinition, name: string, path: string): Step {
  return definition.kind === 'backfill' && definition.process
    ? { ...definition, process: { ...definition.process }, name, path }
    : { ...definition, name, path };
}

/** Whether the step can be reverted. */
export function hasDown(step: StepDefinition): boolean {
  return step.kind !== 'sql' || step.down !== undefined;
}

/**
 * SHA-256, in hex, of what of a step decides its result: its normalised declaration and SQL, never the file's bytes,
 * which a formatter or a compiler changes.
 */
export function fingerprint(step: StepDefinition): string {
  return createHash('sha256')
    .update(JSON.stringify(canonicalForm(step)))
    .digest('hex');
}

function canonicalForm(step: StepDefinition): unknown {
  switch (step.kind) {
    case 'backfill':
      return canonicalBackfill(step);
    case 'schema':
      return {
        kind: step.kind,
        columns: step.columns.map((column) => normaliseSql(addColumnSql(step, column))),
        indexes: step.indexes.map((index) => normaliseSql(createIndexSql(step, index))),
        version: step.version,
      };
    case 'sql':
      return { kind: step.kind, up: step.up.map(normaliseSql), down: step.down?.map(normaliseSql) };
    case 'require':
      return { kind: step.kind, backfill: step.backfill };
  }
}

/** A validated step that stands for a backfill being complete. */
export interface RequireStepDefinition {
  readonly kind: 'require';
  /** Name of the backfill's step. */
  readonly backfill: string;
}

/**
 * Declares a step that is applied once a backfill is complete and verified: where it is not, what is left of it is run
 * first. For the steps behind it that build on the filled columns, when deploys leave backfills to the background.
 *
 * @param backfill name of the backfill's step; it sorts before this one
 * @returns a step to be the default export of a file in one of the project's step folders
 * @throws {BackfillError} `STEP_INVALID` when the name is empty
 *
 * @example
 * export default requireBackfill('002-order-times');
 */
export function requireBackfill(backfill: string): RequireStepDefinition {
  requireText(backfill, 'backfill', 'requireBackfill()', 'STEP_INVALID');
  return { kind: 'require', backfill };
}

/** Codes of errors that a step's declaration may be the cause of. */
const DECLARED: ReadonlySet<ErrorCode> = new Set([
  'STEP_INVALID',
  'TABLE_MISSING',
  'COLUMN_MISSING',
  'KEY_UNSUITABLE',
  'STATEMENT_REJECTED',
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
  return new BackfillError(
    code,
    message,
    msg('{hint}; the step is declared in {file}', { hint, file: path }),
    { cause },
  );
}

/** An error of a define function, thrown while its file was loaded, with the place of the call. */
export function atCall(error: BackfillError, file: string): BackfillError {
  const { code, message, hint } = error;
  return new BackfillError(
    code,
    msg('{message} (at {place})', { message, place: placeOf(error) ?? file }),
    hint,
    { cause: error },
  );
}
