import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Transaction } from '../db/connection.js';
import { foldCase, identifier } from '../db/sql.js';
import type { RevertResult } from '../engine/batch.js';
import { type ClientRow, clientRows, type Given, isDerivedSql } from '../engine/derive.js';
import { rowByRow } from '../engine/expressions.js';
import { type Filler, fillersOf, withoutValues } from '../engine/filled-by.js';
import { rowSql } from '../engine/rows.js';
import { absentCells } from '../engine/schema.js';
import { BackfillError } from '../errors.js';
import { type CellPart, earlierCells } from '../ledger/cells.js';
import { countKeys, type KeySpan } from '../ledger/keys.js';
import { forgetDeclarations } from '../ledger/steps.js';
import { type Message, msg } from '../messages/message.js';
import type { Backfill } from '../steps/define.js';
import { commitBatch, type Loop, type Work, withBatchEvents } from './batches.js';

/** Rows of values that are sent to the store at once. */
const PAGE = 1000;

/**
 * Sets cells that a batch filled, in some columns of its rows, to NULL if they still hold the derived value.
 *
 * @param absent columns of the backfill that were dropped since, in folded case: their cells count as gone
 * @returns cells: set to NULL; kept because they hold another value; in rows that no longer exist
 * @throws {BackfillError} `STEP_DRIFTED` if the declaration no longer has one of the columns; `UPDATE_IGNORED`
 */
async function revertCells(
  tx: Transaction,
  backfill: Backfill,
  filled: readonly string[],
  runs: readonly KeySpan[],
  absent: ReadonlySet<string>,
): Promise<{ readonly reverted: number; readonly others: number; readonly gone: number }> {
  const names = filled.filter((name) => !absent.has(foldCase(name)));
  const gone = countKeys(runs) * (filled.length - names.length);
  if (names.length === 0 || runs.length === 0) return { reverted: 0, others: 0, gone };
  const columns = names.map((name) => backfill.columns.findIndex((column) => column.name === name));
  if (columns.includes(-1))
    throw new BackfillError(
      'STEP_DRIFTED',
      msg('{backfill} filled {columns}, which its declaration no longer has', {
        backfill: backfill.name,
        columns: names,
      }),
      msg('Restore the step file as it was applied, then run the same command again'),
    );
  const derivation = await tx.dialect.derive(tx, backfill);
  const { from, where, parameters } = derivation.ofKeys(runs);
  const rows = derivation.select({ from, where, absent });
  const left: ClientRow[] = [];
  for await (const page of clientRows(tx, derivation, rows, [], parameters)) left.push(...page);
  const { key } = await rowSql(tx, backfill);
  const cells = columns.map((i) => `t.${identifier(backfill.columns[i]?.name ?? '')} AS c${i}, given.v${i}`);
  const total = { rows: 0, reverted: 0, others: 0 };
  const revertRows = async (set: Given, all?: readonly KeySpan[]): Promise<void> => {
    const found = await tx.dialect.revertRows(tx, derivation, columns, set, all);
    if (!found) throw new RangeError('An aggregate returns a row');
    const ignored = { table: backfill.table, rows: found.due - found.done };
    if (ignored.rows !== 0)
      throw new BackfillError(
        'UPDATE_IGNORED',
        msg('A trigger on {table} ignored the update of {rows} rows', ignored),
        msg('Check the triggers that umzug-backfill up --dry-run lists for RAISE(IGNORE)'),
      );
    total.rows += found.rows;
    total.reverted += found.reverted;
    total.others += found.others;
  };
  if (!derivation.isClientSide) {
    const sql = `SELECT * FROM (${rows}) AS derived WHERE ${isDerivedSql(derivation)}`;
    await revertRows({ sql, parameters }, absent.size === 0 ? runs : undefined);
  }
  while (left.length > 0) {
    const given = derivation.given(left.splice(-PAGE));
    await revertRows({
      ...given,
      sql: `SELECT given.k, ${cells.join(', ')} FROM ${given.sql} CROSS JOIN ${identifier(backfill.table)} AS t
      WHERE ${key} ${tx.dialect.operator('=')} given.k`,
    });
  }
  const { rows: found, reverted, others } = total;
  return { reverted, others, gone: gone + (countKeys(runs) - found) * names.length };
}

/** The declaration that filled a batch, and those of its columns that no longer exist, in folded case. */
interface FilledBy {
  readonly filler: Filler;
  readonly absent: ReadonlySet<string>;
}

/** Reverts and deletes a batch, inside its transaction: see batches.ts for the effect of a kill. */
async function revertBatch(
  tx: Transaction,
  { ledger, backfill }: Pick<Loop, 'ledger' | 'backfill'>,
  number: number,
  parts: readonly CellPart[],
  { filler, absent }: FilledBy,
): Promise<RevertResult> {
  const { name } = backfill;
  const found = { reverted: 0, kept: 0, gone: 0, underivable: 0 };
  for (const { columns, runs, isInEarlier } of parts) {
    const revert = async (some: readonly KeySpan[], isDerivable = true): Promise<void> => {
      const by = isDerivable ? filler.backfill : withoutValues(filler.backfill);
      const part = await revertCells(tx, by, columns, some, absent);
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
  let last: FilledBy | undefined;
  for (const [i, number] of numbers.entries()) {
    const where = (): Message =>
      msg('between two batches of {backfill}, with {batches} left to revert', {
        backfill: name,
        batches: numbers.length - i,
      });
    const filler = await fillerOf(number);
    if (filler !== last?.filler) last = { filler, absent: await absentCells(store, filler.backfill) };
    const by = last;
    const batch = async (tx: Transaction): Promise<RevertResult> => {
      const own = ledger.in(tx);
      return await revertBatch(tx, { ledger: own, backfill }, number, await partsOf(number, own), by);
    };
    const result = await commitBatch({ ...loop, backfill: filler.backfill }, batch, where);
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
export async function revertBackfillStep(work: Work): Promise<RevertResult> {
  const { store, ledger, backfill } = work;
  const { name } = backfill;
  await store.write((tx) => ledger.in(tx).beginRevert(name));
  await withBatchEvents(work, revertBatches);
  return await store.write(async (tx) => {
    const own = ledger.in(tx);
    const record = await own.step(name);
    const kept = await own.keptCells(name);
    await own.deleteStep(name);
    return { reverted: record?.revertedCells ?? 0, kept: record?.keptCells ?? 0, ...kept };
  });
}
