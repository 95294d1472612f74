import type { Project } from '../config.js';
import { filterEach } from '../each.js';
import { planSchemaStep } from '../engine/schema.js';
import { BackfillError } from '../errors.js';
import { msg } from '../messages/message.js';
import type { SchemaStep } from '../run/schema.js';
import { needsCatchUp } from '../run/waiting.js';
import { fingerprint, inStep, type Step } from '../steps/step.js';
import { hasRowsToFill } from './fill.js';
import { checkBackfill, pendingColumns } from './preflight.js';
import { type BackfillStep, backfillsOf, isBackfill, requiredBackfill, type Session } from './session.js';
import type { MigrateOptions } from './types.js';

/** The work of `up` on a store. */
export interface UpWork {
  readonly pending: readonly Step[];
  /** Applied schema steps with a missing column or index. */
  readonly incomplete: readonly SchemaStep[];
  /** Applied backfills with rows to catch up. */
  readonly needsCatchUp: readonly BackfillStep[];
  /** Applied backfills that no verification has passed. */
  readonly unverified: readonly BackfillStep[];
}

/**
 * Finds what `up` has to do. Reads only.
 *
 * @param isBehind whether an applied backfill has rows to catch up. Default: reads as many rows as it takes
 * @throws {BackfillError} `STEP_UNKNOWN` if `to` or `migrations` name no step, `USAGE` if `migrations` name an applied one
 */
export async function findUpWork(
  { store, ledger }: Session,
  project: Project,
  { to, step: limit, migrations, rerun }: MigrateOptions = {},
  isBehind = async (step: BackfillStep): Promise<boolean> =>
    await inStep(step, async () => await needsCatchUp(store, ledger, step)),
): Promise<UpWork> {
  const { steps } = project;
  const stepOf = (wanted: string): Step => {
    const found = steps.find(({ name }) => name === wanted);
    if (!found) throw unknownStep(wanted, steps);
    return found;
  };
  const last = to === undefined || to === 0 ? undefined : stepOf(to).name; // `to: 0` is for `down`
  const candidates = migrations?.map(stepOf) ?? steps;
  const records = await ledger.steps();
  const applied = new Set(records.filter(({ status }) => status === 'applied').map(({ name }) => name));
  const again = rerun === 'SKIP' ? undefined : migrations?.find((name) => applied.has(name));
  if (again !== undefined)
    throw new BackfillError(
      'USAGE',
      msg('The step {name} is applied already', { name: again }),
      msg("Leave it out, or pass rerun: 'SKIP'; a backfill runs again with backfill(NAME, { rescan: true })"),
    );
  const eligible = candidates.filter(
    ({ name }) => !applied.has(name) && (last === undefined || name <= last),
  );
  const done = backfillsOf(project).filter(({ name }) => applied.has(name));
  const incomplete = await filterEach(
    steps.filter((step): step is SchemaStep => step.kind === 'schema'),
    async (step) => await isIncomplete({ store, ledger }, step),
  );
  const coming = pendingColumns(incomplete);
  for (const step of done) await inStep(step, async () => await checkBackfill(store, step, coming));
  const hasLost = incomplete.length > 0;
  return {
    pending: eligible.slice(0, limit),
    incomplete,
    // A missing column is recreated first. The verification of its backfill then finds what it contained.
    needsCatchUp: hasLost ? [] : await filterEach(done, isBehind),
    unverified: await filterEach(done, async ({ name }) => hasLost || (await ledger.isUnverified(name))),
  };
}

/** Whether a column or an index of an applied step is missing. A changed declaration is drift, not a loss. */
async function isIncomplete({ store, ledger }: Session, step: SchemaStep): Promise<boolean> {
  const record = await ledger.step(step.name);
  if (record?.status !== 'applied' || record.fingerprint !== fingerprint(step)) return false;
  const { first, indexes } = await planSchemaStep(store, step);
  return indexes.length > 0 || first.some(({ creates }) => creates.kind === 'column');
}

/** Returns the error for a step name that the project does not have. */
export function unknownStep(name: string, steps: readonly Step[]): BackfillError {
  return new BackfillError(
    'STEP_UNKNOWN',
    msg('There is no step named {name}', { name }),
    msg('The project has: {names}', { names: steps.map((step) => step.name).join(', ') }),
  );
}

/** Returns the names of the steps that there is work for. */
export const namesOf = (work: UpWork): string[] => [
  ...new Set(Object.values(work).flatMap((steps: readonly Step[]) => steps.map(({ name }) => name))),
];

/** Returns the backfills that will fill rows: pending ones, applied ones with rows to fill, and unfinished ones that a pending step requires. */
export async function backfillsToFill(
  session: Session,
  project: Project,
  work: UpWork,
): Promise<BackfillStep[]> {
  const required = work.pending.flatMap((step) =>
    step.kind === 'require' ? requiredBackfill(project.steps, step) : [],
  );
  const isOpen = async (step: BackfillStep): Promise<boolean> =>
    (await session.ledger.step(step.name))?.status !== 'applied' || (await hasRowsToFill(session, step));
  const open = await filterEach([...work.needsCatchUp, ...work.unverified, ...required], isOpen);
  return [...new Set([...open, ...work.pending.filter(isBackfill)])];
}

/** Returns the work without that of backfills: pending ones are only started, unless they are already. */
export const withoutBackfills = async ({ ledger }: Session, work: UpWork): Promise<UpWork> => ({
  incomplete: work.incomplete,
  pending: await filterEach(
    work.pending,
    async (step) => !isBackfill(step) || !(await ledger.step(step.name)),
  ),
  needsCatchUp: [],
  unverified: [],
});
