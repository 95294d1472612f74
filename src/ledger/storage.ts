import type { UmzugStorage } from 'umzug';
import { BackfillError } from '../errors.js';
import type { Ledger } from './ledger.js';

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

/**
 * Insists that a step's row is as the step has left it.
 *
 * @throws {BackfillError} `RUN_CONFLICT`
 */
export function requireState(isAsExpected: boolean, name: string): void {
  if (isAsExpected) return;
  throw new BackfillError(
    'RUN_CONFLICT',
    `Another process has changed the ledger row of ${name} meanwhile`,
    'Wait until it has ended, then run the same command again',
  );
}
