import { compareKeys, type Key, type KeyRun } from '../ledger/keys.js';
import type { Ledger } from '../ledger/ledger.js';
import type { BatchRecord, CellSet, RunRecord } from '../ledger/records.js';
import type { Backfill } from '../steps/define.js';

/** The last item whose `first` is not above `key`, by binary search over items in rising order. */
function lastFrom<Item>(items: readonly Item[], key: Key, first: (item: Item) => Key): Item | undefined {
  let [low, high] = [0, items.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (compareKeys(first(items[middle] as Item), key) <= 0) low = middle + 1;
    else high = middle;
  }
  return items[low - 1];
}

const isIn = (runs: readonly KeyRun[], key: Key): boolean => {
  const run = lastFrom(runs, key, ([first]) => first);
  return run !== undefined && compareKeys(key, run[1]) <= 0;
};

/** The last run that filled a cell, and its batch. */
export interface Attribution {
  readonly run: RunRecord;
  readonly batch: number;
}

/**
 * Finds the run that filled a cell, and its batch, by the ledger. Asked for in key order it unpacks each batch once.
 *
 * @returns a function from a cell to the last that filled it, or undefined when none did; a promise where the ledger has to be asked
 */
export async function cellAttribution(
  ledger: Ledger,
  backfill: Backfill,
): Promise<(key: Key, column: string) => Attribution | undefined | Promise<Attribution | undefined>> {
  const runs = (await ledger.runs(backfill.name)).reverse();
  const batches = (await ledger.batches(backfill.name)).sort((a, b) => compareKeys(a.firstKey, b.firstKey));
  const batchesOf = new Map(runs.map(({ run }) => [run, batches.filter((batch) => batch.run === run)]));
  const unpacked = new Map<number, { batch: BatchRecord; sets: readonly CellSet[] }>(); // the last of each run
  const attributionOf = (
    key: Key,
    column: string,
  ): Attribution | undefined | Promise<Attribution | undefined> => {
    for (const run of runs) {
      const batch = lastFrom(batchesOf.get(run.run) ?? [], key, ({ firstKey }) => firstKey);
      if (!batch || compareKeys(key, batch.lastKey) > 0) continue;
      const known = unpacked.get(run.run);
      if (known?.batch !== batch)
        return ledger.cells(backfill.name, batch.number).then((sets) => {
          unpacked.set(run.run, { batch, sets });
          return attributionOf(key, column);
        });
      if (known.sets.some((set) => set.columns.includes(column) && isIn(set.runs, key)))
        return { run, batch: batch.number };
    }
    return undefined;
  };
  return attributionOf;
}
