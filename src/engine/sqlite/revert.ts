import type { Store } from '../../db/connection.js';
import { identifier } from '../../db/sql.js';
import { updateIgnored } from '../batch.js';
import type { Derivation, Given, Undone } from '../derivation.js';
import { updateOf } from './inspect.js';
import { emptyTemporary, keyOf } from './keys.js';

/** Sets cells to NULL where they hold what is derived, by a temporary table of their rows. */
export async function undo(
  store: Store,
  { backfill, isSame }: Derivation,
  columns: readonly number[],
  { sql, parameters }: Given,
): Promise<Undone> {
  const { kind } = await keyOf(store, backfill);
  const key = identifier(backfill.key);
  const revert = 'temp.umzug_backfill_revert';
  const each = (of: (i: number) => string, separator: string): string => columns.map(of).join(separator);
  const isOurs = (i: number): string => `(r.ours >> ${i} & 1)`;
  await emptyTemporary(store, 'umzug_backfill_revert', kind, 'others, ours');
  await store.run(
    `INSERT INTO ${revert} (k, others, ours)
    SELECT k, ${each((i) => `(c${i} IS NOT NULL AND NOT ${isSame(`c${i}`, `v${i}`)})`, ' + ')},
      ${each((i) => `((c${i} IS NOT NULL AND ${isSame(`c${i}`, `v${i}`)}) << ${i})`, ' + ')} FROM (${sql})`,
    ...parameters,
  );
  const counts = await store.get<Undone & { readonly due: number }>(
    `SELECT coalesce(sum(${each(isOurs, ' + ')}), 0) AS reverted, coalesce(sum(others), 0) AS others, count(*) AS rows,
      count(*) FILTER (WHERE ours <> 0) AS due FROM ${revert} AS r`,
  );
  const assignments = each((i) => {
    const name = identifier(backfill.columns[i]?.name ?? '');
    return `${name} = CASE WHEN ${isOurs(i)} THEN NULL ELSE t.${name} END`;
  }, ', ');
  // The range is for the planner: it reads no more of the table than the batch.
  const done = await store.run(
    `${await updateOf(store, backfill.table)} AS t SET ${assignments} FROM ${revert} AS r
    WHERE r.k = t.${key} AND t.${key} BETWEEN (SELECT min(k) FROM ${revert}) AND (SELECT max(k) FROM ${revert}) AND r.ours <> 0`,
  );
  const { rows = 0, reverted = 0, others = 0, due = 0 } = counts ?? {};
  if (done !== due) throw updateIgnored(backfill, due - done);
  return { rows, reverted, others };
}
