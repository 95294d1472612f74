import { filterEach } from '../each.js';
import { type ValuesLeft, warning } from '../engine/run-options.js';
import { count } from '../format.js';
import { refuseNewerPackage } from '../ledger/ledger.js';
import { stepStorage } from '../ledger/steps.js';
import { type Message, msg } from '../messages/message.js';
import { beginBackfillStep } from '../run/runner.js';
import { applySchemaStep, applySqlStep } from '../run/schema.js';
import type { Step } from '../steps/step.js';
import { changeStore, type RunResult } from './change.js';
import { applyRequireStep, emptyProbes, type FillContext, fill, hasRowsToFill, verifyOnce } from './fill.js';
import type { MigratorEvent, MigratorOptions } from './options.js';
import { refuseTriggers, requireApplied } from './preflight.js';
import { type BackfillStep, backfillsOf, checkDrift, isBackfill, type Session } from './session.js';
import type { MigrateOptions, RunSteps } from './umzug.js';
import {
  backfillsToFill,
  checkDeclarations,
  checkPendingSteps,
  findUpWork,
  namesOf,
  refuseOrphans,
  type UpWork,
  withoutBackfills,
} from './up-work.js';
import { besideRun } from './verify.js';

/** Which steps to apply. Default: all pending ones. */
export interface UpTarget extends MigrateOptions {
  /** Whether backfills are only begun, and left to a later run. Default false. */
  readonly deferBackfills?: boolean | undefined;
}

/** Result of `up`. */
export interface UpResult extends RunResult {
  /** Steps that were applied, in order. */
  readonly applied: readonly string[];
  /** Applied backfills that were run again for rows to catch up. */
  readonly caughtUp: readonly string[];
  /** Applied steps whose missing columns or indexes were recreated. */
  readonly recreated: readonly string[];
  /** Backfills left to a later run: to be filled, caught up or verified. */
  readonly deferred: readonly string[];
  /** Backfills of another process's run that this command joined; on PostgreSQL only. */
  readonly joined: readonly string[];
  /** First runs that found rows with a value already, which they left as they are. */
  readonly valuesLeft: readonly (ValuesLeft & { readonly backfill: string })[];
}

/**
 * Plans an `up`. Reads only.
 *
 * @returns its work; `deferred`: names of backfills that are left to a later run; `awaiting`: see {@link checkPendingSteps}
 * @throws {BackfillError} if the store or the project is refused, or a code of {@link findUpWork}
 */
export async function prepareUp(session: Session, options: MigratorOptions, target: UpTarget) {
  const { project, onEvent } = options;
  const records = await session.ledger.steps();
  refuseNewerPackage(records);
  await refuseOrphans(session, project);
  const drifts = checkDrift(options, records);
  const all = await findUpWork(session, project, target);
  const work = target.deferBackfills ? await withoutBackfills(session, all) : all;
  const pending = [...work.incomplete, ...work.pending];
  const { warnings: found, awaiting } = await checkPendingSteps(session, project.steps, pending);
  const toFill = await backfillsToFill(session, project, all);
  const due = [...new Set([...toFill, ...all.unverified])];
  const warnings = [...found, ...(await checkDeclarations(session, options, due))];
  for (const text of [...drifts.map((drift) => drift.texts.text), ...warnings]) onEvent?.(warning(text));
  const fills = work === all ? toFill : await backfillsToFill(session, project, work);
  const schema = work.pending.filter((step) => !isBackfill(step));
  await refuseTriggers(session, [...fills, ...schema], 'up', options);
  const names = namesOf(work);
  const idle = backfillsOf(project).filter((step) => !namesOf(all).includes(step.name));
  return {
    ...{ work, names, drifts, warnings, awaiting },
    deferred: target.deferBackfills
      ? namesOf({ ...all, incomplete: [], pending: all.pending.filter(isBackfill) })
      : [],
    probes: await emptyProbes(session, all.incomplete.length > 0 ? [] : idle), // a missing column may be unknown to a probe
    // An unfinished `up` has already taken most of its space.
    grows: work.pending.length > 0 && !records.some(({ status }) => status === 'applying'),
  };
}

