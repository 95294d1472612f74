/** Rows by time, in slots of equal width, to find the range that is worth showing. */
export interface TimeHistogram {
  slotMs: number;
  /** By number of the slot: rows, and the first and last instant in it. */
  slots: Map<number, Slot>;
}

interface Slot {
  rows: number;
  minMs: number;
  maxMs: number;
}

/** At most this many slots; beyond that they are made twice as wide. */
const MAX_SLOTS = 4096;

const DAY_MS = 86_400_000;

/** A spread of no rows, in slots of a day. */
export const emptySpread = (): TimeHistogram => ({ slotMs: DAY_MS, slots: new Map() });

/** Counts a row. */
export function addInstant(spread: TimeHistogram, epochMs: number): void {
  addSlot(spread.slots, Math.floor(epochMs / spread.slotMs), { rows: 1, minMs: epochMs, maxMs: epochMs });
  while (spread.slots.size > MAX_SLOTS) widen(spread);
}

function addSlot(slots: Map<number, Slot>, number: number, { rows, minMs, maxMs }: Slot): void {
  const slot = slots.get(number);
  if (!slot) {
    slots.set(number, { rows, minMs, maxMs });
    return;
  }
  slot.rows += rows;
  slot.minMs = Math.min(slot.minMs, minMs);
  slot.maxMs = Math.max(slot.maxMs, maxMs);
}

function widen(spread: TimeHistogram): void {
  const slots = new Map<number, Slot>();
  for (const [number, slot] of spread.slots) addSlot(slots, Math.floor(number / 2), slot);
  spread.slots = slots;
  spread.slotMs *= 2;
}

/** From the first to the last instant. */
export interface TimeRange {
  readonly minMs: number;
  readonly maxMs: number;
}

/** Share of the rows around which the range is laid. */
const CORE_FRACTION = 0.99;

/**
 * The range that is worth showing: the narrowest one that holds 99% of the rows, and as much again on either side. A few
 * instants far off, as of a clock that was wrong, would leave one bar of all the others.
 *
 * @returns undefined when there are no rows
 */
export function coreRange({ slots }: TimeHistogram): TimeRange | undefined {
  const rising = [...slots].sort(([a], [b]) => a - b);
  const total = rising.reduce((sum, [, { rows }]) => sum + rows, 0);
  const core = narrowest(rising, Math.ceil(total * CORE_FRACTION));
  if (!core) return undefined;
  const [first, last] = core;
  const width = last - first + 1;
  const shown = rising.filter(([number]) => number >= first - width && number <= last + width);
  return {
    minMs: Math.min(...shown.map(([, slot]) => slot.minMs)),
    maxMs: Math.max(...shown.map(([, slot]) => slot.maxMs)),
  };
}

/** First and last slot of the narrowest range that holds so many rows. */
function narrowest(
  rising: readonly (readonly [number, Slot])[],
  wanted: number,
): readonly [first: number, last: number] | undefined {
  let best: readonly [number, number] | undefined;
  let from = 0;
  let rows = 0;
  for (const [last, slot] of rising) {
    rows += slot.rows;
    for (;;) {
      const [first, { rows: least }] = rising[from] as readonly [number, Slot];
      if (rows < wanted) break;
      if (!best || last - first < best[1] - best[0]) best = [first, last];
      rows -= least;
      from += 1;
      if (from >= rising.length) break;
    }
  }
  return best;
}

const [SECOND, MINUTE, HOUR] = [1000, 60_000, 3_600_000];
const WIDTHS_MS = [
  ...[1, 5, 15, 30].map((n) => n * SECOND),
  ...[1, 5, 15, 30].map((n) => n * MINUTE),
  ...[1, 3, 6, 12].map((n) => n * HOUR),
  ...[1, 2, 7, 14, 30, 90, 365].map((n) => n * DAY_MS),
];

/** The least width that a person would choose, in milliseconds, with which a range has no more buckets than that. */
export function bucketWidth({ minMs, maxMs }: TimeRange, maxBuckets: number): number {
  const fits = (widthMs: number): boolean =>
    Math.floor(maxMs / widthMs) - Math.floor(minMs / widthMs) < maxBuckets;
  const found = WIDTHS_MS.find(fits);
  if (found !== undefined) return found;
  let widthMs = 2 * 365 * DAY_MS;
  while (!fits(widthMs)) widthMs *= 2;
  return widthMs;
}
