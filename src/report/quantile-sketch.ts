/**
 * Numbers counted in bins of growing width: quantiles within one percent, in memory that does not grow with the count.
 *
 * @see https://www.vldb.org/pvldb/vol12/p2195-masson.pdf DDSketch
 */
export interface QuantileSketch {
  count: number;
  /** Count of numbers that are zero to the microsecond. */
  zeros: number;
  readonly positive: Map<number, number>;
  /** By magnitude. */
  readonly negative: Map<number, number>;
}

/** Ratio of the ends of a bin; the middle is within one percent of every number in it. */
const RATIO = 1.02;

/** Minimum magnitude in seconds; smaller ones are zero. */
const MIN_VALUE = 1e-6;

/** Returns a sketch of no numbers. */
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

/** Returns the middle of a bin. */
const middle = (bin: number): number => (2 * RATIO ** bin) / (RATIO + 1);

/** Returns the nearest-rank quantile of this fraction; undefined if there are no numbers. */
export function quantile(
  { count, zeros, positive, negative }: QuantileSketch,
  fraction: number,
): number | undefined {
  if (count === 0) return undefined;
  const ascending: (readonly [value: number, count: number])[] = [
    ...[...negative].sort(([a], [b]) => b - a).map(([bin, n]) => [-middle(bin), n] as const),
    [0, zeros],
    ...[...positive].sort(([a], [b]) => a - b).map(([bin, n]) => [middle(bin), n] as const),
  ];
  let left = Math.max(1, Math.ceil(fraction * count));
  for (const [value, n] of ascending) {
    left -= n;
    if (left <= 0) return value;
  }
  return undefined;
}
