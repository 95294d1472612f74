/** What arrays do with functions, for functions that are waited for: one item behind the other, as statements of one connection must be. */

type Act<Item, Result> = (item: Item, index: number) => Promise<Result> | Result;

/** What `act` gives for each item, in their order. */
export async function mapEach<Item, Result>(
  items: readonly Item[],
  act: Act<Item, Result>,
): Promise<Result[]> {
  const results: Result[] = [];
  for (const [i, item] of items.entries()) results.push(await act(item, i));
  return results;
}

/** The same, for an `act` that gives several, or none. */
export async function flatMapEach<Item, Result>(
  items: readonly Item[],
  act: Act<Item, Result | readonly Result[]>,
): Promise<Result[]> {
  return (await mapEach(items, act)).flat() as Result[];
}

/** The items for which `test` holds. */
export async function filterEach<Item>(items: readonly Item[], test: Act<Item, boolean>): Promise<Item[]> {
  const kept: Item[] = [];
  for (const [i, item] of items.entries()) if (await test(item, i)) kept.push(item);
  return kept;
}

/** The first item for which `test` holds; those behind it are not asked. */
export async function findEach<Item>(
  items: readonly Item[],
  test: Act<Item, boolean>,
): Promise<Item | undefined> {
  for (const [i, item] of items.entries()) if (await test(item, i)) return item;
  return undefined;
}

/** Whether `test` holds for each item; those behind the first that fails it are not asked. */
export async function everyEach<Item>(items: readonly Item[], test: Act<Item, boolean>): Promise<boolean> {
  for (const [i, item] of items.entries()) if (!(await test(item, i))) return false;
  return true;
}

/** Whether `test` holds for an item; those behind it are not asked. */
export async function someEach<Item>(items: readonly Item[], test: Act<Item, boolean>): Promise<boolean> {
  for (const [i, item] of items.entries()) if (await test(item, i)) return true;
  return false;
}
