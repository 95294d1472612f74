import { filterEach } from '../each.js';
import type { Ledger } from './ledger.js';
import { FOREIGN } from './records.js';
import { requireState } from './storage.js';
import { isUnverified } from './unverified.js';

// The ledger as the storage of somebody's own Umzug. What writes runs inside its caller's transaction.

/**
 * Names of what counts as executed: foreign migrations, and steps of ours. A step that is half applied, or not verified, is pending
 * for `up` and executed for `down`, so that either continues with it; one that is half reverted is executed for both, so that `down`
 * finishes first.
 *
 * @param direction what umzug is about to do
 */
export async function executedNames(ledger: Ledger, direction: 'up' | 'down'): Promise<string[]> {
  return (
    await filterEach(
      await ledger.steps(),
      async ({ name, status }) =>
        direction === 'down' ||
        status === 'reverting' ||
        (status === 'applied' && !(await isUnverified(ledger, name))),
    )
  ).map(({ name }) => name);
}

/** Notes that a migration is executed. A step of ours has written its row itself; a name that is there is no error. */
export async function logName(ledger: Ledger, name: string): Promise<void> {
  const record = await ledger.step(name);
  if (record) {
    requireState(record.status === 'applied', name);
    return;
  }
  await ledger.beginStep({ name, kind: FOREIGN, fingerprint: '' }); // there is no declaration to take one of
  await ledger.finishStep(name, 0);
}

/** Notes that a migration is not executed any more. A step of ours has removed its row itself; none is no error. */
export async function unlogName(ledger: Ledger, name: string): Promise<void> {
  const record = await ledger.step(name);
  if (!record) return;
  requireState(record.kind === FOREIGN, name);
  await ledger.forgetStep(name);
}
