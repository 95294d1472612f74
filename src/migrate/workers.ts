import { anySignal } from '../abort.js';
import { rootBackfillError } from '../errors.js';
import type { WithWorkers } from '../run/runner.js';
import type { MigratorEvent, MigratorOptions } from './options.js';
import { withSession } from './session.js';

/** What only the worker that leads tells: the loops of the others begin and end within its own. */
const LEADERS: ReadonlySet<MigratorEvent['event']> = new Set([
  'batches_started',
  'batches_finished',
  'run_started',
  'range_waiting',
]);

/**
 * Makes what lets several workers fill together: each but the one that leads has a session of its own, with a share of the run lock, a
 * store and a ledger. One that fails or is lost leaves its part to the others; none outlives the fill. A stop, or a failure of the one
 * that leads, ends all.
 *
 * @returns undefined where the one that leads works alone
 */
export function workersOf(options: MigratorOptions): WithWorkers | undefined {
  const { postgres, workers = 1, onEvent } = options;
  if (!postgres || workers <= 1) return undefined;
  return async (work, lead) => {
    const { postgresConnector } = await import('../engine/postgres/dialect.js');
    const stopper = new AbortController();
    const signal = anySignal(options.signal, stopper.signal);
    const begin = async (number: number): Promise<void> => {
      const connector = postgresConnector(postgres, signal);
      const own: MigratorOptions = {
        ...options,
        connector,
        signal,
        withWorkers: undefined,
        onEvent: (event) => {
          if (!LEADERS.has(event.event)) onEvent?.(event);
        },
      };
      try {
        await connector.withSharedLock(async () => {
          await withSession(own, ({ store, ledger }) => work(store, ledger, own));
          return true;
        });
      } catch (error) {
        if (signal.aborted) return; // whoever leads tells of it
        const { code, message } = rootBackfillError(error);
        const text = `Worker ${number} of ${workers} has ended early, and the others do its part: ${code}: ${message}`;
        onEvent?.({ event: 'warning', text });
      }
    };
    const others = Promise.all(Array.from({ length: workers - 1 }, (_, i) => begin(i + 2)));
    others.catch(() => undefined); // it is awaited below
    try {
      await lead();
    } catch (error) {
      stopper.abort('SIGTERM');
      await others.catch(() => undefined); // the first failure is the one that is told
      throw error;
    }
    await others;
  };
}
