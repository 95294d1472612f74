import type { Connection, Transaction } from '../db/connection.js';
import { isFilledBy, noteFiller, requireSameDeclaration } from '../engine/filled-by.js';
import { takeThrown } from '../engine/process.js';
import type { RunOptions } from '../engine/run-options.js';
import { countPrefilled } from '../engine/scan.js';
import { countFilledAgain } from '../ledger/cells.js';
import type { Ledger } from '../ledger/ledger.js';
import type { RunRecord } from '../ledger/records.js';
import { runConflict } from '../ledger/runs.js';
import type { Backfill } from '../steps/define.js';
import { fingerprint } from '../steps/step.js';
import { type Work, withBatchEvents } from './batches.js';
import { fillBatches } from './fill.js';
import { reportNothingFilled, reportValuesLeft, requireSteadiness } from './run-checks.js';
import { findsWaiting, probeOf, recordProbe, recordRun } from './waiting.js';

/** Runs `lead`, and `work` per further worker, each with a connection and ledger. Settles as `lead` does, once all have ended. */
export type WithWorkers = (
  work: (store: Connection, ledger: Ledger, options: RunOptions) => Promise<void>,
  lead: () => Promise<void>,
) => Promise<void>;

/** A backfill to fill; `withWorkers` runs further workers of this process. Default: none. */
type FillWork = Work & { readonly options: { readonly withWorkers?: WithWorkers | undefined } };

/**
 * Applies a backfill step: its first run, or the rest of it, then a catch-up of rows written since. Each batch's updates, its ledger row
 * and the cursor commit in one transaction.
 *
 * @throws {BackfillError} `INTERRUPTED`, `TERMINATED`, `RUN_CONFLICT`, `ROW_REJECTED_REPEATEDLY` or a `STORE_…` code
 */
export async function applyBackfillStep(work: FillWork): Promise<FillOutcome> {
  const { store, ledger, backfill } = work;
  const startedAt = performance.now();
  await beginBackfillStep(work);
  const outcome = await catchUp(work);
  await store.write((tx) => ledger.in(tx).finishStep(backfill.name, performance.now() - startedAt));
  return outcome;
}

/** Result of the runs of one backfill. */
export interface FillOutcome {
  /** Whether a run was started or resumed. */
  readonly hasRun: boolean;
  /** Cells that an earlier run had filled, that were NULL again, and that these runs filled. */
  readonly filledAgain: number;
  /** Whether keys had restarted, so that such cells may belong to other rows. */
  readonly haveKeysRestarted: boolean;
}

/** Starts a backfill step and its first run without filling anything. {@link applyBackfillStep} resumes it. */
export async function beginBackfillStep({ store, ledger, backfill, options }: Work): Promise<void> {
  const { name, kind } = backfill;
  await store.write(async (tx) => {
    const own = ledger.in(tx);
    await requireSameDeclaration(tx, own, backfill, options.confirmed);
    await own.beginStep({ name, kind, fingerprint: fingerprint(backfill) });
    if ((await own.runs(name)).length === 0) await beginRun(tx, own, backfill, 'first');
  });
}

/**
 * Brings a backfill up to date: resumes interrupted runs, then runs a catch-up if rows need one. Throws as {@link applyBackfillStep}.
 */
export async function catchUp(work: FillWork): Promise<FillOutcome> {
  const { store, ledger, backfill } = work;
  const open = (await runningRuns(ledger, backfill))[0]?.run;
  const hasResumed = await resumeRuns(work);
  const probe = await probeOf(store, ledger, backfill);
  if ((await findsWaiting(store, backfill, probe)) === true) return await rerun(work, 'catch-up', open);
  if (probe.isNews) await store.write((tx) => recordProbe(tx, ledger.in(tx), backfill, probe));
  const filledAgain = hasResumed ? await countFilledAgain(ledger, backfill.name, open ?? 1) : 0;
  return { hasRun: hasResumed, filledAgain, haveKeysRestarted: false };
}

/**
 * Resumes interrupted runs of a backfill, then starts another: a catch-up after the last watermark, or a rescan from the first key that
 * retries skips. Throws as {@link applyBackfillStep}.
 *
 * @param since first run to report on. Default: the first interrupted one
 */
export async function rerun(work: FillWork, kind: 'catch-up' | 'rescan', since?: number) {
  const { store, ledger, backfill } = work;
  const first = since ?? (await runningRuns(ledger, backfill))[0]?.run;
  await resumeRuns(work);
  const started = await store.write(async (tx) => {
    const own = ledger.in(tx);
    if (kind === 'rescan') await own.reconcile(backfill.name);
    return await beginRun(tx, own, backfill, kind);
  });
  await resumeRuns(work);
  const filledAgain = await countFilledAgain(ledger, backfill.name, first ?? started.run);
  return { hasRun: true, filledAgain, haveKeysRestarted: started.haveKeysRestarted };
}

