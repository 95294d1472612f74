import { setImmediate as nextTurn } from 'node:timers/promises';
import { BackfillError } from '../errors.js';
import type { Ledger } from '../ledger/ledger.js';
import { reconcile } from '../ledger/reconcile.js';
import type { RunRecord } from '../ledger/records.js';
import { absentColumns } from '../schema/inspect.js';
import { fingerprint, type Step } from '../steps/step.js';
import { fillBatch, prepareFill } from '../store/sqlite/batch.js';
import { prepareRevert, type RevertResult, revertCells } from '../store/sqlite/revert.js';
import { countFound, hasGrowingKeys, hasWaitingRows, lastKey } from '../store/sqlite/scope.js';
import type { Store } from '../store/sqlite/store.js';
import type { Backfill } from './define.js';

/** Rows of a batch when nobody says otherwise. 1,000 to 10,000 measured equally fast. */
export const DEFAULT_BATCH_ROWS = 5000;

/**
 * What a run tells while it goes on. Between `batches_started` and `batches_ended` the event loop turns after each
 * batch, so that a signal can be heard; outside, a statement may keep it busy for long.
 */
export type RunEvent =
  | { readonly event: 'batches_started' | 'batches_ended'; readonly backfill: string }
  | {
      readonly event: 'run_started';
      readonly backfill: string;
      readonly run: number;
      readonly kind: RunRecord['kind'];
      readonly isResumed: boolean;
    }
  | {
      readonly event: 'batch_committed';
      readonly backfill: string;
      readonly batch: number;
      readonly rowsScanned: number;
      readonly cellsFilled: number;
      readonly cellsSkipped: number;
      readonly durationMs: number;
    }
  | ({ readonly event: 'batch_reverted'; readonly backfill: string; readonly batch: number } & RevertResult);

/** How to run. */
export interface RunOptions {
  /** Rows of a batch at most. Default {@link DEFAULT_BATCH_ROWS}. */
  readonly batchRows?: number | undefined;
  /** Stops the run between two batches; its `reason` is the signal's name. */
  readonly signal?: AbortSignal | undefined;
  /** Called after each commit. */
  readonly onEvent?: ((event: RunEvent) => void) | undefined;
}

type BackfillStep = Step & Backfill;

function throwIfStopped(signal: AbortSignal | undefined, backfill: string): void {
  if (!signal?.aborted) return;
  const isTerm = signal.reason === 'SIGTERM';
  throw new BackfillError(
    isTerm ? 'TERMINATED' : 'INTERRUPTED',
    `Stopped by ${String(signal.reason)} between two batches of ${backfill}; every committed batch is kept`,
    'Run the same command again; it resumes where it stopped',
  );
}

/**
 * Applies a backfill step: its first run, or what is left of it, then a catch-up of the rows that were written
 * meanwhile. Each batch's updates, its ledger row and the cursor commit in one transaction.
 *
 * @throws {BackfillError} `INTERRUPTED`, `TERMINATED`, `RUN_CONFLICT`, `UPDATE_IGNORED` or a `STORE_…` code
 */
export async function applyBackfillStep(
  store: Store,
  ledger: Ledger,
  step: BackfillStep,
  options: RunOptions = {},
): Promise<void> {
  const startedAt = performance.now();
  store.write(() => {
    ledger.beginStep({ name: step.name, kind: step.kind, fingerprint: fingerprint(step) });
    if (ledger.runs(step.name).length === 0) beginRun(store, ledger, step, 'first');
  });
  await catchUp(store, ledger, step, options);
  store.write(() => ledger.finishStep(step.name, performance.now() - startedAt));
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
  const last = ledger.lastRun(backfill.name);
  if (!last) return false;
  return hasWaitingRows(store, backfill, hasGrowingKeys(store, backfill) ? last.watermark : null);
}

function beginRun(store: Store, ledger: Ledger, backfill: Backfill, kind: RunRecord['kind']): void {
  const last = ledger.lastRun(backfill.name);
  const startKey = kind === 'catch-up' && hasGrowingKeys(store, backfill) ? (last?.watermark ?? null) : null;
  const watermark = lastKey(store, backfill);
  ledger.beginRun(backfill.name, { run: (last?.run ?? 0) + 1, kind, startKey, watermark });
}

