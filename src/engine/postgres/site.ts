import { type PostgresAddress, shownAddress } from '../../db/postgres/address.js';
import { acquireLock, lookAtLock, withShare } from '../../db/postgres/lock.js';
import { Sessions } from '../../db/postgres/session.js';
import { PostgresStore } from '../../db/postgres/store.js';
import { plaintextWarnings } from '../../db/postgres/tls.js';
import type { OpenOptions, StoreSite } from '../../db/site.js';
import { toBackfillError } from '../../errors.js';
import type { StopSignal } from '../../stop.js';
import { POSTGRES } from './dialect.js';
import { refuseUnsafeLedger } from './ledger.js';
import { refuseReadOnly, refuseUnsafePath } from './rights.js';

/** The site of a store that is a database of PostgreSQL. */
export interface PostgresSite extends StoreSite {
  /** Acts with a share of the run lock, if whoever holds it shares it; returns whether there was anything to do. */
  share(act: () => Promise<boolean>): Promise<boolean>;
}

/**
 * Opens a database, on the session of its command.
 *
 * @throws {BackfillError} `STORE_READONLY` for a replica, `SEARCH_PATH_UNSAFE`, `SUPERUSER_REFUSED`, `LEDGER_UNTRUSTED`
 */
async function openPostgres(sessions: Sessions, options: OpenOptions): Promise<PostgresStore> {
  const connection = await sessions.enter();
  const { access, isConfirmed = false } = options;
  try {
    const store = new PostgresStore(sessions, connection, POSTGRES, options);
    await store.setLockTimeout();
    if (access === 'write') await refuseReadOnly(store);
    if (!isConfirmed) await refuseUnsafePath(store);
    await refuseUnsafeLedger(store, access === 'write' ? 'UPDATE' : 'SELECT');
    return store;
  } catch (error) {
    await sessions.leave(connection);
    throw error;
  }
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
    within: async (act) => {
      const session = await explained(() => sessions.enter());
      try {
        return await act();
      } finally {
        await sessions.leave(session);
      }
    },
    open: async (options) => await explained(() => openPostgres(sessions, options)),
    lock: async (options) => await explained(() => acquireLock(sessions, options)),
    lookAtLock: async () => await explained(() => lookAtLock(sessions)),
    share: async (act) => await withShare(sessions, act),
    warnings: () => [
      ...plaintextWarnings(address),
      'No backup is made of a database: its server has its own, as pg_dump makes one',
    ],
  };
}
