import type { SqlValue, Store } from '../db/connection.js';
import { BackfillError } from '../errors.js';
import { shellWord } from '../shell.js';
import { type Cell, PROBES } from './backfills.js';
import {
  compareKeys,
  countKeys,
  type Key,
  type KeyRun,
  MAX_TEXT_BYTES,
  mostBytes,
  split,
  united,
  unpackKeys,
  unpackTexts,
} from './keys.js';
import type { Ledger } from './ledger.js';
import { type BatchRecord, type CellSet, MAX_BATCH_ROWS, parseJson, type RunRecord } from './records.js';
import { LEDGER_TABLES as T } from './tables.js';

// Cells as the ledger packs them: a few bytes can stand for keys without end. Nothing here goes by what the ledger says of itself
// alone: no batch has more than MAX_BATCH_ROWS.

/** Bytes of the packed keys of one batch. */
const MAX_BYTES = Math.max(mostBytes(MAX_BATCH_ROWS), MAX_TEXT_BYTES);

/** Bytes of the columns' names of one set. */
const MAX_COLUMNS_BYTES = 1024 * 1024;

/** What can't be read, and so has no keys. */
const DAMAGED: CellSet = { columns: [], runs: [], isDamaged: true };

interface PackedCells {
  readonly evidence: unknown;
  readonly columns: SqlValue | Uint8Array;
  readonly firstKey: SqlValue | Uint8Array;
  readonly keys: SqlValue | Uint8Array;
}

/** Which cells a batch filled. What is damaged, or longer than a batch can be, is one set without columns. */
export async function readCells(store: Store, backfill: string, batch: number): Promise<CellSet[]> {
  const most = await mostRows(store, backfill, batch);
  const lengths = await store.get<{ keys: number | null; columns: number | null }>(
    `SELECT sum(octet_length(keys)) AS keys, max(octet_length(columns)) AS columns FROM ${T.cells} WHERE backfill = ? AND batch = ?`,
    backfill,
    batch,
  );
  if ((lengths?.keys ?? 0) > MAX_BYTES || (lengths?.columns ?? 0) > MAX_COLUMNS_BYTES) return [DAMAGED];
  let left = most;
  return (
    await store.allExact<PackedCells>(
      `SELECT columns, evidence, first_key AS "firstKey", keys FROM ${T.cells} WHERE backfill = ? AND batch = ? ORDER BY columns`,
      backfill,
      batch,
    )
  ).map(({ columns, evidence, firstKey, keys }) => {
    const names = evidence === 'derived' ? readNames(columns) : undefined; // of nothing else this version knows how to take it back
    const runs = names && unpacked(store, firstKey, keys, left);
    if (!names || !runs) return DAMAGED;
    left -= countKeys(runs);
    return { columns: names, runs, isDamaged: false };
  });
}

/** How many keys a batch can have: each row that it read is in one of its sets at most. */
async function mostRows(store: Store, backfill: string, batch: number): Promise<number> {
  const row = await store.get<{ rows: unknown }>(
    `SELECT rows_scanned AS rows FROM ${T.batches} WHERE backfill = ? AND number = ?`,
    backfill,
    batch,
  );
  return typeof row?.rows === 'number' ? Math.min(row.rows, MAX_BATCH_ROWS) : MAX_BATCH_ROWS;
}

/** Names of columns, each once; undefined where this is no list of them. */
function readNames(columns: PackedCells['columns']): string[] | undefined {
  const names = typeof columns === 'string' ? parseJson(columns) : undefined;
  const isList = Array.isArray(names) && names.length > 0 && names.every((name) => typeof name === 'string');
  return isList && new Set(names).size === names.length && JSON.stringify(names) === columns
    ? names
    : undefined;
}

