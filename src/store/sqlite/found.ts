import type { Backfill } from '../../backfill/define.js';
import { derivationSql, scopeSql } from './derive.js';
import { identifier } from './sql.js';
import type { Store } from './store.js';

/**
 * How many cells in scope up to `watermark` hold their derived value already, before a run: with what the run fills,
 * as many must hold it afterwards.
 */
export function countFound(store: Store, backfill: Backfill, watermark: bigint): number {
  const filled = backfill.columns.map(({ name }) => `t.${identifier(name)} IS NOT NULL`).join(' OR ');
  const where = `WHERE t.${identifier(backfill.key)} <= ? AND ${scopeSql(backfill)} AND (${filled})`;
  const any = store.get(`SELECT 1 FROM ${identifier(backfill.table)} AS t ${where} LIMIT 1`, watermark);
  if (any === undefined) return 0;
  const matches = backfill.columns.map((_, i) => `(c${i} IS NOT NULL AND c${i} IS v${i})`).join(' + ');
  const row = store.get<{ cells: number | null }>(
    `SELECT sum(${matches}) AS cells FROM (${derivationSql(backfill, { tail: `${where} LIMIT -1` })})`,
    watermark,
  );
  return row?.cells ?? 0;
}
