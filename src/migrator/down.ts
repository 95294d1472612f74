import { mapEach } from '../each.js';
import type { RevertResult } from '../engine/batch.js';
import { BackfillError } from '../errors.js';
import { refuseDamagedCells } from '../ledger/cells.js';
import { EXTERNAL, type StepRecord } from '../ledger/records.js';
import { msg } from '../messages/message.js';
import { checkDataLoss, checkLockTime, checkRevertible } from '../run/schema.js';
import { hasDown, type Step } from '../steps/step.js';
import { changeStore, refuseTriggers } from './change.js';
import { refuseLostFillers, withRecalled } from './declared.js';
import { checkDrift, isBackfill, type MigratorOptions, type RunResult, type Session } from './session.js';
import { refuseVersionTriggers } from './triggers.js';
import { unknownStep } from './up.js';

/** Which steps to revert: the last, down to and including a name, all (`0`), or a number of them. */
export interface DownTarget {
  readonly to?: string | 0 | undefined;
  readonly step?: number | undefined;
  /** Only these, in this order. */
  readonly names?: readonly string[] | undefined;
}

/** What `down` did. */
export interface DownResult extends RunResult {
  /** Steps reverted, in order. */
  readonly reverted: readonly string[];
  /** Cells that each backfill took back and kept. */
  readonly cells: readonly ({ readonly backfill: string } & RevertResult)[];
}

/**
 * Finds the steps that `down` reverts, last first. A step that was begun and not finished counts.
 *
 * @throws {BackfillError} `STEP_UNKNOWN`, `STEP_NOT_APPLIED`, `STEP_FILE_MISSING`, `STEP_IRREVERSIBLE`
 */
export function findReverts(
  records: readonly StepRecord[],
  steps: readonly Step[],
  { to, step: count, names }: DownTarget,
): Step[] {
  const begun = records
    .filter(({ kind }) => kind !== EXTERNAL)
    .map(({ name }) => name)
    .reverse();
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
        msg('The step {step} is applied, but its file is gone, so that it can not be reverted', {
          step: name,
        }),
        msg('Put the step file back, then run the same command again'),
      );
    }
    if (!hasDown(step)) {
      throw new BackfillError(
        'STEP_IRREVERSIBLE',
        msg('The step {step} has no `down`', { step: name }),
        msg('Give it a `down`, or stop before it with --to NAME'),
      );
    }
    return step;
  });
}

/**
 * Refuses what can be known before anything is reverted, and tells how long the write lock will be held. Columns' values
 * are looked at again later, after their backfill's `down`.
 */
export async function checkReverts(
  { store, ledger }: Session,
  reverts: readonly Step[],
  { confirmed = false, onEvent }: Pick<MigratorOptions, 'confirmed' | 'onEvent'>,
): Promise<void> {
  await mapEach(reverts, async (step, i) => {
    if (step.kind === 'backfill') await refuseDamagedCells(ledger, step.name);
    if (step.kind !== 'schema') return;
    await checkRevertible(store, ledger, step);
    if (i === 0) await checkDataLoss(store, ledger, step, { confirmed });
    const estimate = await checkLockTime(store, ledger, step, { confirmed });
    if (estimate)
      onEvent?.({
        event: 'lock_estimated',
        step: step.name,
        lockMs: Math.ceil(estimate.lockMs),
        diskBytes: estimate.diskBytes,
      });
  });
}

/**
 * Reverts steps, last first.
 *
 * @returns what was done; `error` says what ended it early
 * @throws {BackfillError} when it is refused before anything is written
 */
export async function down(options: MigratorOptions, target: DownTarget = {}): Promise<DownResult> {
  const reverted: string[] = [];
  const cells: ({ backfill: string } & RevertResult)[] = [];
  const { found, outcome } = await changeStore(options, {
    command: 'down',
    plan: async (session, onEvent) => {
      const records = await session.ledger.steps();
      const project = await withRecalled(session, options.project);
      const reverts = findReverts(records, project.steps, target);
      const drifts = checkDrift(options, records);
      const backfills = reverts.filter(isBackfill);
      if (!options.confirmed) await refuseLostFillers(session, backfills, drifts);
      await refuseTriggers(session, backfills, { ...options, onEvent });
      await refuseVersionTriggers(session, reverts, 'down', { ...options, onEvent });
      await checkReverts(session, reverts, { ...options, onEvent });
      for (const { text } of drifts) onEvent?.({ event: 'warning', text });
      return { drifts, reverts, project };
    },
    stepsOf: ({ reverts }) => reverts.map(({ name }) => name),
    largestTransaction: async ({ store }, { reverts }) =>
      Math.max(
        0,
        ...(await mapEach(reverts, async (step) =>
          step.kind === 'schema'
            ? (
                await store.dialect.estimate(store, step.table, { dropsColumns: 1 })
              ).diskBytes
            : 0,
        )),
      ),
    act: async (session, { reverts, project }, verifications) => {
      const { buildUmzug } = await import('./umzug.js');
      const onReverted = (backfill: string, result: RevertResult): void =>
        void cells.push({ backfill, ...result });
      const umzug = buildUmzug(session, { ...options, project }, 'down', {
        verifications,
        warnings: [],
        onReverted,
      });
      umzug.on('reverting', async ({ name }) => {
        options.onEvent?.({ event: 'step_started', step: name, direction: 'down' });
        await options.onUmzugEvent?.('reverting', name);
      });
      umzug.on('reverted', async ({ name }) => {
        reverted.push(name);
        options.onEvent?.({ event: 'step_finished', step: name, direction: 'down' });
        await options.onUmzugEvent?.('reverted', name);
      });
      await umzug.down({ migrations: reverts.map(({ name }) => name) });
    },
  });
  return { verifications: [], warnings: [], drifts: found.drifts, reverted, cells, ...outcome };
}
