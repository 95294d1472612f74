/**
 * Counts the numbers from 0 on for which `test` holds, by binary search.
 *
 * @param end one more than the last number; `test` must hold for none behind the first for which it does not
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
