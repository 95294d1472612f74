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

// A backfill's ledger rows besides its runs. Functions that write run inside their caller's transaction.

const DECLARATIONS = reader(T.declarations, {
  firstBatch: count,
  /** Fingerprint of the step at that time. */
  fingerprint: text,
  /** The declaration as JSON, without its function. */
  declaration: text,
  /** Text of its function, or null. */
  process: orNull(text),
});

/** The declaration that filled the batches of a backfill, from one of them on. */
export type DeclarationRecord = RowOf<typeof DECLARATIONS>;

/** Returns the declarations that filled a backfill, first to last. */
export async function readDeclarations(store: Store, backfill: string): Promise<DeclarationRecord[]> {
  if (!(await store.dialect.hasTable(store, T.declarations))) return [];
  return await DECLARATIONS.all(store, 'WHERE backfill = ? ORDER BY first_batch', backfill);
}

/** Records the declaration that fills the batches from `firstBatch` on. */
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

/** Deletes the declarations that filled no remaining batch: later batches may get the same numbers. */
export async function forgetDeclarations(store: Store, backfill: string, lastBatch: number): Promise<void> {
  await store.run(
    `DELETE FROM ${T.declarations} WHERE backfill = ? AND first_batch > ?`,
    backfill,
    lastBatch + 1, // recorded before the first batch of its run
  );
}

/** Returns the declaration that filled a batch, or undefined if it is not recorded. */
export const declarationOf = (
  records: readonly DeclarationRecord[],
  batch: number,
): DeclarationRecord | undefined => records.findLast(({ firstBatch }) => firstBatch <= batch);

const KEPT = reader(T.kept, { reason: oneOf('gone', 'underivable'), cells: count });

type KeptReason = RowOf<typeof KEPT>['reason'];

/** Adds to the cells that the `down` in progress keeps for another reason than a change. */
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

/** Returns the number of cells that the `down` in progress has kept so far, by reason. */
export async function readKept(store: Store, backfill: string): Promise<Record<KeptReason, number>> {
  const kept = { gone: 0, underivable: 0 };
  for (const { reason, cells } of await KEPT.all(store, 'WHERE backfill = ?', backfill)) kept[reason] = cells;
  return kept;
}

/** A cell: a column of a row. */
export type Cell = readonly [column: string, key: Key];

/** Maximum number of cells to probe. */
export const PROBES = 16;

/** Cells as JSON; more than this package picks are refused, because the ledger is untrusted. */
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
  /** Identity at the last search from the first key. */
  identity: text,
  /** Last run that had started by then. */
  run: count,
  /** Last key searched; null if the table was empty. */
  watermark: orNull(key),
  /** A few filled cells, spread over the keys. */
  probes,
});

/** The table that a backfill has filled. */
export type FilledTable = RowOf<typeof TABLES>;

/** Returns the record of a backfill's table, or undefined. */
export async function filledTable(store: Store, backfill: string): Promise<FilledTable | undefined> {
  if (!(await store.dialect.hasTable(store, T.tables))) return undefined;
  return await TABLES.first(store, 'WHERE backfill = ?', backfill);
}

/** Records a backfill's table. Drops probes past its watermark: their rows no longer exist. */
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
 * Returns the last key up to which a backfill's rows were searched: the watermark of its last run, unless a later search found that
 * keys had restarted.
 */
export async function lookedUpTo(store: Store, ledger: Ledger, backfill: string): Promise<Key | null> {
  const last = await ledger.lastRun(backfill);
  const table = await filledTable(store, backfill);
  return (table && table.run === last?.run ? table.watermark : last?.watermark) ?? null;
}
