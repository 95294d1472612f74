import { checkRequirements } from '../run/schema.js';
import { inStep } from '../steps/step.js';
import { type Verification, verifyBackfill } from '../verify/verify.js';
import { besideRun } from './in-progress.js';
import { requireApplied } from './preflight.js';
import { backfillsOf, inTransaction, type MigratorOptions, withStore } from './session.js';

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
  const { project, parallelMinBytes, now } = options;
  const steps = backfillsOf(project);
  return await withStore(options, 'read', async (session) => {
    await session.store.snapshot(async (tx) => {
      await checkRequirements(tx, project.config.requires);
      for (const step of steps) await requireApplied(inTransaction(session, tx), step);
    });
    const verifications: Verification[] = [];
    for (const step of steps)
      verifications.push(
        await inStep(step, async () =>
          verifyBackfill(session.store, session.ledger, step, project.steps, {
            minCoverage,
            parallelMinBytes,
            now,
          }),
        ),
      );
    return verifications;
  }).catch(async (error: unknown) => {
    throw await besideRun(options, error);
  });
}
