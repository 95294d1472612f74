// Array methods for asynchronous callbacks. Calls are sequential, because a connection runs one statement at a time.

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
