import { toBackfillError } from '../../errors.js';
import type { StoreSite } from '../site.js';
import { type PostgresAddress, shownAddress } from './address.js';
import { acquireLock, lookAtLock } from './lock.js';
import { PostgresStore } from './store.js';
import { plaintextWarnings } from './tls.js';

/** The site of a store that is a database of PostgreSQL. */
export function postgresSite(address: PostgresAddress): StoreSite {
  const explained = <Result>(act: () => Result): Result => {
    try {
      return act();
    } catch (error) {
      throw toBackfillError(error);
    }
  };
  return {
    name: shownAddress(address),
    open: (options) => PostgresStore.open(address, options),
    lock: async (options) => {
      try {
        return await acquireLock(address, options);
      } catch (error) {
        throw toBackfillError(error);
      }
    },
    lookAtLock: () => explained(() => lookAtLock(address)),
    warnings: () => [
      ...plaintextWarnings(address),
      'No backup is made of a database: its server has its own, as pg_dump makes one',
    ],
  };
}
