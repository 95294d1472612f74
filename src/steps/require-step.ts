import { requireText } from '../options.js';

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

/** What of the step decides its result: for drift. */
export function requireStepEssence({ kind, backfill }: RequireStepDefinition): unknown {
  return { kind, backfill };
}
