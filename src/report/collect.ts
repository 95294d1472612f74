import { mapEach } from '../each.js';
import { BackfillError } from '../errors.js';
import type { SkipGroup } from '../ledger/batches.js';
import type { CommandRecord } from '../ledger/ledger.js';
import type { RunRecord, StepRecord } from '../ledger/records.js';
import type { VerificationRecord } from '../ledger/runs.js';
import type { MigratorOptions } from '../migrate/options.js';
import { requireApplied } from '../migrate/preflight.js';
import {
  type BackfillStep,
  backfillsOf,
  inTransaction,
  type OpenSession,
  type Session,
  withStore,
} from '../migrate/session.js';
import { besideRun } from '../migrate/verify.js';
import { checkRequirements } from '../run/schema.js';
import { inStep } from '../steps/step.js';
import { type Verification, verifyBackfill } from '../verify/verify.js';
import { type BatchPoint, batchPoints } from './batch-points.js';
import { type LagSeries, lagSeries } from './lag-series.js';

/** A step of the project or the ledger. */
export interface StepFacts {
  readonly name: string;
  readonly kind: string;
  readonly record: StepRecord | undefined;
}

/** Facts about one backfill. */
export interface BackfillFacts {
  readonly step: BackfillStep;
  /** Undefined if it could not be verified; see `verifyError`. */
  readonly verification: Verification | undefined;
  readonly verifyError: BackfillError | undefined;
  /** The last runs, in their order. */
  readonly runs: readonly RunRecord[];
  readonly runCount: number;
  /** The last recorded verdicts, in their order. */
  readonly verdicts: readonly VerificationRecord[];
  readonly points: readonly BatchPoint[];
  readonly batchCount: number;
  /** Undefined if the backfill configures no lag or could not be verified. */
  readonly lag: LagSeries | undefined;
  readonly skips: readonly SkipGroup[];
}

/** Facts of a report, all read from the store, without the contents of payloads. */
export interface ReportFacts {
  readonly path: string;
  readonly storeBytes: number;
  readonly generatedAt: Date;
  readonly steps: readonly StepFacts[];
  readonly backfills: readonly BackfillFacts[];
  /** The last commands that changed the store, in their order. */
  readonly commands: readonly CommandRecord[];
}

/** Options of {@link collect}. */
export interface CollectOptions {
  /** Verifications of the same command; backfills without one are verified. Default: none. */
  readonly verifications?: readonly Verification[] | undefined;
}

/** Maximum number of runs, of verdicts and of commands. */
const MAX_EVENTS = 200;

/** Maximum number of keys per reason for skips. */
const MAX_SKIP_KEYS = 300;

/**
 * Reads the facts of a report. Writes nothing, and keeps counts, not rows: apart from the four bytes per row for the verification's exact
 * percentiles, memory does not grow with the store.
 *
 * @throws {BackfillError} if the store is refused
 */
export async function collect(
  options: MigratorOptions,
  { verifications = [] }: CollectOptions = {},
): Promise<ReportFacts> {
  const { project, now = () => new Date() } = options;
  const backfills = backfillsOf(project);
  return await withStore(options, 'read', async (session) => {
    const { store } = session;
    await store.snapshot(async (tx) => await checkRequirements(tx, project.config.requires));
    const verified = new Map<string, Verification | BackfillError>();
    for (const step of backfills) {
      const known = verifications.findLast(({ backfill }) => backfill === step.name);
      verified.set(step.name, known ?? (await verifyOrRefuse(session, step, options, now)));
    }
    return await store.snapshot(async (tx) => {
      const snapshot = inTransaction(session, tx);
      const { ledger } = snapshot;
      const records = await ledger.steps();
      const names = [...project.steps, ...records].map(({ name }) => name);
      return {
        path: store.name,
        storeBytes: (await tx.size()).bytes,
        generatedAt: now(),
        steps: [...new Set(names)].sort().map((name) => {
          const record = records.find((step) => step.name === name);
          const step = project.steps.find((candidate) => candidate.name === name);
          return { name, kind: step?.kind ?? record?.kind ?? '', record };
        }),
        backfills: await mapEach(
          backfills,
          async (step) => await factsOf(snapshot, step, verified.get(step.name)),
        ),
        commands: await ledger.commands(MAX_EVENTS),
      };
    });
  });
}

/** Verifies a backfill, or returns the error if it is not applied or its columns no longer exist. */
async function verifyOrRefuse(
  session: OpenSession,
  step: BackfillStep,
  options: MigratorOptions,
  now: () => Date,
): Promise<Verification | BackfillError> {
  const { project, parallelMinBytes } = options;
  const { store, ledger } = session;
  try {
    await besideRun(
      options,
      async () => await store.snapshot(async (tx) => await requireApplied(inTransaction(session, tx), step)),
    );
  } catch (error) {
    if (error instanceof BackfillError && UNVERIFIABLE.has(error.code)) return error;
    throw error;
  }
  return await inStep(step, async () =>
    verifyBackfill(store, ledger, step, project.steps, { parallelMinBytes, now }),
  );
}

/** Codes of a backfill that cannot be verified in its current state. All others mean that the store cannot be read. */
const UNVERIFIABLE: ReadonlySet<string> = new Set([
  'STEP_NOT_APPLIED',
  'TABLE_MISSING',
  'COLUMN_MISSING',
  'KEY_UNSUITABLE',
  'SCHEMA_BLOCKED',
  'STEP_INVALID',
]);

async function factsOf(
  { store, ledger }: Session,
  step: BackfillStep,
  found: Verification | BackfillError | undefined,
): Promise<BackfillFacts> {
  const { name } = step;
  const verifyError = found instanceof BackfillError ? found : undefined;
  const verification = found instanceof BackfillError ? undefined : found;
  const runs = await ledger.runs(name);
  const batches = await ledger.batchTimes(name);
  return {
    step,
    verification,
    verifyError,
    runs: runs.slice(-MAX_EVENTS),
    runCount: runs.length,
    verdicts: await ledger.verdicts(name, MAX_EVENTS),
    points: batchPoints(batches),
    batchCount: batches.length,
    lag: verification ? await lagSeries(store, step) : undefined,
    skips: await ledger.skipGroups(name, MAX_SKIP_KEYS),
  };
}
