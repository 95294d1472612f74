import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';
import type { Transaction } from '../db/connection.js';
import { type BatchResult, type FillWindow, type RejectedRow, RejectedUpdate } from '../engine/batch.js';
import { findFailingRow, withFailingRow } from '../engine/expressions.js';
import { takeThrown, thrownWarnings } from '../engine/process.js';
import { warning } from '../engine/run-options.js';
import type { Key } from '../ledger/keys.js';
import type { RunRecord } from '../ledger/records.js';
import { type Message, msg } from '../messages/message.js';
import { commitBatch, type Loop } from './batches.js';
import { rejectionOf, requireFixedPoint, stopOnFailures, stopOnRejections } from './run-checks.js';

/** A batch with its number. */
type Batch = BatchResult & { readonly number: number };

/** Parameters of the next batch, known only to this process. */
interface BatchRequest {
  /** Last key that this process has done. */
  cursor: Key | null;
  /** Maximum rows. */
  limit: number;
  /** Keys to read: see {@link windowOf}. */
  window?: FillWindow | undefined;
  /** Last key of the window before. */
  readTo: Key | null;
  /** A row whose update the database has rejected; the batch records it as a skip. */
  rejected?: RejectedRow | undefined;
}

/** Result of an attempt to fill a batch. */
interface BatchOutcome {
  readonly batch?: Batch | undefined;
  /** Whether nothing is left for this process. */
  readonly isDone: boolean;
  /** Whether other processes have claimed all remaining ranges. */
  readonly allClaimed?: boolean;
}

/** Fills the next batch of a run, or finishes the run if no row is left. Runs inside the batch's transaction: see batches.ts. */
async function fillNextBatch(
  tx: Transaction,
  { backfill, ledger: outside }: Loop,
  run: RunRecord,
  request: BatchRequest,
): Promise<BatchOutcome> {
  const startedAt = performance.now();
  const { name } = backfill;
  const ledger = outside.in(tx);
  const claim = await ledger.claim(name, run, request.cursor);
  if (claim === 'contended') return { isDone: false, allClaimed: true };
  if (claim === 'exhausted') {
    await ledger.finishRunIfExhausted(name, run.run);
    return { isDone: true };
  }
  const number = await ledger.nextBatch(name);
  const columns = backfill.columns.map((column) => column.name);
  // Read in the transaction, so that a lock of another program is waited for with the retries of the batch.
  const hasTriggers = (await tx.dialect.updateTriggers(tx, backfill.table, columns)).length > 0;
  const { after, upTo } = request.window ?? { after: claim.cursor, upTo: claim.endKey };
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
    // In the batch's transaction: committed, each retry would continue after it, one batch at a time, to the end.
    if (backfill.process && batch.skips > 0) await stopOnFailures(ledger, backfill, run);
    if (request.cursor === run.cursor && !hasTriggers) await requireFixedPoint(tx, ledger, backfill, number);
    if (request.rejected) await stopOnRejections(ledger, backfill, run, request.rejected);
  }
  const isLast = upTo === claim.endKey && (!batch || batch.isLast);
  return { batch, isDone: isLast && (await ledger.finishClaim(name, claim)) };
}

/**
 * Fills the rest of a run, batch by batch. If the database rejects a row, halves the batch until the row is alone, and records it as a skip.
 *
 * @throws {BackfillError} `ROW_REJECTED_REPEATEDLY`, `PROCESS_FAILED` if this happens to too many rows, and as `applyBackfillStep`
 */
export async function fillBatches(loop: Loop, run: RunRecord): Promise<void> {
  const { store, backfill, options, pacer } = loop;
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
  // After a conflict: a shorter batch is less likely to meet another one.
  const halve = (): void => {
    request.limit = Math.ceil(request.limit / 2);
  };
  for (let isDone = false; !isDone; await nextTurn()) {
    request.window ??= await windowOf(loop, run, request);
    let tried: BatchResult | undefined;
    const batch = async (tx: Transaction): Promise<BatchOutcome> => {
      const one = await fillNextBatch(tx, loop, run, request);
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
      // The batch already excluded this row: no update is possible at all.
      if (!failed || failed.rejected.key === request.rejected?.key) {
        const cause = error instanceof RejectedUpdate ? error.cause : error;
        throw (await findFailingRow(store, backfill, cause)) ?? error;
      }
      request.rejected = failed.rows === 1 ? failed.rejected : undefined;
      request.limit = Math.ceil(failed.rows / 2);
    }
  }
}

/** Returns the next part of the table to read, found between two transactions. Undefined if reads in a batch block no other process. */
async function windowOf(
  { store, ledger, backfill }: Loop,
  { watermark, kind }: RunRecord,
  { readTo }: BatchRequest,
): Promise<FillWindow | undefined> {
  if (watermark === null || ledger.isShared) return undefined;
  const find = () => store.dialect.fillWindow(store, backfill, readTo, watermark, kind === 'catch-up');
  return await withFailingRow(store, backfill, find);
}

/** Updates the request after a COMMIT, and emits its events. */
async function advance(loop: Loop, request: BatchRequest, { batch }: BatchOutcome, durationMs: number) {
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
  if (batch) await pacer.onCommit(batch.rowsScanned, [batch.firstKey, batch.lastKey]);
  request.limit = Math.min(pacer.rows, request.limit * 2);
}

async function emitBatch(
  { ledger, backfill: of, options: { onEvent, showValues } }: Loop,
  batch: Batch,
  durationMs: number,
): Promise<void> {
  if (!onEvent) return;
  const { name: backfill } = of;
  const { number, rowsScanned, cellsFilled, cellsSkipped, skips } = batch;
  const keys = { firstKey: String(batch.firstKey), lastKey: String(batch.lastKey) };
  const counts = { rowsScanned, cellsFilled, cellsSkipped };
  onEvent({ event: 'batch_committed', backfill, batch: number, ...keys, ...counts, durationMs });
  if (skips === 0) return;
  for (const thrown of thrownWarnings(of, takeThrown(of), showValues)) onEvent(warning(thrown));
  for (const { key, target, reason } of await ledger.skipsOfBatch(backfill, number))
    onEvent({ event: 'row_skipped', backfill, key: String(key), target, reason });
}

/** Pause before the next attempt to claim a range, in milliseconds. */
const CLAIM_RETRY_MS = 50;

/** Interval of `range_waiting` events, in milliseconds. */
const WAIT_EVENT_MS = 5000;

/** Returns a function that pauses if all remaining ranges are claimed, and reports the holder from time to time. */
function waitReporter({ ledger, backfill, options }: Loop): (filled: BatchOutcome) => Promise<void> {
  let since = performance.now();
  return async ({ allClaimed }) => {
    if (allClaimed) await sleep(CLAIM_RETRY_MS);
    else since = performance.now();
    if (performance.now() < since + WAIT_EVENT_MS) return;
    since = performance.now();
    options.onEvent?.({ event: 'range_waiting', backfill: backfill.name, ...(await ledger.claimHolder()) });
  };
}
