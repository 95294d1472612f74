import type { Store } from '../db/connection.js';
import { foldCase, identifier } from '../db/sql.js';
import { explained } from '../engine/expressions.js';
import { partsSql, rowSql } from '../engine/rows.js';
import type { RunOptions, ValuesLeft } from '../engine/run-options.js';
import type { Key } from '../ledger/keys.js';
import type { Ledger } from '../ledger/ledger.js';
import type { RunRecord } from '../ledger/records.js';
import type { Backfill } from '../steps/define.js';

/** What a first run says beside its batches: a declaration may be mistaken where it finds values, or makes none. */

/**
 * Counts values in scope that a first run leaves as they are.
 *
 * @param after behind this key; null for all
 * @param absent columns that the table does not have yet, in folded case. Default: none
 */
export async function countValuesLeft(
  store: Store,
  backfill: Backfill,
  after: Key | null,
  absent: ReadonlySet<string> = new Set(),
): Promise<ValuesLeft> {
  const present = backfill.columns.filter(({ name }) => !absent.has(foldCase(name)));
  if (present.length === 0) return { rows: 0, cells: {} };
  const columns = present.map(({ name }) => `t.${identifier(name)}`);
  const count = store.dialect.builtIn('count');
  const { inScope } = await rowSql(store, backfill);
  const sums = { rows: 0, cells: Object.fromEntries(present.map(({ name }) => [name, 0])) };
  await explained(store, backfill, async () => {
    for await (const part of partsSql(store, backfill, after)) {
      const row = await store.project.get<Record<string, number>>(
        `SELECT ${count}(*) AS rows, ${columns.map((column, i) => `${count}(${column}) AS n${i}`).join(', ')}
        FROM ${identifier(backfill.table)} AS t
        WHERE ${part} AND ${inScope}
          AND (${columns.map((column) => `${column} IS NOT NULL`).join(' OR ')})`,
      );
      sums.rows += row?.rows ?? 0;
      for (const [i, { name }] of present.entries())
        sums.cells[name] = (sums.cells[name] ?? 0) + (row?.[`n${i}`] ?? 0);
    }
  });
  return sums;
}

/**
 * Tells of values that a first run leaves, before its first batch or behind the last one.
 *
 * @returns the same; undefined for a run of which they are not counted
 */
export async function tellValuesLeft(
  store: Store,
  ledger: Ledger,
  backfill: Backfill,
  run: RunRecord,
  { onEvent }: RunOptions,
): Promise<ValuesLeft | undefined> {
  // Behind the cursor of one range, other ranges may hold cells that this run has filled.
  if (run.kind !== 'first' || (ledger.isShared && run.batches > 0)) return undefined;
  const left = await countValuesLeft(store, backfill, run.cursor);
  if (left.rows > 0) onEvent?.({ event: 'values_left', backfill: backfill.name, ...left });
  return left;
}

/** Tells of a first run that has found cells to fill, and filled none of them. */
export async function tellNothingFilled(
  ledger: Ledger,
  { name }: Backfill,
  number: number,
  { onEvent }: RunOptions,
): Promise<void> {
  const run = (await ledger.runs(name)).find((record) => record.run === number);
  if (run?.kind !== 'first' || run.cellsFilled > 0 || run.cellsSkipped === 0) return;
  onEvent?.({
    event: 'nothing_filled',
    backfill: name,
    cells: run.cellsSkipped,
    skips: await ledger.skipCounts(name),
  });
}
