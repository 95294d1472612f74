import type { Backfill } from '../../backfill/define.js';
import type { KeyRange, ScanRow, Store } from '../port.js';
import { scopeSql } from '../rows.js';
import { identifier } from '../sql.js';
import { derivationSql } from './derive.js';

/** The rows in scope of a range of keys, derived and compared by SQLite, so that a payload never leaves it. */
export function scanRows(store: Store, backfill: Backfill): (range: KeyRange) => Iterable<ScanRow> {
  const sql = scanSql(store, backfill);
  return (range) => store.iterateExact<ScanRow>(sql, ...range);
}

function scanSql(store: Store, backfill: Backfill): string {
  const { checks, columns } = backfill;
  const group = checks.groupBy === undefined ? 'NULL' : `t.${identifier(checks.groupBy)}`;
  const states = columns.map(
    (_, i) =>
      `(CASE WHEN c${i} IS NULL THEN v${i} IS NOT NULL WHEN c${i} IS v${i} COLLATE BINARY THEN 2 ELSE 3 END) * ${4 ** i}`,
  );
  const values = checks.areTimestamps ? columns.map((_, i) => `c${i}`) : [];
  const tail = `WHERE ${scopeSql(backfill, store.dialect)} AND t.${identifier(backfill.key)} BETWEEN ? AND ? LIMIT -1`;
  // The state as a real: among exact integers, which come as bigint, it stays a number.
  return `SELECT k, ${states.join(' + ')} + 0.0, g${values.map((value) => `, ${value}`).join('')}
    FROM (${derivationSql(store, backfill, { tail, extra: { g: group } })})`;
}
