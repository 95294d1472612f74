import type { Store } from '../db/connection.js';
import { compareKeys, type Key } from './keys.js';
import type { Ledger } from './ledger.js';
import { ledgerDamaged, parseJson, reader } from './records.js';
import { LEDGER_TABLES as T } from './tables.js';

/** What the batches of a backfill were filled by, from one of them on. */
export interface DeclarationRecord {
  readonly firstBatch: number;
  /** Of the step as it was declared then. */
  readonly fingerprint: string;
  /** JSON: the declaration itself, as far as it is data. */
  readonly declaration: string;
  /** Text of its function, or null where it has none. */
  readonly process: string | null;
}

const DECLARATIONS = reader<DeclarationRecord>(T.declarations, {
  firstBatch: 'count',
  fingerprint: 'text',
  declaration: 'text',
  process: ['text', null],
});

/** What a backfill was filled by, first to last. */
export async function readDeclarations(store: Store, backfill: string): Promise<DeclarationRecord[]> {
  if (!(await store.dialect.hasTable(store, T.declarations))) return [];
  return await DECLARATIONS.all(store, 'WHERE backfill = ? ORDER BY first_batch', backfill);
}

/** Notes what the batches from `firstBatch` on are filled by. Inside its caller's transaction. */
export async function noteDeclaration(
  store: Store,
  backfill: string,
  record: DeclarationRecord,
): Promise<void> {
  await store.run(
    `INSERT INTO ${T.declarations} (backfill, first_batch, fingerprint, declaration, process) VALUES (?, ?, ?, ?, ?)
    ON CONFLICT (backfill, first_batch) DO UPDATE SET fingerprint = excluded.fingerprint,
      declaration = excluded.declaration, process = excluded.process`,
    backfill,
    record.firstBatch,
    record.fingerprint,
    record.declaration,
    record.process,
  );
}

/** Forgets declarations by which no batch is filled any more, so that they do not count for batches to come with their numbers. */
export async function forgetDeclarations(store: Store, backfill: string, lastBatch: number): Promise<void> {
  await store.run(
    `DELETE FROM ${T.declarations} WHERE backfill = ? AND first_batch > ?`,
    backfill,
    lastBatch + 1, // noted before the first batch of its run
  );
}

/** What a batch was filled by, or undefined where that is not known. */
export const declarationOf = (
  records: readonly DeclarationRecord[],
  batch: number,
): DeclarationRecord | undefined => records.findLast(({ firstBatch }) => firstBatch <= batch);

/** Why a `down` leaves a cell alone that nobody is known to have changed. */
export type KeptReason = 'gone' | 'underivable';

const KEPT = reader<{ readonly reason: KeptReason; readonly cells: number }>(T.kept, {
  reason: ['gone', 'underivable'],
  cells: 'count',
});

/** Adds to what a `down` under way has left alone. */
export async function countKept(
  store: Store,
  backfill: string,
  reason: KeptReason,
  cells: number,
): Promise<void> {
  if (cells === 0) return;
  await store.run(
    `INSERT INTO ${T.kept} AS k (backfill, reason, cells) VALUES (?, ?, ?)
    ON CONFLICT (backfill, reason) DO UPDATE SET cells = k.cells + excluded.cells`,
    backfill,
    reason,
    cells,
  );
}

/** What a `down` under way has left alone so far, by reason. */
export async function readKept(
  store: Store,
  backfill: string,
): Promise<Readonly<Record<KeptReason, number>>> {
  const known = await KEPT.all(store, 'WHERE backfill = ?', backfill);
  const of = (wanted: KeptReason): number => known.find(({ reason }) => reason === wanted)?.cells ?? 0;
  return { gone: of('gone'), underivable: of('underivable') };
}

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
export const PROBES = 16;

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
