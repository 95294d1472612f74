import type { SqlValue } from '../store/port.js';
import { checked } from './checked.js';
import { compareKeys, type Key } from './keys.js';
import { type BatchRecord, REFUSED_SQL, type SkipRecord } from './records.js';
import { StepLedger } from './step-ledger.js';
import { LEDGER_TABLES as T } from './tables.js';

/** Keys that one statement asks about. */
const KEYS_AT_ONCE = 500;

const SKIP_FORMS = { key: 'key', target: 'text', reason: 'text' } as const;

/** The ledger's skips: rows and cells that were left alone. Batches write them; see store/sqlite/batch.ts. */
export class SkipLedger extends StepLedger {
  /** All skips of a backfill, by key. */
  async skips(backfill: string): Promise<SkipRecord[]> {
    if (!(await this.exists())) return [];
    return await this.decoded(`SELECT key, target, reason FROM ${T.skips} WHERE backfill = ?`, backfill);
  }

  /** What one batch has left alone, by key. */
  async skipsOfBatch(
    backfill: string,
    { number, firstKey, lastKey }: Pick<BatchRecord, 'number' | 'firstKey' | 'lastKey'>,
  ): Promise<SkipRecord[]> {
    return await this.decoded(
      `SELECT key, target, reason FROM ${T.skips} WHERE backfill = ? AND key BETWEEN ? AND ? AND batch = ?`,
      backfill,
      firstKey,
      lastKey,
      number,
    );
  }

  /** Skips by key, then by target. */
  protected async decoded(sql: string, ...parameters: readonly SqlValue[]): Promise<SkipRecord[]> {
    return (
      await this.store.allExact<Omit<SkipRecord, 'key'> & { readonly key: SqlValue }>(sql, ...parameters)
    )
      .map((row) =>
        checked<SkipRecord>(
          T.skips,
          { ...row, key: this.store.dialect.fromLedger(row.key) ?? '' },
          SKIP_FORMS,
        ),
      )
      .sort((a, b) => compareKeys(a.key, b.key) || (a.target < b.target ? -1 : 1));
  }

  /** How many skips a backfill has, by reason. */
  async skipCounts(backfill: string): Promise<Record<string, number>> {
    if (!(await this.exists())) return {};
    const rows = await this.store.all<{ reason: string; count: number }>(
      `SELECT reason, count(*) AS count FROM ${T.skips} WHERE backfill = ? GROUP BY reason ORDER BY reason`,
      backfill,
    );
    const known = rows.map((row) => checked<typeof row>(T.skips, row, { reason: 'text', count: 'count' }));
    return Object.fromEntries(known.map(({ reason, count }) => [reason, count]));
  }

  /** How many rows SQLite refused to update in one run with this result code. */
  async rejectedRows(backfill: string, run: number, code: string): Promise<number> {
    const row = await this.store.get<{ count: number }>(
      `SELECT count(*) AS count FROM ${T.skips} AS s JOIN ${T.batches} AS b ON b.backfill = s.backfill AND b.number = s.batch
      WHERE s.backfill = ? AND s.reason = ? AND b.run = ?`,
      backfill,
      code,
      run,
    );
    return row?.count ?? 0;
  }

  /** What of some rows is recorded as a skip though a value can be derived for it: columns, or `*` for all, by key. */
  async refusedCells(backfill: string, keys: readonly Key[]): Promise<ReadonlyMap<Key, ReadonlySet<string>>> {
    const found = new Map<Key, Set<string>>();
    for (let i = 0; i < keys.length; i += KEYS_AT_ONCE) {
      const some = keys.slice(i, i + KEYS_AT_ONCE).map((key) => this.store.dialect.toLedger(key));
      const records = await this.decoded(
        `SELECT key, target, reason FROM ${T.skips}
        WHERE backfill = ? AND key IN (${some.map(() => '?').join(', ')}) AND ${REFUSED_SQL}`,
        backfill,
        ...some,
      );
      for (const { key, target } of records) found.set(key, (found.get(key) ?? new Set()).add(target));
    }
    return found;
  }

  /** How many skips each batch has in the table. */
  async skipsByBatch(backfill: string): Promise<Map<number, number>> {
    const rows = await this.store.all<{ batch: number; count: number }>(
      `SELECT batch, count(*) AS count FROM ${T.skips} WHERE backfill = ? GROUP BY batch`,
      backfill,
    );
    return new Map(rows.map(({ batch, count }) => [batch, count]));
  }
}
