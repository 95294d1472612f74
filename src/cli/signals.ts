import type { AbortSignalLike } from '../abort.js';
import type { MigratorEvent } from '../migrate/options.js';

const HANDLED_SIGNALS = ['SIGINT', 'SIGTERM'] as const;

/**
 * Returns handlers of SIGINT and SIGTERM that are not added yet. The first signal aborts `signal`, whose `reason` is its name. A second one, of
 * either kind, ends the process at once.
 */
export function signalHandlers() {
  const stopper = new AbortController();
  const stop = (name: NodeJS.Signals): void => {
    remove();
    stopper.abort(name);
  };
  const add = (): void => {
    for (const name of HANDLED_SIGNALS) process.on(name, stop);
  };
  /** Restores the default: a signal ends the process at once. */
  const remove = (): void => {
    for (const name of HANDLED_SIGNALS) process.removeListener(name, stop);
  };
  /**
   * Handles signals of a run on a file between batches, after the commit. At other times a long statement would delay the handler, so that
   * the default applies: the process ends at once, which is safe. On a server, signals are always handled.
   */
  const handleBetweenBatches = ({ event }: MigratorEvent): void => {
    if (event === 'batches_started') add();
    if (event === 'batches_finished') remove();
  };
  return { signal: stopper.signal as AbortSignalLike, add, remove, handleBetweenBatches };
}
