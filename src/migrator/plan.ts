import { foldCase } from '../db/sql.js';
import { filterEach, mapEach } from '../each.js';
import type { RevertResult } from '../engine/batch.js';
import { withFailingRow } from '../engine/expressions.js';
import type { PlannedScope } from '../engine/plan-rows.js';
import { planRows, sampleRows } from '../engine/plan-rows.js';
import { takeThrown, thrownWarnings } from '../engine/process.js';
import type { ValuesLeft } from '../engine/run-options.js';
import { planSchemaStep } from '../engine/schema-plan.js';
import type { Drift } from '../ledger/steps.js';
import { english } from '../messages/message.js';
import { RUN_OPTIONS } from '../option-table.js';
import { countValuesLeft, requireSteadiness } from '../run/run-checks.js';
import { probeOf } from '../run/waiting.js';
import type { SchemaStepDefinition } from '../steps/schema-step.js';
import type { Step } from '../steps/step.js';
import { inStep } from '../steps/step.js';
import { showValue } from '../verify/times.js';
import { type PlannedBackup, planBackup } from './backup-policy.js';
import { hasRowsToFill } from './change.js';
import { checkDeclarations, refuseOrphans } from './declared.js';
import { besideRun } from './in-progress.js';
import { checkPendingSteps, missingColumns, requireApplied } from './preflight.js';
import {
  type BackfillStep,
  backfillsOf,
  checkDrift,
  inSnapshot,
  type MigratorOptions,
  type Session,
} from './session.js';
import { dueIn, namesOf, planUpWork, type UpTarget } from './up.js';

/** A fill takes about this many times as long as reading and deriving alone: the rest is writing. Measured on 100,000 rows. */
const FILL_OVER_READ = 3;

/** Bytes that an index entry takes beyond its values: header, key, cell pointer, and pages that are not full. */
const INDEX_ENTRY_BYTES = 20;

/** Lock time of a statement that only changes the schema, in milliseconds. */
export const SCHEMA_ONLY_MS = 5;

/** Rows that are shown with the values that they would get. */
const SAMPLES = 10;

/** A statement that would run, with how long other writers would wait for it. */
export interface PlannedDdl {
  readonly sql: string;
  readonly lockMs: number;
}

