import { mapEach } from '../each.js';
import type { SqlValue, Store } from '../store/port.js';
import { checked, readTexts } from './checked.js';
import type { Key } from './keys.js';
import { type ChangingCommand, VERIFICATION_FORMS, type VerificationRecord } from './records.js';
import { LEDGER_TABLES as T } from './tables.js';

// What the ledger tells of the past, for a report. A store without a ledger has none: the caller looks for that.

/** When a batch was committed, and how much it was. */
export interface BatchTime {
  readonly number: number;
  readonly run: number;
  readonly rowsScanned: number;
  readonly durationMs: number;
  readonly committedAt: string;
}

const BATCH_TIME_FORMS = {
  number: 'count',
  run: 'count',
  rowsScanned: 'count',
  durationMs: 'number',
  committedAt: 'text',
} as const;

/** How many batches of a backfill there are. */
export async function countBatches(store: Store, backfill: string): Promise<number> {
  const sql = `SELECT count(*) AS count FROM ${T.batches} WHERE backfill = ?`;
  return (await store.get<{ count: number }>(sql, backfill))?.count ?? 0;
}

/** The batches of a backfill, first to last, in pages. */
export async function* batchTimes(store: Store, backfill: string): AsyncGenerator<BatchTime[]> {
  const sql = `SELECT number, run, rows_scanned, duration_ms, committed_at FROM ${T.batches}
    WHERE backfill = ? ORDER BY number`;
  for await (const page of store.pages<readonly unknown[]>(sql, backfill))
    yield page.map(([number, run, rowsScanned, durationMs, committedAt]) =>
      checked<BatchTime>(T.batches, { number, run, rowsScanned, durationMs, committedAt }, BATCH_TIME_FORMS),
    );
}

/** The last so many verdicts on a backfill, first to last. */
export async function verdicts(store: Store, backfill: string, limit: number): Promise<VerificationRecord[]> {
  return (
    await store.all<VerificationRecord>(
      `SELECT number, run, verdict, verified_at AS "verifiedAt" FROM ${T.verifications}
      WHERE backfill = ? ORDER BY number DESC LIMIT ?`,
      backfill,
      limit,
    )
  )
    .map((row) => checked<VerificationRecord>(T.verifications, row, VERIFICATION_FORMS))
    .reverse();
}

const COMMAND_FORMS = { number: 'count', command: 'text', steps: 'text', begunAt: 'text' } as const;

/** A command that was begun. */
export interface CommandTime {
  readonly number: number;
  readonly command: ChangingCommand;
  readonly steps: readonly string[];
  readonly begunAt: string;
}

/** The last so many commands that changed the store, first to last. */
export async function commandTimes(store: Store, limit: number): Promise<CommandTime[]> {
  return (
    await store.all<Omit<CommandTime, 'steps'> & { readonly steps: string }>(
      `SELECT number, command, steps, begun_at AS "begunAt" FROM ${T.commands} ORDER BY number DESC LIMIT ?`,
      limit,
    )
  )
    .map((row) => checked<typeof row>(T.commands, row, COMMAND_FORMS))
    .map((row) => ({ ...row, steps: readTexts(T.commands, 'steps', row.steps) }))
    .reverse();
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
        ORDER BY ${store.dialect.ledgerKeyOrder}, target LIMIT ?`,
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
