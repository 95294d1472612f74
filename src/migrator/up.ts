import { filterEach } from '../each.js';
import type { ValuesLeft } from '../engine/run-options.js';
import { planSchemaStep } from '../engine/schema-plan.js';
import { BackfillError } from '../errors.js';
import { refuseNewerPackage } from '../ledger/steps.js';
import { msg } from '../messages/message.js';
import type { SchemaStep } from '../run/schema.js';
import { needsCatchUp } from '../run/waiting.js';
import { fingerprint, inStep, type Step } from '../steps/step.js';
import { applyWork, noteFirstRun, type WorkDone } from './apply.js';
import { emptyProbes } from './catching-up.js';
import { changeStore, hasRowsToFill, refuseTriggers } from './change.js';
import { checkDeclarations, refuseOrphans } from './declared.js';
import { checkBackfill, checkPendingSteps, pendingColumns } from './preflight.js';
import { requiredBackfill } from './require-step.js';
import {
  type BackfillStep,
  backfillsOf,
  checkDrift,
  isBackfill,
  type MigratorOptions,
  needsVerification,
  type RunResult,
  type Session,
} from './session.js';
import { refuseVersionTriggers } from './triggers.js';
import { workersOf } from './workers.js';

/** Which steps to apply: all pending ones, those up to a name, or a number of them. */
export interface UpTarget {
  readonly to?: string | undefined;
  readonly step?: number | undefined;
  /** Only these, in this order; applied ones are passed over. */
  readonly names?: readonly string[] | undefined;
  /** Whether backfills are only begun, and what is left of them is left to a later run. Default false. */
  readonly deferBackfills?: boolean | undefined;
}

/** What `up` did. */
export interface UpResult extends RunResult {
  /** Steps applied, in order. */
  readonly applied: readonly string[];
  /** Backfills that were run again for rows that had waited. */
  readonly caughtUp: readonly string[];
  /** Applied steps of which somebody had dropped a column or an index, which was made again. */
  readonly recreated: readonly string[];
  /** Backfills that were left to a later run: to be filled, caught up or verified. */
  readonly deferred: readonly string[];
  /** Backfills of which another process had begun a run that this one took part in: of PostgreSQL only. */
  readonly joined: readonly string[];
  /** First runs that found rows with a value already, which they left as they are. */
  readonly valuesLeft: readonly (ValuesLeft & { readonly backfill: string })[];
}

/** What `up` would have to do on this store. */
export interface UpWork {
  readonly pending: readonly Step[];
  /** Applied schema steps of which a column or an index is missing. */
  readonly incomplete: readonly Step[];
  /** Applied backfills for which rows wait. */
  readonly needsCatchUp: readonly Step[];
  /** Applied backfills that no verification has passed yet. */
  readonly unverified: readonly Step[];
}

/**
 * Finds what `up` has to do, reading only.
 *
 * @param hasWaiting whether rows wait for an applied backfill. Default: as many rows are read as it takes to know
 * @throws {BackfillError} `STEP_UNKNOWN` when `to` or `names` name no step
 */
export async function planUpWork(
  session: Session,
  { project }: MigratorOptions,
  { to, step: count, names }: UpTarget = {},
  hasWaiting = async (step: BackfillStep): Promise<boolean> =>
    await inStep(step, async () => await needsCatchUp(session.store, session.ledger, step)),
): Promise<UpWork> {
  const { store, ledger } = session;
  const { steps } = project;
  const stepOf = (wanted: string): Step => {
    const found = steps.find(({ name }) => name === wanted);
    if (!found) throw unknownStep(wanted, steps);
    return found;
  };
  if (to !== undefined) stepOf(to);
  const candidates = names?.map(stepOf) ?? steps;
  const applied = new Set(
    (await ledger.steps()).filter(({ status }) => status === 'applied').map(({ name }) => name),
  );
  const eligible = candidates.filter(({ name }) => !applied.has(name) && (to === undefined || name <= to));
  const done = backfillsOf(project).filter(({ name }) => applied.has(name));
  const incomplete = await filterEach(
    steps.filter((step): step is SchemaStep => step.kind === 'schema'),
    async (step) => await isIncomplete(session, step),
  );
  const coming = pendingColumns(incomplete);
  for (const step of done) await inStep(step, async () => await checkBackfill(store, step, coming));
  return {
    pending: eligible.slice(0, count),
    incomplete,
    // A column that is missing is made again first; what it held is then found by its verification.
    needsCatchUp: incomplete.length > 0 ? [] : await filterEach(done, hasWaiting),
    unverified: await filterEach(
      done,
      async (step) => incomplete.length > 0 || (await needsVerification(session, step)),
    ),
  };
}

/** Whether a column or an index of an applied step is missing. A declaration that has changed since is drift, not a loss. */
async function isIncomplete({ store, ledger }: Session, step: SchemaStep): Promise<boolean> {
  const record = await ledger.step(step.name);
  const isAsApplied = record?.status === 'applied' && record.fingerprint === fingerprint(step);
  if (!isAsApplied) return false;
  const { first, indexes } = await planSchemaStep(store, step);
  return indexes.length > 0 || first.some(({ creates }) => creates.kind === 'column');
}

