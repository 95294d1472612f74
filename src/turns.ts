import { setImmediate as nextTurn } from 'node:timers/promises';

/** For how long work goes on without a turn of the event loop, in milliseconds. */
const TURN_MS = 8;

/**
 * Lets the event loop turn now and then in a loop whose awaits may all be answered at once, as SQLite answers them: requests, timers and
 * signals are heard then. Called in each round.
 */
export function turns(): () => Promise<void> | undefined {
  let turnAt = performance.now() + TURN_MS;
  return () => {
    if (performance.now() < turnAt) return undefined;
    return nextTurn().then(() => {
      turnAt = performance.now() + TURN_MS;
    });
  };
}
