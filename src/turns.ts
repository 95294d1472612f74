/** Maximum time between two turns of the event loop, in milliseconds. */
const TURN_MS = 8;

/**
 * Returns a function that each iteration of a loop calls, so that the event loop turns at intervals. Without it, a loop whose
 * awaits settle at once, as with SQLite, blocks requests, timers and signals.
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
