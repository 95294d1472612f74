// Comparisons of whole tables: an assertion's own difference of two would take minutes, and print both.

/** Differences that are named. */
const SHOWN = 5;

/** Insists that two maps hold the same under each key, and names the first that differ. */
export function expectSameMap(
  actual: ReadonlyMap<string, unknown>,
  expected: ReadonlyMap<string, unknown>,
  what = 'row',
): void {
  const show = (value: unknown): string | undefined => JSON.stringify(value);
  const keys = [...new Set([...expected.keys(), ...actual.keys()])];
  const wrong = keys.filter((key) => show(actual.get(key)) !== show(expected.get(key)));
  if (wrong.length === 0) return;
  const short = (value: unknown): string => (show(value) ?? 'none').slice(0, 400);
  const lines = wrong
    .slice(0, SHOWN)
    .map((key) => `${what} ${key}: expected ${short(expected.get(key))}, got ${short(actual.get(key))}`);
  throw new Error([`${wrong.length} of ${keys.length} differ`, ...lines].join('\n'));
}

/** Insists that two lists are the same. */
export const expectSameList = (
  actual: readonly unknown[],
  expected: readonly unknown[],
  what?: string,
): void => expectSameMap(numbered(actual), numbered(expected), what);

const numbered = (items: readonly unknown[]): Map<string, unknown> =>
  new Map(items.map((item, i) => [String(i), item]));

/** Insists that two sets of tables hold the same rows. */
export function expectSameTables(
  actual: Readonly<Record<string, readonly string[]>>,
  expected: Readonly<Record<string, readonly string[]>>,
): void {
  const names = [...new Set([...Object.keys(actual), ...Object.keys(expected)])];
  for (const name of names)
    expectSameList(actual[name] ?? ['no table'], expected[name] ?? ['no table'], `row of ${name}`);
}