/** The error for a step name that the project doesn't have. */
export function unknownStep(name: string, steps: readonly Step[]): BackfillError {
  return new BackfillError(
    'STEP_UNKNOWN',
    msg('There is no step named {name}', { name }),
    msg('The project has: {names}', { names: steps.map((step) => step.name).join(', ') }),
  );
}

/**
 * Applies pending steps, verifies backfills that are not verified yet, and catches up rows that wait. Writes nothing
 * when there is nothing to do.
 *
 * @returns what was done; `error` says what ended it early
 * @throws {BackfillError} when the store or the project is refused before anything is written
 */
export async function up(given: MigratorOptions, target: UpTarget = {}): Promise<UpResult> {
  const done: WorkDone = {
    applied: [],
    caughtUp: [],
    recreated: [],
    completed: [],
    valuesLeft: [],
    unfilled: [],
    warnings: [],
  };
  const options: MigratorOptions = {
    ...given,
    withWorkers: workersOf(given),
    onEvent: (event) => {
      noteFirstRun(event, done);
      given.onEvent?.(event);
    },
  };
  const { found, outcome, joined } = await changeStore(options, {
    command: 'up',
    joinable: !target.deferBackfills,
    plan: async (session, onEvent) => {
      const records = await session.ledger.steps();
      refuseNewerPackage(records);
      await refuseOrphans(session, options.project);
      const drifts = checkDrift(options, records);
      const all = await planUpWork(session, options, target);
      const work = target.deferBackfills ? await withoutBackfills(session, all) : all;
      const left = target.deferBackfills ? backfillsIn(all) : [];
      const { warnings } = await checkPendingSteps(session, options.project.steps, [
        ...work.incomplete,
        ...work.pending,
      ]);
      const fills = await fillsOf(session, options, work);
      warnings.push(...(await checkDeclarations(session, options, await dueIn(session, options, all))));
      for (const text of [...drifts.map((drift) => drift.text), ...warnings])
        onEvent?.({ event: 'warning', text });
      await refuseTriggers(session, fills, { ...options, onEvent });
      await refuseVersionTriggers(session, work.pending, 'up', { ...options, onEvent });
      const isBegun = records.some(({ status }) => status === 'applying');
      const probes = await emptyProbes(session, withoutWork(options.project, all));
      return { drifts, work, left, warnings, isBegun, probes };
    },
    stepsOf: ({ work }) => namesOf(work),
    probesOf: ({ probes }) => probes,
    // What an earlier `up` has begun has taken most of its room already.
    grows: ({ work, isBegun }) => work.pending.length > 0 && !isBegun,
    act: (session, { work }, verifications) =>
      applyWork(session, options, work, target.deferBackfills ?? false, done, verifications),
  });
  const { drifts } = found;
  const { completed, unfilled, ...rest } = done;
  const warnings = [...unfilled, ...found.warnings, ...done.warnings];
  const deferred = found.left.filter((name) => !completed.includes(name));
  return { verifications: [], drifts, ...rest, warnings, deferred, joined, ...outcome };
}

/** Names of the steps that there is work for. */
export const namesOf = (work: UpWork): string[] => [
  ...new Set(Object.values(work).flatMap((steps: readonly Step[]) => steps.map(({ name }) => name))),
];

/** The backfills for which there is something to do. */
const backfillsIn = ({ pending, needsCatchUp, unverified }: UpWork): string[] => [
  ...new Set([...pending, ...needsCatchUp, ...unverified].filter(isBackfill).map(({ name }) => name)),
];

/** The backfills for which there is nothing to do; none while a column may be missing. */
const withoutWork = (project: MigratorOptions['project'], work: UpWork): BackfillStep[] =>
  work.incomplete.length > 0
    ? []
    : backfillsOf(project).filter((step) => !Object.values(work).some((steps) => steps.includes(step)));

/** The backfills that will fill rows: pending ones, those with rows that wait, and what of the others a pending step requires. */
async function fillsOf(
  session: Session,
  { project }: MigratorOptions,
  work: UpWork,
): Promise<BackfillStep[]> {
  const required = work.pending.flatMap((step) =>
    step.kind === 'require' ? requiredBackfill(project.steps, step) : [],
  );
  const done = [...work.needsCatchUp, ...work.unverified, ...required].filter(isBackfill);
  const isOpen = async (step: BackfillStep): Promise<boolean> =>
    (await session.ledger.step(step.name))?.status !== 'applied' || (await hasRowsToFill(session, step));
  return [...new Set([...(await filterEach(done, isOpen)), ...work.pending.filter(isBackfill)])];
}

/** The backfills that will fill rows or be verified. */
export const dueIn = async (
  session: Session,
  options: MigratorOptions,
  work: UpWork,
): Promise<BackfillStep[]> => [
  ...new Set([...(await fillsOf(session, options, work)), ...work.unverified.filter(isBackfill)]),
];

/** The same work without what backfills do: a pending one is only begun, if it has not been. */
const withoutBackfills = async ({ ledger }: Session, work: UpWork): Promise<UpWork> => ({
  ...work,
  pending: await filterEach(
    work.pending,
    async (step) => !isBackfill(step) || !(await ledger.step(step.name)),
  ),
  needsCatchUp: [],
  unverified: [],
});
