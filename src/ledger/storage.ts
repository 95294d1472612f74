import type { UmzugStorage } from 'umzug';
import { filterEach } from '../each.js';
import { BackfillError } from '../errors.js';
import type { Ledger } from './ledger.js';
import { FOREIGN } from './records.js';

// The ledger as umzug's storage. What writes runs inside its caller's transaction.

/**
 * umzug's view of the ledger, for this package's own flow: every step in it writes its own rows.
 *
 * Each step writes its own ledger rows inside its transactions, so that logging is a check, not a write: umzug calls
 * it in a second transaction, and a kill between the two would run the step again.
 *
 * A step that a kill has left half applied or half reverted is pending for `up` and executed for `down`, so that
 * either goes on with it.
 *
 * @param direction what umzug is about to do
 */
export function stepStorage(ledger: Ledger, direction: 'up' | 'down'): UmzugStorage {
  return {
    executed: async () =>
      (await ledger.steps())
        .filter(({ status }) => direction === 'down' || status === 'applied')
        .map(({ name }) => name),
    logMigration: async ({ name }) => requireState((await ledger.step(name))?.status === 'applied', name),
    unlogMigration: async ({ name }) => requireState((await ledger.step(name)) === undefined, name),
  };
}

/** Insists that a step's row is as the step has left it. */
function requireState(isAsExpected: boolean, name: string): void {
  if (isAsExpected) return;
  throw new BackfillError(
    'RUN_CONFLICT',
    `Another process has changed the ledger row of ${name} meanwhile`,
    'Wait until it has ended, then run the same command again',
  );
}

/**
 * Names of what counts as executed in somebody's own Umzug: foreign migrations, and steps of ours. A step that is half applied, or not
 * verified, is pending for `up` and executed for `down`, so that either continues with it; one that is half reverted is executed for both,
 * so that `down` finishes first.
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
        (status === 'applied' && !(await ledger.isUnverified(name))),
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
