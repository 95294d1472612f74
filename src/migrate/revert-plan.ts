import type { Store } from '../db/connection.js';
import { foldCase } from '../db/sql.js';
import type { RevertResult } from '../engine/batch.js';
import type { KeyRange } from '../engine/dialect.js';
import { rowByRow, withFailingRow } from '../engine/expressions.js';
import { fillersOf, withoutValues } from '../engine/filled-by.js';
import { scanRows } from '../engine/scan.js';
import { absentCells } from '../engine/schema.js';
import { type CellPart, earlierCells } from '../ledger/cells.js';
import type { Key } from '../ledger/keys.js';
import type { Backfill } from '../steps/define.js';
import type { BackfillStep, Session } from './session.js';

type Part = Pick<CellPart, 'columns' | 'runs'>;

/** Number of key spans above which a batch is read in one range, from its first key to its last. */
const MAX_RANGES = 64;

/** States of a cell, two bits each: see `ScanRow`. */
const [CONSISTENT, OTHER] = [2, 3];

/** Returns what `down` would do with the cells of a backfill, from the last batch to the first, as `revertBatches` does. Reads only. */
export async function planRevert({ store, ledger }: Session, step: BackfillStep): Promise<RevertResult> {
  const fillerOf = await fillersOf(store, step);
  const partsOf = await earlierCells(ledger, step.name);
  const taken = new Set<string>(); // cells that an earlier batch will find NULL
  const total = { reverted: 0, kept: 0, gone: 0, underivable: 0 };
  for (const number of await ledger.batchNumbers(step.name)) {
    const { backfill, certainty } = await fillerOf(number);
    const absent = await absentCells(store, backfill);
    const columns = backfill.columns.filter(({ name }) => !absent.has(foldCase(name)));
    const parts = await partsOf(number);
    const present = { ...backfill, columns, scope: 'true', checks: {} };
    const states =
      columns.length === 0
        ? NO_STATES
        : await withFailingRow(
            store,
            present,
            async () => await statesOf(store, present, parts, backfill !== step),
          );
    const others = certainty === 'exact' ? 'kept' : 'underivable';
    for (const { isInEarlier, ...part } of parts) {
      for (const [name, key] of cellsOf(part)) {
        const at = columns.findIndex((column) => column.name === name);
        const cell = `${name}\u0000${key}`;
        if (taken.has(cell)) continue;
        const row = at < 0 ? undefined : states.found.get(key);
        const state = row === undefined ? undefined : (row >> (2 * at)) & 3;
        if (state === CONSISTENT) {
          total.reverted += 1;
          if (isInEarlier) taken.add(cell);
        } else if (isInEarlier) continue;
        else if (state === undefined) total.gone += 1;
        else if (state === OTHER) total[states.failing.has(key) ? 'underivable' : others] += 1;
      }
    }
  }
  return total;
}

interface States {
  readonly found: Map<Key, number>;
  /** Keys of rows on which the expression that filled them now fails. */
  readonly failing: Set<Key>;
}

const NO_STATES: States = { found: new Map(), failing: new Set() };

/**
 * Returns the states of the cells whose rows exist.
 *
 * @param isEarlier whether an earlier declaration filled them, which cannot be fixed in the file
 */
async function statesOf(
  store: Store,
  backfill: Backfill,
  sets: readonly Part[],
  isEarlier: boolean,
): Promise<States> {
  const runs = sets.flatMap((set) => set.runs);
  const states: States = { found: new Map(), failing: new Set() };
  const read =
    (by: Backfill) =>
    async (ranges: readonly KeyRange[]): Promise<void> => {
      const rowsOf = await scanRows(store, by);
      for (const range of ranges)
        for await (const page of rowsOf(range)) for (const [key, state] of page) states.found.set(key, state);
    };
  const ranges = runs.length > MAX_RANGES ? whole(sets) : runs;
  if (!isEarlier) await read(backfill)(ranges);
  else if (!(await store.attempt(async () => await read(backfill)(ranges))))
    await rowByRow(store, runs, read(backfill), async (run) => {
      states.failing.add(run[0]);
      await read(withoutValues(backfill))([run]);
    });
  return states;
}

/** Returns the range of each part, from its first key to its last. */
const whole = (sets: readonly Part[]): KeyRange[] =>
  sets.flatMap(({ runs }): KeyRange[] => {
    const [first, last] = [runs[0]?.[0], runs.at(-1)?.[1]];
    return first === undefined || last === undefined ? [] : [[first, last]];
  });

function* cellsOf({ columns, runs }: Part): Generator<readonly [column: string, key: Key]> {
  for (const [first, last] of runs) {
    if (typeof first === 'string' || typeof last === 'string')
      for (const name of columns) yield [name, first];
    else for (let key = first; key <= last; key += 1n) for (const name of columns) yield [name, key];
  }
}
