import type { Store } from '../db/connection.js';
import { reader } from './checked.js';
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
