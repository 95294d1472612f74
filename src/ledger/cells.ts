import type { Store } from '../db/connection.js';
import { countWhile } from '../each.js';
import { BackfillError } from '../errors.js';
import { msg } from '../messages/message.js';
import { shellWord } from '../shell.js';
import { type Cell, PROBES } from './backfills.js';
import {
  compareKeys,
  countKeys,
  decodeIntegerKeys,
  decodeTextKeys,
  type Key,
  type KeySpan,
  MAX_TEXT_BYTES,
  maxBytes,
  split,
  united,
} from './keys.js';
import type { Ledger } from './ledger.js';
import { type BatchRecord, type CellSet, key, MAX_BATCH_ROWS, type RunRecord, texts } from './records.js';
import { LEDGER_TABLES as T } from './tables.js';

// A few bytes of packed cells can expand to any number of keys, and the ledger is untrusted: no batch is read with more than MAX_BATCH_ROWS.

/** Maximum bytes of one batch's packed keys. */
const MAX_BYTES = Math.max(maxBytes(MAX_BATCH_ROWS), MAX_TEXT_BYTES);

/** Maximum bytes of one set's column names. */
const MAX_COLUMNS_BYTES = 1024 * 1024;

const DAMAGED: CellSet = { columns: [], runs: [], isDamaged: true };

/** Returns the cells that a batch filled. A set that is damaged, or larger than a batch can be, has no columns. */
export async function readCells(store: Store, backfill: string, batch: number): Promise<CellSet[]> {
  const size = await store.get<Readonly<Record<'scanned' | 'keys' | 'columns', unknown>>>(
    `SELECT (SELECT rows_scanned FROM ${T.batches} WHERE backfill = ? AND number = ?) AS scanned,
      sum(octet_length(keys)) AS keys, max(octet_length(columns)) AS columns
    FROM ${T.cells} WHERE backfill = ? AND batch = ?`,
    ...[backfill, batch, backfill, batch],
  );
  if (Number(size?.keys) > MAX_BYTES || Number(size?.columns) > MAX_COLUMNS_BYTES) return [DAMAGED];
  // A row that the batch read is in no more than one of its sets.
  let left = typeof size?.scanned === 'number' ? Math.min(size.scanned, MAX_BATCH_ROWS) : MAX_BATCH_ROWS;
  const sets = await store.allExact<Readonly<Record<'columns' | 'evidence' | 'first_key' | 'keys', unknown>>>(
    `SELECT columns, evidence, first_key, keys FROM ${T.cells} WHERE backfill = ? AND batch = ? ORDER BY columns`,
    backfill,
    batch,
  );
  return sets.map(({ columns, evidence, first_key: firstKey, keys }) => {
    const names = evidence === 'derived' ? readNames(store, columns) : undefined; // this version can revert no other evidence
    const runs = names && unpacked(key(firstKey, store.dialect), keys, left);
    if (!runs) return DAMAGED;
    left -= countKeys(runs);
    return { columns: names, runs, isDamaged: false };
  });
}

/** Returns column names, or undefined if `columns` is not a list of distinct names. */
function readNames({ dialect }: Store, columns: unknown): readonly string[] | undefined {
  const names = texts(columns, dialect) ?? [];
  const isList = names.length > 0 && new Set(names).size === names.length;
  return isList && JSON.stringify(names) === columns ? names : undefined;
}

