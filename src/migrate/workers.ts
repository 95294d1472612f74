import { anySignal } from '../abort.js';
import { isFilledBy } from '../engine/filled-by.js';
import { warning } from '../engine/run-options.js';
import { rootBackfillError } from '../errors.js';
import { msg } from '../messages/message.js';
import { joinRuns, type WithWorkers } from '../run/runner.js';
import { inStep } from '../steps/step.js';
import type { MigratorEvent, MigratorOptions } from './options.js';
import { backfillsOf, withSession } from './session.js';
import { refuseTriggers } from './triggers.js';

/** Events that only the leader logs, because the loops of the other workers begin and end within its loop. */
const LEADERS: ReadonlySet<MigratorEvent['event']> = new Set([
  'batches_started',
  'batches_finished',
  'run_started',
  'range_waiting',
]);

/**
 * Returns what lets several workers fill together. Each worker besides the leader has a separate session, with a shared run lock, a store and a
 * ledger. If one fails or is lost, the others do its part; none outlives the fill. A stop, or a failure of the leader, ends all.
 *
 * @returns undefined if the leader works alone
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
        if (signal.aborted) return; // the leader reports it
        const { code, texts } = rootBackfillError(error);
        const values = { number, count: workers, code, message: texts.message };
        onEvent?.(
          warning(
            msg(
              'Worker {number} of {count} has ended early, and the others do its part: {code}: {message}',
              values,
            ),
          ),
        );
      }
    };
    const others = Promise.all(Array.from({ length: workers - 1 }, (_, i) => begin(i + 2)));
    others.catch(() => undefined); // awaited below
    try {
      await lead();
    } catch (error) {
      stopper.abort('SIGTERM');
      await others.catch(() => undefined); // the first failure is the one that is reported
      throw error;
    }
    await others;
  };
}

/**
 * Takes part in runs that another process shares, of backfills whose declaration is the same there.
 *
 * @param joined receives the names of their backfills
 * @returns whether there was such a run
 */
export async function joinRun(options: MigratorOptions, joined: string[]): Promise<boolean> {
  return await withSession(options, async (session) => {
    const { store, ledger } = session;
    let hasJoined = false;
    for (const step of backfillsOf(options.project)) {
      if (!(await isFilledBy(store, ledger, step))) continue;
      if (!(await ledger.runs(step.name)).some(({ status, share = 0 }) => status === 'running' && share < 1))
        continue;
      await refuseTriggers(session, [step], 'up', options);
      if (!(await inStep(step, async () => await joinRuns({ store, ledger, backfill: step, options }))))
        continue;
      hasJoined = true;
      if (!joined.includes(step.name)) joined.push(step.name);
    }
    return hasJoined;
  });
}
