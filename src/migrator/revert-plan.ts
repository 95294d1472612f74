import { fillersOf } from '../backfill/filled-by.js';
import type { Key, KeyRun } from '../ledger/keys.js';
import type { CellSet } from '../ledger/records.js';
import { absentColumns } from '../schema/inspect.js';
import type { RevertResult } from '../store/batch.js';
import type { KeyRange, Store } from '../store/port.js';
import { foldCase } from '../store/sql.js';
import type { BackfillStep, Session } from './session.js';

/** From so many runs of keys on, a batch is read from its first key to its last at once. */
const MAX_RANGES = 64;

/** State of a cell, two bits: see `ScanRow`. */
const [CONSISTENT, OTHER] = [2, 3];

/** What `down` would do with the cells of a backfill, reading only: each cell is judged by what filled it last, and counted once. */
export function planRevert({ store, ledger }: Session, step: BackfillStep): RevertResult {
  const fillerOf = fillersOf(store, step);
  const firstRun = ledger.runs(step.name)[0]?.run;
  const runOf = new Map(ledger.batches(step.name).map(({ number, run }) => [number, run]));
  const later = new Set<string>(); // cells of later runs: `down` finds NULL where an earlier one filled them, too
  const total = { reverted: 0, kept: 0, gone: 0, underivable: 0 };
  for (const number of ledger.batchNumbers(step.name)) {
    const { backfill, certainty } = fillerOf(number);
    const names = backfill.columns.map(({ name }) => name);
    const absent = absentColumns(store, backfill.table, names);
    const present = {
      ...backfill,
      scope: 'true',
      checks: {},
      columns: backfill.columns.filter(({ name }) => !absent.has(foldCase(name))),
    };
    if (present.columns.length === 0) continue;
    const sets = ledger.cells(step.name, number);
    const states = statesOf(store, present, sets);
    const isFirst = runOf.get(number) === firstRun;
    for (const { columns, runs } of sets) {
      for (const name of columns) {
        const at = present.columns.findIndex((column) => column.name === name);
        if (at < 0) continue;
        for (const key of keysOf(runs)) {
          const cell = `${name}\u0000${key}`;
          if (later.has(cell)) continue;
          if (!isFirst) later.add(cell);
          const state = states.get(key);
          if (state === undefined) total.gone += 1;
          else if (((state >> (2 * at)) & 3) === CONSISTENT) total.reverted += 1;
          else if (((state >> (2 * at)) & 3) === OTHER)
            total[certainty === 'exact' ? 'kept' : 'underivable'] += 1;
        }
      }
    }
  }
  return total;
}

/** How the rows of some cells stand that are there. */
function statesOf(
  store: Store,
  backfill: Parameters<Store['dialect']['scanRows']>[1],
  sets: readonly CellSet[],
): Map<Key, number> {
  const runs = sets.flatMap((set) => set.runs);
  const states = new Map<Key, number>();
  const rowsOf = store.dialect.scanRows(store, backfill);
  for (const range of runs.length > MAX_RANGES ? whole(sets) : runs)
    for (const [key, state] of rowsOf(range)) states.set(key, state);
  return states;
}

/** From the first key of each set to its last. */
const whole = (sets: readonly CellSet[]): KeyRange[] =>
  sets.flatMap(({ runs }): KeyRange[] => {
    const [first, last] = [runs[0]?.[0], runs.at(-1)?.[1]];
    return first === undefined || last === undefined ? [] : [[first, last]];
  });

function* keysOf(runs: readonly KeyRun[]): Generator<Key> {
  for (const [first, last] of runs) {
    if (typeof first === 'string' || typeof last === 'string') yield first;
    else for (let key = first; key <= last; key += 1n) yield key;
  }
}