/**
 * Applies pending steps, verifies backfills that are not verified, and catches up. Writes nothing if there is nothing to do.
 *
 * @returns what was done; `error` is what ended it early
 * @throws {BackfillError} if it is refused before anything is written
 */
export async function up(given: MigratorOptions, target: UpTarget = {}): Promise<UpResult> {
  const done = { applied: [] as string[], caughtUp: [] as string[], recreated: [] as string[] };
  const valuesLeft: (ValuesLeft & { backfill: string })[] = [];
  const unfilled: Message[] = [];
  let completed: readonly BackfillStep[] = []; // verified, with nothing left to fill
  const options: MigratorOptions = {
    ...given,
    onEvent(event) {
      if (event.event === 'values_left') {
        const { backfill, rows, cells } = event;
        valuesLeft.push({ backfill, rows, cells });
      }
      if (event.event === 'nothing_filled') unfilled.push(nothingFilled(event));
      given.onEvent?.(event);
    },
  };
  let { rerun } = target;
  const { work: plan, ...result } = await changeStore(options, {
    command: 'up',
    joinable: !target.deferBackfills,
    async plan(session, how) {
      const found = await prepareUp(session, how, { ...target, rerun });
      rerun = 'SKIP'; // another command may apply a named step while this one waits for the lock
      return found;
    },
    async act(context, { work }, runSteps) {
      await completeApplied(context, work, done);
      if (work.pending.length === 0) return;
      await applyPending(context, work, done.applied, runSteps, target.deferBackfills ?? false);
      const { session } = context;
      const isComplete = async (step: BackfillStep): Promise<boolean> =>
        !(await session.ledger.isUnverified(step.name)) && !(await hasRowsToFill(session, step));
      if (target.deferBackfills) completed = await filterEach(backfillsOf(given.project), isComplete);
    },
  });
  return {
    ...result,
    ...done,
    valuesLeft,
    warnings: [...unfilled, ...result.warnings],
    deferred: plan.deferred.filter((name) => !completed.some((step) => step.name === name)),
  };
}

function nothingFilled({
  backfill,
  cells,
  skips,
}: Extract<MigratorEvent, { readonly event: 'nothing_filled' }>): Message {
  const reasons = Object.entries(skips).map(([reason, rows]) => `${count(rows)} ${reason}`);
  return msg('The first run of {name} found {cells} cells to fill and filled none of them: {reasons}', {
    name: backfill,
    cells: count(cells),
    reasons,
  });
}

/** Recreates missing columns and indexes, then catches up and verifies applied backfills, because later steps may build on them. */
async function completeApplied(
  context: FillContext,
  { incomplete, needsCatchUp, unverified }: UpWork,
  { recreated, caughtUp }: { readonly recreated: string[]; readonly caughtUp: string[] },
): Promise<void> {
  const { session, options } = context;
  for (const step of incomplete) {
    await applySchemaStep(session.store, session.ledger, step, options);
    recreated.push(step.name);
  }
  for (const step of backfillsOf(options.project)) {
    if (!needsCatchUp.includes(step) && !unverified.includes(step)) continue;
    if (await fill(context, step, 'catch-up')) caughtUp.push(step.name);
    await verifyOnce(context, step, incomplete.length > 0);
  }
}