function unpacked(
  store: Store,
  firstKey: PackedCells['firstKey'],
  keys: PackedCells['keys'],
  most: number,
): KeyRun[] | undefined {
  if (!Buffer.isBuffer(keys) || firstKey instanceof Uint8Array) return undefined;
  const first = store.dialect.ledger.toKey(firstKey);
  try {
    if (typeof first === 'bigint') return unpackKeys(first, keys, most);
    return typeof first === 'string' ? unpackTexts(keys, most) : undefined;
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}

/**
 * Refuses to take back a backfill of whose cells some can't be read: they would stay, and nothing would know of them any more.
 *
 * @throws {BackfillError} `LEDGER_DAMAGED` naming the batch
 */
export async function refuseDamagedCells(ledger: Ledger, backfill: string): Promise<void> {
  for (const number of await ledger.batchNumbers(backfill)) {
    if (!(await ledger.cells(backfill, number)).some(({ isDamaged }) => isDamaged)) continue;
    throw new BackfillError(
      'LEDGER_DAMAGED',
      `The ledger of this store is damaged: it does not tell any more which cells batch ${number} of ${backfill} has filled`,
      `Go back to a backup: umzug-backfill restore; or give those cells up: umzug-backfill backfill ${shellWord(backfill)} --rescan counts them as the application's own, and \`down\` then leaves them`,
    );
  }
}

/** Picks filled cells that are spread evenly over all that the ledger has. */
export async function pickProbes(ledger: Ledger, backfill: string): Promise<Cell[]> {
  const batches = (await ledger.batches(backfill))
    .filter(({ cellsFilled }) => cellsFilled > 0)
    .sort((a, b) => compareKeys(a.firstKey, b.firstKey));
  const total = batches.reduce((sum, { cellsFilled }) => sum + cellsFilled, 0);
  const count = Math.min(PROBES, total);
  const probes: Cell[] = [];
  let before = 0; // cells of the batches passed
  for (const { number, cellsFilled } of batches) {
    for (const place of placesIn(before, cellsFilled, total, count)) {
      const cell = await cellAt(ledger, backfill, number, place);
      if (cell) probes.push(cell);
    }
    before += cellsFilled;
  }
  return probes;
}

/** Places within a batch of the cells to pick: of `count` equal parts of all cells, the middles. */
function placesIn(before: number, cells: number, total: number, count: number): number[] {
  const middles = Array.from({ length: count }, (_, i) => Math.floor(((2 * i + 1) * total) / (2 * count)));
  return middles.filter((place) => place >= before && place < before + cells).map((place) => place - before);
}

async function cellAt(
  ledger: Ledger,
  backfill: string,
  batch: number,
  place: number,
): Promise<Cell | undefined> {
  let left = place;
  for (const { columns, runs } of await ledger.cells(backfill, batch)) {
    const cells = columns.length * countKeys(runs);
    if (left < cells) {
      const key = keyAt(runs, Math.floor(left / columns.length));
      return key === undefined ? undefined : [columns[left % columns.length] as string, key];
    }
    left -= cells;
  }
  return undefined; // a damaged batch has fewer than it counts
}

function keyAt(runs: readonly KeyRun[], place: number): Key | undefined {
  let left = place;
  for (const run of runs) {
    const keys = countKeys([run]);
    if (left < keys) return typeof run[0] === 'bigint' ? run[0] + BigInt(left) : run[0];
    left -= keys;
  }
  return undefined;
}

// Cells that are in the ledger more than once: a run from the first key has filled again what became NULL after an earlier run.

/** The runs that may have filled cells which an earlier run had filled: they began at or below its last key. */
function refills(runs: readonly RunRecord[]): RunRecord[] {
  let last: Key | null = null; // of all keys of the runs before
  return runs.filter(({ startKey, cellsFilled, watermark }) => {
    const before = last;
    if (watermark !== null && (last === null || compareKeys(watermark, last) > 0)) last = watermark;
    return cellsFilled > 0 && before !== null && (startKey === null || compareKeys(startKey, before) < 0);
  });
}

/** Counts the cells that runs from `first` on have filled though an earlier run had filled them. */
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
  /** Whether an earlier run has filled them, too. */
  readonly isInEarlier: boolean;
}

/**
 * Returns a function that divides the cells of a batch into those that an earlier run has, too, and the others. It reads the
 * ledger's batches once: later ones may be gone by the time of a call, earlier ones must not. Their cells it reads of the ledger that it
 * is given.
 */
export async function earlierCells(
  ledger: Ledger,
  backfill: string,
): Promise<(batch: number, cellsOf?: Ledger) => Promise<CellPart[]>> {
  const batches = refills(await ledger.runs(backfill)).length > 0 ? await ledger.batches(backfill) : [];
  const byRun = new Map<number, BatchRecord[]>();
  for (const batch of batches) {
    const own = byRun.get(batch.run);
    if (own) own.push(batch);
    else byRun.set(batch.run, [batch]);
  }
  for (const own of byRun.values()) own.sort((a, b) => compareKeys(a.firstKey, b.firstKey));
  const byNumber = new Map(batches.map((batch) => [batch.number, batch]));
  return async (number, cellsOf = ledger) => {
    const sets = await cellsOf.cells(backfill, number);
    const batch = byNumber.get(number);
    const earlier = new Map<string, KeyRun[]>(); // of these cells, by column
    for (const [run, others] of batch ? byRun : []) {
      if (!batch || run >= batch.run) continue;
      for (const other of overlapping(others, batch)) {
        // The ledger of a large table does not fit in memory: one batch of it at a time.
        if (sets.some(({ runs }) => hasKeyIn(runs, other)))
          addShared(earlier, sets, await cellsOf.cells(backfill, other.number));
      }
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

/** Adds the cells of `sets` that are in another batch, too, by column. */
function addShared(to: Map<string, KeyRun[]>, sets: readonly CellSet[], others: readonly CellSet[]): void {
  for (const { columns, runs } of sets) {
    for (const other of others) {
      const { shared } = split(runs, other.runs);
      for (const column of columns)
        if (shared.length > 0 && other.columns.includes(column))
          to.set(column, [...(to.get(column) ?? []), ...shared]);
    }
  }
}

const hasKeyIn = (runs: readonly KeyRun[], { firstKey, lastKey }: BatchRecord): boolean =>
  runs.some(([first, last]) => compareKeys(last, firstKey) >= 0 && compareKeys(first, lastKey) <= 0);

/** The batches of a run, in the order of their keys, whose keys may be those of another batch. */
function overlapping(batches: readonly BatchRecord[], { firstKey, lastKey }: BatchRecord): BatchRecord[] {
  let [low, high] = [0, batches.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (compareKeys((batches[middle] as BatchRecord).lastKey, firstKey) < 0) low = middle + 1;
    else high = middle;
  }
  const found: BatchRecord[] = [];
  for (let i = low; i < batches.length; i += 1) {
    const batch = batches[i] as BatchRecord;
    if (compareKeys(batch.firstKey, lastKey) > 0) break;
    found.push(batch);
  }
  return found;
}
