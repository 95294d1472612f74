import type { Store } from '../db/connection.js';
import { ledgerDamaged, parseJson, reader } from './checked.js';
import { compareKeys, countKeys, type Key, type KeyRun } from './keys.js';
import type { Ledger } from './ledger.js';
import { LEDGER_TABLES as T } from './tables.js';

/** A cell: a column of a row. */
export type Cell = readonly [column: string, key: Key];

/** The ledger's record of the table that a backfill has filled. */
export interface FilledTable {
  /** The table's identity, when its rows were last looked for from the first key. */
  readonly identity: string;
  /** The last run that was begun by then. */
  readonly run: number;
  /** Last key up to which rows were looked for; null when the table was empty. */
  readonly watermark: Key | null;
  /** A few filled cells, spread over the keys. */
  readonly probes: readonly Cell[];
}

const TABLES = reader<Omit<FilledTable, 'probes'> & { readonly probes: string }>(T.tables, {
  identity: 'text',
  run: 'count',
  watermark: ['key', null],
  probes: 'text',
});

/** Number of cells that are probed. */
const PROBES = 16;

/** Returns the record of a backfill's table; undefined where the ledger has none. */
export async function filledTable(store: Store, backfill: string): Promise<FilledTable | undefined> {
  if (!(await store.dialect.hasTable(store, T.tables))) return undefined;
  const table = await TABLES.first(store, 'WHERE backfill = ?', backfill);
  return table && { ...table, probes: readProbes(table.probes) };
}

/** No more than are picked: the ledger may be somebody else's. */
function readProbes(json: string): Cell[] {
  const list = parseJson(json);
  const cells = Array.isArray(list) && list.length <= PROBES ? list.map(readProbe) : [undefined];
  if (cells.includes(undefined)) throw ledgerDamaged(T.tables, 'probes');
  return cells as Cell[];
}

function readProbe(cell: unknown): Cell | undefined {
  const [column, key] = Array.isArray(cell) ? (cell as unknown[]) : [];
  if (typeof column !== 'string' || typeof key !== 'string') return undefined;
  if (key.startsWith("'")) return [column, key.slice(1)];
  return /^-?\d{1,19}$/.test(key) ? [column, BigInt.asIntN(64, BigInt(key))] : undefined;
}

/** Records a backfill's table; cells behind its watermark, of rows that are gone, are not probed. Runs inside its caller's transaction. */
export async function recordTable(store: Store, backfill: string, table: FilledTable): Promise<void> {
  const { dialect } = store;
  const probes = table.probes
    .filter(([, key]) => table.watermark !== null && compareKeys(key, table.watermark) <= 0)
    .map(([column, key]) => [column, typeof key === 'string' ? `'${key}` : String(key)]);
  await store.run(
    `INSERT INTO ${T.tables} (backfill, identity, run, watermark, probes) VALUES (?, ?, ?, ?, ?)
    ON CONFLICT (backfill) DO UPDATE SET identity = excluded.identity, run = excluded.run,
      watermark = excluded.watermark, probes = excluded.probes`,
    backfill,
    table.identity,
    table.run,
    dialect.toLedger(table.watermark),
    JSON.stringify(probes),
  );
}

/**
 * Returns the last key up to which a backfill's rows were looked for: the watermark of its last run, unless a later look from the
 * first key has found that keys begin again.
 */
export async function lookedUpTo(store: Store, ledger: Ledger, backfill: string): Promise<Key | null> {
  const last = await ledger.lastRun(backfill);
  const table = await filledTable(store, backfill);
  return (table && table.run === last?.run ? table.watermark : last?.watermark) ?? null;
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