/** Applies the pending steps in order. A deferred backfill is only begun, before the steps after it. */
async function applyPending(
  context: FillContext,
  { pending, incomplete }: UpWork,
  applied: string[],
  runSteps: RunSteps,
  deferBackfills: boolean,
): Promise<void> {
  const { session, options } = context;
  const { store, ledger } = session;
  const { project, onEvent } = options;
  let hasRunSql = false;
  const checkAfterSql = async (step: Step): Promise<void> => {
    if (!hasRunSql) return;
    await checkPendingSteps(session, project.steps, [step]); // with what the SQL step created
    if (isBackfill(step)) await refuseTriggers(session, [step], 'up', options);
  };
  const deferred = deferBackfills ? pending.filter(isBackfill) : [];
  const beginDeferred = async (isDue: (step: BackfillStep) => boolean): Promise<void> => {
    for (let [step] = deferred; step && isDue(step); [step] = deferred) {
      await checkAfterSql(step);
      await beginBackfillStep({ store, ledger, backfill: step, options });
      deferred.shift();
    }
  };
  await runSteps({
    steps: pending.filter((step) => !deferBackfills || !isBackfill(step)),
    known: project.steps,
    storage: stepStorage(ledger, 'up'),
    async run(step) {
      await beginDeferred(({ name }) => name < step.name);
      const verify = async (): Promise<void> => {
        if (isBackfill(step)) await verifyOnce(context, step, incomplete.length > 0);
      };
      // While a run was shared, another `up` may have applied the step.
      if ((await ledger.step(step.name))?.status === 'applied') return await verify();
      onEvent?.({ event: 'step_started', step: step.name, direction: 'up' });
      await checkAfterSql(step);
      hasRunSql ||= step.kind === 'sql';
      await applyStep(context, step);
      applied.push(step.name);
      onEvent?.({ event: 'step_finished', step: step.name, direction: 'up' });
      await verify(); // a failed check rejects the step, so that later ones do not run
    },
  });
  await beginDeferred(() => true);
}

async function applyStep(context: FillContext, step: Step): Promise<void> {
  const { options, session } = context;
  const { store, ledger } = session;
  if (step.kind === 'schema') await applySchemaStep(store, ledger, step, options);
  else if (step.kind === 'sql') await applySqlStep(store, ledger, step);
  else if (step.kind === 'require') await applyRequireStep(context, step);
  else await fill(context, step, 'first');
}

/** Which applied backfills to run again, and from where. */
export interface BackfillTarget {
  /** Default: all backfills. */
  readonly name?: string | undefined;
  /** Whether to begin at the first key and retry skips. Default false: only rows to catch up. */
  readonly rescan?: boolean | undefined;
}

/** Result of `backfill`. */
export interface BackfillResult extends RunResult {
  /** Backfills that were run again. */
  readonly ran: readonly string[];
}

/**
 * Runs applied backfills again, and verifies those it ran and those that are not verified. Writes nothing if there is nothing to do.
 *
 * @throws {BackfillError} `BACKFILL_UNKNOWN`, `STEP_NOT_APPLIED`, or if the store is refused
 */
export async function backfill(
  options: MigratorOptions,
  { name, rescan = false }: BackfillTarget,
): Promise<BackfillResult> {
  const wanted = backfillsOf(options.project, name);
  const ran: string[] = [];
  const change = async () =>
    await changeStore(options, {
      joinable: !rescan,
      command: rescan ? 'rescan' : 'backfill',
      async plan(session, how) {
        const { ledger } = session;
        const due = await filterEach(wanted, async (step) => {
          await requireApplied(session, step);
          const isDue = rescan || (await hasRowsToFill(session, step));
          if (isDue) await refuseTriggers(session, [step], 'up', how);
          return isDue || (await ledger.isUnverified(step.name));
        });
        const changed = await checkDeclarations(session, how, due);
        for (const text of changed) how.onEvent?.(warning(text));
        const idle = wanted.filter((step) => !due.includes(step));
        return {
          due,
          names: due.map((step) => step.name),
          drifts: checkDrift(how, await ledger.steps()),
          warnings: changed,
          probes: await emptyProbes(session, idle),
        };
      },
      async act(context, { due }) {
        for (const step of due) {
          if (await fill(context, step, rescan ? 'rescan' : 'catch-up')) ran.push(step.name);
          await verifyOnce(context, step);
        }
      },
    });
  const { work: _, joined, ...result } = await besideRun(options, change);
  return { ...result, ran: [...new Set([...joined, ...ran])] };
}
