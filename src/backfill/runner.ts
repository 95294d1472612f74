import { type Ledger, runConflict } from '../ledger/ledger.js';
import { reconcile } from '../ledger/reconcile.js';
import type { RunRecord } from '../ledger/records.js';
import { fingerprint, type Step } from '../steps/step.js';
import type { RevertResult } from '../store/batch.js';
import type { Store } from '../store/port.js';
import { hasWaitingRows } from '../store/rows.js';
import { fillBatches, inBatches, revertBatches } from './batches.js';
import type { Backfill } from './define.js';
import type { RunOptions } from './run-options.js';

type BackfillStep = Step & Backfill;

/**
 * Applies a backfill step: its first run, or what is left of it, then a catch-up of the rows that were written
 * meanwhile. Each batch's updates, its ledger row and the cursor commit in one transaction.
 *
 * @throws {BackfillError} `INTERRUPTED`, `TERMINATED`, `RUN_CONFLICT`, `ROW_REJECTED_REPEATEDLY` or a `STORE_…` code
 */
export async function applyBackfillStep(
  store: Store,
  ledger: Ledger,
  step: BackfillStep,
  options: RunOptions = {},
): Promise<void> {
  const startedAt = performance.now();
  beginBackfillStep(store, ledger, step);
  await catchUp(store, ledger, step, options);
  store.write(() => ledger.finishStep(step.name, performance.now() - startedAt));
}

/** Begins a backfill step without filling anything: whoever applies it later goes on with it. */
export function beginBackfillStep(store: Store, ledger: Ledger, step: BackfillStep): void {
  store.write(() => {
    ledger.beginStep({ name: step.name, kind: step.kind, fingerprint: fingerprint(step) });
    if (ledger.runs(step.name).length === 0) beginRun(store, ledger, step, 'first');
  });
}

/**
 * Brings a backfill up to date: goes on with runs that were stopped, then, when rows wait, runs a catch-up.
 * Throws as {@link applyBackfillStep}.
 *
 * @returns whether there was anything to do
 */
export async function catchUp(
  store: Store,
  ledger: Ledger,
  backfill: Backfill,
  options: RunOptions = {},
): Promise<boolean> {
  const hasResumed = await resumeRuns(store, ledger, backfill, options);
  const hasWaited = isWaiting(store, ledger, backfill);
  if (hasWaited) await runAgain(store, ledger, backfill, 'catch-up', options);
  return hasResumed || hasWaited;
}

/**
 * Runs a backfill again: a catch-up behind the last watermark, or a rescan from the first key that tries skips again.
 * Throws as {@link applyBackfillStep}.
 */
export async function runAgain(
  store: Store,
  ledger: Ledger,
  backfill: Backfill,
  kind: 'catch-up' | 'rescan',
  options: RunOptions = {},
): Promise<void> {
  await resumeRuns(store, ledger, backfill, options);
  store.write(() => {
    if (kind === 'rescan') reconcile(store, ledger, backfill.name);
    beginRun(store, ledger, backfill, kind);
  });
  await resumeRuns(store, ledger, backfill, options);
}

/** Whether rows wait for a catch-up. */
export function isWaiting(store: Store, ledger: Ledger, backfill: Backfill): boolean {
  return probeWaiting(store, ledger, backfill) === true;
}

/** Whether rows wait for a catch-up, reading so many rows at most; undefined when those do not tell. */
export function probeWaiting(
  store: Store,
  ledger: Ledger,
  backfill: Backfill,
  probeRows?: number,
): boolean | undefined {
  const last = ledger.lastRun(backfill.name);
  if (!last) return false;
  const after = store.dialect.hasGrowingKeys(store, backfill) ? last.watermark : null;
  return hasWaitingRows(store, backfill, after, probeRows);
}

