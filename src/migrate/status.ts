import type { LockState, StoreConnector } from '../db/connection.js';
import { mapEach } from '../each.js';
import type { Drift, Ledger } from '../ledger/ledger.js';
import type { RunRecord, SkipRecord } from '../ledger/records.js';
import { probeCatchUp } from '../run/waiting.js';
import { inStep } from '../steps/step.js';
import type { MigratorOptions } from './options.js';
import { fractionOfKeys, percentOf } from './progress.js';
import {
  type BackfillStep,
  backfillsOf,
  checkDrift,
  connectorFor,
  inSnapshot,
  missingColumns,
  type Session,
} from './session.js';
import { findUpWork, orphansOf } from './up-work.js';

/** Status of a backfill. */
export interface BackfillStatus {
  readonly runs: number;
  readonly batches: number;
  readonly rowsScanned: number;
  readonly cellsFilled: number;
  readonly skips: Readonly<Record<string, number>>;
  /** Last key that is done, as text; null before the first batch. */
  readonly cursor: string | null;
  readonly watermark: string | null;
  /** Position of the last run between its keys, 0 to 100. */
  readonly percent: number;
  /** `unverified` if a run is not verified, whatever the verdict of an earlier run. */
  readonly verdict: 'pass' | 'warn' | 'fail' | 'unverified';
  /** Whether there are rows to catch up; `unknown` if the first rows after the watermark are inconclusive. */
  readonly needsCatchUp: boolean | 'unknown';
}

/** Status of a step. */
export interface StepStatus {
  readonly name: string;
  readonly kind: string;
  readonly state: 'pending' | 'applying' | 'applied' | 'reverting';
  readonly appliedAt: string | null;
  readonly durationMs: number;
  readonly packageVersion: string | null;
  readonly backfill?: BackfillStatus;
}

/** Status of a store. */
export interface Status {
  readonly path: string;
  /** The run in progress, if any. Without one, a step that is `applying` was stopped. */
  readonly lock: LockState;
  readonly steps: readonly StepStatus[];
  readonly drifts: readonly Drift[];
  /** Whether `up` would have something to do; `unknown` if that depends on rows to catch up, which are unknown. */
  readonly isPending: boolean | 'unknown';
}

/** Maximum rows that are read to find rows to catch up; about 20 ms. */
const PROBE_ROWS = 50_000;

/**
 * Returns the status of the store. Reads only.
 *
 * @param probeRows maximum rows of a table that are read to find rows to catch up. Default 50,000
 */
export async function status(
  options: MigratorOptions,
  { probeRows = PROBE_ROWS }: { readonly probeRows?: number } = {},
): Promise<Status> {
  const connector = await connectorFor(options);
  return await connector.within(async () => await statusAt({ ...options, connector }, connector, probeRows));
}

async function statusAt(options: MigratorOptions, connector: StoreConnector, probeRows: number) {
  const { project } = options;
  const lock = await connector.readLockState();
  return await inSnapshot(options, async (session) => {
    const { store, ledger } = session;
    const probed = new Map<string, boolean | 'unknown'>();
    const probe = async (step: BackfillStep): Promise<boolean | 'unknown'> => {
      const known = probed.get(step.name);
      if (known !== undefined) return known;
      const hasLost = (await missingColumns(store, step)).size > 0; // a dropped column will be filled again
      const read = async () => await probeCatchUp(store, ledger, step, probeRows);
      const found = hasLost || ((await inStep(step, read)) ?? 'unknown');
      probed.set(step.name, found);
      return found;
    };
    const records = await ledger.steps();
    const names = new Set([...project.steps, ...records].map(({ name }) => name));
    const steps = await mapEach([...names].sort(), async (name): Promise<StepStatus> => {
      const step = project.steps.find((candidate) => candidate.name === name);
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
      const needsCatchUp = record.status === 'applied' && (await probe(step));
      return { ...common, backfill: { ...(await runsStatus(session, name)), needsCatchUp } };
    });
    const work = await findUpWork(session, project, {}, async (step) => (await probe(step)) === true);
    const isPending =
      Object.values(work).some((found) => found.length > 0) || (await orphansOf(ledger, project)).length > 0;
    return {
      path: store.name,
      // A run may have begun after the first look.
      lock: lock.state === 'free' ? await connector.readLockState() : lock,
      steps,
      drifts: checkDrift(options, records),
      isPending: isPending || ([...probed.values()].includes('unknown') ? ('unknown' as const) : false),
    };
  });
}

/** Returns what the ledger records about the runs of a backfill. */
async function runsStatus({ ledger }: Session, name: string): Promise<Omit<BackfillStatus, 'needsCatchUp'>> {
  const runs = await ledger.runs(name);
  const sum = (of: 'batches' | 'rowsScanned' | 'cellsFilled'): number =>
    runs.reduce((total, run) => total + run[of], 0);
  const last = runs.at(-1);
  const verification = await ledger.lastVerification(name);
  const isCurrent = verification !== undefined && verification.run === last?.run;
  const isFinal = isCurrent && (verification.verdict === 'fail' || !(await ledger.isUnverified(name)));
  return {
    runs: runs.length,
    batches: sum('batches'),
    rowsScanned: sum('rowsScanned'),
    cellsFilled: sum('cellsFilled'),
    skips: await ledger.skipCounts(name),
    cursor: last?.cursor?.toString() ?? null,
    watermark: last?.watermark?.toString() ?? null,
    percent: last ? percentOf(await fractionDone(ledger, name, last)) : 0,
    verdict: isFinal ? verification.verdict : 'unverified',
  };
}

/** Returns how far a run has come, from 0 to 1. */
async function fractionDone(ledger: Ledger, name: string, run: RunRecord): Promise<number> {
  if (run.status !== 'running' || run.watermark === null) return 1;
  if (run.share !== undefined) return run.share;
  if (run.cursor === null) return 0;
  const first = run.startKey ?? (await ledger.batches(name)).find((batch) => batch.run === run.run)?.firstKey;
  return first === undefined ? 0 : fractionOfKeys(first, run.watermark, run.cursor);
}

/** Skips of a backfill. */
export interface BackfillSkips {
  readonly backfill: string;
  /** In order of their keys. */
  readonly skips: readonly SkipRecord[];
}

/** Returns the skips of one backfill, or of all. */
export async function skips(options: MigratorOptions, name?: string): Promise<readonly BackfillSkips[]> {
  const wanted = backfillsOf(options.project, name);
  return await inSnapshot(
    options,
    async ({ ledger }) =>
      await mapEach(wanted, async (step) => ({ backfill: step.name, skips: await ledger.skips(step.name) })),
  );
}
