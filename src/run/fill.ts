import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';
import type { Transaction } from '../db/connection.js';
import { type BatchResult, type FillWindow, type RejectedRow, RejectedUpdate } from '../engine/batch.js';
import { findFailingRow, withFailingRow } from '../engine/expressions.js';
import { takeThrown, thrownWarnings } from '../engine/process.js';
import type { Key } from '../ledger/keys.js';
import type { Ledger } from '../ledger/ledger.js';
import type { RunRecord } from '../ledger/records.js';
import { english, type Message, msg } from '../messages/message.js';
import type { Backfill } from '../steps/define.js';
import { commitBatch, type Loop } from './batches.js';
import { rejectionOf, requireFixedPoint, stopOnFailures, stopOnRejections } from './run-checks.js';

/** A batch with its number. */
type Batch = BatchResult & { readonly number: number };

/** What the next batch takes. Only this process knows it: another begins with what the ledger says. */
interface BatchRequest {
  /** The last key that this process has done. */
  cursor: Key | null;
  /** Rows at most. */
  limit: number;
  /** The part of the table that it reads: see {@link windowOf}. */
  window?: FillWindow | undefined;
  /** The last key of the part before that. */
  readTo: Key | null;
  /** A row that the store has refused to update: it is left alone, and recorded as a skip. */
  rejected?: RejectedRow | undefined;
}

/** What became of a claim. */
interface BatchOutcome {
  readonly batch?: Batch | undefined;
  /** Whether nothing is left for this process. */
  readonly isDone: boolean;
  /** Whether others are at work on all that is left. */
  readonly allClaimed?: boolean;
}

/**
 * Does the next batch of a run, or ends the run when no row is left. Runs inside the batch's transaction: see batches.ts for what a
 * kill leaves of it.
 *
 * @param ledger the ledger on that transaction
 */
async function fillNextBatch(
  tx: Transaction,
  ledger: Ledger,
  backfill: Backfill,
  run: RunRecord,
  request: BatchRequest,
): Promise<BatchOutcome> {
  const startedAt = performance.now();
  const { name } = backfill;
  const claim = await ledger.claim(name, run, request.cursor);
  if (claim === 'contended') return { isDone: false, allClaimed: true };
  if (claim === 'exhausted') {
    await ledger.finishRunIfExhausted(name, run.run);
    return { isDone: true };
  }
  const number = await ledger.nextBatch(name);
  const columns = backfill.columns.map((column) => column.name);
  // Read in the transaction: before it, a lock of another program's would be waited for once, and not again.
  const hasTriggers = (await tx.dialect.updateTriggers(tx, backfill.table, columns)).length > 0;
  const { after, upTo } = request.window ?? { after: claim.cursor, upTo: claim.end };
  const filled = await tx.dialect.fillBatch(tx, backfill, {
    cursor: after,
    watermark: upTo,
    limit: request.limit,
    batch: number,
    excludeSkips: run.kind === 'catch-up',
    hasTriggers,
    rejected: request.rejected,
  });
  const batch = filled && { ...filled, number };
  if (batch) {
    const durationMs = performance.now() - startedAt;
    await ledger.addBatch(name, claim, { ...batch, run: run.run, durationMs }, batch.cells);
    // In its transaction: a retry would go on behind it, row by row, to the end.
    if (backfill.process && batch.skips > 0) await stopOnFailures(ledger, backfill, run);
    if (request.cursor === run.cursor && !hasTriggers) await requireFixedPoint(tx, ledger, backfill, number);
    if (request.rejected) await stopOnRejections(ledger, backfill, run, request.rejected);
  }
  const isLast = upTo === claim.end && (!batch || batch.isLast);
  return { batch, isDone: isLast && (await ledger.finishClaim(name, run, claim)) };
}

/**
 * Works off what is left of a run, batch by batch. A row that the store refuses to update is found by halving the batch until it is alone,
 * and recorded as a skip.
 *
 * @throws {BackfillError} `ROW_REJECTED_REPEATEDLY` when it refuses too many, `PROCESS_FAILED`, and as `applyBackfillStep`
 */