function beginRun(store: Store, ledger: Ledger, backfill: Backfill, kind: RunRecord['kind']): void {
  const last = ledger.lastRun(backfill.name);
  const startKey =
    kind === 'catch-up' && store.dialect.hasGrowingKeys(store, backfill) ? (last?.watermark ?? null) : null;
  const watermark = store.dialect.keyRange(store, backfill)?.[1] ?? null;
  const ends = watermark === null ? [] : store.dialect.rangeEnds(store, backfill, startKey, watermark);
  ledger.beginRun(backfill.name, { run: (last?.run ?? 0) + 1, kind, startKey, watermark }, ends);
}

/** Works off every run that has not reached its watermark, in order. Returns whether there was one. */
async function resumeRuns(
  store: Store,
  ledger: Ledger,
  backfill: Backfill,
  options: RunOptions = {},
): Promise<boolean> {
  const running = runningRuns(ledger, backfill);
  for (const { run: number } of running) {
    const run = runningRuns(ledger, backfill).find((record) => record.run === number);
    if (!run) continue; // another process has ended it
    // Only now: a run before this one, resumed with it, may just have filled some of them.
    countFoundCells(store, ledger, backfill, run);
    // A process that took part may have died meanwhile, and left what it had claimed.
    for (let isSettled = false; !isSettled; ) {
      await store.share(
        () => fillRun(store, ledger, backfill, run, options),
        (holder) => options.onEvent?.({ event: 'range_waiting', backfill: backfill.name, ...holder }),
      );
      // Or a `down` has had its turn before this process held the lock alone again.
      if (!ledger.runs(backfill.name).some((record) => record.run === run.run))
        throw runConflict(backfill.name);
      isSettled = !ledger.isShared || store.write(() => ledger.settleRun(backfill.name, run.run));
    }
  }
  return running.length > 0;
}

/** Counts what stands already before a run's first batch. */
function countFoundCells(store: Store, ledger: Ledger, backfill: Backfill, run: RunRecord): void {
  const isBegun = run.isCounted ?? run.batches > 0;
  const isFromFirst = run.startKey === null && run.watermark !== null;
  if (isBegun || (run.isCounted === undefined && !isFromFirst)) return;
  const found = isFromFirst ? store.dialect.countFound(store, backfill, run.watermark) : 0;
  store.write(() => ledger.setFoundCells(backfill.name, run.run, found));
}

const runningRuns = (ledger: Ledger, { name }: Backfill): RunRecord[] =>
  ledger.runs(name).filter(({ status }) => status === 'running');

async function fillRun(
  store: Store,
  ledger: Ledger,
  backfill: Backfill,
  run: RunRecord,
  options: RunOptions,
): Promise<void> {
  store.dialect.prepareFill(store, backfill);
  await inBatches(store, backfill, options, (pacer) =>
    fillBatches(store, ledger, backfill, run, pacer, options),
  );
}

/**
 * Takes part in the first run of a backfill that another process has begun, and does not go ahead of it into the next. Throws as {@link applyBackfillStep}.
 *
 * @returns whether there was one
 */
export async function joinRuns(
  store: Store,
  ledger: Ledger,
  backfill: Backfill,
  options: RunOptions = {},
): Promise<boolean> {
  const [first] = runningRuns(ledger, backfill);
  if (!first || first.isCounted === false) return false;
  await fillRun(store, ledger, backfill, first, options);
  return true;
}

/**
 * Takes a backfill back, batch by batch from the last: a cell that the ledger says was filled becomes NULL if it still
 * holds what its row derives. Each batch's cells and its ledger rows go in one transaction. Safe to kill.
 *
 * @returns what was taken back and kept, a stopped `down` before this one included
 * @throws {BackfillError} as {@link applyBackfillStep}
 */
export async function revertBackfillStep(
  store: Store,
  ledger: Ledger,
  backfill: Backfill,
  options: RunOptions = {},
): Promise<RevertResult> {
  store.write(() => ledger.beginRevert(backfill.name));
  store.dialect.prepareRevert(store, backfill);
  await inBatches(store, backfill, options, (pacer) =>
    revertBatches(store, ledger, backfill, pacer, options),
  );
  return store.write(() => {
    const record = ledger.step(backfill.name);
    ledger.forgetStep(backfill.name);
    return { reverted: record?.revertedCells ?? 0, kept: record?.keptCells ?? 0 };
  });
}
