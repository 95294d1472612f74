import type { Store } from '../db/connection.js';
import { foldCase } from '../db/sql.js';
import { countWhile } from '../each.js';
import { rowByRow } from '../engine/expressions.js';
import { type Filler, fillersOf } from '../engine/filled-by.js';
import { scanRows } from '../engine/scan.js';
import { absentColumns } from '../engine/schema.js';
import type { BatchRecord } from '../ledger/batches.js';
import { compareKeys, type Key, type KeySpan } from '../ledger/keys.js';
import type { Ledger } from '../ledger/ledger.js';
import { type CellSet, isOpen, type RunRecord } from '../ledger/records.js';
import type { Backfill } from '../steps/define.js';
import { addKey, type ColumnFacts, type ScanFacts } from './facts.js';

/** Maximum number of cells that are classified together. */
const MAX_PENDING = 1000;

/** State of a cell that equals the derived value; see `ScanRow`. */
const CONSISTENT = 2;

/** A cell of a scanned row. */
export interface Cell {
  readonly key: Key;
  readonly column: ColumnFacts;
}

/** A cell that a batch filled, with the last run that did. */
interface FilledCell extends Cell {
  readonly run: RunRecord;
  readonly batch: number;
}

/**
 * Returns functions that classify cells which differ from the value that the current definition derives, by what filled them.
 *
 * @param isCompared whether a cell in this row, filled by this run, counts in the comparison with the ledger
 * @returns `classify` takes the cells of a page, in key order; `settle` classifies those still pending, after the last page
 */
export async function mismatchClassifier(
  store: Store,
  ledger: Ledger,
  backfill: Backfill,
  { mismatches }: ScanFacts,
  isCompared: (key: Key, run: number) => boolean,
) {
  let attributed: Awaited<ReturnType<typeof cellAttribution>> | undefined;
  let pending: FilledCell[] = [];
  let fillerOf: Awaited<ReturnType<typeof fillersOf>> | undefined;
  /** Classifies cells whose value no definition derives: filled by the run being verified, or by an earlier one. */
  const noteByRun = async (cells: readonly FilledCell[]): Promise<void> => {
    const open = cells.filter(({ run }) => isOpen(run.status));
    for (const { key, run } of cells) if (!isOpen(run.status)) addKey(mismatches.earlierRun, key);
    if (open.length === 0) return;
    const rewritten = await store.dialect.rewrittenSince(store, backfill, open);
    for (const [i, { key }] of open.entries())
      addKey(rewritten.has(i) ? mismatches.rewritten : mismatches.thisRun, key);
  };

  const judgeBy = async (filler: Filler, cells: readonly FilledCell[]): Promise<void> => {
    if (filler.certainty === 'lost') {
      for (const { key } of cells) addKey(mismatches.underivable, key);
      return;
    }
    const { held, failing } = await heldCells(store, filler.backfill, cells);
    for (const { key } of cells) if (failing.has(key)) addKey(mismatches.underivable, key);
    const isHeld = ({ key, column }: Cell): boolean => held.has(cellId(key, column.name));
    for (const { key, column, run } of cells.filter(isHeld)) {
      addKey(mismatches.declaredOtherwise, key);
      if (isCompared(key, run.run)) column.consistentUpTo += 1;
    }
    await noteByRun(cells.filter((cell) => !isHeld(cell) && !failing.has(cell.key)));
  };

  const settle = async (): Promise<void> => {
    if (pending.length === 0) return;
    fillerOf ??= await fillersOf(store, backfill);
    const byFiller = new Map<Filler, FilledCell[]>();
    for (const cell of pending) {
      const filler = await fillerOf(cell.batch);
      const cells = byFiller.get(filler) ?? [];
      byFiller.set(filler, cells);
      cells.push(cell);
    }
    pending = [];
    for (const [filler, cells] of byFiller) {
      // The scan has compared these with the current definition.
      if (filler.backfill === backfill) await noteByRun(cells);
      else await judgeBy(filler, cells);
    }
  };
  return {
    classify: async (cells: readonly Cell[]): Promise<void> => {
      if (cells.length === 0) return;
      attributed ??= await cellAttribution(ledger, backfill);
      for (const cell of await attributed(cells)) {
        if ('run' in cell) pending.push(cell);
        else addKey(mismatches.application, cell.key);
        if (pending.length === MAX_PENDING) await settle();
      }
    },
    settle,
  };
}

