import type { Store } from '../db/connection.js';
import { mapEach } from '../each.js';
import { compareKeys, type Key } from '../ledger/keys.js';
import { turns } from '../turns.js';

/** Slowest rows that are kept, with their keys. */
const SLOWEST = 10;

/** Lags are kept in pieces of this many. */
const PIECE = 2 ** 16;

/** Greatest lag of which a piece holds the microseconds: 71 minutes. */
const MAX_MICROSECONDS = 2 ** 32 - 1;

/** Figures of the seconds between two columns, over all rows where both are timestamps. */
export interface LagFigures {
  readonly count: number;
  readonly p50Seconds: number;
  readonly p95Seconds: number;
  readonly p99Seconds: number;
  readonly maxSeconds: number;
  readonly slowest: readonly { readonly key: string; readonly seconds: number }[];
}

/**
 * Lags, in microseconds: beyond that a difference of two doubles is noise. Four bytes for most, so that the percentiles of
 * ten million are exact in 40 MB; never copied to grow.
 */
export interface LagFacts {
  /** Full pieces, and the last one, which holds `used` values. */
  readonly pieces: Uint32Array<ArrayBuffer>[];
  used: number;
  /** Negative ones, and greater ones than a piece can hold. */
  readonly others: number[];
  readonly slowest: { readonly key: Key; readonly micros: number }[];
}

/** No lag yet. */
export const noLags = (): LagFacts => ({ pieces: [], used: PIECE, others: [], slowest: [] });

/** @param seconds from the first column's time to the second's; negative when the second is earlier */
export function addLag(facts: LagFacts, seconds: number, key: Key): void {
  const micros = Math.round(seconds * 1e6);
  addMicros(facts, micros);
  const last = facts.slowest.at(-1);
  if (facts.slowest.length < SLOWEST || !last || micros > last.micros) keepSlowest(facts, [{ key, micros }]);
}

function addMicros(facts: LagFacts, micros: number): void {
  if (micros < 0 || micros > MAX_MICROSECONDS) {
    facts.others.push(micros);
    return;
  }
  if (facts.used === PIECE) {
    facts.pieces.push(new Uint32Array(PIECE));
    facts.used = 0;
  }
  const piece = facts.pieces.at(-1) as Uint32Array;
  piece[facts.used] = micros;
  facts.used += 1;
}

/** Of equal ones, those of the rows that come first. */
function keepSlowest({ slowest }: LagFacts, more: LagFacts['slowest']): void {
  slowest.push(...more);
  slowest.sort((a, b) => b.micros - a.micros || compareKeys(a.key, b.key));
  slowest.length = Math.min(slowest.length, SLOWEST);
}

/** What can be handed to another thread without being copied. */
export const lagBuffers = ({ pieces }: LagFacts): ArrayBuffer[] => pieces.map(({ buffer }) => buffer);

/** Adds the lags of other rows. */
export function mergeLags(into: LagFacts, from: LagFacts): void {
  const last = from.pieces.at(-1)?.subarray(0, from.used) ?? [];
  const full = from.pieces.slice(0, -1);
  into.pieces.unshift(...full); // the last stays the one that is not full
  for (const micros of last) addMicros(into, micros);
  for (const micros of from.others) into.others.push(micros);
  keepSlowest(into, from.slowest);
}

/** The figures, or undefined when no row had both timestamps. Percentiles are nearest-rank. */
export async function lagFigures(
  store: Store,
  { pieces, used, others, slowest }: LagFacts,
): Promise<LagFigures | undefined> {
  const turn = turns(store);
  const parts = await mapEach(pieces, async (piece, i) => {
    await turn(); // of ten million it takes a second
    return piece.subarray(0, i === pieces.length - 1 ? used : PIECE).sort();
  });
  const below = others.filter((micros) => micros < 0).sort((a, b) => a - b);
  const above = others.filter((micros) => micros > 0).sort((a, b) => a - b);
  const within = parts.reduce((sum, part) => sum + part.length, 0);
  const count = within + others.length;
  if (count === 0) return undefined;
  const at = (share: number): number => {
    const rank = Math.max(1, Math.ceil(share * count));
    const micros = below[rank - 1] ?? above[rank - 1 - below.length - within];
    return (micros ?? nthOf(parts, rank - below.length)) / 1e6;
  };
  return {
    count,
    p50Seconds: at(0.5),
    p95Seconds: at(0.95),
    p99Seconds: at(0.99),
    maxSeconds: at(1),
    slowest: slowest.map(({ key, micros }) => ({ key: String(key), seconds: micros / 1e6 })),
  };
}

/** The n-th least of all values in sorted parts, n from 1 on: the least that n values are not above. */
function nthOf(parts: readonly Uint32Array[], n: number): number {
  let [low, high] = [0, MAX_MICROSECONDS];
  while (low < high) {
    const middle = low + Math.floor((high - low) / 2);
    const upTo = parts.reduce((sum, part) => sum + countUpTo(part, middle), 0);
    if (upTo >= n) high = middle;
    else low = middle + 1;
  }
  return low;
}

/** How many values of a sorted part are not above `value`. */
function countUpTo(part: Uint32Array, value: number): number {
  let [low, high] = [0, part.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((part[middle] as number) <= value) low = middle + 1;
    else high = middle;
  }
  return low;
}
