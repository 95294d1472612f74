import type { UmzugStorage } from 'umzug';
import type { Ledger } from './ledger.js';

/**
 * umzug's view of the ledger.
 *
 * Each step writes its own ledger rows inside its transactions, so that logging is a check, not a write: umzug calls
 * it in a second transaction, and a kill between the two would run the step again.
 *
 * A step that a kill has left half applied or half reverted is pending for `up` and executed for `down`, so that
 * either goes on with it.
 *
 * @param direction what umzug is about to do
 */
export function ledgerStorage(ledger: Ledger, direction: 'up' | 'down'): UmzugStorage {
  const isLogged = (name: string): boolean => ledger.step(name)?.status === 'applied';
  const require = async (isAsExpected: boolean, name: string): Promise<void> => {
    if (!isAsExpected) throw new Error(`The step ${name} has not written its ledger row`);
  };
  return {
    executed: async () =>
      ledger
        .steps()
        .filter(({ status }) => direction === 'down' || status === 'applied')
        .map(({ name }) => name),
    logMigration: async ({ name }) => require(isLogged(name), name),
    unlogMigration: async ({ name }) => require(ledger.step(name) === undefined, name),
  };
}
