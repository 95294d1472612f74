import type { Store } from '../store/sqlite/store.js';
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
export function reconcile(store: Store, ledger: Ledger, backfill: string): void {
  const batches = ledger.batches(backfill);
  for (const table of [T.cells, T.skips]) {
    store.run(
      `DELETE FROM ${table} WHERE backfill = ? AND batch NOT IN (SELECT number FROM ${T.batches} WHERE backfill = ?)`,
      backfill,
      backfill,
    );
  }
  for (const { number, cellsFilled } of batches) {
    const sets = ledger.cells(backfill, number);
    for (const { columns, isDamaged } of sets) {
      if (isDamaged) ledger.removeCells(backfill, number, columns);
    }
    const held = sets.reduce((total, { columns, runs }) => total + columns.length * countKeys(runs), 0);
    if (held !== cellsFilled) {
      const sql = `UPDATE ${T.batches} SET cells_filled = ? WHERE backfill = ? AND number = ?`;
      store.run(sql, held, backfill, number);
    }
  }
  store.run(
    `UPDATE ${T.steps} AS s SET objects = (SELECT count(*) FROM ${T.objects} AS o WHERE o.step = s.name)`,
  );
  reconcileRuns(store, ledger, backfill);
}

/** Totals by the batches; a run whose row is lost is made again from its batches, so that `down` still knows them. */
function reconcileRuns(store: Store, ledger: Ledger, backfill: string): void {
  store.run(
    `INSERT INTO ${T.runs} (backfill, run, kind, status, watermark, cursor, found_cells, started_at)
    SELECT backfill, run, 'first', 'superseded', max(last_key), max(last_key), 0, ?
    FROM ${T.batches} AS b WHERE backfill = ?
      AND NOT EXISTS (SELECT 1 FROM ${T.runs} AS r WHERE r.backfill = b.backfill AND r.run = b.run)
    GROUP BY backfill, run`,
    ledger.timestamp(),
    backfill,
  );
  const total = (sql: string): string =>
    `(SELECT coalesce(sum(${sql}), 0) FROM ${T.batches} AS b WHERE b.backfill = r.backfill AND b.run = r.run)`;
  store.run(
    `UPDATE ${T.runs} AS r SET status = 'superseded', batches = ${total('1')},
      rows_scanned = ${total('b.rows_scanned')}, cells_filled = ${total('b.cells_filled')},
      cells_skipped = ${total('b.cells_skipped')}
    WHERE backfill = ?`,
    backfill,
  );
}
