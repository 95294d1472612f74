import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';
import { earlierCells } from '../ledger/cells.js';
import { countKept, forgetDeclarations } from '../ledger/declarations.js';
import type { Key, KeyRun } from '../ledger/keys.js';
import type { Ledger } from '../ledger/ledger.js';
import type { RunRecord } from '../ledger/records.js';
import { absentCells, updateTriggers } from '../schema/inspect.js';
import { type RefusedRow, RefusedUpdate, type RevertResult } from '../store/batch.js';
import { busyPauses } from '../store/busy.js';
import { explained, explanation, rowByRow } from '../store/expressions.js';
import type { BatchResult, Connection, Store, Transaction } from '../store/port.js';
import { revertCells } from '../store/revert.js';
import type { Backfill } from './define.js';
import { type Filler, fillersOf, withoutValues } from './filled-by.js';
import { Pacer } from './pacer.js';
import { takeThrown, thrownWarnings } from './process.js';
import { refusalOf, refuseFailures, refuseTooMany } from './refusals.js';
import type { RunOptions } from './run-options.js';
import { requireFixedPoint } from './steadiness.js';
import { throwIfStopped } from './stop.js';

/** The loops over batches. Each batch is one transaction; between two the event loop turns, so that signals are heard. */

/**
 * Runs a loop of batches, telling when it begins and ends.
 *
 * @throws {BackfillError} `INTERRUPTED`, `TERMINATED` when it was stopped, in its last batch too
 */
export async function inBatches(
  store: Connection,
  backfill: Backfill,
  options: RunOptions,
  act: (pacer: Pacer) => Promise<void>,
): Promise<void> {
  const { onEvent, signal } = options;
  onEvent?.({ event: 'batches_started', backfill: backfill.name });
  const pacer = await Pacer.begin(store, backfill, options);
  try {
    await act(pacer);
    throwIfStopped(signal, `behind the last batch of ${backfill.name}`); // what comes next must not begin
  } finally {
    await pacer.close();
    onEvent?.({ event: 'batches_ended', backfill: backfill.name });
  }
}

/** Maximum pause after a conflict, in milliseconds. Random, so that processes that conflict do not conflict again. */
const CONFLICT_PAUSE_MS = 50;

/**
 * Commits one transaction, trying again while another process keeps the lock: the event loop turns between two tries.
 *
 * @param onConflict called before another try if another transaction has written the same rows
 */
async function commit<Result>(
  store: Connection,
  pacer: Pacer,
  act: (tx: Transaction) => Promise<Result>,
  backfill: Backfill,
  where: () => string,
  { signal, onEvent }: RunOptions,
  onConflict?: () => void,
): Promise<Result> {
  await pacer.pause();
  const lockedAct = async (tx: Transaction): Promise<Result> => {
    await pacer.locked(tx);
    return await act(tx);
  };
  for (const usualMs of busyPauses()) {
    throwIfStopped(signal, where());
    try {
      return await store.tryWrite(lockedAct);
    } catch (error) {
      const reason = store.dialect.retryReason(error);
      if (!reason) throw (await explanation(store, backfill, error)) ?? error; // rolled back by now
      const isConflict = reason === 'conflict';
      if (isConflict) onConflict?.();
      const pauseMs = isConflict ? Math.ceil(Math.random() * CONFLICT_PAUSE_MS) : usualMs;
      onEvent?.({ event: 'store_busy', backfill: backfill.name, pauseMs });
      await sleep(pauseMs);
    }
  }
  return await explained(store, backfill, async () => await store.tryWrite(lockedAct));
}

/**
 * Works off what is left of a run. A row that SQLite refuses to update is found by halving the batch until it is alone, and
 * recorded as a skip.
 *
 * @throws {BackfillError} `ROW_REJECTED_REPEATEDLY` when it refuses too many, `PROCESS_FAILED`, and as `applyBackfillStep`
 */
