/** The key of a row: an integer, or a text. */
export type Key = bigint | string;

/** Keys from the first to the last: of integers all between them, of texts one. */
export type KeyRun = readonly [first: Key, last: Key];

/**
 * Which of two keys of one kind comes first, as SQLite orders them: texts by their bytes in UTF-8, that is by code points.
 *
 * @returns below 0, 0 or above 0
 * @see https://www.sqlite.org/datatype3.html#collation
 */
export function compareKeys(a: Key, b: Key): number {
  if (typeof a === 'bigint' || typeof b === 'bigint') return a < b ? -1 : a > b ? 1 : 0;
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i += 1) {
    const difference = order(a.charCodeAt(i)) - order(b.charCodeAt(i));
    if (difference !== 0) return difference;
  }
  return a.length - b.length;
}

/** Halves of surrogate pairs come behind all other units, as the characters that they make do. */
const order = (unit: number): number => (unit >= 0xd800 && unit < 0xe000 ? unit + 0x10000 : unit);

/** How many keys the runs hold. */
export function countKeys(runs: readonly KeyRun[]): number {
  return runs.reduce(
    (count, [first, last]) =>
      count + (typeof first === 'bigint' && typeof last === 'bigint' ? Number(last - first) + 1 : 1),
    0,
  );
}
