import type { Store } from '../store/port.js';
import { Ledger } from './ledger.js';
import { SharedLedger } from './shared-ledger.js';

/** The ledger of an open store: one that several processes share, where the engine lets them. */
export const openLedger = (store: Store, now?: () => Date): Ledger =>
  store.dialect.engine === 'PostgreSQL' ? new SharedLedger(store, now) : new Ledger(store, now);
