// Loops: array methods for asynchronous callbacks, whose calls are sequential, because a connection runs one statement at a time; turns of the
// event loop; binary search.

type Act<Item, Result> = (item: Item, index: number) => Promise<Result> | Result;

/** Returns the result of `act` for each item, in order. */
export async function mapEach<Item, Result>(
  items: readonly Item[],
  act: Act<Item, Result>,
): Promise<Result[]> {
  const results: Result[] = [];
  for (const [i, item] of items.entries()) results.push(await act(item, i));
  return results;
}

/** Like {@link mapEach}, for an `act` that returns several results, or none. */
export async function flatMapEach<Item, Result>(
  items: readonly Item[],
  act: Act<Item, Result | readonly Result[]>,
): Promise<Result[]> {
  return (await mapEach(items, act)).flat() as Result[];
}

/** Returns the items for which `test` holds. */
export async function filterEach<Item>(items: readonly Item[], test: Act<Item, boolean>): Promise<Item[]> {
  const kept: Item[] = [];
  for (const [i, item] of items.entries()) if (await test(item, i)) kept.push(item);
  return kept;
}

/** Returns the first item for which `test` holds. */
export async function findEach<Item>(
  items: readonly Item[],
  test: Act<Item, boolean>,
): Promise<Item | undefined> {
  for (const [i, item] of items.entries()) if (await test(item, i)) return item;
  return undefined;
}

/** Whether `test` holds for every item; stops at the first that fails. */
export async function everyEach<Item>(items: readonly Item[], test: Act<Item, boolean>): Promise<boolean> {
  for (const [i, item] of items.entries()) if (!(await test(item, i))) return false;
  return true;
}

/** Whether `test` holds for at least one item; stops at the first. */
export async function someEach<Item>(items: readonly Item[], test: Act<Item, boolean>): Promise<boolean> {
  for (const [i, item] of items.entries()) if (await test(item, i)) return true;
  return false;
}

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

/**
 * Counts the numbers from 0 on for which `test` holds, by binary search. `test` must not hold for any number after the first for
 * which it fails.
 *
 * @param end one more than the last number
 */
export function countWhile(end: number, test: (number: number) => boolean): number {
  let [low, high] = [0, end];
  while (low < high) {
    const middle = low + Math.floor((high - low) / 2);
    if (test(middle)) low = middle + 1;
    else high = middle;
  }
  return low;
}
