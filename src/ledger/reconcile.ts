import type { Store } from '../store/port.js';
import { countKeys } from './keys.js';
import type { Ledger } from './ledger.js';
import { LEDGER_TABLES as T } from './tables.js';

/**
 * Takes a backfill's ledger as it stands, before a rescan reads everything again: what belongs to no batch any more is
 * dropped, counts follow what is still recorded, and runs that failed their verification are not judged as new any
 * more. Cells that the ledger has lost count as the application's own from then on.
 *
 * Runs inside its caller's transaction.
 */
export async function reconcile(store: Store, ledger: Ledger, backfill: string): Promise<void> {
  const batches = await ledger.batches(backfill);
  for (const table of [T.cells, T.skips]) {
    await store.run(
      `DELETE FROM ${table} WHERE backfill = ? AND batch NOT IN (SELECT number FROM ${T.batches} WHERE backfill = ?)`,
      backfill,
      backfill,
    );
  }
  for (const { number, cellsFilled } of batches) {
    await ledger.removeDamagedCells(backfill, number);
    const sets = await ledger.cells(backfill, number);
    const held = sets.reduce((total, { columns, runs }) => total + columns.length * countKeys(runs), 0);
    if (held !== cellsFilled) {
      const sql = `UPDATE ${T.batches} SET cells_filled = ? WHERE backfill = ? AND number = ?`;
      await store.run(sql, held, backfill, number);
    }
  }
  await store.run(
    `UPDATE ${T.steps} AS s SET objects = (SELECT count(*) FROM ${T.objects} AS o WHERE o.step = s.name)`,
  );
  await ledger.reconcileRuns(backfill);
}
