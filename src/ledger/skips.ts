import type { Store } from '../db/connection.js';
import { mapEach } from '../each.js';
import { compareKeys, type Key } from './keys.js';
import { checked, type Place, REFUSED_SQL, reader, type SkipRecord } from './records.js';
import { LEDGER_TABLES as T } from './tables.js';

/** Keys that one statement asks about. */
const KEYS_AT_ONCE = 500;

const SKIPS = reader<SkipRecord>(T.skips, { key: 'key', target: 'text', reason: 'text' });

/** Skips by key, then by target. */
const sorted = (skips: SkipRecord[]): SkipRecord[] =>
  skips.sort((a, b) => compareKeys(a.key, b.key) || (a.target < b.target ? -1 : 1));

/** The ledger's skips: rows and cells that were left alone. Batches write them, in the statements of their engine. */
export function skipsIn({ store, exists }: Place) {
  return {
    /** All skips of a backfill, by key. */
    skips: async (backfill: string): Promise<SkipRecord[]> =>
      (await exists()) ? sorted(await SKIPS.all(store, 'WHERE backfill = ?', backfill)) : [],

    /** What one batch has left alone, by key. */
    skipsOfBatch: async (backfill: string, batch: number): Promise<SkipRecord[]> =>
      sorted(await SKIPS.all(store, 'WHERE backfill = ? AND batch = ?', backfill, batch)),

    /** How many skips a backfill has, by reason. */
    async skipCounts(backfill: string): Promise<Record<string, number>> {
      if (!(await exists())) return {};
      const rows = await store.all<{ reason: string; count: number }>(
        `SELECT reason, count(*) AS count FROM ${T.skips} WHERE backfill = ? GROUP BY reason ORDER BY reason`,
        backfill,
      );
      const known = rows.map((row) => checked<typeof row>(T.skips, row, { reason: 'text', count: 'count' }));
      return Object.fromEntries(known.map(({ reason, count }) => [reason, count]));
    },

    /** How many skips each batch has in the table. */
    async skipsByBatch(backfill: string): Promise<Map<number, number>> {
      const rows = await store.all<{ batch: number; count: number }>(
        `SELECT batch, count(*) AS count FROM ${T.skips} WHERE backfill = ? GROUP BY batch`,
        backfill,
      );
      return new Map(rows.map(({ batch, count }) => [batch, count]));
    },

    /** How many rows the engine refused to update in one run with this result code. */
    async rejectedRows(backfill: string, run: number, code: string): Promise<number> {
      const row = await store.get<{ count: number }>(
        `SELECT count(*) AS count FROM ${T.skips} AS s JOIN ${T.batches} AS b ON b.backfill = s.backfill AND b.number = s.batch
        WHERE s.backfill = ? AND s.reason = ? AND b.run = ?`,
        backfill,
        code,
        run,
      );
      return row?.count ?? 0;
    },

    /** What of some rows is recorded as a skip though a value can be derived for it: columns, or `*` for all, by key. */
    async refusedCells(
      backfill: string,
      keys: readonly Key[],
    ): Promise<ReadonlyMap<Key, ReadonlySet<string>>> {
      const found = new Map<Key, Set<string>>();
      for (let i = 0; i < keys.length; i += KEYS_AT_ONCE) {
        const some = keys.slice(i, i + KEYS_AT_ONCE).map((key) => store.dialect.toLedger(key));
        const where = `WHERE backfill = ? AND key IN (${some.map(() => '?').join(', ')}) AND ${REFUSED_SQL}`;
        for (const { key, target } of await SKIPS.all(store, where, backfill, ...some))
          found.set(key, (found.get(key) ?? new Set()).add(target));
      }
      return found;
    },
  };
}

/** Skips of one reason: how many, and the first of them by key. */
export interface SkipGroup {
  readonly reason: string;
  readonly count: number;
  readonly first: readonly { readonly key: Key; readonly target: string }[];
}

/** The skips of a backfill by reason, with so many keys of each at most. */
export async function skipGroups(
  store: Store,
  backfill: string,
  counts: Readonly<Record<string, number>>,
  limit: number,
): Promise<SkipGroup[]> {
  return await mapEach(Object.entries(counts), async ([reason, count]) => ({
    reason,
    count,
    first: await SKIPS.all(
      store,
      `WHERE backfill = ? AND reason = ? ORDER BY ${store.dialect.ledger.keyOrder}, target LIMIT ?`,
      backfill,
      reason,
      limit,
    ),
  }));
}