function unpacked(firstKey: Key | undefined, keys: unknown, most: number): KeySpan[] | undefined {
  if (firstKey === undefined || !Buffer.isBuffer(keys)) return undefined;
  try {
    return typeof firstKey === 'bigint'
      ? decodeIntegerKeys(firstKey, keys, most)
      : decodeTextKeys(keys, most);
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}

/** Deletes the unreadable cells of a batch, inside its caller's transaction. Returns the number of remaining cells. */
export async function keepReadable(store: Store, backfill: string, batch: number): Promise<number> {
  const sets = await readCells(store, backfill, batch);
  const readable = sets.filter(({ isDamaged }) => !isDamaged);
  if (readable.length < sets.length) {
    const kept = ['', ...readable.map(({ columns }) => JSON.stringify(columns))]; // a list is never empty in SQL
    const places = kept.map(() => '?').join(', ');
    const sql = `DELETE FROM ${T.cells} WHERE backfill = ? AND batch = ? AND columns NOT IN (${places})`;
    await store.run(sql, backfill, batch, ...kept);
  }
  return readable.reduce((total, { columns, runs }) => total + columns.length * countKeys(runs), 0);
}

/**
 * Refuses to revert a backfill with unreadable cells: they would stay filled, without a record.
 *
 * @throws {BackfillError} `LEDGER_DAMAGED` naming the batch
 */
export async function refuseDamagedCells(ledger: Ledger, backfill: string): Promise<void> {
  for (const number of await ledger.batchNumbers(backfill)) {
    if (!(await ledger.cells(backfill, number)).some(({ isDamaged }) => isDamaged)) continue;
    throw new BackfillError(
      'LEDGER_DAMAGED',
      msg(
        'The ledger of this store is damaged: the cells filled by batch {number} of {name} cannot be read',
        { number, name: backfill },
      ),
      msg(
        "Restore a backup: umzug-backfill restore; or give up those cells: umzug-backfill backfill {name} --rescan counts them as the application's, and `down` then keeps them",
        { name: shellWord(backfill) },
      ),
    );
  }
}

/** Picks up to {@link PROBES} filled cells, spread evenly over all in the ledger. */
export async function pickProbes(ledger: Ledger, backfill: string): Promise<Cell[]> {
  const batches = (await ledger.batches(backfill))
    .filter(({ cellsFilled }) => cellsFilled > 0)
    .sort((a, b) => compareKeys(a.firstKey, b.firstKey));
  const total = batches.reduce((sum, { cellsFilled }) => sum + cellsFilled, 0);
  const count = Math.min(PROBES, total);
  // The middles of `count` equal parts of all cells.
  const places = Array.from({ length: count }, (_, i) => Math.floor(((2 * i + 1) * total) / (2 * count)));
  const probes: Cell[] = [];
  let before = 0; // cells of the batches before this one
  for (const { number, cellsFilled } of batches) {
    const here = places.filter((place) => place >= before && place < before + cellsFilled);
    const sets = here.length > 0 ? await ledger.cells(backfill, number) : [];
    for (const place of here) {
      const cell = cellAt(sets, place - before);
      if (cell) probes.push(cell);
    }
    before += cellsFilled;
  }
  return probes;
}

/** Returns the cell at a position within a batch, or undefined if a damaged one has fewer than it counts. */
function cellAt(sets: readonly CellSet[], place: number): Cell | undefined {
  let left = place;
  for (const { columns, runs } of sets) {
    for (const run of runs) {
      const row = Math.floor(left / columns.length);
      const [first] = run;
      if (row < countKeys([run]))
        return [
          columns[left % columns.length] as string,
          typeof first === 'bigint' ? first + BigInt(row) : first,
        ];
      left -= columns.length * countKeys([run]);
    }
  }
  return undefined;
}

// A cell is in the ledger more than once if a run from the first key filled it again after it had become NULL.

/** Returns the runs that may have refilled cells of an earlier run: those that started below its last key. */
function refills(runs: readonly RunRecord[]): RunRecord[] {
  let last: Key | null = null; // greatest key of the earlier runs
  return runs.filter(({ startKey, cellsFilled, watermark }) => {
    const before = last;
    if (watermark !== null && (last === null || compareKeys(watermark, last) > 0)) last = watermark;
    return cellsFilled > 0 && before !== null && (startKey === null || compareKeys(startKey, before) < 0);
  });
}

/** Counts the cells that runs from `first` on filled, and an earlier run as well. */
export async function countFilledAgain(ledger: Ledger, backfill: string, first: number): Promise<number> {
  const runs = refills(await ledger.runs(backfill)).filter(({ run }) => run >= first);
  if (runs.length === 0) return 0;
  const numbers = new Set(runs.map(({ run }) => run));
  const partsOf = await earlierCells(ledger, backfill);
  let cells = 0;
  for (const { number, run } of await ledger.batches(backfill)) {
    if (!numbers.has(run)) continue;
    for (const part of await partsOf(number))
      if (part.isInEarlier) cells += part.columns.length * countKeys(part.runs);
  }
  return cells;
}

/** A part of a batch's cells. */
export interface CellPart extends Pick<CellSet, 'columns' | 'runs'> {
  /** Whether an earlier run filled them as well. */
  readonly isInEarlier: boolean;
}

/**
 * Returns a function that divides the cells of a batch into those that an earlier run filled as well, and the others. It reads the
 * ledger's batches once: by the time of a call later ones may be deleted, earlier ones must not be. The cells are read from the ledger
 * passed to the call.
 */
export async function earlierCells(
  ledger: Ledger,
  backfill: string,
): Promise<(batch: number, cellsOf?: Ledger) => Promise<CellPart[]>> {
  const batches = refills(await ledger.runs(backfill)).length > 0 ? await ledger.batches(backfill) : [];
  batches.sort((a, b) => compareKeys(a.firstKey, b.firstKey));
  const byNumber = new Map(batches.map((batch) => [batch.number, batch]));
  const byRun = new Map<number, BatchRecord[]>();
  for (const batch of batches) {
    const own = byRun.get(batch.run);
    if (own) own.push(batch);
    else byRun.set(batch.run, [batch]);
  }
  return async (number, cellsOf = ledger) => {
    const sets = await cellsOf.cells(backfill, number);
    const batch = byNumber.get(number);
    const overlapping = batch
      ? [...byRun].flatMap(([run, own]) => (run < batch.run ? withKeysOf(batch, own) : []))
      : [];
    const earlier = new Map<string, KeySpan[]>(); // by column
    for (const other of overlapping) {
      // One batch at a time: the ledger of a large table does not fit in memory.
      if (sets.some(({ runs }) => hasKeyIn(runs, other)))
        addShared(earlier, sets, await cellsOf.cells(backfill, other.number));
    }
    return sets.flatMap(({ columns, runs }): CellPart[] => {
      if (!columns.some((column) => earlier.has(column))) return [{ columns, runs, isInEarlier: false }];
      return columns.flatMap((column): CellPart[] => {
        const { shared, others } = split(runs, united(earlier.get(column) ?? []));
        return [
          { columns: [column], runs: shared, isInEarlier: true },
          { columns: [column], runs: others, isInEarlier: false },
        ].filter((part) => part.runs.length > 0);
      });
    });
  };
}

/** Adds, by column, the cells of `sets` that are also in `others`. */
function addShared(to: Map<string, KeySpan[]>, sets: readonly CellSet[], others: readonly CellSet[]): void {
  for (const { columns, runs } of sets) {
    for (const other of others) {
      const { shared } = split(runs, other.runs);
      for (const column of columns)
        if (shared.length > 0 && other.columns.includes(column))
          to.set(column, [...(to.get(column) ?? []), ...shared]);
    }
  }
}

const hasKeyIn = (runs: readonly KeySpan[], { firstKey, lastKey }: BatchRecord): boolean =>
  runs.some(([first, last]) => compareKeys(last, firstKey) >= 0 && compareKeys(first, lastKey) <= 0);

/** Returns the batches of one run, sorted by keys, whose keys may overlap those of another batch. */
function withKeysOf({ firstKey, lastKey }: BatchRecord, batches: readonly BatchRecord[]): BatchRecord[] {
  const until = (test: (batch: BatchRecord) => boolean): number =>
    countWhile(batches.length, (at) => test(batches[at] as BatchRecord));
  return batches.slice(
    until((batch) => compareKeys(batch.lastKey, firstKey) < 0),
    until((batch) => compareKeys(batch.firstKey, lastKey) <= 0),
  );
}
