import type { Store } from '../db/connection.js';
import { batchesIn } from './batches.js';
import { commandsIn } from './commands.js';
import type { Place } from './records.js';
import { runsIn } from './runs.js';
import { skipsIn } from './skips.js';
import { stepsIn } from './steps.js';
import { LEDGER_TABLES as T } from './tables.js';
import { verificationsIn } from './verifications.js';

/** The ledger of a store: steps, commands, and the runs of backfills. Every write happens inside its caller's transaction. */
export interface Ledger
  extends Pick<Place, 'exists'>,
    ReturnType<typeof stepsIn>,
    ReturnType<typeof commandsIn>,
    ReturnType<typeof runsIn>,
    ReturnType<typeof batchesIn>,
    ReturnType<typeof skipsIn>,
    ReturnType<typeof verificationsIn> {
  /** The same ledger, on a transaction of its store. */
  in(tx: Store): Ledger;
}

/**
 * Opens the ledger of a store; it need not have one.
 *
 * @param now the clock. Default: the system's
 */
export const openLedger = (store: Store, now: () => Date = () => new Date()): Ledger =>
  ledgerIn(store, now, { range: 0 });

/** @param outer the same ledger outside of the transaction that `store` is */
function ledgerIn(store: Store, now: () => Date, last: Place['last'], outer?: { isKnown: boolean }): Ledger {
  // What a transaction finds is its own affair: it may have made the ledger, and be rolled back.
  const found = { isKnown: outer?.isKnown ?? false };
  const place: Place = {
    store,
    exists: async () => {
      found.isKnown ||= await store.dialect.hasTable(store, T.steps);
      return found.isKnown;
    },
    drop: async () => {
      await store.dialect.ledger.drop(store);
      found.isKnown = false;
      if (outer) outer.isKnown = false;
    },
    timestamp: () => now().toISOString(),
    last,
  };
  const runs = runsIn(place);
  return {
    exists: place.exists,
    ...stepsIn(place),
    ...commandsIn(place),
    ...runs,
    ...batchesIn(place, runs),
    ...skipsIn(place),
    ...verificationsIn(place),
    in: (tx) => ledgerIn(tx, now, last, found),
  };
}
