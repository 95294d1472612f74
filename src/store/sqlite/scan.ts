import type { Backfill } from '../../backfill/define.js';
import { fallbackOf } from '../../backfill/values.js';
import type { KeyRange, ScanRow, Store } from '../port.js';
import { scopeSql } from '../rows.js';
import { identifier } from '../sql.js';
import { derivationSql } from './derive.js';
import { sliceEnds } from './slices.js';
import { requireSqlite } from './statements.js';

/** Rows that are read at once: a slice of a table may have more. */
const PAGE_ROWS = 2000;

/** The rows in scope of a range of keys, derived and compared by SQLite, so that a payload never leaves it. */
export async function scanRows(
  store: Store,
  backfill: Backfill,
): Promise<(range: KeyRange) => AsyncIterable<readonly ScanRow[]>> {
  const sqlite = requireSqlite(store);
  const [from, behind] = [await scanSql(store, backfill, '>='), await scanSql(store, backfill, '>')];
  return async function* ([first, last]) {
    let [sql, start] = [from, first];
    for await (const end of first === last ? [last] : sliceEnds(store, backfill, first, last)) {
      for (;;) {
        const page = await sqlite.rows<ScanRow>(sql, start, end, PAGE_ROWS);
        if (page.length > 0) yield page;
        const row = page.length < PAGE_ROWS ? undefined : page.at(-1);
        [sql, start] = [behind, row?.[0] ?? end ?? last];
        if (!row) break;
        await sqlite.turn();
      }
    }
  };
}

async function scanSql(store: Store, backfill: Backfill, from: '>=' | '>'): Promise<string> {
  const { checks, columns } = backfill;
  const group = checks.groupBy === undefined ? 'NULL' : `t.${identifier(checks.groupBy)}`;
  const states = columns.map(
    (_, i) =>
      `(CASE WHEN c${i} IS NULL THEN v${i} IS NOT NULL WHEN c${i} IS v${i} COLLATE BINARY THEN 2 ELSE 3 END) * ${4 ** i}`,
  );
  const values = checks.areTimestamps ? columns.map((_, i) => `c${i}`) : [];
  const fallbacks = columns.map(({ name, value }, i) => {
    const fallback = fallbackOf(value);
    return fallback !== undefined && checks.areTimestamps
      ? `(t.${identifier(name)} IS NOT NULL AND t.${identifier(name)} IS t.${identifier(fallback)} COLLATE BINARY) * ${2 ** i}`
      : '0';
  });
  const key = `t.${identifier(backfill.key)}`;
  const tail = `WHERE ${scopeSql(backfill, store.dialect)} AND ${key} ${from} ? AND ${key} <= ? ORDER BY ${key} LIMIT ?`;
  // Bits as a real: among exact integers, which come as bigint, they stay a number.
  return `SELECT k, ${states.join(' + ')} + 0.0, g, same${values.map((value) => `, ${value}`).join('')}
    FROM (${await derivationSql(store, backfill, { tail, extra: { g: group, same: `${fallbacks.join(' + ')} + 0.0` } })})`;
}
