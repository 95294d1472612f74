import { filterEach, mapEach } from '../each.js';
import type { RevertResult } from '../engine/batch.js';
import { planSchemaStep, reverseStatements } from '../engine/schema-plan.js';
import { BackfillError } from '../errors.js';
import type { Drift } from '../ledger/steps.js';
import { deleteVersionSql, existingObjects } from '../run/schema.js';
import type { Step } from '../steps/step.js';
import type { BackfillTarget } from './backfill.js';
import { type PlannedBackup, planCommand } from './backup-policy.js';
import { checkDeclarations, refuseLostFillers } from './declared.js';
import { prepareDown } from './down.js';
import { hasRowsToFill } from './fill.js';
import type { MigratorOptions } from './options.js';
import { type PlannedFill, planFill } from './plan-fill.js';
import { requireApplied } from './preflight.js';
import { planRevert } from './revert-plan.js';
import { backfillsOf, checkDrift, inSnapshot, isBackfill, type Session } from './session.js';
import type { MigrateOptions } from './types.js';
import { prepareUp, type UpTarget } from './up.js';
import { besideRun } from './verify.js';

/** Lock time of a statement that only changes the schema, in milliseconds. */
const SCHEMA_ONLY_MS = 5;

/** A statement that would run, with how long other writers would wait for it. */
export interface PlannedDdl {
  readonly sql: string;
  readonly lockMs: number;
}

/** One step of a plan. */
export interface PlannedStep {
  readonly step: string;
  readonly statements: readonly PlannedDdl[];
  readonly fill?: PlannedFill;
  /** What a `down` would do with the cells that the ledger says were filled. */
  readonly cells?: RevertResult;
  /** The step of plain SQL that may make what this one needs: what it will do is known once that is applied. */
  readonly dependsOn?: string;
}

/** What a command would do. */
export interface Plan {
  readonly steps: readonly PlannedStep[];
  readonly unverified: readonly string[];
  /** The backup that would be made first, or null. */
  readonly backup: PlannedBackup | null;
  readonly drifts: readonly Drift[];
  readonly warnings: readonly string[];
}

/**
 * Plans an `up`: reads and derives every row in scope, and writes nothing.
 *
 * @throws {BackfillError} if `up` would be refused, except for triggers, which the plan lists
 */
export async function planUp(options: MigratorOptions, target: UpTarget = {}): Promise<Plan> {
  return await inSnapshot(options, async (session) => {
    const quiet = { ...options, allowTriggers: true, onEvent: undefined };
    const { work, names, drifts, warnings, awaiting } = await prepareUp(session, quiet, target);
    const told = [...warnings];
    // If a column is recreated first, its backfill counts as unverified, and is filled before it is verified.
    const unverified = work.unverified.filter((step) => !work.needsCatchUp.includes(step));
    const emptied = await filterEach(unverified, async (step) => await hasRowsToFill(session, step));
    const caughtUp: readonly Step[] = [...work.needsCatchUp, ...emptied];
    const planStep = async (step: Step): Promise<PlannedStep> => {
      const dependsOn = awaiting.get(step.name);
      if (dependsOn !== undefined) return { step: step.name, statements: [], dependsOn };
      const statements = await plannedStatements(session, step);
      if (!isBackfill(step)) return { step: step.name, statements };
      const kind = caughtUp.includes(step) ? 'catch-up' : 'first';
      return { step: step.name, statements, fill: await planFill(session, options, step, kind, told) };
    };
    const steps = await mapEach([...work.incomplete, ...caughtUp, ...work.pending], planStep);
    const { backup } = await planCommand(options, session, 'up', names);
    const verified = work.unverified.filter((step) => !emptied.includes(step));
    return { steps, unverified: verified.map(({ name }) => name), backup, drifts, warnings: told };
  });
}

/** Plans a `backfill`. Reads only. */
export async function planBackfill(
  options: MigratorOptions,
  { name, rescan = false }: BackfillTarget,
): Promise<Plan> {
  const wanted = backfillsOf(options.project, name);
  const warnings: string[] = [];
  const plan = async (session: Session): Promise<Plan> => {
    const steps = await mapEach(wanted, async (step): Promise<PlannedStep> => {
      await requireApplied(session, step);
      const fill = await planFill(session, options, step, rescan ? 'rescan' : 'catch-up', warnings);
      return { step: step.name, statements: [], fill };
    });
    const names = wanted.map((step) => step.name);
    const { backup } = await planCommand(options, session, rescan ? 'rescan' : 'backfill', names);
    const drifts = checkDrift(options, await session.ledger.steps());
    warnings.push(...(await checkDeclarations(session, options, wanted)));
    return { steps, unverified: [], backup, drifts, warnings };
  };
  return await besideRun(options, async () => await inSnapshot(options, plan));
}

/**
 * Plans a `down`. Reads only.
 *
 * @throws {BackfillError} if `down` would be refused, except for what `--yes` allows, which is a warning of the plan
 */
export async function planDown(options: MigratorOptions, target: MigrateOptions = {}): Promise<Plan> {
  return await inSnapshot(options, async (session) => {
    const quiet = { ...options, confirmed: true, allowTriggers: true, onEvent: undefined };
    const { reverts, names, drifts } = await prepareDown(session, quiet, target);
    const steps = await mapEach(reverts, async (step): Promise<PlannedStep> => {
      const statements = await reverseDdl(session, step);
      if (!isBackfill(step)) return { step: step.name, statements };
      return { step: step.name, statements, cells: await planRevert(session, step) };
    });
    const { backup } = await planCommand(options, session, 'down', names);
    const warnings = await wantingConsent(
      async () => await refuseLostFillers(session, reverts.filter(isBackfill), drifts),
    );
    return { steps, unverified: [], backup, drifts, warnings };
  });
}

async function plannedStatements({ store }: Session, step: Step): Promise<PlannedDdl[]> {
  if (step.kind === 'sql') return step.up.map((sql) => ({ sql, lockMs: SCHEMA_ONLY_MS }));
  if (step.kind !== 'schema') return [];
  const { first, indexes } = await planSchemaStep(store, step);
  const lockMs = Math.ceil((await store.dialect.estimate(store, step.table, { createsIndex: true })).lockMs);
  return [
    ...first.map(({ sql }) => ({ sql, lockMs: SCHEMA_ONLY_MS })),
    ...indexes.map(({ sql }) => ({ sql, lockMs })),
  ];
}

/** Returns the message of a check that `--yes` would pass, as a warning. */
async function wantingConsent(check: () => Promise<void>): Promise<string[]> {
  try {
    await check();
    return [];
  } catch (error) {
    if (error instanceof BackfillError && error.hint.includes('--yes')) return [error.message];
    throw error;
  }
}

async function reverseDdl({ store, ledger }: Session, step: Step): Promise<PlannedDdl[]> {
  if (step.kind === 'sql') return (step.down ?? []).map((sql) => ({ sql, lockMs: SCHEMA_ONLY_MS }));
  if (step.kind !== 'schema') return [];
  const lockMs = Math.ceil((await store.dialect.estimate(store, step.table, { dropsColumns: 1 })).lockMs);
  const objects = await existingObjects(store, ledger, step);
  const version = objects.find(({ kind }) => kind === 'version');
  return [
    ...reverseStatements(step, objects).map((sql) => ({
      sql,
      lockMs: sql.startsWith('ALTER') ? lockMs : SCHEMA_ONLY_MS,
    })),
    ...(version && step.version
      ? [{ sql: deleteVersionSql(step.version, version.name), lockMs: SCHEMA_ONLY_MS }]
      : []),
  ];
}