export async function fillBatches(
  store: Connection,
  ledger: Ledger,
  backfill: Backfill,
  run: RunRecord,
  pacer: Pacer,
  options: RunOptions,
): Promise<void> {
  const { name } = backfill;
  options.onEvent?.({
    event: 'run_started',
    backfill: name,
    run: run.run,
    kind: run.kind,
    isResumed: run.batches > 0,
    cursor: run.cursor === null ? null : String(run.cursor),
    watermark: run.watermark === null ? null : String(run.watermark),
  });
  let { cursor, rowsScanned } = run;
  let limit = pacer.rows;
  let refused: RefusedRow | undefined;
  let tellWaitAt = performance.now() + TELL_WAIT_MS;
  const where = (): string =>
    `between two batches of ${name}, at key ${cursor ?? 'none'} of ${run.watermark ?? 'none'}`;
  for (let isDone = false; !isDone; ) {
    const startedAt = performance.now();
    const take = { cursor, limit, refused, rowsScanned };
    let tried: BatchResult | undefined;
    const act = async (tx: Transaction) => {
      const one = await fillOne(tx, ledger.in(tx), backfill, run, take);
      tried = one.batch;
      return one;
    };
    // Halved, down to the row: the longer a batch takes, the surer one of its rows is written meanwhile.
    const halve = (): void => {
      take.limit = Math.ceil(take.limit / 2);
    };
    try {
      const { batch: committed, ...one } = await commit(store, pacer, act, backfill, where, options, halve);
      isDone = one.isDone;
      if (one.isTaken) {
        await sleep(TAKEN_MS);
        if (performance.now() >= tellWaitAt) {
          options.onEvent?.({ event: 'range_waiting', backfill: name, ...(await ledger.claimHolder()) });
          tellWaitAt = performance.now() + TELL_WAIT_MS;
        }
      } else tellWaitAt = performance.now() + TELL_WAIT_MS;
      if (committed) {
        cursor = committed.lastKey;
        rowsScanned += committed.rowsScanned;
        await tellBatch(ledger, backfill, committed, performance.now() - startedAt, options);
        await pacer.committed(committed.rowsScanned);
      }
      if (refused)
        options.onEvent?.({
          event: 'row_refused',
          backfill: name,
          key: String(refused.key),
          reason: refused.code,
        });
      refused = undefined;
      limit = Math.min(pacer.rows, take.limit * 2);
    } catch (error) {
      const failed = refusalOf(error, tried);
      // A row that was left out is not to blame: with it or without, no update is possible.
      if (!failed || failed.refused.key === refused?.key)
        throw (
          (await explanation(store, backfill, error instanceof RefusedUpdate ? error.cause : error)) ?? error
        );
      refused = failed.rows === 1 ? failed.refused : undefined;
      limit = Math.ceil(failed.rows / 2);
    }
    await nextTurn(); // signals are heard here
  }
}

const hasTriggers = async (store: Store, { table, columns }: Backfill): Promise<boolean> =>
  (
    await updateTriggers(
      store,
      table,
      columns.map(({ name }) => name),
    )
  ).length > 0;

/** How long a process waits when others are at work on all that is left, in milliseconds. */
const TAKEN_MS = 50;

/** How often it says for whom it waits then, in milliseconds. */
const TELL_WAIT_MS = 5000;

/** What became of a claim. */
interface Filled {
  readonly batch?: BatchResult & { readonly number: number };
  /** Whether nothing is left for this process. */
  readonly isDone: boolean;
  /** Whether others are at work on all that is left. */
  readonly isTaken?: boolean;
}

/** One batch, or the end of the run when no row is left. */
async function fillOne(
  tx: Transaction,
  ledger: Ledger,
  backfill: Backfill,
  run: RunRecord,
  take: { cursor: Key | null; limit: number; refused: RefusedRow | undefined; rowsScanned: number },
): Promise<Filled> {
  const startedAt = performance.now();
  const claim = await ledger.claim(backfill.name, run, take.cursor);
  if (claim === 'taken') return { isDone: false, isTaken: true };
  if (claim === 'done') {
    await ledger.settleRun(backfill.name, run.run);
    return { isDone: true };
  }
  const number = await ledger.nextBatch(backfill.name);
  // Read in the transaction: before it, a lock of another program's would be waited for once, and not again.
  const isTriggering = await hasTriggers(tx, backfill);
  const filled = await tx.dialect.fillBatch(tx, backfill, {
    ...take,
    cursor: claim.cursor,
    watermark: claim.end,
    batch: number,
    leavesSkips: run.kind === 'catch-up',
    hasTriggers: isTriggering,
  });
  if (filled) {
    const durationMs = performance.now() - startedAt;
    await ledger.addBatch(
      backfill.name,
      claim,
      { ...filled, number, run: run.run, durationMs },
      filled.cells,
    );
    // Here, so that the batch that is one too many is rolled back: a retry would go on behind it, row by row, to the end.
    const rowsScanned = async (): Promise<number> =>
      (await scannedBy(ledger, backfill, run)) ?? take.rowsScanned + filled.rowsScanned;
    if (backfill.process && filled.skips > 0)
      await refuseFailures(ledger, backfill, run, await rowsScanned());
    if (take.cursor === run.cursor && !isTriggering) await requireFixedPoint(tx, ledger, backfill, number);
    if (take.refused) await refuseTooMany(ledger, backfill, run, await rowsScanned(), take.refused);
  }
  const isDone = (!filled || filled.isLast) && (await ledger.finishClaim(backfill.name, run, claim));
  return { ...(filled ? { batch: { ...filled, number } } : {}), isDone };
}