/** What a run of a backfill would do. */
export interface PlannedFill {
  readonly backfill: string;
  readonly kind: 'first' | 'catch-up' | 'rescan';
  /** Rows in scope with a column to fill. */
  readonly rows: number;
  readonly cellsToFill: Readonly<Record<string, number>>;
  /** Cells or rows that would be skipped, by reason. */
  readonly skips: Readonly<Record<string, number>>;
  /** Of a first run: rows that hold a value already, if there are any. */
  readonly valuesLeft?: ValuesLeft;
  readonly batches: number;
  readonly expectedMs: number;
  /** Growth of the file and its journal, in bytes. */
  readonly diskBytes: number;
  /** Triggers that each update would fire. */
  readonly triggers: readonly string[];
  readonly samples: readonly { readonly key: string; readonly values: Readonly<Record<string, string>> }[];
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
 * Says what `up` would do, reading only: every row in scope is read and derived, nothing is written.
 * Refuses what `up` would refuse, but for triggers, which it lists.
 */
export async function planUp(options: MigratorOptions, target: UpTarget = {}): Promise<Plan> {
  return await inSnapshot(options, async (session) => {
    await refuseOrphans(session, options.project);
    const drifts = checkDrift(options, await session.ledger.steps());
    const work = await planUpWork(session, options, target);
    const pending = [...work.incomplete, ...work.pending];
    const { warnings: found, awaiting } = await checkPendingSteps(session, options.project.steps, pending);
    const warnings = [
      ...found,
      ...(await checkDeclarations(session, options, await dueIn(session, options, work))),
    ];
    // Where a column or an index is made again first, what was lost with it counts as unverified, and is filled before it is verified.
    const unverified = work.unverified.filter((step) => !work.needsCatchUp.includes(step));
    const emptied = await filterEach(
      unverified,
      async (step) => step.kind === 'backfill' && (await hasRowsToFill(session, step)),
    );
    const caughtUp = [...work.needsCatchUp, ...emptied];
    const steps = await mapEach(
      [...work.incomplete, ...caughtUp, ...work.pending],
      async (step): Promise<PlannedStep> => {
        const dependsOn = awaiting.get(step.name);
        if (dependsOn !== undefined) return { step: step.name, statements: [], dependsOn };
        const statements = await plannedStatements(session, step);
        if (step.kind !== 'backfill') return { step: step.name, statements };
        const kind = caughtUp.includes(step) ? 'catch-up' : 'first';
        return { step: step.name, statements, fill: await planFill(session, options, step, kind, warnings) };
      },
    );
    const backup = await planBackup(options, session, { command: 'up', steps: namesOf(work) });
    const verified = work.unverified.filter((step) => !emptied.includes(step));
    return { steps, unverified: verified.map(({ name }) => name), backup, drifts, warnings };
  });
}

/** Says what `backfill` would do, reading only. */
export async function planBackfill(
  options: MigratorOptions,
  { name, rescan = false }: { readonly name?: string | undefined; readonly rescan?: boolean },
): Promise<Plan> {
  const wanted = backfillsOf(options.project, name);
  const warnings: string[] = [];
  return await inSnapshot(options, async (session) => {
    const steps = await mapEach(wanted, async (step): Promise<PlannedStep> => {
      await requireApplied(session, step);
      const fill = await planFill(session, options, step, rescan ? 'rescan' : 'catch-up', warnings);
      return { step: step.name, statements: [], fill };
    });
    const command = rescan ? 'rescan' : 'backfill';
    const backup = await planBackup(options, session, { command, steps: wanted.map((step) => step.name) });
    const drifts = checkDrift(options, await session.ledger.steps());
    warnings.push(...(await checkDeclarations(session, options, wanted)));
    return { steps, unverified: [], backup, drifts, warnings };
  }).catch(async (error: unknown) => {
    throw await besideRun(options, error);
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

async function planFill(
  session: Session,
  options: MigratorOptions,
  step: BackfillStep,
  wanted: PlannedFill['kind'],
  warnings: string[],
): Promise<PlannedFill> {
  const { store, ledger } = session;
  const absent = await missingColumns(store, step);
  const last = await ledger.lastRun(step.name);
  // A run under way goes on behind its cursor; a catch-up begins behind the last watermark where keys only grow.
  const resumed = last?.status === 'running' ? last : undefined;
  const probe = wanted === 'catch-up' ? await probeOf(store, ledger, step) : { after: null, kind: wanted };
  const { kind } = probe;
  const scope: PlannedScope = {
    absent,
    after: resumed ? resumed.cursor : probe.after,
    excludeSkips: kind === 'catch-up',
  };
  await inStep(step, async () => await requireSteadiness(store, step, scope));
  const startedAt = performance.now();
  takeThrown(step);
  const found = await inStep(
    step,
    async () => await withFailingRow(store, step, async () => await planRows(store, step, scope)),
  );
  const thrown = takeThrown(step);
  warnings.push(...thrownWarnings(step, thrown).map(english));
  if (options.showValues)
    // on the log alone: what a dry run prints may be kept
    for (const text of thrownWarnings(step, thrown, true).map(english))
      options.onEvent?.({ event: 'warning', text });
  const readMs = performance.now() - startedAt;
  const cell = (of: 'fill' | 'bytes'): Record<string, number> =>
    Object.fromEntries(step.columns.map(({ name }, i) => [name, found.columns[i]?.[of] ?? 0]));
  const cellsToFill = cell('fill');
  const noValue = found.columns.reduce((sum, { none }) => sum + none, 0);
  const limit = options.batchRows ?? RUN_OPTIONS.batchRows.default;
  const isFresh = !last || (resumed?.kind === 'first' && !(ledger.isShared && resumed.batches > 0));
  const isCounted = kind === 'first' && isFresh;
  const valuesLeft = isCounted ? await countValuesLeft(store, step, scope.after, absent) : undefined;
  return {
    backfill: step.name,
    kind,
    rows: found.rows,
    cellsToFill,
    skips: {
      ...found.failures,
      ...(noValue > 0 ? { NO_USABLE_VALUE: noValue } : {}),
    },
    ...(valuesLeft && valuesLeft.rows > 0 ? { valuesLeft } : {}),
    batches: Math.ceil(found.rows / limit),
    expectedMs: Math.round(readMs * FILL_OVER_READ),
    diskBytes:
      diskNeed(options.project.steps, step, cellsToFill, cell('bytes')) +
      (await store.dialect.estimate(store, step.table, { updatesRows: found.rows })).diskBytes,
    triggers: await store.dialect.updateTriggers(
      store,
      step.table,
      step.columns.map(({ name }) => name),
    ),
    samples: (await sampleRows(store, step, scope, SAMPLES)).map(({ key, values }) => ({
      key: String(key),
      values: Object.fromEntries(step.columns.map(({ name }, i) => [name, showValue(values[i])])),
    })),
  };
}

/** Values in the table and once more in each index that holds the column, standing or to be made. */
function diskNeed(
  steps: readonly Step[],
  step: BackfillStep,
  cells: Readonly<Record<string, number>>,
  bytes: Readonly<Record<string, number>>,
): number {
  const indexes = steps
    .filter(
      (other): other is Step & SchemaStepDefinition =>
        other.kind === 'schema' && foldCase(other.table) === foldCase(step.table),
    )
    .flatMap((other) => other.indexes);
  const need = step.columns.reduce((sum, { name }) => {
    const entries = indexes.filter(({ columns }) =>
      columns.some((column) => foldCase(column) === foldCase(name)),
    ).length;
    return sum + (bytes[name] ?? 0) * (1 + entries) + (cells[name] ?? 0) * entries * INDEX_ENTRY_BYTES;
  }, 0);
  return Math.round(need);
}
