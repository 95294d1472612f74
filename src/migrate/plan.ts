import { foldCase } from '../db/sql.js';
import { filterEach, mapEach } from '../each.js';
import type { RevertResult } from '../engine/batch.js';
import { type PlannedScope, planRows, sampleRows } from '../engine/derive.js';
import { withFailingRow } from '../engine/expressions.js';
import { defaultBatchRows } from '../engine/pace.js';
import { takeThrown, thrownWarnings } from '../engine/process.js';
import { type ValuesLeft, warning } from '../engine/run-options.js';
import { planSchemaStep, reverseStatements } from '../engine/schema.js';
import { BackfillError } from '../errors.js';
import type { Drift } from '../ledger/ledger.js';
import type { Message } from '../messages/message.js';
import { countValuesLeft, requireSteadiness } from '../run/run-checks.js';
import { deleteVersionSql, existingObjects } from '../run/schema.js';
import { probeOf } from '../run/waiting.js';
import { inStep, type Step } from '../steps/step.js';
import { showValue } from '../verify/times.js';
import { type PlannedBackup, planCommand } from './backups.js';
import { prepareDown } from './down.js';
import { hasRowsToFill } from './fill.js';
import type { MigratorOptions } from './options.js';
import { requireApplied } from './preflight.js';
import { planRevert, refuseLostFillers } from './revert-plan.js';
import {
  type BackfillStep,
  backfillsOf,
  checkDrift,
  inSnapshot,
  isBackfill,
  missingColumns,
  type Session,
} from './session.js';
import type { MigrateOptions } from './umzug.js';
import { type BackfillTarget, prepareUp, type UpTarget } from './up.js';
import { checkDeclarations } from './up-work.js';
import { besideRun } from './verify.js';

/** Duration of a fill, relative to reading and deriving alone: the rest is writing. Measured on 100,000 rows. */
const FILL_OVER_READ = 3;

/** Size of an index entry besides its values, in bytes: header, key, cell pointer, and pages that are not full. */
const INDEX_ENTRY_BYTES = 20;

/** Number of rows that are shown with their derived values. */
const SAMPLES = 10;

/** Lock time of a statement that only changes the schema, in milliseconds. */
const SCHEMA_ONLY_MS = 5;

/** A statement that would run. */
interface PlannedDdl {
  readonly sql: string;
  readonly lockMs: number;
}

/** The plan of a run of a backfill. */
export interface PlannedFill {
  readonly backfill: string;
  readonly kind: 'first' | 'catch-up' | 'rescan';
  /** Rows in scope with a column to fill. */
  readonly rows: number;
  readonly cellsToFill: Readonly<Record<string, number>>;
  /** Cells or rows that would be skipped, by reason. */
  readonly skips: Readonly<Record<string, number>>;
  /** For a first run: rows that have a value already; absent if there are none. */
  readonly valuesLeft?: ValuesLeft;
  readonly batches: number;
  readonly expectedMs: number;
  /** Growth of the file and its journal, in bytes. */
  readonly diskBytes: number;
  /** Triggers that each update would fire. */
  readonly triggers: readonly string[];
  readonly samples: readonly {
    readonly key: string;
    readonly values: Readonly<Record<string, Message>>;
  }[];
}

/** A step of a plan. */
export interface PlannedStep {
  readonly step: string;
  readonly statements: readonly PlannedDdl[];
  readonly fill?: PlannedFill;
  /** The plan of `down` for the filled cells, by the ledger. */
  readonly cells?: RevertResult;
  /** SQL step that may create what this step needs. Until it is applied, what this step will do is unknown. */
  readonly dependsOn?: string;
}

/** The plan of a command. */
export interface Plan {
  readonly steps: readonly PlannedStep[];
  readonly unverified: readonly string[];
  /** Backup that would be created first, or null. */
  readonly backup: PlannedBackup | null;
  readonly drifts: readonly Drift[];
  readonly warnings: readonly Message[];
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
      if (!isBackfill(step)) return { step: step.name, statements: await forwardDdl(session, step) };
      const kind = caughtUp.includes(step) ? 'catch-up' : 'first';
      return { step: step.name, statements: [], fill: await planFill(session, options, step, kind, told) };
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
  const warnings: Message[] = [];
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
      if (!isBackfill(step)) return { step: step.name, statements: await reverseDdl(session, step) };
      return { step: step.name, statements: [], cells: await planRevert(session, step) };
    });
    const { backup } = await planCommand(options, session, 'down', names);
    const warnings = await wantingConsent(
      async () => await refuseLostFillers(session, reverts.filter(isBackfill), drifts),
    );
    return { steps, unverified: [], backup, drifts, warnings };
  });
}

const quick = (sql: string): PlannedDdl => ({ sql, lockMs: SCHEMA_ONLY_MS });

async function forwardDdl({ store }: Session, step: Step): Promise<PlannedDdl[]> {
  if (step.kind === 'sql') return step.up.map(quick);
  if (step.kind !== 'schema') return [];
  const { first, indexes } = await planSchemaStep(store, step);
  const lockMs = Math.ceil((await store.dialect.estimate(store, step.table, { createsIndex: true })).lockMs);
  return [...first.map(({ sql }) => quick(sql)), ...indexes.map(({ sql }) => ({ sql, lockMs }))];
}

