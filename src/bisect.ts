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
