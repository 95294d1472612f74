import { type Verification, verifyBackfill } from '../verification/verify.js';
import { requireApplied } from './prechecks.js';
import { backfillsOf, type MigratorOptions, withSession } from './session.js';

/**
 * Verifies every backfill of the project, reading only: no verdict is recorded.
 *
 * @param minCoverage coverage below this many percent fails
 * @throws {BackfillError} `STEP_NOT_APPLIED` when a backfill is not applied, or when the store is refused
 */
export async function verify(
  options: MigratorOptions,
  { minCoverage }: { readonly minCoverage?: number | undefined } = {},
): Promise<readonly Verification[]> {
  const { project } = options;
  return await withSession(options, 'look', (session) =>
    backfillsOf(project).map((step) => {
      requireApplied(session, step);
      return verifyBackfill(session.store, session.ledger, step, project.steps, { minCoverage });
    }),
  );
}
