import { BackfillError } from '../errors.js';
import { msg } from '../messages/message.js';
import { recordProbes } from '../run/waiting.js';
import { type Verification, verifyBackfill } from '../verify/verify.js';
import type { BackfillStep, MigratorOptions, OpenSession } from './session.js';

/**
 * Verifies a backfill and records the verdict: what `up` and `backfill` do after they have filled.
 *
 * @param into the verdict is added here before a failing one is thrown, so that it can be shown
 * @throws {BackfillError} `VERIFICATION_FAILED`
 */
export async function verifyAndRecord(
  { store, ledger }: OpenSession,
  step: BackfillStep,
  { project, onEvent, parallelMinBytes, now }: MigratorOptions,
  into: Verification[],
): Promise<void> {
  const verification = await verifyBackfill(store, ledger, step, project.steps, {
    parallelMinBytes,
    now,
  });
  into.push(verification);
  const { verdict, run, threads, durationMs } = verification;
  await store.write(async (tx) => {
    const own = ledger.in(tx);
    const summary = verification.checks.map(({ id, verdict: found, stats }) => ({
      id,
      verdict: found,
      stats,
    }));
    await own.addVerification(step.name, run, verdict, summary);
    await recordProbes(tx, own, step); // here, where a kill behind the last batch can not come between
  });
  onEvent?.({ event: 'verified', backfill: step.name, verdict, threads, durationMs });
  if (verdict === 'fail') throw verificationFailed(verification);
}

/** The error for a verification that failed; its hint is the first failed check's. */
export function verificationFailed({ backfill, checks }: Verification): BackfillError {
  const failed = checks.filter(({ verdict }) => verdict === 'fail');
  return new BackfillError(
    'VERIFICATION_FAILED',
    msg('The verification of {backfill} failed: {checks}', {
      backfill,
      checks: failed.map(({ title }) => title.toLowerCase()).join(', '),
    }),
    failed[0]?.hint ?? 'umzug-backfill verify',
  );
}
