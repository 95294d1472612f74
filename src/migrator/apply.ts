import { filterEach } from '../each.js';
import type { ValuesLeft } from '../engine/run-options.js';
import { count } from '../format.js';
import { beginBackfillStep } from '../run/runner.js';
import { applySchemaStep } from '../run/schema.js';
import type { Step } from '../steps/step.js';
import { inStep } from '../steps/step.js';
import type { Verification } from '../verify/verify.js';
import { bringUpToDate } from './catching-up.js';
import { hasRowsToFill, refuseTriggers } from './change.js';
import { checkPendingSteps } from './preflight.js';
import {
  type BackfillStep,
  backfillsOf,
  isBackfill,
  type MigratorEvent,
  type MigratorOptions,
  needsVerification,
  type OpenSession,
  type Session,
} from './session.js';
import type { UpWork } from './up.js';
import { verifyAndRecord } from './verify-and-record.js';

/** What `up` has done so far. */
export interface WorkDone {
  readonly applied: string[];
  readonly caughtUp: string[];
  readonly recreated: string[];
  /** Backfills that a step behind them required, when they were to be left. */
  readonly completed: string[];
  readonly valuesLeft: (ValuesLeft & { readonly backfill: string })[];
  /** A warning for each first run that filled none of the cells that it found. */
  readonly unfilled: string[];
  readonly warnings: string[];
}

/** Keeps what a first run tells beside its batches. */
export function noteFirstRun(event: MigratorEvent, { valuesLeft, unfilled }: WorkDone): void {
  if (event.event === 'values_left') {
    const { backfill, rows, cells } = event;
    valuesLeft.push({ backfill, rows, cells });
  }
  if (event.event !== 'nothing_filled') return;
  const reasons = Object.entries(event.skips).map(([reason, skips]) => `${count(skips)} ${reason}`);
  unfilled.push(
    `The first run of ${event.backfill} found ${count(event.cells)} cells to fill and filled none of them: ${reasons.join(', ')}`,
  );
}

/** Whether nothing is left to do for a backfill. */
const isComplete = async (session: Session, step: BackfillStep): Promise<boolean> =>
  (await session.ledger.step(step.name))?.status === 'applied' &&
  !(await needsVerification(session, step)) &&
  !(await hasRowsToFill(session, step));

/** Does the work of an `up`: steps that are incomplete, backfills with something to do, then what is pending, in order. */
export async function applyWork(
  session: OpenSession,
  options: MigratorOptions,
  work: UpWork,
  deferBackfills: boolean,
  done: WorkDone,
  verifications: Verification[],
): Promise<void> {
  const { store, ledger } = session;
  const verify = async (step: Step): Promise<void> => {
    if (step.kind !== 'backfill') return;
    // Another process that shared the run may have verified it by now.
    if (work.incomplete.length === 0 && !(await needsVerification(session, step))) return;
    await inStep(step, async () => verifyAndRecord(session, step, options, verifications));
  };
  for (const step of work.incomplete) {
    if (step.kind !== 'schema') continue;
    await applySchemaStep(store, ledger, step);
    done.recreated.push(step.name);
  }
  // A backfill that an earlier `up` has filled but not verified comes first: later steps may build on it.
  for (const step of backfillsOf(options.project)) {
    if (!work.needsCatchUp.includes(step) && !work.unverified.includes(step)) continue;
    if (await inStep(step, async () => bringUpToDate(session, step, options, done.warnings)))
      done.caughtUp.push(step.name);
    await verify(step);
  }
  if (work.pending.length === 0) return;
  const { buildUmzug } = await import('./umzug.js');
  const umzug = buildUmzug(session, options, 'up', { verifications, warnings: done.warnings });
  umzug.on('migrating', async ({ name }) => {
    options.onEvent?.({ event: 'step_started', step: name, direction: 'up' });
    await options.onUmzugEvent?.('migrating', name);
  });
  // The post-hook: umzug has the step logged by now, and a throw here stops the steps behind it.
  umzug.on('migrated', async ({ name }) => {
    done.applied.push(name);
    options.onEvent?.({ event: 'step_finished', step: name, direction: 'up' });
    await options.onUmzugEvent?.('migrated', name);
    for (const step of work.pending) if (step.name === name) await verify(step);
  });
  let hasRunSql = false;
  for (const step of work.pending) {
    // Behind a fill that is shared, another `up` may have had its turn, and have applied what was pending.
    if ((await ledger.step(step.name))?.status === 'applied') {
      await verify(step);
      continue;
    }
    if (hasRunSql) {
      await checkPendingSteps(session, options.project.steps, [step]); // on what plain SQL has made
      if (isBackfill(step)) await refuseTriggers(session, [step], options);
    }
    hasRunSql ||= step.kind === 'sql';
    if (deferBackfills && isBackfill(step)) await beginBackfillStep(store, ledger, step, options);
    else await umzug.up({ migrations: [step.name] });
  }
  if (!deferBackfills) return;
  const complete = await filterEach(
    backfillsOf(options.project),
    async (step) => await isComplete(session, step),
  );
  done.completed.push(...complete.map(({ name }) => name));
}