/** Works off every run that has not reached its watermark, in order. Returns whether there was one. */
async function resumeRuns(
  store: Store,
  ledger: Ledger,
  backfill: Backfill,
  options: RunOptions = {},
): Promise<boolean> {
  const running = ledger.runs(backfill.name).filter(({ status }) => status === 'running');
  if (running.length === 0) return false;
  prepareFill(store, backfill);
  for (const run of running) {
    if (run.startKey === null && run.watermark !== null && run.batches === 0) {
      // Only now: a run before this one, resumed with it, may just have filled some of them.
      const found = countFound(store, backfill, run.watermark);
      store.write(() => ledger.setFoundCells(backfill.name, run.run, found));
    }
    await inBatches(backfill, options, async () => workOff(store, ledger, backfill, run, options));
  }
  return true;
}

async function inBatches(
  backfill: Backfill,
  { onEvent, signal }: RunOptions,
  act: () => Promise<void>,
): Promise<void> {
  onEvent?.({ event: 'batches_started', backfill: backfill.name });
  try {
    await act();
    throwIfStopped(signal, backfill.name); // heard in the last batch: what comes next must not begin
  } finally {
    onEvent?.({ event: 'batches_ended', backfill: backfill.name });
  }
}

async function workOff(
  store: Store,
  ledger: Ledger,
  backfill: Backfill,
  run: RunRecord,
  options: RunOptions,
): Promise<void> {
  const limit = options.batchRows ?? DEFAULT_BATCH_ROWS;
  options.onEvent?.({
    event: 'run_started',
    backfill: backfill.name,
    run: run.run,
    kind: run.kind,
    isResumed: run.batches > 0,
  });
  let cursor = run.cursor;
  for (let isDone = false; !isDone; ) {
    throwIfStopped(options.signal, backfill.name);
    const startedAt = performance.now();
    const committed = store.write(() => {
      const number = ledger.nextBatch(backfill.name);
      const batch =
        run.watermark === null
          ? undefined
          : fillBatch(store, backfill, {
              cursor,
              watermark: run.watermark,
              limit,
              batch: number,
              leavesSkips: run.kind === 'catch-up',
            });
      if (batch) {
        const durationMs = performance.now() - startedAt;
        ledger.addBatch(backfill.name, cursor, { ...batch, number, run: run.run, durationMs }, batch.cells);
      }
      if (!batch || batch.isLast) ledger.finishRun(backfill.name, run.run);
      return batch && { ...batch, number };
    });
    isDone = !committed || committed.isLast;
    if (committed) {
      cursor = committed.lastKey;
      const { number, rowsScanned, cellsFilled, cellsSkipped } = committed;
      const durationMs = performance.now() - startedAt;
      options.onEvent?.({
        event: 'batch_committed',
        backfill: backfill.name,
        batch: number,
        rowsScanned,
        cellsFilled,
        cellsSkipped,
        durationMs,
      });
    }
    await nextTurn(); // signals are heard here
  }
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
  prepareRevert(store, backfill);
  await inBatches(backfill, options, async () => revertBatches(store, ledger, backfill, options));
  return store.write(() => {
    const record = ledger.step(backfill.name);
    ledger.forgetStep(backfill.name);
    return { reverted: record?.revertedCells ?? 0, kept: record?.keptCells ?? 0 };
  });
}

async function revertBatches(
  store: Store,
  ledger: Ledger,
  backfill: Backfill,
  options: RunOptions,
): Promise<void> {
  const absent = absentColumns(
    store,
    backfill.table,
    backfill.columns.map(({ name }) => name),
  );
  for (let number = ledger.nextBatch(backfill.name) - 1; number > 0; number -= 1) {
    throwIfStopped(options.signal, backfill.name);
    const result = store.write(() => {
      let [reverted, kept] = [0, 0];
      for (const { columns, runs } of ledger.cells(backfill.name, number)) {
        const part = revertCells(store, backfill, { columns, runs, absent });
        reverted += part.reverted;
        kept += part.kept;
      }
      ledger.countReverted(backfill.name, reverted, kept);
      ledger.removeBatch(backfill.name, number);
      return { reverted, kept };
    });
    options.onEvent?.({ event: 'batch_reverted', backfill: backfill.name, batch: number, ...result });
    await nextTurn();
  }
}
