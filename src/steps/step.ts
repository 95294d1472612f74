import { createHash } from 'node:crypto';
import { normaliseSql } from '../db/sql.js';
import { BackfillError, type ErrorCode, rootBackfillError } from '../errors.js';
import { msg } from '../messages/message.js';
import { requireText } from '../options.js';
import type { BackfillDefinition } from './define.js';
import {
  addColumnSql,
  createIndexSql,
  type SchemaStepDefinition,
  type SqlStepDefinition,
} from './schema-steps.js';
import type { EngineSql } from './values.js';

/** Default export of a step file. */
export type StepDefinition =
  | BackfillDefinition
  | SchemaStepDefinition
  | SqlStepDefinition
  | RequireStepDefinition;

/** A step with its name. */
export type Step = StepDefinition & {
  /** File name without its extension, so that source and compiled file are one step. */
  readonly name: string;
  /** Absolute path of its file. */
  readonly path: string;
};

/** Creates the step of one project. Several projects in one process may share a definition, so `process` is copied. */
export function stepOf(definition: StepDefinition, name: string, path: string): Step {
  return definition.kind === 'backfill' && definition.process
    ? { ...definition, process: { ...definition.process }, name, path }
    : { ...definition, name, path };
}

/** Whether the step can be reverted. */
export const hasDown = (step: StepDefinition): boolean => step.kind !== 'sql' || step.down !== undefined;

/**
 * Returns the SHA-256, in hex, of a step's canonical form: its normalised definition and SQL, not the file's bytes, which a
 * formatter or a compiler changes.
 */
export function fingerprint(step: StepDefinition): string {
  return createHash('sha256')
    .update(JSON.stringify(canonicalForm(step)))
    .digest('hex');
}

/**
 * Returns the parts of a step that determine its result, without layout and checks, in a fixed order. A function is represented by
 * its version, because a formatter or a compiler changes its text.
 */
function canonicalForm(step: StepDefinition): unknown {
  const { kind } = step;
  if (kind === 'require') return { kind, backfill: step.backfill };
  if (kind === 'sql') return { kind, up: step.up.map(normaliseSql), down: step.down?.map(normaliseSql) };
  if (kind === 'schema')
    return {
      kind,
      columns: step.columns.map((column) => normaliseSql(addColumnSql(step, column))),
      indexes: step.indexes.map((index) => normaliseSql(createIndexSql(step, index))),
      version: step.version,
    };
  const { table, key, scope, process } = step;
  const columns = step.columns.map(({ name, value }) => ({
    name,
    value: value.kind === 'sql' ? { ...value, expression: normalised(value.expression) } : value,
  }));
  return {
    ...{ kind, table: table.toLowerCase(), key: key.toLowerCase(), scope: normalised(scope), columns },
    ...(process ? { reads: process.reads, version: process.version } : {}),
  };
}

const normalised = (sql: EngineSql): EngineSql =>
  typeof sql === 'string'
    ? normaliseSql(sql)
    : { sqlite: normaliseSql(sql.sqlite), postgres: normaliseSql(sql.postgres) };

/** A validated require step. */
export interface RequireStepDefinition {
  readonly kind: 'require';
  /** Name of the backfill's step. */
  readonly backfill: string;
}

/**
 * Declares a step that requires a backfill to be complete and verified; `up` runs the rest of it first. Place it before steps
 * that build on the filled columns, if deploys run backfills in the background.
 *
 * @param backfill name of the backfill's step, which must sort before this one
 * @returns a step, for the default export of a file in a step folder
 * @throws {BackfillError} `STEP_INVALID` if the name is empty
 *
 * @example
 * export default requireBackfill('002-order-times');
 */
export function requireBackfill(backfill: string): RequireStepDefinition {
  requireText(backfill, 'backfill', 'requireBackfill()', 'STEP_INVALID');
  return { kind: 'require', backfill };
}

/** Codes of errors that a step's definition may cause. */
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

/** Runs a part of a step's work. An error that its definition may have caused then names its file. */
export async function inStep<Result>(step: Pick<Step, 'path'>, act: () => Promise<Result>): Promise<Result> {
  try {
    return await act();
  } catch (error) {
    throw atStep(error, step);
  }
}

/** Adds the step's file to the hint of an error that its definition may have caused, unless the error names the file. */
export function atStep(error: unknown, { path }: Pick<Step, 'path'>): unknown {
  const { code, message, hint, texts, cause = error } = rootBackfillError(error);
  if (!DECLARED.has(code) || `${message} ${hint}`.includes(path)) return error;
  return new BackfillError(
    code,
    texts.message,
    msg('{hint}; the step is declared in {file}', { hint: texts.hint, file: path }),
    { cause },
  );
}
