import { holderText } from '../db/connection.js';
import { mapEach } from '../each.js';
import { BackfillError } from '../errors.js';
import { msg } from '../messages/message.js';
import { checkRequirements } from '../run/schema.js';
import { inStep } from '../steps/step.js';
import { type Verification, verifyBackfill } from '../verify/verify.js';
import type { MigratorOptions } from './options.js';
import { requireApplied } from './preflight.js';
import { backfillsOf, connectorFor, inTransaction, type OpenSession, withStore } from './session.js';

/**
 * Verifies every backfill of the project. Reads only: no verdict is recorded.
 *
 * @param minCoverage minimum coverage in percent; less is a failed check. Default: none
 * @throws {BackfillError} `STEP_NOT_APPLIED` if a backfill is not applied, or a code of `status` if the store is refused
 */
export async function verify(
  options: MigratorOptions,
  { minCoverage }: { readonly minCoverage?: number | undefined } = {},
): Promise<readonly Verification[]> {
  const { project } = options;
  const steps = backfillsOf(project);
  const read = async (session: OpenSession): Promise<readonly Verification[]> => {
    const { store, ledger } = session;
    await store.snapshot(async (tx) => {
      await checkRequirements(tx, project.config.requires);
      for (const step of steps) await requireApplied(inTransaction(session, tx), step);
    });
    const how = { ...options, minCoverage };
    return await mapEach(steps, async (step) =>
      inStep(step, async () => await verifyBackfill(store, ledger, step, project.steps, how)),
    );
  };
  return await besideRun(options, async () => await withStore(options, 'read', read));
}

/** Returns the error for a failed verification, with the hint of the first failed check. */
export function verificationFailed({ backfill, checks }: Verification): BackfillError {
  const failed = checks.filter(({ verdict }) => verdict === 'fail');
  return new BackfillError(
    'VERIFICATION_FAILED',
    msg('The verification of {backfill} failed: {checks}', {
      backfill,
      checks: failed.map(({ texts }) => texts.title),
    }),
    failed[0]?.texts.hint ?? msg('Run: umzug-backfill verify'),
  );
}

/** Runs `act`. If a step is not applied because a run is in progress, the error says so. */
export async function besideRun<Result>(
  options: Pick<MigratorOptions, 'path' | 'postgres'>,
  act: () => Promise<Result>,
): Promise<Result> {
  try {
    return await act();
  } catch (error) {
    if (!(error instanceof BackfillError) || error.code !== 'STEP_NOT_APPLIED') throw error;
    const { state, holder } = await (await connectorFor(options)).readLockState();
    if (state !== 'held') throw error;
    const who = holderText(holder);
    throw new BackfillError(
      error.code,
      msg('{message}, and a run is in progress: {who}', { message: error.texts.message, who }),
      msg(
        'Wait until it has ended, then run the same command again; umzug-backfill status shows its progress',
      ),
      { cause: error },
    );
  }
}
