import type { RevertResult } from '../engine/batch.js';
import { warning } from '../engine/run-options.js';
import { BackfillError } from '../errors.js';
import { refuseDamagedCells } from '../ledger/cells.js';
import { EXTERNAL, type StepRecord } from '../ledger/records.js';
import { stepStorage } from '../ledger/steps.js';
import { msg } from '../messages/message.js';
import { revertBackfillStep } from '../run/revert.js';
import { checkRevertible, revertSchemaStep, revertSqlStep } from '../run/schema.js';
import { hasDown, type Step } from '../steps/step.js';
import { changeStore, type RunResult } from './change.js';
import type { MigratorOptions } from './options.js';
import { refuseTriggers } from './preflight.js';
import { refuseLostFillers, withRecalled } from './revert-plan.js';
import { checkDrift, isBackfill, type Session } from './session.js';
import type { MigrateOptions } from './umzug.js';
import { unknownStep } from './up-work.js';

/** Result of `down`. */
export interface DownResult extends RunResult {
  /** Steps that were reverted, in order. */
  readonly reverted: readonly string[];
  /** Cells that were reverted and kept, by backfill. */
  readonly cells: readonly ({ readonly backfill: string } & RevertResult)[];
}

/**
 * Returns the steps that `down` reverts, last first. Unfinished steps count.
 *
 * @throws {BackfillError} `STEP_UNKNOWN`, `STEP_NOT_APPLIED`, `STEP_FILE_MISSING`, `STEP_IRREVERSIBLE`
 */
function findReverts(
  records: readonly StepRecord[],
  steps: readonly Step[],
  { to, step: count, migrations, rerun }: MigrateOptions,
): Step[] {
  const begun = records
    .filter(({ kind }) => kind !== EXTERNAL)
    .map(({ name }) => name)
    .reverse();
  const names = rerun === 'SKIP' ? migrations?.filter((name) => begun.includes(name)) : migrations;
  for (const name of names ?? (typeof to === 'string' ? [to] : [])) {
    if (begun.includes(name)) continue;
    if (!steps.some((step) => step.name === name)) throw unknownStep(name, steps);
    throw new BackfillError(
      'STEP_NOT_APPLIED',
      msg('The step {step} is not applied', { step: name }),
      msg('See umzug-backfill executed'),
    );
  }
  const length = to === 0 ? begun.length : typeof to === 'string' ? begun.indexOf(to) + 1 : (count ?? 1);
  return (names ?? begun.slice(0, length)).map((name) => {
    const step = steps.find((candidate) => candidate.name === name);
    if (!step) {
      throw new BackfillError(
        'STEP_FILE_MISSING',
        msg('The step {step} is applied, but its file is missing, so that it cannot be reverted', {
          step: name,
        }),
        msg('Put the step file back, then run the same command again'),
      );
    }
    if (!hasDown(step)) {
      throw new BackfillError(
        'STEP_IRREVERSIBLE',
        msg('The step {step} has no `down`', { step: name }),
        msg('Add a `down`, or stop before it with --to NAME'),
      );
    }
    return step;
  });
}

/**
 * Plans a `down`. Reads only. Checks everything that can be known before the first step; values in columns are checked again after the `down`
 * of their backfill. Logs how long the write lock will be held.
 *
 * @returns its work; `reverts`: steps to revert, in order; `known`: steps of the project and of backfills known only from the ledger
 * @throws {BackfillError} if the store or the project is refused, or a code of `findReverts`
 */
export async function prepareDown(session: Session, options: MigratorOptions, target: MigrateOptions) {
  const { store, ledger } = session;
  const { project, confirmed = false, onEvent } = options;
  const records = await ledger.steps();
  const known = await withRecalled(session, project.steps);
  const reverts = findReverts(records, known, target);
  const drifts = checkDrift(options, records);
  if (!confirmed) await refuseLostFillers(session, reverts.filter(isBackfill), drifts);
  await refuseTriggers(session, reverts, 'down', options);
  let transactionBytes = 0;
  for (const [i, step] of reverts.entries()) {
    if (step.kind === 'backfill') await refuseDamagedCells(ledger, step.name);
    if (step.kind !== 'schema') continue;
    const estimate = await checkRevertible(store, ledger, step, confirmed, i === 0);
    if (!estimate) continue;
    transactionBytes = Math.max(transactionBytes, estimate.diskBytes);
    const [lockMs, diskBytes] = [Math.ceil(estimate.lockMs), estimate.diskBytes];
    onEvent?.({ event: 'lock_estimated', step: step.name, lockMs, diskBytes });
  }
  for (const { texts } of drifts) onEvent?.(warning(texts.text));
  const names = reverts.map(({ name }) => name);
  return { reverts, known, names, drifts, warnings: [], transactionBytes };
}

/**
 * Reverts steps, last first.
 *
 * @returns what was done; `error` is what ended it early
 * @throws {BackfillError} if it is refused before anything is written
 */
export async function down(options: MigratorOptions, target: MigrateOptions = {}): Promise<DownResult> {
  const reverted: string[] = [];
  const cells: ({ backfill: string } & RevertResult)[] = [];
  const done = await changeStore(options, {
    command: 'down',
    plan: async (session, how) => await prepareDown(session, how, target),
    act: async ({ session: { store, ledger } }, { reverts, known }, runSteps) =>
      await runSteps({
        steps: reverts,
        known,
        storage: stepStorage(ledger, 'down'),
        async run(step) {
          const { name } = step;
          options.onEvent?.({ event: 'step_started', step: name, direction: 'down' });
          if (step.kind === 'schema') await revertSchemaStep(store, ledger, step, options);
          else if (step.kind === 'sql') await revertSqlStep(store, ledger, step);
          else if (step.kind === 'require') await store.write((tx) => ledger.in(tx).deleteStep(name));
          else {
            const found = await revertBackfillStep({ store, ledger, backfill: step, options });
            cells.push({ backfill: name, ...found });
          }
          reverted.push(name);
          options.onEvent?.({ event: 'step_finished', step: name, direction: 'down' });
        },
      }),
  });
  const { work: _, joined: __, ...result } = done;
  return { ...result, reverted, cells };
}
