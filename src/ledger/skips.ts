import { mapEach } from '../each.js';
import type { SqlValue, Store } from '../store/port.js';
import { checked } from './checked.js';
import { compareKeys, type Key } from './keys.js';
import { type Place, REFUSED_SQL, type SkipRecord } from './records.js';
import { LEDGER_TABLES as T } from './tables.js';

const SKIP_FORMS = { key: 'key', target: 'text', reason: 'text' } as const;

/** The ledger's skips: rows and cells that were left alone. Batches write them, in the statements of their engine. */
export function skipsIn({ store, exists }: Place) {
  /** Skips by key, then by target. */
  async function decoded(where: string, ...parameters: readonly SqlValue[]): Promise<SkipRecord[]> {
    const sql = `SELECT key, target, reason FROM ${T.skips} WHERE ${where}`;
    return (await store.allExact<Omit<SkipRecord, 'key'> & { readonly key: SqlValue }>(sql, ...parameters))
      .map((row) =>
        checked<SkipRecord>(T.skips, { ...row, key: store.dialect.fromLedger(row.key) ?? '' }, SKIP_FORMS),
      )
      .sort((a, b) => compareKeys(a.key, b.key) || (a.target < b.target ? -1 : 1));
  }

  return {
    /** All skips of a backfill, by key. */
    skips: async (backfill: string): Promise<SkipRecord[]> =>
      (await exists()) ? await decoded('backfill = ?', backfill) : [],

    /** What one batch has left alone, by key. */
    skipsOfBatch: async (backfill: string, batch: number): Promise<SkipRecord[]> =>
      await decoded('backfill = ? AND batch = ?', backfill, batch),

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

    /** Whether a cell is recorded as a skip though a value can be derived for it. */
    async isRefused(backfill: string, key: Key, column: string): Promise<boolean> {
      return (
        (await store.get(
          `SELECT 1 FROM ${T.skips} WHERE backfill = ? AND key = ? AND target IN ('*', ?) AND ${REFUSED_SQL}`,
          backfill,
          store.dialect.toLedger(key),
          column,
        )) !== undefined
      );
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
    first: (
      await store.allExact<{ key: SqlValue; target: string }>(
        `SELECT key, target FROM ${T.skips} WHERE backfill = ? AND reason = ?
        ORDER BY ${store.dialect.ledger.keyOrder}, target LIMIT ?`,
        backfill,
        reason,
        limit,
      )
    ).map(({ key, target }) =>
      checked<SkipGroup['first'][number]>(
        T.skips,
        { key: store.dialect.fromLedger(key) ?? '', target },
        { key: 'key', target: 'text' },
      ),
    ),
  }));
}
