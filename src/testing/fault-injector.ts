import { locateStore } from '../db/path.js';
import { openSqlite } from '../engine/sqlite/dialect.js';
import { type Ledger, openLedger } from '../ledger/ledger.js';
import { revertBackfillStep } from '../run/revert.js';
import { applyBackfillStep } from '../run/runner.js';
import type { Subject } from './options.js';
import { runOptions } from './seed.js';

/** The point of an interruption: in the transaction of the next batch, or just after its COMMIT. */
export interface Interruption {
  readonly direction: 'up' | 'down';
  readonly at: 'in a batch' | 'after a batch';
}

/** Runs a backfill and interrupts it. */
export interface FaultInjector {
  /** The means of interruption. */
  readonly by: 'SIGKILL' | 'exception';
  /** Runs the backfill on a store. Returns `done` if no batch was left to interrupt. */
  readonly run: (path: string, interruption: Interruption) => Promise<'interrupted' | 'done'>;
  readonly close: () => Promise<void>;
}

class Thrown extends Error {}

/** Returns a ledger that throws after recording or deleting a batch, in the batch's transaction. */
function throwingLedger(ledger: Ledger): Ledger {
  return {
    ...ledger,
    in: (tx) => throwingLedger(ledger.in(tx)),
    async addBatch(...batch) {
      await ledger.addBatch(...batch);
      throw new Thrown();
    },
    async removeBatch(...batch) {
      await ledger.removeBatch(...batch);
      throw new Thrown();
    },
  };
}

/** Interrupts by an exception in this process: for definitions with functions, which cannot be sent to another process. */
export const throwing = (subject: Subject): FaultInjector => ({
  by: 'exception',
  async run(path, { direction, at }) {
    const store = openSqlite(locateStore(path), { access: 'write' });
    const ledger = at === 'in a batch' ? throwingLedger(openLedger(store)) : openLedger(store);
    const onEvent = ({ event }: { readonly event: string }): void => {
      if (event === 'batch_committed' || event === 'batch_reverted') throw new Thrown();
    };
    try {
      const act = direction === 'up' ? applyBackfillStep : revertBackfillStep;
      await act(store, ledger, subject.step, { ...runOptions(subject, path), onEvent });
      return 'done';
    } catch (error) {
      if (error instanceof Thrown) return 'interrupted';
      throw error;
    } finally {
      await store.close();
    }
  },
  close: async () => undefined,
});
