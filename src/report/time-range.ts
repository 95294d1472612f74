/** Rows by time, in slots of equal width. */
export interface TimeHistogram {
  slotMs: number;
  /** By number of the slot. */
  slots: Map<number, Slot>;
}

interface Slot {
  rows: number;
  minMs: number;
  maxMs: number;
}

/** Maximum number of slots; with more, the width is doubled. */
const MAX_SLOTS = 4096;

const DAY_MS = 86_400_000;

/** Returns a histogram of no rows, in slots of a day. */
export const emptyHistogram = (): TimeHistogram => ({ slotMs: DAY_MS, slots: new Map() });

/** Counts a row. */
export function addInstant(histogram: TimeHistogram, epochMs: number): void {
  addSlot(histogram.slots, Math.floor(epochMs / histogram.slotMs), {
    rows: 1,
    minMs: epochMs,
    maxMs: epochMs,
  });
  while (histogram.slots.size > MAX_SLOTS) widen(histogram);
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

function widen(histogram: TimeHistogram): void {
  const slots = new Map<number, Slot>();
  for (const [number, slot] of histogram.slots) addSlot(slots, Math.floor(number / 2), slot);
  histogram.slots = slots;
  histogram.slotMs *= 2;
}

/** The first and the last instant of a range. */
export interface TimeRange {
  readonly minMs: number;
  readonly maxMs: number;
}

/** Fraction of the rows that a range must hold. */
const CORE_FRACTION = 0.99;

/**
 * Returns the range to draw: the narrowest one with 99% of the rows, and its width again on both sides. With the few instants of a wrong
 * clock in it, all other rows would be one bar.
 *
 * @returns undefined if there are no rows
 */
export function coreRange({ slots }: TimeHistogram): TimeRange | undefined {
  const ascending = [...slots].sort(([a], [b]) => a - b);
  const total = ascending.reduce((sum, [, { rows }]) => sum + rows, 0);
  const core = narrowest(ascending, Math.ceil(total * CORE_FRACTION));
  if (!core) return undefined;
  const [first, last] = core;
  const width = last - first + 1;
  const shown = ascending.filter(([number]) => number >= first - width && number <= last + width);
  return {
    minMs: Math.min(...shown.map(([, slot]) => slot.minMs)),
    maxMs: Math.max(...shown.map(([, slot]) => slot.maxMs)),
  };
}

/** Returns the first and the last slot of the narrowest range that holds `wanted` rows. */
function narrowest(
  ascending: readonly (readonly [number, Slot])[],
  wanted: number,
): readonly [first: number, last: number] | undefined {
  const rowsAt = (i: number): number => ascending[i]?.[1].rows ?? 0;
  let best: readonly [number, number] | undefined;
  let from = 0;
  let rows = 0;
  for (const [last, slot] of ascending) {
    rows += slot.rows;
    for (; rows - rowsAt(from) >= wanted; from += 1) rows -= rowsAt(from);
    const first = ascending[from]?.[0] ?? last;
    if (rows >= wanted && (!best || last - first < best[1] - best[0])) best = [first, last];
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

/** Returns the smallest round width, in milliseconds, that divides a range into up to `maxBuckets` buckets. */
export function bucketWidth({ minMs, maxMs }: TimeRange, maxBuckets: number): number {
  const fits = (widthMs: number): boolean =>
    Math.floor(maxMs / widthMs) - Math.floor(minMs / widthMs) < maxBuckets;
  const found = WIDTHS_MS.find(fits);
  if (found !== undefined) return found;
  let widthMs = 2 * 365 * DAY_MS;
  while (!fits(widthMs)) widthMs *= 2;
  return widthMs;
}
