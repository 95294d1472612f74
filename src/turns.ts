/** For how long work goes on without a turn of the event loop, in milliseconds. */
const TURN_MS = 8;

/**
 * Lets the event loop turn now and then in a loop whose awaits may all be answered at once, as SQLite answers them: requests, timers and
 * signals are heard then. Called in each round.
 */
export function turns(store: { turn(): Promise<void> }): () => Promise<void> | undefined {
  let turnAt = performance.now() + TURN_MS;
  return () => {
    if (performance.now() < turnAt) return undefined;
    return store.turn().then(() => {
      turnAt = performance.now() + TURN_MS;
    });
  };
}
