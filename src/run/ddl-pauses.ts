import { pauseFor } from '../abort.js';
import type { Store } from '../db/connection.js';
import { unmissablePauseMs } from '../engine/pace.js';
import type { RunOptions } from '../engine/run-options.js';

/** Options of the pauses between two statements of DDL. */
export type DdlOptions = Pick<RunOptions, 'pace' | 'ownsProcess' | 'signal'>;

/** Minimum lock time before a pause, in milliseconds; the DDL of a store of 1,000 rows takes less. */
const MIN_HELD_MS = 10;

/**
 * Returns a function that runs DDL, after a pause if earlier DDL locked a file for long: a writer that waits for the lock would
 * otherwise wait for all of it.
 */
export function pausing(store: Store, options: DdlOptions): (act: () => Promise<void>) => Promise<void> {
  let heldMs = 0;
  const isDue = (): boolean =>
    heldMs >= MIN_HELD_MS &&
    options.pace !== 'full' &&
    store.dialect.bottleneck === 'lock' &&
    store.dialect.isOpenElsewhere(store, options) !== false;
  return async (act) => {
    if (isDue()) {
      await pauseFor(unmissablePauseMs(heldMs), options.signal);
      heldMs = 0;
    }
    const startedAt = performance.now();
    await act();
    heldMs += performance.now() - startedAt;
  };
}