/** Returns the message of a check that `--yes` would pass, as a warning. */
async function wantingConsent(check: () => Promise<void>): Promise<Message[]> {
  try {
    await check();
    return [];
  } catch (error) {
    if (error instanceof BackfillError && error.hint.includes('--yes')) return [error.texts.message];
    throw error;
  }
}

async function reverseDdl({ store, ledger }: Session, step: Step): Promise<PlannedDdl[]> {
  if (step.kind === 'sql') return (step.down ?? []).map(quick);
  if (step.kind !== 'schema') return [];
  const lockMs = Math.ceil((await store.dialect.estimate(store, step.table, { dropsColumns: 1 })).lockMs);
  const objects = await existingObjects(store, ledger, step);
  const version = objects.find(({ kind }) => kind === 'version');
  return [
    ...reverseStatements(step, objects).map((sql) =>
      sql.startsWith('ALTER') ? { sql, lockMs } : quick(sql),
    ),
    ...(version && step.version ? [quick(deleteVersionSql(step.version, version.name))] : []),
  ];
}

/**
 * Plans a run of a backfill: reads and derives its rows.
 *
 * @param wanted kind of the run; an unfinished run is resumed after its cursor in any case
 * @param warnings receives warnings about rows on which `process` throws
 */
async function planFill(
  session: Session,
  options: MigratorOptions,
  step: BackfillStep,
  wanted: PlannedFill['kind'],
  warnings: Message[],
): Promise<PlannedFill> {
  const { store, ledger } = session;
  const { table } = step;
  const absent = await missingColumns(store, step);
  const last = await ledger.lastRun(step.name);
  const resumed = last?.status === 'running' ? last : undefined;
  const probe = wanted === 'catch-up' ? await probeOf(store, ledger, step) : { after: null, kind: wanted };
  const { kind } = probe;
  const after = resumed ? resumed.cursor : probe.after;
  const scope: PlannedScope = { absent, after, excludeSkips: kind === 'catch-up' };
  await inStep(step, async () => await requireSteadiness(store, step, scope));
  const startedAt = performance.now();
  takeThrown(step);
  const read = async () => await withFailingRow(store, step, async () => await planRows(store, step, scope));
  const found = await inStep(step, read);
  const thrown = takeThrown(step);
  warnings.push(...thrownWarnings(step, thrown));
  // values only in the log, because the output of a dry run may be kept
  const shown = options.showValues ? thrownWarnings(step, thrown, true) : [];
  for (const text of shown) options.onEvent?.(warning(text));
  const readMs = performance.now() - startedAt;
  const names = step.columns.map(({ name }) => name);
  const byColumn = <Value>(get: (i: number) => Value): Record<string, Value> =>
    Object.fromEntries(names.map((name, i) => [name, get(i)]));
  const noValue = found.columns.reduce((sum, { none }) => sum + none, 0);
  const isFresh = !last || (resumed?.kind === 'first' && !(ledger.isShared && resumed.batches > 0));
  const valuesLeft =
    kind === 'first' && isFresh ? await countValuesLeft(store, step, after, absent) : undefined;
  const update = await store.dialect.estimate(store, table, { updatesRows: found.rows });
  return {
    backfill: step.name,
    kind,
    rows: found.rows,
    cellsToFill: byColumn((i) => found.columns[i]?.fill ?? 0),
    skips: { ...found.failures, ...(noValue > 0 ? { NO_USABLE_VALUE: noValue } : {}) },
    ...(valuesLeft && valuesLeft.rows > 0 ? { valuesLeft } : {}),
    batches: Math.ceil(found.rows / (options.batchRows ?? defaultBatchRows(store.dialect.bottleneck, step))),
    expectedMs: Math.round(readMs * FILL_OVER_READ),
    diskBytes: diskNeed(options.project.steps, step, found.columns) + update.diskBytes,
    triggers: await store.dialect.updateTriggers(store, table, names),
    samples: (await sampleRows(store, step, scope, SAMPLES)).map(({ key, values }) => ({
      key: String(key),
      values: byColumn((i) => showValue(values[i])),
    })),
  };
}

/** Returns the bytes of the values in the table, and once more in each existing or declared index with their column. */
function diskNeed(
  steps: readonly Step[],
  { table, columns }: BackfillStep,
  found: readonly { readonly fill: number; readonly bytes: number }[],
): number {
  const isSame = (one: string, other: string): boolean => foldCase(one) === foldCase(other);
  const indexes = steps.flatMap((step) =>
    step.kind === 'schema' && isSame(step.table, table) ? step.indexes : [],
  );
  const need = columns.reduce((sum, { name }, i) => {
    const { bytes = 0, fill = 0 } = found[i] ?? {};
    const entries = indexes.filter((index) => index.columns.some((column) => isSame(column, name))).length;
    return sum + bytes * (1 + entries) + fill * entries * INDEX_ENTRY_BYTES;
  }, 0);
  return Math.round(need);
}