const cellId = (key: Key, column: string): string => `${column}\u0000${typeof key} ${key}`;

/** Returns the cells that equal the value derived by `filler`, and the keys of rows on which it now fails. */
async function heldCells(store: Store, filler: Backfill, cells: readonly Cell[]) {
  const keys = cells.map(({ key }) => key).sort(compareKeys);
  const wanted = new Set(cells.map(({ key, column }) => cellId(key, column.name)));
  const names = filler.columns.map(({ name }) => name);
  const absent = await absentColumns(store, filler.table, names);
  const columns = filler.columns.filter(({ name }) => !absent.has(foldCase(name)));
  const held = new Set<string>();
  const failing = new Set<Key>();
  const [first, last] = [keys[0], keys.at(-1)];
  if (first === undefined || last === undefined || columns.length === 0) return { held, failing };
  const read = async (ranges: readonly KeySpan[]): Promise<void> => {
    const rowsOf = await scanRows(store, { ...filler, columns });
    for (const range of ranges)
      for await (const page of rowsOf(range))
        for (const [key, state] of page)
          columns.forEach(({ name }, i) => {
            const id = cellId(key, name);
            if (((state >> (2 * i)) & 3) === CONSISTENT && wanted.has(id)) held.add(id);
          });
  };
  const isRead = await store.attempt(async () => await read([[first, last]]));
  const rows = keys.map((key): KeySpan => [key, key]);
  if (!isRead) await rowByRow(store, rows, read, async ([key]) => void failing.add(key));
  return { held, failing };
}

/**
 * Returns a function that looks up in the ledger what filled each cell last; it returns a cell that no batch filled as it is. In key order
 * it unpacks each batch once.
 */
async function cellAttribution(ledger: Ledger, { name }: Backfill) {
  const runs = (await ledger.runs(name)).reverse();
  const batches = (await ledger.batches(name)).sort((a, b) => compareKeys(a.firstKey, b.firstKey));
  const batchesOf = new Map(runs.map(({ run }) => [run, batches.filter((batch) => batch.run === run)]));
  const unpacked = new Map<number, { batch: BatchRecord; sets: readonly CellSet[] }>(); // the last batch of each run
  return async (cells: readonly Cell[]): Promise<(Cell | FilledCell)[]> => {
    const found: (Cell | FilledCell)[] = [...cells];
    for (const [i, { key, column }] of cells.entries())
      for (const run of runs) {
        const batch = lastFrom(batchesOf.get(run.run) ?? [], key, ({ firstKey }) => firstKey);
        if (!batch || compareKeys(key, batch.lastKey) > 0) continue;
        let known = unpacked.get(run.run);
        if (known?.batch !== batch) {
          known = { batch, sets: await ledger.cells(name, batch.number) };
          unpacked.set(run.run, known);
        }
        if (!known.sets.some((set) => set.columns.includes(column.name) && isIn(set.runs, key))) continue;
        found[i] = { key, column, run, batch: batch.number };
        break;
      }
    return found;
  };
}

/** Returns the last item whose `first` is not above `key`, from items in ascending order. */
const lastFrom = <Item>(items: readonly Item[], key: Key, first: (item: Item) => Key): Item | undefined =>
  items[countWhile(items.length, (i) => compareKeys(first(items[i] as Item), key) <= 0) - 1];

const isIn = (runs: readonly KeySpan[], key: Key): boolean => {
  const run = lastFrom(runs, key, ([first]) => first);
  return run !== undefined && compareKeys(key, run[1]) <= 0;
};