/** Rows that all processes have read that share a run: what is refused is counted of all of them as well. Undefined where it is one's. */
const scannedBy = async (
  ledger: Ledger,
  { name }: Backfill,
  { run }: RunRecord,
): Promise<number | undefined> =>
  ledger.isShared ? (await ledger.runs(name)).find((record) => record.run === run)?.rowsScanned : undefined;

async function tellBatch(
  ledger: Ledger,
  of: Backfill,
  batch: BatchResult & { readonly number: number },
  durationMs: number,
  { onEvent, showsValues }: RunOptions,
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
  for (const text of thrownWarnings(of, takeThrown(of), showsValues)) onEvent({ event: 'warning', text });
  for (const { key, target, reason } of await ledger.skipsOfBatch(backfill, number))
    onEvent({ event: 'row_skipped', backfill, key: String(key), target, reason });
}

/** Takes back every batch, from the last, each by what filled it. */
export async function revertBatches(
  store: Connection,
  ledger: Ledger,
  backfill: Backfill,
  pacer: Pacer,
  options: RunOptions,
): Promise<void> {
  const { name } = backfill;
  const fillerOf = await fillersOf(store, backfill);
  const partsOf = await earlierCells(ledger, name);
  const numbers = await ledger.batchNumbers(name);
  let prepared: Filler | undefined;
  let absent: ReadonlySet<string> = new Set();
  for (const [i, number] of numbers.entries()) {
    const where = (): string =>
      `between two batches of ${name}, with ${numbers.length - i} still to be taken back`;
    const filler = await fillerOf(number);
    if (filler !== prepared) {
      absent = await absentCells(store, filler.backfill);
      prepared = filler;
    }
    const act = async (tx: Transaction): Promise<RevertResult> => {
      const own = ledger.in(tx);
      const found = { reverted: 0, kept: 0, gone: 0, underivable: 0 };
      for (const { columns, runs, isInEarlier } of await partsOf(number, own)) {
        const revert = async (some: readonly KeyRun[], isDerivable = true): Promise<void> => {
          const by = isDerivable ? filler.backfill : withoutValues(filler.backfill);
          const part = await revertCells(tx, by, { columns, runs: some, absent });
          found.reverted += part.reverted;
          if (isInEarlier) return; // what is left is counted with the batch of that run
          found.gone += part.gone;
          found[filler.certainty === 'exact' && isDerivable ? 'kept' : 'underivable'] += part.others;
        };
        // The file can be mended where it fails on a row; what the ledger has can't.
        if (filler.backfill === backfill) await revert(runs);
        else await rowByRow(tx, runs, revert, async (run) => await revert([run], false));
      }
      await own.countReverted(name, found.reverted, found.kept);
      await countKept(tx, name, 'gone', found.gone);
      await countKept(tx, name, 'underivable', found.underivable);
      await own.removeBatch(name, number);
      await forgetDeclarations(tx, name, await own.lastBatch(name));
      return found;
    };
    const result = await commit(store, pacer, act, filler.backfill, where, options);
    options.onEvent?.({ event: 'batch_reverted', backfill: name, batch: number, ...result });
    await pacer.committed(pacer.rows); // how many rows it took is the ledger's to say; the pauses go by its time
    await nextTurn();
  }
}