/** Starts a run. A catch-up becomes a rescan if the table may not be the one that was filled: see {@link probeOf}. */
async function beginRun(
  tx: Transaction,
  ledger: Ledger,
  backfill: Backfill,
  wanted: RunRecord['kind'],
): Promise<{ readonly run: number; readonly haveKeysRestarted: boolean }> {
  const probe = wanted === 'catch-up' ? await probeOf(tx, ledger, backfill) : undefined;
  const startKey = probe?.after ?? null;
  const ends = await tx.dialect.rangeEnds(tx, backfill, startKey);
  const watermark = ends.at(-1) ?? null;
  const run = ((await ledger.lastRun(backfill.name))?.run ?? 0) + 1;
  await ledger.beginRun(backfill.name, { run, kind: probe?.kind ?? wanted, startKey, watermark }, ends);
  await recordRun(tx, backfill, { run, watermark });
  await noteFiller(tx, ledger, backfill);
  return { run, haveKeysRestarted: probe?.haveKeysRestarted ?? false };
}

/** Refuses to resume runs with another declaration than they started with; restarts those that have filled nothing. */
async function prepareResume({ store, ledger, backfill, options }: Work): Promise<void> {
  await requireSameDeclaration(store, ledger, backfill, options.confirmed);
  if (await isFilledBy(store, ledger, backfill)) return;
  await store.write(async (tx) => {
    const own = ledger.in(tx);
    const batches = await own.batches(backfill.name);
    for (const { run, kind, cellsFilled } of await runningRuns(own, backfill)) {
      if (cellsFilled > 0) continue;
      for (const batch of batches) if (batch.run === run) await own.removeBatch(backfill.name, batch.number);
      await own.dropRun(backfill.name, run);
      await beginRun(tx, own, backfill, kind);
    }
    await noteFiller(tx, own, backfill);
  });
}

/** Completes every run that has not reached its watermark, in order. Returns whether there was one. */
async function resumeRuns(work: FillWork): Promise<boolean> {
  const { store, ledger, backfill, options } = work;
  const running = await runningRuns(ledger, backfill);
  if (running.length > 0) await prepareResume(work);
  for (const { run: number } of running) {
    const run = (await runningRuns(ledger, backfill)).find((record) => record.run === number);
    if (!run) continue; // another process has finished it
    // Counted only now: the run before this one may just have filled some of them.
    const left = await reportValuesLeft(work, run);
    await countPrefilledCells(work, run, left?.rows !== 0);
    await store.withSharedLock(
      () => fillRun(work, run),
      (holder) => options.onEvent?.({ event: 'range_waiting', backfill: backfill.name, ...holder }),
    );
    // A SQL step may have released every lock of the session, and a `down` may have run.
    if (!(await ledger.runs(backfill.name)).some((record) => record.run === number))
      throw runConflict(backfill.name);
    await reportNothingFilled(work, number);
  }
  return running.length > 0;
}

/** Counts the prefilled cells before a run's first batch, and records their number. */
async function countPrefilledCells(
  { store, ledger, backfill }: Work,
  run: RunRecord,
  mayHoldValues: boolean,
) {
  const isFromFirst = run.startKey === null && run.watermark !== null;
  if (run.isCounted && (run.batches > 0 || !isFromFirst)) return; // cells that an interrupted `down` kept are counted again
  const found = isFromFirst && mayHoldValues ? await countPrefilled(store, backfill, run.watermark) : 0;
  await store.write(async (tx) => await ledger.in(tx).setPrefilledCells(backfill.name, run.run, found));
}

const runningRuns = async (ledger: Ledger, { name }: Backfill): Promise<RunRecord[]> =>
  (await ledger.runs(name)).filter(({ status }) => status === 'running');

async function fillRun(work: FillWork, run: RunRecord): Promise<void> {
  const { store, backfill, options } = work;
  const after = run.cursor ?? run.startKey;
  const excludeSkips = run.kind === 'catch-up';
  await requireSteadiness(store, backfill, { absent: new Set(), after, excludeSkips });
  takeThrown(backfill); // discards errors of earlier reads
  const fill = (own: Work) => withBatchEvents(own, (loop) => fillBatches(loop, run));
  const lead = () => fill(work);
  if (!options.withWorkers) return await lead();
  await options.withWorkers((own, ledger, how) => fill({ store: own, ledger, backfill, options: how }), lead);
}

/**
 * Joins the first open run of a backfill, which another process has started, but not its next one. Throws as {@link applyBackfillStep}.
 *
 * @returns whether there was a run to join
 */
export async function joinRuns(work: FillWork): Promise<boolean> {
  const [first] = await runningRuns(work.ledger, work.backfill);
  if (!first?.isCounted) return false;
  await fillRun(work, first);
  return true;
}
