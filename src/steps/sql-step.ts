import { normaliseSql } from '../db/sql.js';
import { BackfillError } from '../errors.js';
import { refuseUnknown, requireText } from '../options.js';
import { requireOneStatement } from './one-statement.js';

/** What {@link defineSqlStep} takes. */
export interface SqlStepOptions {
  /** Statements that apply the step, run in order in one transaction with its ledger row: one in each text, without parameters. */
  readonly up: readonly string[];
  /** Statements that revert it, likewise. Without them the step can not be reverted. */
  readonly down?: readonly string[];
}

/** A validated step of plain SQL. */
export interface SqlStepDefinition {
  readonly kind: 'sql';
  readonly up: readonly string[];
  readonly down: readonly string[] | undefined;
}

const WHAT = 'defineSqlStep()';

/**
 * Declares a step of plain SQL statements.
 *
 * @param options see {@link SqlStepOptions}
 * @returns a step to be the default export of a file in one of the project's step folders
 * @throws {BackfillError} `STEP_INVALID` when there is no statement, a text holds none or several, has a parameter, or ends the transaction it runs in
 *
 * @example
 * export default defineSqlStep({
 *   up: ['CREATE VIEW late AS SELECT * FROM events WHERE is_late'],
 *   down: ['DROP VIEW late'],
 * });
 */
export function defineSqlStep(options: SqlStepOptions): SqlStepDefinition {
  refuseUnknown(options, ['up', 'down'], WHAT, 'STEP_INVALID');
  if (!Array.isArray(options.up) || options.up.length === 0) {
    throw new BackfillError(
      'STEP_INVALID',
      'Expected `up` in defineSqlStep() to be a list of statements',
      'Name one',
    );
  }
  if (options.down !== undefined && !Array.isArray(options.down)) {
    throw new BackfillError(
      'STEP_INVALID',
      'Expected `down` in defineSqlStep() to be a list of statements',
      'Name one, or leave it out: the step can not be reverted then',
    );
  }
  const inUp = options.up.length;
  for (const [i, statement] of [...options.up, ...(options.down ?? [])].entries()) {
    requireText(statement, i < inUp ? 'up' : 'down', WHAT, 'STEP_INVALID');
    if (
      /^(?:begin|commit|end|rollback|savepoint|release|vacuum|attach|detach|pragma)\b/.test(
        normaliseSql(statement),
      )
    ) {
      throw new BackfillError(
        'STEP_INVALID',
        `A statement in defineSqlStep() can not run inside the step's transaction: ${statement.slice(0, 40)}`,
        'Leave it out: each step runs in a transaction of its own',
      );
    }
    requireOneStatement(statement, WHAT);
  }
  return { kind: 'sql', up: [...options.up], down: options.down && [...options.down] };
}

/** What of a SQL step decides its result: for drift. */
export function sqlStepEssence(step: SqlStepDefinition): unknown {
  return { kind: step.kind, up: step.up.map(normaliseSql), down: step.down?.map(normaliseSql) };
}
