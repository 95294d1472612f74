import { BackfillError } from '../errors.js';
import { msg } from '../messages/message.js';
import { applyBackfillStep } from '../run/runner.js';
import type { RequireStepDefinition } from '../steps/step.js';
import { fingerprint, inStep, type Step } from '../steps/step.js';
import type { Verification } from '../verify/verify.js';
import { bringUpToDate, type Warnings, warnOfFilledAgain } from './catching-up.js';
import { type BackfillStep, type MigratorOptions, needsVerification, type OpenSession } from './session.js';
import { verifyAndRecord } from './verify-and-record.js';

type RequireStep = Step & RequireStepDefinition;

/**
 * The backfill that a step requires.
 *
 * @throws {BackfillError} `STEP_INVALID` when the project has none of that name, or it comes later
 */
export function requiredBackfill(
  steps: readonly Step[],
  { name, backfill, path }: RequireStep,
): BackfillStep {
  const found = steps.find(
    (step): step is BackfillStep => step.kind === 'backfill' && step.name === backfill,
  );
  if (found && found.name < name) return found;
  throw new BackfillError(
    'STEP_INVALID',
    found
      ? msg('The step {step} requires {backfill}, which sorts behind it', { step: name, backfill })
      : msg('The step {step} requires the backfill {backfill}, which the project does not have', {
          step: name,
          backfill,
        }),
    msg('Name in {file} a backfill that comes before it', { file: path }),
  );
}

/**
 * Applies a step that requires a backfill: runs what is left of that one, verifies it where no verification has passed
 * yet, then marks the step as applied.
 *
 * @param into verdicts are added here, warnings to `warnings`
 * @throws {BackfillError} `VERIFICATION_FAILED`, and as `applyBackfillStep`
 */
export async function applyRequireStep(
  session: OpenSession,
  options: MigratorOptions,
  step: RequireStep,
  into: Verification[],
  warnings: Warnings,
): Promise<void> {
  const startedAt = performance.now();
  const { store, ledger } = session;
  const wanted = requiredBackfill(options.project.steps, step);
  await inStep(wanted, async () => {
    if ((await ledger.step(wanted.name))?.status === 'applied')
      await bringUpToDate(session, wanted, options, warnings);
    else
      warnOfFilledAgain(wanted, await applyBackfillStep(store, ledger, wanted, options), options, warnings);
    if (await needsVerification(session, wanted)) await verifyAndRecord(session, wanted, options, into);
  });
  await store.write(async (tx) => {
    const own = ledger.in(tx);
    await own.beginStep({ name: step.name, kind: step.kind, fingerprint: fingerprint(step) });
    await own.finishStep(step.name, performance.now() - startedAt);
  });
}
