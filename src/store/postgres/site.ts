import type { StopSignal } from '../../backfill/run-options.js';
import { toBackfillError } from '../../errors.js';
import type { StoreSite } from '../site.js';
import { type PostgresAddress, shownAddress } from './address.js';
import { Sessions } from './connection.js';
import { acquireLock, lookAtLock, withShare } from './lock.js';
import { PostgresStore } from './store.js';
import { plaintextWarnings } from './tls.js';

/** The site of a store that is a database of PostgreSQL. */
export interface PostgresSite extends StoreSite {
  /** Acts with a share of the run lock, if whoever holds it shares it; returns whether there was anything to do. */
  share(act: () => Promise<boolean>): Promise<boolean>;
}

/**
 * The site of a store that is a database of PostgreSQL. Its run lock, and what is opened under that, have one session.
 *
 * @param signal stops whoever waits for the database
 */
export function postgresSite(address: PostgresAddress, signal?: StopSignal): PostgresSite {
  const sessions = new Sessions(address, signal);
  const explained = async <Result>(act: () => Promise<Result>): Promise<Result> => {
    try {
      return await act();
    } catch (error) {
      throw toBackfillError(error);
    }
  };
  return {
    name: shownAddress(address),
    open: async (options) => await PostgresStore.open(sessions, options),
    lock: async (options) => await explained(() => acquireLock(sessions, options)),
    lookAtLock: async () => await explained(() => lookAtLock(sessions)),
    share: async (act) => await withShare(sessions, act),
    warnings: () => [
      ...plaintextWarnings(address),
      'No backup is made of a database: its server has its own, as pg_dump makes one',
    ],
  };
}
