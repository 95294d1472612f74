import type { Backfill } from '../../backfill/define.js';
import type { SkipRecord } from '../../ledger/records.js';
import { LEDGER_TABLES } from '../../ledger/tables.js';
import type { Store } from '../port.js';
import { literal } from '../sql.js';

/** A row or cell that a batch leaves alone. */
export type SkippedRow = SkipRecord;

/** Skips that one statement records. */
const AT_ONCE = 1000;

/** Records what a batch leaves alone; what an earlier run recorded of its rows is gone by now. Returns how many there are. */
export async function recordSkips(
  store: Store,
  { name }: Backfill,
  batch: number,
  skips: readonly SkippedRow[],
): Promise<number> {
  for (let i = 0; i < skips.length; i += AT_ONCE) {
    const rows = skips.slice(i, i + AT_ONCE).map(({ key, target, reason }) => {
      const cell = String(store.dialect.toLedger(key));
      return `(${[name, cell, target, reason].map(literal).join(', ')}, ${batch})`;
    });
    await store.run(
      `INSERT INTO ${LEDGER_TABLES.skips} (backfill, key, target, reason, batch) VALUES ${rows.join(', ')}`,
    );
  }
  return skips.length;
}
