import type { Store } from '../../db/connection.js';
import { EQ, operator } from '../../db/postgres/texts.js';
import { identifier } from '../../db/sql.js';
import { failpoint } from '../../failpoint.js';
import type { Undone } from '../batch.js';
import { updateIgnored } from '../batch.js';
import type { Derivation, Given } from '../derive.js';
import { keyOf } from './keys.js';

/** Sets cells to NULL where they hold what is derived, in one statement. */
export async function undo(
  store: Store,
  { backfill, isSame }: Derivation,
  columns: readonly number[],
  { sql: rows }: Given,
): Promise<Undone> {
  const { sql: key } = await keyOf(store, backfill);
  const each = (of: (i: number) => string, separator: string): string => columns.map(of).join(separator);
  const assignments = each((i) => {
    const name = identifier(backfill.columns[i]?.name ?? '');
    return `${name} = CASE WHEN j.is_ours${i} THEN NULL ELSE t.${name} END`;
  }, ', ');
  const sum = (of: (i: number) => string): string =>
    each((i) => `CASE WHEN ${of(i)} THEN 1 ELSE 0 END`, ` ${operator('+')} `);
  const sql = `WITH judged AS MATERIALIZED (
    SELECT k, ${each((i) => `(c${i} IS NOT NULL AND ${isSame(`c${i}`, `v${i}`)}) AS is_ours${i}`, ', ')},
      ${sum((i) => `c${i} IS NOT NULL AND NOT ${isSame(`c${i}`, `v${i}`)}`)} AS others
    FROM (${rows}) AS found
  ), undone AS (
    UPDATE ${identifier(backfill.table)} AS t SET ${assignments}
    FROM judged AS j WHERE ${key} ${EQ} j.k AND (${each((i) => `j.is_ours${i}`, ' OR ')})
    RETURNING 1
  )
  SELECT coalesce(pg_catalog.sum(${sum((i) => `is_ours${i}`)}), 0) AS reverted,
    coalesce(pg_catalog.sum(others), 0) AS others, pg_catalog.count(*) AS rows,
    pg_catalog.count(*) FILTER (WHERE ${each((i) => `is_ours${i}`, ' OR ')}) AS due,
    (SELECT pg_catalog.count(*) FROM undone) AS done FROM judged`;
  const counts = await store.project.get<Undone & { due: number; done: number }>(sql);
  failpoint('statement', sql);
  const { rows: found = 0, reverted = 0, others = 0, due = 0, done = 0 } = counts ?? {};
  if (done !== due) throw updateIgnored(backfill, due - done);
  return { rows: found, reverted, others };
}
