import type { Store } from '../db/connection.js';
import { reader } from './checked.js';
import type { Place, VerificationRecord } from './records.js';
import { LEDGER_TABLES as T } from './tables.js';

const VERIFICATIONS = reader<VerificationRecord>(T.verifications, {
  number: 'count',
  run: 'count',
  verdict: ['pass', 'warn', 'fail'],
  verifiedAt: 'text',
});

/** The ledger's verdicts on backfills. */
export function verificationsIn({ store, exists, timestamp }: Place) {
  /** The last verification of a backfill, or undefined. */
  const lastVerification = async (backfill: string): Promise<VerificationRecord | undefined> =>
    (await exists()) ? (await verdicts(store, backfill, 1))[0] : undefined;

  return {
    lastVerification,

    /** Whether a backfill has a run that no verification has passed yet, or its last verification failed, whatever passed before. */
    async isUnverified(backfill: string): Promise<boolean> {
      if (!(await exists())) return false;
      const sql = `SELECT 1 AS open FROM ${T.runs} WHERE backfill = ? AND status IN ('running', 'filled') LIMIT 1`;
      return (
        (await store.get(sql, backfill)) !== undefined ||
        (await lastVerification(backfill))?.verdict === 'fail'
      );
    },

    /**
     * Records a verdict. Unless it is `fail`, the runs that it saw are verified from now on; a run that fails stays
     * `filled`, and the next `up` verifies it again.
     *
     * @param checks what was found, without any content of the store; stored as JSON
     */
    async addVerification(
      backfill: string,
      run: number,
      verdict: VerificationRecord['verdict'],
      checks: unknown,
    ): Promise<void> {
      const number = ((await lastVerification(backfill))?.number ?? 0) + 1;
      await store.run(
        `INSERT INTO ${T.verifications} (backfill, number, run, verdict, verified_at, checks) VALUES (?, ?, ?, ?, ?, ?)`,
        backfill,
        number,
        run,
        verdict,
        timestamp(),
        JSON.stringify(checks),
      );
      if (verdict === 'fail') return;
      await store.run(
        `UPDATE ${T.runs} SET status = 'verified' WHERE backfill = ? AND run <= ? AND status = 'filled'`,
        backfill,
        run,
      );
    },
  };
}

/** The last so many verdicts on a backfill of a store with a ledger, first to last. */
export const verdicts = async (
  store: Store,
  backfill: string,
  limit: number,
): Promise<VerificationRecord[]> =>
  (
    await VERIFICATIONS.all(store, 'WHERE backfill = ? ORDER BY number DESC LIMIT ?', backfill, limit)
  ).reverse();
