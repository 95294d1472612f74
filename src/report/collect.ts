import { mapEach } from '../each.js';
import { BackfillError } from '../errors.js';
import type { Verification } from '../index.js';
import type { BatchTime } from '../ledger/batches.js';
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
import { verifyBackfill } from '../verify/verify.js';
import { lagSeries } from './lag-series.js';

/** Facts of a report, all read from the store, without the contents of payloads. */
export type ReportFacts = Awaited<ReturnType<typeof collect>>;

/** Facts about one backfill. */
export type BackfillFacts = Awaited<ReturnType<typeof factsOf>>;

/** Maximum number of runs, of verdicts and of commands. */
const MAX_EVENTS = 200;

/** Maximum number of keys per reason for skips. */
const MAX_SKIP_KEYS = 300;

/**
 * Reads the facts of a report. Writes nothing, and keeps counts, not rows: apart from the four bytes per row for the verification's exact
 * percentiles, memory does not grow with the store.
 *
 * @param verifications verifications of the same command; backfills without one are verified
 * @throws {BackfillError} if the store is refused
 */
export async function collect(options: MigratorOptions, verifications: readonly Verification[]) {
  const { project, now = () => new Date() } = options;
  const backfills = backfillsOf(project);
  return await withStore(options, 'read', async (session) => {
    const { store } = session;
    await store.snapshot(async (tx) => await checkRequirements(tx, project.config.requires));
    const verified = await mapEach(backfills, async (step) => {
      const known = verifications.findLast(({ backfill }) => backfill === step.name);
      return { step, found: known ?? (await verifyOrRefuse(session, step, options, now)) };
    });
    return await store.snapshot(async (tx) => {
      const snapshot = inTransaction(session, tx);
      const { ledger } = snapshot;
      const records = await ledger.steps();
      const names = [...project.steps, ...records].map(({ name }) => name);
      return {
        path: store.name,
        storeBytes: (await tx.size()).bytes,
        generatedAt: now(),
        /** The steps of the project and the ledger. */
        steps: [...new Set(names)].sort().map((name) => {
          const record = records.find((step) => step.name === name);
          const step = project.steps.find((candidate) => candidate.name === name);
          return { name, kind: step?.kind ?? record?.kind ?? '', record };
        }),
        backfills: await mapEach(verified, async ({ step, found }) => await factsOf(snapshot, step, found)),
        /** The last commands that changed the store, in their order. */
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

async function factsOf(session: Session, step: BackfillStep, found: Verification | BackfillError) {
  const { ledger } = session;
  const { name } = step;
  const isRefused = found instanceof BackfillError;
  const runs = await ledger.runs(name);
  return {
    step,
    /** Undefined if it could not be verified; see `verifyError`. */
    verification: isRefused ? undefined : found,
    verifyError: isRefused ? found : undefined,
    /** The last runs, in their order. */
    runs: runs.slice(-MAX_EVENTS),
    runCount: runs.length,
    /** The last recorded verdicts, in their order. */
    verdicts: await ledger.verdicts(name, MAX_EVENTS),
    points: batchPoints(await ledger.batchTimes(name)),
    /** Undefined if the backfill configures no lag or could not be verified. */
    lag: isRefused ? undefined : await lagSeries(session, step),
    skips: await ledger.skipGroups(name, MAX_SKIP_KEYS),
  };
}

/** Maximum number of points. */
const MAX_POINTS = 120;

/** Merges consecutive batches into up to {@link MAX_POINTS} points of a chart. */
function batchPoints(batches: readonly BatchTime[]) {
  const size = Math.max(1, Math.ceil(batches.length / MAX_POINTS));
  const groups = Array.from({ length: Math.ceil(batches.length / size) }, (_, i) =>
    batches.slice(i * size, (i + 1) * size),
  );
  return groups.map((group) => {
    const [first, last] = [group[0] as BatchTime, group.at(-1) as BatchTime];
    const sum = (of: 'rowsScanned' | 'durationMs'): number =>
      group.reduce((total, batch) => total + batch[of], 0);
    const [rows, durationMs] = [sum('rowsScanned'), sum('durationMs')];
    return {
      firstBatch: first.number,
      lastBatch: last.number,
      /** Run of the last batch. */
      run: last.run,
      rows,
      /** While a batch ran; pauses between batches do not count. */
      rowsPerSecond: durationMs > 0 ? Math.round((rows * 1000) / durationMs) : 0,
      rowsPerBatch: Math.round(rows / group.length),
      /** Commit time of the last batch. */
      committedAt: last.committedAt,
    };
  });
}
