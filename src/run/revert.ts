import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Connection, Transaction } from '../db/connection.js';
import type { RevertResult } from '../engine/batch.js';
import { revertCells } from '../engine/batch.js';
import { rowByRow } from '../engine/expressions.js';
import { type Filler, fillersOf, withoutValues } from '../engine/filled-by.js';
import { absentCells } from '../engine/inspect.js';
import type { RunOptions } from '../engine/run-options.js';
import { type CellPart, earlierCells } from '../ledger/cells.js';
import type { KeySpan } from '../ledger/keys.js';
import type { Ledger } from '../ledger/ledger.js';
import { forgetDeclarations } from '../ledger/steps.js';
import { type Message, msg } from '../messages/message.js';
import type { Backfill } from '../steps/define.js';
import { commitBatch, type Loop, withBatchEvents } from './batches.js';

/** A batch to revert. */
interface FilledBatch {
  readonly number: number;
  readonly parts: readonly CellPart[];
  readonly filler: Filler;
  /** Columns that no longer exist, in folded case. */
  readonly absent: ReadonlySet<string>;
}

/** Reverts and deletes one batch, inside its transaction: see batches.ts for the effect of a kill. */
async function revertOne(
  tx: Transaction,
  { ledger, backfill }: Pick<Loop, 'ledger' | 'backfill'>,
  { number, parts, filler, absent }: FilledBatch,
): Promise<RevertResult> {
  const { name } = backfill;
  const found = { reverted: 0, kept: 0, gone: 0, underivable: 0 };
  for (const { columns, runs, isInEarlier } of parts) {
    const revert = async (some: readonly KeySpan[], isDerivable = true): Promise<void> => {
      const by = isDerivable ? filler.backfill : withoutValues(filler.backfill);
      const part = await revertCells(tx, by, { columns, runs: some, absent });
      found.reverted += part.reverted;
      if (isInEarlier) return; // the rest is counted with the batch of that run
      found.gone += part.gone;
      found[filler.certainty === 'exact' && isDerivable ? 'kept' : 'underivable'] += part.others;
    };
    // If the file's declaration fails on a row, it can be fixed; the ledger's cannot.
    if (filler.backfill === backfill) await revert(runs);
    else await rowByRow(tx, runs, revert, async (run) => await revert([run], false));
  }
  await ledger.countReverted(name, found);
  await ledger.removeBatch(name, number);
  await forgetDeclarations(tx, name, await ledger.lastBatch(name));
  return found;
}

/** Reverts every batch, last to first, each by the declaration that filled it. */
async function revertBatches(loop: Loop): Promise<void> {
  const { store, ledger, backfill, options, pacer } = loop;
  const { name } = backfill;
  const fillerOf = await fillersOf(store, backfill);
  const partsOf = await earlierCells(ledger, name);
  const numbers = await ledger.batchNumbers(name);
  let prepared: Filler | undefined;
  let absent: ReadonlySet<string> = new Set();
  for (const [i, number] of numbers.entries()) {
    const where = (): Message =>
      msg('between two batches of {backfill}, with {batches} left to revert', {
        backfill: name,
        batches: numbers.length - i,
      });
    const filler = await fillerOf(number);
    if (filler !== prepared) {
      absent = await absentCells(store, filler.backfill);
      prepared = filler;
    }
    const result = await commitBatch(
      { ...loop, backfill: filler.backfill },
      async (tx) => {
        const own = ledger.in(tx);
        const parts = await partsOf(number, own);
        return await revertOne(tx, { ledger: own, backfill }, { number, filler, absent, parts });
      },
      where,
    );
    options.onEvent?.({ event: 'batch_reverted', backfill: name, batch: number, ...result });
    await pacer.onCommit(pacer.rows); // the row count is in the ledger; pacing only needs the time
    await nextTurn();
  }
}

/**
 * Reverts a backfill batch by batch, last to first: a filled cell becomes NULL if it still holds what its row derives, by the declaration
 * that filled it. Each batch's cells and ledger rows change in one transaction. Safe to kill.
 *
 * @returns numbers of reverted and kept cells, including those of an interrupted `down` before
 * @throws {BackfillError} as `applyBackfillStep`
 */
export async function revertBackfillStep(
  store: Connection,
  ledger: Ledger,
  backfill: Backfill,
  options: RunOptions,
): Promise<RevertResult> {
  await store.write(async (tx) => await ledger.in(tx).beginRevert(backfill.name));
  await withBatchEvents({ store, ledger, backfill, options }, revertBatches);
  return await store.write(async (tx) => {
    const own = ledger.in(tx);
    const record = await own.step(backfill.name);
    const kept = await own.keptCells(backfill.name);
    await own.deleteStep(backfill.name);
    return { reverted: record?.revertedCells ?? 0, kept: record?.keptCells ?? 0, ...kept };
  });
}
