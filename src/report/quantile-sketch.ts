/**
 * Numbers in bins that grow with them, each some percent wider than the one before: quantiles of any count of numbers, each
 * within one percent, in memory that does not grow with the count.
 *
 * @see https://www.vldb.org/pvldb/vol12/p2195-masson.pdf DDSketch
 */
export interface QuantileSketch {
  count: number;
  /** Numbers that are zero to the microsecond. */
  zeros: number;
  readonly positive: Map<number, number>;
  /** By magnitude. */
  readonly negative: Map<number, number>;
}

/** Ratio of the ends of a bin: its middle is within one percent of all in it. */
const RATIO = 1.02;

/** Less than this is zero, in seconds. */
const MIN_VALUE = 1e-6;

/** A sketch of no numbers. */
export const emptySketch = (): QuantileSketch => ({
  count: 0,
  zeros: 0,
  positive: new Map(),
  negative: new Map(),
});

/** Adds a number. */
export function addTo(sketch: QuantileSketch, value: number): void {
  sketch.count += 1;
  const size = Math.abs(value);
  if (size < MIN_VALUE) {
    sketch.zeros += 1;
    return;
  }
  const bins = value > 0 ? sketch.positive : sketch.negative;
  const bin = Math.ceil(Math.log(size) / Math.log(RATIO));
  bins.set(bin, (bins.get(bin) ?? 0) + 1);
}

/** The middle of a bin. */
const middle = (bin: number): number => (2 * RATIO ** bin) / (RATIO + 1);

/** The value that this share of all numbers is not above, by nearest rank; undefined when there are none. */
export function quantile(
  { count, zeros, positive, negative }: QuantileSketch,
  share: number,
): number | undefined {
  if (count === 0) return undefined;
  const rising: (readonly [value: number, count: number])[] = [
    ...[...negative].sort(([a], [b]) => b - a).map(([bin, n]) => [-middle(bin), n] as const),
    [0, zeros],
    ...[...positive].sort(([a], [b]) => a - b).map(([bin, n]) => [middle(bin), n] as const),
  ];
  let left = Math.max(1, Math.ceil(share * count));
  for (const [value, n] of rising) {
    left -= n;
    if (left <= 0) return value;
  }
  return undefined;
}
