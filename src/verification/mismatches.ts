import type { Backfill } from '../backfill/define.js';
import { type Filler, fillersOf } from '../backfill/filled-by.js';
import { compareKeys, type Key } from '../ledger/keys.js';
import type { Ledger } from '../ledger/ledger.js';
import { isOpen, type RunRecord } from '../ledger/records.js';
import { absentColumns } from '../schema/inspect.js';
import type { Store } from '../store/port.js';
import { foldCase } from '../store/sql.js';
import { cellAttribution } from './attribution.js';
import { type ColumnFacts, note, type ScanFacts } from './facts.js';

/** A cell that does not hold what its row derives by the step's file, and the run that filled it. */
interface Cell {
  readonly key: Key;
  readonly column: ColumnFacts;
  readonly run: RunRecord;
}

/**
 * Judges cells that do not hold what their row derives as the backfill is declared now: by who filled them, and by what.
 *
 * @param isCompared whether a cell of this row that this run filled is compared with the ledger's counts
 * @returns `judge`, called for each of them in key order; and `settle`, called when no row is being read, which judges those that
 *   another declaration filled
 */
export function mismatchJudge(
  store: Store,
  ledger: Ledger,
  backfill: Backfill,
  { mismatches }: ScanFacts,
  isCompared: (key: Key, run: number) => boolean,
): { readonly judge: (key: Key, column: ColumnFacts) => void; readonly settle: () => void } {
  const filledBy = cellAttribution(ledger, backfill);
  const pending = new Map<number, Cell[]>(); // by the batch that filled them
  const noteByRun = ({ key, run }: Cell): void =>
    note(isOpen(run.status) ? mismatches.thisRun : mismatches.earlierRun, key);

  const judgeBy = ({ backfill: filler, certainty }: Filler, cells: readonly Cell[]): void => {
    const holding = certainty === 'lost' ? new Set<string>() : heldCells(store, filler, cells);
    for (const cell of cells) {
      if (certainty === 'lost') note(mismatches.underivable, cell.key);
      else if (holding.has(cellId(cell.key, cell.column.name))) {
        note(mismatches.declaredOtherwise, cell.key);
        if (isCompared(cell.key, cell.run.run)) cell.column.consistentUpTo += 1;
      } else noteByRun(cell);
    }
  };

  return {
    judge: (key, column) => {
      const found = filledBy(key, column.name);
      if (!found) {
        note(mismatches.foreign, key);
        return;
      }
      const cells = pending.get(found.batch) ?? [];
      pending.set(found.batch, cells);
      cells.push({ key, column, run: found.run });
    },
    settle: () => {
      if (pending.size === 0) return;
      const fillerOf = fillersOf(store, backfill);
      const byFiller = new Map<Filler, Cell[]>();
      for (const [batch, cells] of pending) {
        const filler = fillerOf(batch);
        // What the file itself says has been compared already.
        if (filler.backfill === backfill) cells.forEach(noteByRun);
        else byFiller.set(filler, [...(byFiller.get(filler) ?? []), ...cells]);
      }
      pending.clear();
      for (const [filler, cells] of byFiller) judgeBy(filler, cells);
    },
  };
}

const cellId = (key: Key, column: string): string => `${column}\u0000${typeof key} ${key}`;

/** Which of some cells hold what a declaration derives for them. */
function heldCells(store: Store, filler: Backfill, cells: readonly Cell[]): Set<string> {
  const keys = cells.map(({ key }) => key).sort(compareKeys);
  const wanted = new Set(cells.map(({ key, column }) => cellId(key, column.name)));
  const names = filler.columns.map(({ name }) => name);
  const absent = absentColumns(store, filler.table, names);
  const present = { ...filler, columns: filler.columns.filter(({ name }) => !absent.has(foldCase(name))) };
  const held = new Set<string>();
  const [first, last] = [keys[0], keys.at(-1)];
  if (first === undefined || last === undefined || present.columns.length === 0) return held;
  for (const [key, state] of store.dialect.scanRows(store, present)([first, last])) {
    present.columns.forEach(({ name }, i) => {
      const id = cellId(key, name);
      if (((state >> (2 * i)) & 3) === CONSISTENT && wanted.has(id)) held.add(id);
    });
  }
  return held;
}

/** State of a cell that holds what its row derives: see `ScanRow`. */
const CONSISTENT = 2;
