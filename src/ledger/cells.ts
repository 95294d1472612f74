import { countWhile } from '../bisect.js';
import type { Store } from '../db/connection.js';
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

// Cells as the ledger packs them: a few bytes can stand for keys without end. Nothing here goes by what the ledger says of itself
// alone: no batch has more than MAX_BATCH_ROWS.

/** Bytes of the packed keys of one batch. */
const MAX_BYTES = Math.max(maxBytes(MAX_BATCH_ROWS), MAX_TEXT_BYTES);

/** Bytes of the columns' names of one set. */
const MAX_COLUMNS_BYTES = 1024 * 1024;

/** What can't be read, and so has no keys. */
const DAMAGED: CellSet = { columns: [], runs: [], isDamaged: true };

/** Which cells a batch filled. What is damaged, or longer than a batch can be, is one set without columns. */
export async function readCells(store: Store, backfill: string, batch: number): Promise<CellSet[]> {
  const size = await store.get<Readonly<Record<'scanned' | 'keys' | 'columns', unknown>>>(
    `SELECT (SELECT rows_scanned FROM ${T.batches} WHERE backfill = ? AND number = ?) AS scanned,
      sum(octet_length(keys)) AS keys, max(octet_length(columns)) AS columns
    FROM ${T.cells} WHERE backfill = ? AND batch = ?`,
    ...[backfill, batch, backfill, batch],
  );
  if (Number(size?.keys) > MAX_BYTES || Number(size?.columns) > MAX_COLUMNS_BYTES) return [DAMAGED];
  // Each row that it read is in one of its sets at most.
  let left = typeof size?.scanned === 'number' ? Math.min(size.scanned, MAX_BATCH_ROWS) : MAX_BATCH_ROWS;
  const sets = await store.allExact<Readonly<Record<'columns' | 'evidence' | 'first_key' | 'keys', unknown>>>(
    `SELECT columns, evidence, first_key, keys FROM ${T.cells} WHERE backfill = ? AND batch = ? ORDER BY columns`,
    backfill,
    batch,
  );
  return sets.map(({ columns, evidence, first_key: firstKey, keys }) => {
    const names = evidence === 'derived' ? readNames(store, columns) : undefined; // of nothing else this version knows how to take it back
    const runs = names && unpacked(key(firstKey, store.dialect), keys, left);
    if (!runs) return DAMAGED;
    left -= countKeys(runs);
    return { columns: names, runs, isDamaged: false };
  });
}

/** Names of columns, each once; undefined where this is no list of them. */
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

/** Forgets what of a batch's cells can't be read. Returns how many cells are left. Inside its caller's transaction. */
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
 * Refuses to take back a backfill of whose cells some can't be read: they would stay, and nothing would know of them any more.
 *
 * @throws {BackfillError} `LEDGER_DAMAGED` naming the batch
 */
export async function refuseDamagedCells(ledger: Ledger, backfill: string): Promise<void> {
  for (const number of await ledger.batchNumbers(backfill)) {
    if (!(await ledger.cells(backfill, number)).some(({ isDamaged }) => isDamaged)) continue;
    throw new BackfillError(
      'LEDGER_DAMAGED',
      msg(
        'The ledger of this store is damaged: it does not tell any more which cells batch {number} of {name} has filled',
        { number, name: backfill },
      ),
      msg(
        "Go back to a backup: umzug-backfill restore; or give those cells up: umzug-backfill backfill {name} --rescan counts them as the application's own, and `down` then leaves them",
        { name: shellWord(backfill) },
      ),
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
  // Of as many equal parts of all cells, the middles.
  const places = Array.from({ length: count }, (_, i) => Math.floor(((2 * i + 1) * total) / (2 * count)));
  const probes: Cell[] = [];
  let before = 0; // cells of the batches passed
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

/** The cell at a place within a batch; undefined where a damaged one has fewer than it counts. */
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
    const earlier = new Map<string, KeySpan[]>(); // of these cells, by column
    for (const other of overlapping) {
      // The ledger of a large table does not fit in memory: one batch of it at a time.
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

/** Adds the cells of `sets` that are in another batch, too, by column. */
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

/** The batches of a run, in the order of their keys, that may have keys of another batch. */
function withKeysOf({ firstKey, lastKey }: BatchRecord, batches: readonly BatchRecord[]): BatchRecord[] {
  const until = (test: (batch: BatchRecord) => boolean): number =>
    countWhile(batches.length, (at) => test(batches[at] as BatchRecord));
  return batches.slice(
    until((batch) => compareKeys(batch.lastKey, firstKey) < 0),
    until((batch) => compareKeys(batch.firstKey, lastKey) <= 0),
  );
}