export async function fillBatches(loop: Loop, run: RunRecord): Promise<void> {
  const { store, ledger, backfill, options, pacer } = loop;
  const { name } = backfill;
  const { cursor, watermark } = run;
  options.onEvent?.({
    event: 'run_started',
    backfill: name,
    run: run.run,
    kind: run.kind,
    isResumed: run.batches > 0,
    cursor: cursor === null ? null : String(cursor),
    watermark: watermark === null ? null : String(watermark),
  });
  const request: BatchRequest = { cursor, readTo: cursor, limit: pacer.rows };
  const waiting = waitReporter(loop);
  const where = (): Message =>
    msg('between two batches of {backfill}, at key {key} of {watermark}', {
      backfill: name,
      key: request.cursor ?? msg('none'),
      watermark: watermark ?? msg('none'),
    });
  // Halved, down to the row: the longer a batch takes, the surer one of its rows is written meanwhile.
  const halve = (): void => {
    request.limit = Math.ceil(request.limit / 2);
  };
  for (let isDone = false; !isDone; await nextTurn()) {
    request.window ??= await windowOf(loop, run, request);
    let tried: BatchResult | undefined;
    const batch = async (tx: Transaction): Promise<BatchOutcome> => {
      const one = await fillNextBatch(tx, ledger.in(tx), backfill, run, request);
      tried = one.batch;
      return one;
    };
    try {
      const startedAt = performance.now();
      const filled = await commitBatch(loop, batch, where, halve);
      isDone = filled.isDone;
      await waiting(filled);
      await advance(loop, request, filled, performance.now() - startedAt);
    } catch (error) {
      const failed = rejectionOf(error, tried);
      // A row that was left out is not to blame: with it or without, no update is possible.
      if (!failed || failed.rejected.key === request.rejected?.key) {
        const cause = error instanceof RejectedUpdate ? error.cause : error;
        throw (await findFailingRow(store, backfill, cause)) ?? error;
      }
      request.rejected = failed.rows === 1 ? failed.rejected : undefined;
      request.limit = Math.ceil(failed.rows / 2);
    }
  }
}

/** The next part of the table to read, looked for between two transactions; undefined where no batch keeps others waiting by what it reads. */
async function windowOf(
  { store, ledger, backfill }: Loop,
  { watermark, kind }: RunRecord,
  { readTo }: BatchRequest,
): Promise<FillWindow | undefined> {
  if (watermark === null || ledger.isShared) return undefined;
  return await withFailingRow(
    store,
    backfill,
    async () => await store.dialect.fillWindow(store, backfill, readTo, watermark, kind === 'catch-up'),
  );
}

/** Takes in what a COMMIT has made of the take, and tells of it. */
async function advance(
  loop: Loop,
  request: BatchRequest,
  { batch }: BatchOutcome,
  durationMs: number,
): Promise<void> {
  const { backfill, options, pacer } = loop;
  const { rejected, window } = request;
  if (window && (!batch || batch.isLast)) [request.readTo, request.window] = [window.upTo, undefined];
  else if (window && batch) request.window = { ...window, after: batch.lastKey };
  if (batch) {
    request.cursor = batch.lastKey;
    await emitBatch(loop, batch, durationMs);
  }
  if (rejected) {
    const { key, code: reason } = rejected;
    options.onEvent?.({ event: 'row_rejected', backfill: backfill.name, key: String(key), reason });
  }
  request.rejected = undefined;
  if (batch) await pacer.onCommit(batch.rowsScanned);
  request.limit = Math.min(pacer.rows, request.limit * 2);
}

async function emitBatch(
  { ledger, backfill: of, options: { onEvent, showValues } }: Loop,
  batch: Batch,
  durationMs: number,
): Promise<void> {
  if (!onEvent) return;
  const { name: backfill } = of;
  const { number, firstKey, lastKey, rowsScanned, cellsFilled, cellsSkipped, skips } = batch;
  onEvent({
    event: 'batch_committed',
    backfill,
    batch: number,
    firstKey: String(firstKey),
    lastKey: String(lastKey),
    rowsScanned,
    cellsFilled,
    cellsSkipped,
    durationMs,
  });
  if (skips === 0) return;
  for (const warning of thrownWarnings(of, takeThrown(of), showValues))
    onEvent({ event: 'warning', text: english(warning) });
  for (const { key, target, reason } of await ledger.skipsOfBatch(backfill, number))
    onEvent({ event: 'row_skipped', backfill, key: String(key), target, reason });
}

/** How long a process waits when others are at work on all that is left, in milliseconds. */
const CLAIM_RETRY_MS = 50;

/** How often it says for whom it waits then, in milliseconds. */
const TELL_WAIT_MS = 5000;

/** Waits a moment where others are at work on all that is left, and says for whom now and then. */
function waitReporter({ ledger, backfill, options }: Loop): (filled: BatchOutcome) => Promise<void> {
  let since = performance.now();
  return async ({ allClaimed }) => {
    if (allClaimed) await sleep(CLAIM_RETRY_MS);
    else since = performance.now();
    if (performance.now() < since + TELL_WAIT_MS) return;
    since = performance.now();
    options.onEvent?.({ event: 'range_waiting', backfill: backfill.name, ...(await ledger.claimHolder()) });
  };
}
