import type { Project } from '../config.js';
import type { Store } from '../db/connection.js';
import { filterEach, flatMapEach } from '../each.js';
import { processWarning, requireSameDeclaration } from '../engine/filled-by.js';
import { planSchemaStep } from '../engine/schema.js';
import { BackfillError } from '../errors.js';
import type { Ledger } from '../ledger/ledger.js';
import { type Message, msg } from '../messages/message.js';
import { existingObjects, type SchemaStep } from '../run/schema.js';
import { needsCatchUp } from '../run/waiting.js';
import { shellWord } from '../shell.js';
import { atStep, fingerprint, inStep, type Step } from '../steps/step.js';
import { hasRowsToFill } from './fill.js';
import type { MigratorOptions } from './options.js';
import { checkBackfill, pendingColumns } from './preflight.js';
import { type BackfillStep, backfillsOf, isBackfill, requiredBackfill, type Session } from './session.js';
import type { MigrateOptions } from './umzug.js';

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
  const due = [...work.needsCatchUp, ...work.unverified, ...required];
  const open = await filterEach(due, async (step) => await hasRowsToFill(session, step));
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

/**
 * Refuses backfills that would continue with a changed declaration.
 *
 * @param due backfills that will be filled or verified
 * @returns warnings about functions of which only the text changed, and about changed declarations of finished backfills
 * @throws {BackfillError} `STEP_DRIFTED`, `PROCESS_CHANGED`
 */
export async function checkDeclarations(
  { store, ledger }: Session,
  { project, confirmed }: Pick<MigratorOptions, 'project' | 'confirmed'>,
  due: readonly BackfillStep[],
): Promise<Message[]> {
  for (const step of due) await requireSameDeclaration(store, ledger, step, confirmed);
  const warnings = await flatMapEach(backfillsOf(project), async (step) => [
    await processWarning(store, ledger, step),
    await declarationWarning(ledger, step),
  ]);
  return warnings.filter((text) => text !== undefined);
}

/**
 * Refuses a project without the file of an unfinished backfill: under a new name, it would be started a second time.
 *
 * @throws {BackfillError} `STEP_FILE_MISSING`
 */
export async function refuseOrphans({ ledger }: Session, project: Project): Promise<void> {
  const [orphan] = await orphansOf(ledger, project);
  if (orphan === undefined) return;
  throw new BackfillError(
    'STEP_FILE_MISSING',
    msg('The step {name} is not finished, and its file is missing', { name: orphan }),
    msg('Put the file back, then run the same command again; or revert it: umzug-backfill down --to {name}', {
      name: shellWord(orphan),
    }),
  );
}

/** Returns the names of unfinished backfills whose file no longer exists. */
export async function orphansOf(ledger: Ledger, { steps, isPart }: Project): Promise<string[]> {
  if (isPart) return [];
  const orphans = await filterEach(await ledger.steps(), async ({ name, kind, status }) => {
    if (kind !== 'backfill' || steps.some((step) => step.name === name)) return false;
    return status !== 'applied' || (await ledger.isUnverified(name));
  });
  return orphans.map(({ name }) => name);
}

/** Returns what to do about cells that an earlier declaration of a finished backfill filled or left. */
async function declarationWarning(ledger: Ledger, step: BackfillStep): Promise<Message | undefined> {
  const { name } = step;
  const record = await ledger.step(name);
  if (record?.status !== 'applied' || record.fingerprint === fingerprint(step)) return undefined;
  const [scan, down] = [shellWord(name), shellWord(name)];
  return msg(
    'The current declaration of {name} fills later rows: umzug-backfill backfill {scan} --rescan fills NULL cells with it, and umzug-backfill down --to {down}, then umzug-backfill up, all cells',
    { name, scan, down },
  );
}

/**
 * Checks that pending steps can run on this store. Reads only. What is refused after a pending SQL step is checked again when that has run,
 * because it may create the table.
 *
 * @param steps steps of the project
 * @returns warnings, and `awaiting`: steps that cannot be checked yet, each with the SQL step before it that may create what they need
 * @throws {BackfillError} `STEP_INVALID`, `TABLE_MISSING`, `COLUMN_MISSING`, `KEY_UNSUITABLE`, `SCHEMA_BLOCKED`, a `VERSION_…` or a `STORE_…` code
 */
export async function checkPendingSteps(
  { store, ledger }: Session,
  steps: readonly Step[],
  pending: readonly Step[],
) {
  const warnings: Message[] = [];
  const awaiting = new Map<string, string>();
  let sqlStep: string | undefined;
  const coming = new Set<string>(); // columns that earlier pending steps create, as `table.column`
  for (const step of pending) {
    if (step.kind === 'sql') sqlStep = step.name;
    await store.dialect.checkStep(store, step);
    if (step.kind === 'require') requiredBackfill(steps, step);
    if (step.kind !== 'schema' && step.kind !== 'backfill') continue;
    try {
      await requireTable(store, step.table);
      if (step.kind === 'schema') {
        const existing = await existingObjects(store, ledger, step);
        const plan = await planSchemaStep(store, step);
        warnings.push(...(await store.dialect.preflightUp(store, step, plan, existing)));
      } else {
        await checkBackfill(store, step, coming);
        await store.dialect.checkKeyValues(store, step);
      }
    } catch (error) {
      if (sqlStep === undefined || !(error instanceof BackfillError)) throw atStep(error, step);
      awaiting.set(step.name, sqlStep);
    }
    if (step.kind === 'schema') for (const name of pendingColumns([step])) coming.add(name);
  }
  return { warnings, awaiting };
}

async function requireTable(store: Store, table: string): Promise<void> {
  if (await store.dialect.hasTable(store, table)) return;
  throw new BackfillError(
    'TABLE_MISSING',
    msg('The store has no table {table}', { table }),
    missingTableHint(store, table),
  );
}

function missingTableHint(store: Store, table: string): Message {
  const isOfServer = store.files === undefined;
  const [, schema, name] = /^([^.]+)\.([^.]+)$/.exec(table) ?? [];
  if (schema !== undefined && name !== undefined)
    return isOfServer
      ? msg(
          "Declare table: '{name}', without a schema, and add ?options=-csearch_path%3D{schema} to the URL: tables are found through the search path",
          { name, schema },
        )
      : msg("Declare table: '{name}', without a schema", { name });
  return isOfServer
    ? msg(
        'Pass the database of the application with --database-url, add ?options=-csearch_path%3DNAME to the URL if the table is in another schema, or fix the declaration',
      )
    : msg('Pass the path of a store of the application with --db-path, or fix the declaration');
}
