import type { Ledger } from './ledger.js';
import { isOpen } from './records.js';

/** Whether a backfill has a run that no verification has passed yet, or its last verification failed, whatever passed before. */
export async function isUnverified(ledger: Ledger, backfill: string): Promise<boolean> {
  return (
    (await ledger.runs(backfill)).some(({ status }) => isOpen(status)) ||
    (await ledger.lastVerification(backfill))?.verdict === 'fail'
  );
}
