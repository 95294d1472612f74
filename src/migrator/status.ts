import type { LockState, StoreConnector } from '../db/connector.js';
import { mapEach } from '../each.js';
import type { RunRecord, SkipRecord } from '../ledger/records.js';
import type { Drift } from '../ledger/steps.js';
import { probeCatchUp } from '../run/waiting.js';
import { inStep } from '../steps/step.js';
import { orphansOf } from './declared.js';
import { missingColumns } from './preflight.js';
import { fractionOfKeys, percentOf } from './progress.js';
import {
  type BackfillStep,
  backfillsOf,
  checkDrift,
  connectorFor,
  inSnapshot,
  type MigratorOptions,
  needsVerification,
  type Session,
} from './session.js';
import { planUpWork } from './up.js';

/** A backfill's part of a step's status. */
export interface BackfillStatus {
  readonly runs: number;
  readonly batches: number;
  readonly rowsScanned: number;
  readonly cellsFilled: number;
  readonly skips: Readonly<Record<string, number>>;
  /** The last key done, as text; null before the first batch. */
  readonly cursor: string | null;
  readonly watermark: string | null;
  /** How far the last run has come between its keys, 0 to 100. */
  readonly percent: number;
  /** `unverified` when a run is not verified yet, whatever an earlier verdict was. */
  readonly verdict: 'pass' | 'warn' | 'fail' | 'unverified';
  /** Whether rows wait for a catch-up; `unknown` when the first rows behind the watermark do not tell. */
  readonly needsCatchUp: boolean | 'unknown';
}

/** Where one step stands. */
export interface StepStatus {
  readonly name: string;
  readonly kind: string;
  readonly state: 'pending' | 'applying' | 'applied' | 'reverting';
  readonly appliedAt: string | null;
  readonly durationMs: number;
  readonly packageVersion: string | null;
  readonly backfill?: BackfillStatus;
}

/** Where a store stands. */
export interface Status {
  readonly path: string;
  /** Whether a run is under way, and whose: a step that is `applying` while none is was stopped. */
  readonly lock: LockState;
  readonly steps: readonly StepStatus[];
  readonly drifts: readonly Drift[];
  /** Whether `up` would have something to do; `unknown` when only rows that wait would be, and that is unknown. */
  readonly isPending: boolean | 'unknown';
}

/** Rows that are read at most to find out whether some wait: some 20 ms. */
const PROBE_ROWS = 50_000;

/**
 * Says where the store stands, reading only.
 *
 * @param probeRows rows of a table that are read at most to find out whether some wait. Default 50,000;
 * `Infinity`: as many as it takes
 */
export async function status(
  options: MigratorOptions,
  { probeRows = PROBE_ROWS }: { readonly probeRows?: number } = {},
): Promise<Status> {
  const connector = await connectorFor(options);
  return await connector.within(async () => await statusAt({ ...options, connector }, connector, probeRows));
}

async function statusAt(
  options: MigratorOptions,
  connector: StoreConnector,
  probeRows: number,
): Promise<Status> {
  const lock = await connector.readLockState();
  return await inSnapshot(options, async (session) => {
    const { store, ledger } = session;
    const records = await ledger.steps();
    const probed = new Map<string, boolean | 'unknown'>();
    const probe = async (step: BackfillStep): Promise<boolean | 'unknown'> => {
      const hasLost = (await missingColumns(store, step)).size > 0; // a column that somebody has dropped is filled again
      const found =
        probed.get(step.name) ??
        (hasLost ||
          ((await inStep(step, async () => await probeCatchUp(store, ledger, step, probeRows))) ??
            'unknown'));
      probed.set(step.name, found);
      return found;
    };
    const names = new Set([
      ...options.project.steps.map(({ name }) => name),
      ...records.map(({ name }) => name),
    ]);
    const steps = await mapEach([...names].sort(), async (name): Promise<StepStatus> => {
      const step = options.project.steps.find((candidate) => candidate.name === name);
      const record = records.find((candidate) => candidate.name === name);
      const common = {
        name,
        kind: step?.kind ?? record?.kind ?? 'unknown',
        state: record?.status ?? ('pending' as const),
        appliedAt: record?.appliedAt ?? null,
        durationMs: record?.durationMs ?? 0,
        packageVersion: record?.packageVersion ?? null,
      };
      if (step?.kind !== 'backfill' || !record) return common;
      const runs = await ledger.runs(name);
      const sum = (of: 'batches' | 'rowsScanned' | 'cellsFilled'): number =>
        runs.reduce((total, run) => total + run[of], 0);
      const last = runs.at(-1);
      const backfill: BackfillStatus = {
        runs: runs.length,
        batches: sum('batches'),
        rowsScanned: sum('rowsScanned'),
        cellsFilled: sum('cellsFilled'),
        skips: await ledger.skipCounts(name),
        cursor: last?.cursor?.toString() ?? null,
        watermark: last?.watermark?.toString() ?? null,
        percent: last ? percentOf(await fractionDone(session, step, last)) : 0,
        verdict: await verdictOf(session, step),
        needsCatchUp: record.status === 'applied' && (await probe(step)),
      };
      return { ...common, backfill };
    });
    const work = await planUpWork(session, options, {}, async (step) => (await probe(step)) === true);
    const { steps: declared, isPart } = options.project;
    const isPending =
      Object.values(work).some((found) => found.length > 0) ||
      (await orphansOf(ledger, declared, isPart)).length > 0;
    return {
      path: store.name,
      // A run that has begun between the two looks is one, too.
      lock: lock.state === 'free' ? await connector.readLockState() : lock,
      steps,
      drifts: checkDrift(options, records),
      isPending: isPending || ([...probed.values()].includes('unknown') ? 'unknown' : false),
    };
  });
}

/** How far a run has come, 0 to 1. */
async function fractionDone({ ledger }: Session, { name }: BackfillStep, run: RunRecord): Promise<number> {
  if (run.status !== 'running' || run.watermark === null) return 1;
  if (run.share !== undefined) return run.share;
  if (run.cursor === null) return 0;
  const first = run.startKey ?? (await ledger.batches(name)).find((batch) => batch.run === run.run)?.firstKey;
  return first === undefined ? 0 : fractionOfKeys(first, run.watermark, run.cursor);
}

/** The last verdict, unless a run has been made since. */
async function verdictOf(session: Session, step: BackfillStep): Promise<BackfillStatus['verdict']> {
  const last = await session.ledger.lastVerification(step.name);
  const hasSeenAll = last !== undefined && last.run === (await session.ledger.lastRun(step.name))?.run;
  if (hasSeenAll && (last.verdict === 'fail' || !(await needsVerification(session, step))))
    return last.verdict;
  return 'unverified';
}

/** The skips of one backfill, or of all, by key. */
export async function skips(
  options: MigratorOptions,
  name?: string,
): Promise<readonly { readonly backfill: string; readonly skips: readonly SkipRecord[] }[]> {
  const wanted = backfillsOf(options.project, name);
  return await inSnapshot(
    options,
    async ({ ledger }) =>
      await mapEach(wanted, async (step) => ({ backfill: step.name, skips: await ledger.skips(step.name) })),
  );
}
