import type { Store } from '../db/connection.js';
import { compareKeys, type Key } from './keys.js';
import type { Ledger } from './ledger.js';
import {
  count,
  type Form,
  insert,
  key,
  oneOf,
  orNull,
  parseJson,
  type RowOf,
  reader,
  text,
} from './records.js';
import { LEDGER_TABLES as T } from './tables.js';

// What the ledger has of a backfill beside its runs: what filled it, what a `down` leaves, the table that it filled. What writes runs inside
// its caller's transaction.

const DECLARATIONS = reader(T.declarations, {
  firstBatch: count,
  /** Of the step as it was declared then. */
  fingerprint: text,
  /** JSON: the declaration itself, as far as it is data. */
  declaration: text,
  /** Text of its function, or null where it has none. */
  process: orNull(text),
});

/** What the batches of a backfill were filled by, from one of them on. */
export type DeclarationRecord = RowOf<typeof DECLARATIONS>;

/** What a backfill was filled by, first to last. */
export async function readDeclarations(store: Store, backfill: string): Promise<DeclarationRecord[]> {
  if (!(await store.dialect.hasTable(store, T.declarations))) return [];
  return await DECLARATIONS.all(store, 'WHERE backfill = ? ORDER BY first_batch', backfill);
}

/** Notes what the batches from `firstBatch` on are filled by. */
export async function noteDeclaration(
  store: Store,
  backfill: string,
  { firstBatch, fingerprint, declaration, process }: DeclarationRecord,
): Promise<void> {
  await insert(
    store,
    T.declarations,
    { backfill, firstBatch, fingerprint, declaration, process },
    `ON CONFLICT (backfill, first_batch) DO UPDATE SET fingerprint = excluded.fingerprint,
      declaration = excluded.declaration, process = excluded.process`,
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

const KEPT = reader(T.kept, { reason: oneOf('gone', 'underivable'), cells: count });

type KeptReason = RowOf<typeof KEPT>['reason'];

/** Adds to what a `down` under way has left alone, though nobody is known to have changed it. */
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
export async function readKept(store: Store, backfill: string): Promise<Record<KeptReason, number>> {
  const kept = { gone: 0, underivable: 0 };
  for (const { reason, cells } of await KEPT.all(store, 'WHERE backfill = ?', backfill)) kept[reason] = cells;
  return kept;
}

/** A cell: a column of a row. */
export type Cell = readonly [column: string, key: Key];

/** Number of cells that are probed. */
export const PROBES = 16;

/** Cells as JSON, no more than are picked: the ledger may be somebody else's. */
const probes: Form<readonly Cell[]> = (json) => {
  const list = typeof json === 'string' ? parseJson(json) : undefined;
  if (!Array.isArray(list) || list.length > PROBES) return undefined;
  const cells = list.map(readProbe);
  return cells.every((cell) => cell !== undefined) ? cells : undefined;
};

function readProbe(cell: unknown): Cell | undefined {
  const [column, key] = Array.isArray(cell) ? (cell as unknown[]) : [];
  if (typeof column !== 'string' || typeof key !== 'string') return undefined;
  if (key.startsWith("'")) return [column, key.slice(1)];
  return /^-?\d{1,19}$/.test(key) ? [column, BigInt.asIntN(64, BigInt(key))] : undefined;
}

const TABLES = reader(T.tables, {
  /** When its rows were last looked for from the first key. */
  identity: text,
  /** The last run that was begun by then. */
  run: count,
  /** Last key up to which rows were looked for; null when the table was empty. */
  watermark: orNull(key),
  /** A few filled cells, spread over the keys. */
  probes,
});

/** The table that a backfill has filled. */
export type FilledTable = RowOf<typeof TABLES>;

/** Returns the record of a backfill's table; undefined where the ledger has none. */
export async function filledTable(store: Store, backfill: string): Promise<FilledTable | undefined> {
  if (!(await store.dialect.hasTable(store, T.tables))) return undefined;
  return await TABLES.first(store, 'WHERE backfill = ?', backfill);
}

/** Records a backfill's table; cells behind its watermark, of rows that are gone, are not probed. */
export async function recordTable(
  store: Store,
  backfill: string,
  { identity, run, watermark, probes }: FilledTable,
): Promise<void> {
  const cells = probes
    .filter(([, key]) => watermark !== null && compareKeys(key, watermark) <= 0)
    .map(([column, key]) => [column, typeof key === 'string' ? `'${key}` : String(key)]);
  await insert(
    store,
    T.tables,
    {
      backfill,
      identity,
      run,
      watermark: store.dialect.ledger.toCell(watermark),
      probes: JSON.stringify(cells),
    },
    `ON CONFLICT (backfill) DO UPDATE SET identity = excluded.identity, run = excluded.run,
      watermark = excluded.watermark, probes = excluded.probes`,
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
