import type { Backfill } from '../../backfill/define.js';
import { BackfillError } from '../../errors.js';
import { countKeys, type Key } from '../../ledger/keys.js';
import { type FilledCells, type FoundCells, updateIgnored } from '../batch.js';
import type { Store } from '../port.js';
import { foldCase, identifier } from '../sql.js';
import { derivationSql } from './derive.js';
import { updateOf } from './inspect.js';
import { keyColumn, keyKind } from './keys.js';

const RANGES = 'temp.umzug_backfill_reverted';
const REVERT = 'temp.umzug_backfill_revert';

/** Makes the temporary tables for taking a backfill back; once a `down`. */
export async function prepareRevert(store: Store, backfill: Backfill): Promise<void> {
  const flags = backfill.columns.map((_, i) => `is_ours${i}`).join(', ');
  await store.exec(`DROP TABLE IF EXISTS ${RANGES};
    CREATE TEMP TABLE umzug_backfill_reverted (umzug_first, umzug_last);
    DROP TABLE IF EXISTS ${REVERT};
    CREATE TEMP TABLE umzug_backfill_revert (${keyColumn(await keyKind(store, backfill))}, others, ${flags});`);
}

/**
 * Sets cells that a batch filled to NULL where they still hold what the row derives. Runs inside its caller's
 * transaction.
 *
 * @throws {BackfillError} `STEP_DRIFTED` when the declaration has one of the columns no more, `UPDATE_IGNORED`
 */
export async function revertCells(
  store: Store,
  backfill: Backfill,
  { columns: filled, runs, absent }: FilledCells,
): Promise<FoundCells> {
  const names = filled.filter((name) => !absent.has(foldCase(name)));
  const gone = countKeys(runs) * (filled.length - names.length);
  if (names.length === 0) return { reverted: 0, others: 0, gone };
  const columns = names.map((name) => ({
    name: identifier(name),
    i: backfill.columns.findIndex((column) => column.name === name),
  }));
  if (columns.some(({ i }) => i < 0)) {
    throw new BackfillError(
      'STEP_DRIFTED',
      `${backfill.name} has filled ${names.join(', ')}, and its declaration does not say how any more`,
      'Put the step file back as it was applied, then run the same command again',
    );
  }
  const key = identifier(backfill.key);
  await store.run(`DELETE FROM ${RANGES}`);
  await store.run(`DELETE FROM ${REVERT}`);
  await store.run(
    `INSERT INTO ${RANGES} SELECT value ->> 0, value ->> 1 FROM json_each(?)`,
    `[${runs.map((run) => `[${run.map(keyJson).join(',')}]`).join(',')}]`,
  );
  const rows = await derivationSql(store, backfill, {
    absent,
    from: `${RANGES} AS r CROSS JOIN ${identifier(backfill.table)} AS t`,
    tail: `WHERE t.${key} BETWEEN r.umzug_first AND r.umzug_last LIMIT -1`,
  });
  const each = (sql: (i: number) => string, separator: string): string =>
    columns.map(({ i }) => sql(i)).join(separator);
  await store.run(
    `INSERT INTO ${REVERT} (k, others, ${each((i) => `is_ours${i}`, ', ')})
    SELECT k, ${each((i) => `(c${i} IS NOT NULL AND c${i} IS NOT v${i} COLLATE BINARY)`, ' + ')},
      ${each((i) => `(c${i} IS NOT NULL AND c${i} IS v${i} COLLATE BINARY)`, ', ')} FROM (${rows})`,
  );
  const anyOurs = each((i) => `is_ours${i}`, ' OR ');
  const counts = await store.get<{ rows: number; reverted: number; others: number; toUpdate: number }>(
    `SELECT total(${each((i) => `is_ours${i}`, ' + ')}) AS reverted, total(others) AS others, count(*) AS rows, total(${anyOurs}) AS toUpdate
    FROM ${REVERT}`,
  );
  const updated = await store.run(
    `${await updateOf(store, backfill.table)} AS t
    SET ${columns.map(({ name, i }) => `${name} = CASE WHEN r.is_ours${i} THEN NULL ELSE t.${name} END`).join(', ')}
    FROM ${REVERT} AS r WHERE r.k = t.${key} AND t.${key} BETWEEN ? AND ? AND (${anyOurs})`,
    runs[0]?.[0] ?? null,
    runs.at(-1)?.[1] ?? null,
  );
  if (updated !== counts?.toUpdate) throw updateIgnored(backfill, (counts?.toUpdate ?? 0) - updated);
  const { rows: found, reverted, others } = counts;
  return { reverted, others, gone: gone + (countKeys(runs) - found) * names.length };
}

const keyJson = (key: Key): string => (typeof key === 'string' ? JSON.stringify(key) : String(key));
