import { holderText } from '../db/connection.js';
import { BackfillError } from '../errors.js';
import { msg } from '../messages/message.js';
import { checkRequirements } from '../run/schema.js';
import { recordProbes } from '../run/waiting.js';
import { inStep } from '../steps/step.js';
import { type Verification, verifyBackfill } from '../verify/verify.js';
import type { MigratorOptions } from './options.js';
import { requireApplied } from './preflight.js';
import {
  type BackfillStep,
  backfillsOf,
  connectorFor,
  inTransaction,
  type OpenSession,
  withStore,
} from './session.js';

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
  const { project, parallelMinBytes, now } = options;
  const steps = backfillsOf(project);
  return await besideRun(
    options,
    async () =>
      await withStore(options, 'read', async (session) => {
        await session.store.snapshot(async (tx) => {
          await checkRequirements(tx, project.config.requires);
          for (const step of steps) await requireApplied(inTransaction(session, tx), step);
        });
        const { store, ledger } = session;
        const verifications: Verification[] = [];
        for (const step of steps) {
          const how = { minCoverage, parallelMinBytes, now };
          const verified = async () => await verifyBackfill(store, ledger, step, project.steps, how);
          verifications.push(await inStep(step, verified));
        }
        return verifications;
      }),
  );
}

/**
 * Verifies a backfill after `up` or `backfill` filled it, and records the verdict.
 *
 * @param verifications receives the verification, also a failed one
 * @throws {BackfillError} `VERIFICATION_FAILED`
 */
export async function verifyAndRecord(
  { store, ledger }: OpenSession,
  step: BackfillStep,
  { project, onEvent, parallelMinBytes, now }: MigratorOptions,
  verifications: Verification[],
): Promise<void> {
  const how = { parallelMinBytes, now };
  const verification = await verifyBackfill(store, ledger, step, project.steps, how);
  verifications.push(verification);
  const { verdict, run, threads, durationMs, checks } = verification;
  await store.write(async (tx) => {
    const own = ledger.in(tx);
    const summary = checks.map(({ id, verdict: found, stats }) => ({ id, verdict: found, stats }));
    await own.addVerification(step.name, run, verdict, summary);
    await recordProbes(tx, own, step); // in this transaction, so that a kill after the last batch cannot separate them
  });
  onEvent?.({ event: 'verified', backfill: step.name, verdict, threads, durationMs });
  if (verdict === 'fail') throw verificationFailed(verification);
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
