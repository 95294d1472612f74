import type { KeyRun } from './keys.js';

/**
 * A set of integer keys as runs of consecutive keys, packed into bytes: for each run the gap to the end of the run
 * before and the run's length less one, both as unsigned LEB128. Keys are given as offsets from a first key,
 * so that numbers suffice. A run without gaps costs 2 to 4 bytes, whatever its length.
 *
 * @see https://en.wikipedia.org/wiki/LEB128
 */

/** Largest offset that can be packed: beyond it JavaScript's numbers have gaps. */
export const MAX_OFFSET = Number.MAX_SAFE_INTEGER;

/** Bytes that the runs of so many keys take at most: two numbers of up to 53 bits, 7 of them a byte, for each key. */
export const mostBytes = (keys: number): number => 16 * keys;

/** The largest integer that a key can be. */
const MAX_KEY = 2n ** 63n - 1n;

/**
 * Packs keys.
 *
 * @param offsets strictly rising, from 0 to {@link MAX_OFFSET}
 */
export function packKeys(offsets: readonly number[]): Buffer {
  const bytes: number[] = [];
  const put = (value: number): void => {
    let rest = value;
    while (rest >= 0x80) {
      bytes.push((rest % 0x80) | 0x80);
      rest = Math.floor(rest / 0x80);
    }
    bytes.push(rest);
  };
  let next = 0; // the offset right after the last run
  for (let i = 0; i < offsets.length; ) {
    const first = offsets[i] as number;
    let last = first;
    i += 1;
    while (offsets[i] === last + 1) {
      last += 1;
      i += 1;
    }
    put(first - next);
    put(last - first);
    next = last + 1;
  }
  return Buffer.from(bytes);
}

/**
 * Unpacks what {@link packKeys} packed.
 *
 * @param firstKey the key of offset 0
 * @param bytes the packed runs
 * @param most how many keys there can be
 * @returns the runs in rising order
 * @throws {RangeError} when they are damaged, or more keys than there can be
 */
export function unpackKeys(firstKey: bigint, bytes: Buffer, most = Number.POSITIVE_INFINITY): KeyRun[] {
  const runs: KeyRun[] = [];
  let at = 0;
  const take = (): number => {
    let value = 0;
    let scale = 1;
    for (;;) {
      const byte = bytes[at];
      if (byte === undefined) throw new RangeError('A packed key set ends in the middle of a number');
      at += 1;
      value += (byte & 0x7f) * scale;
      if (value > MAX_OFFSET) break;
      if (byte < 0x80) return value;
      scale *= 0x80;
      if (scale > MAX_OFFSET) break;
    }
    throw new RangeError('A packed key set holds a number that is no offset');
  };
  let next = 0;
  let left = most;
  while (at < bytes.length) {
    const first = next + take();
    const last = first + take();
    left -= last - first + 1;
    if (left < 0 || last > MAX_OFFSET || firstKey + BigInt(last) > MAX_KEY)
      throw new RangeError('A packed key set holds more keys than there can be');
    runs.push([firstKey + BigInt(first), firstKey + BigInt(last)]);
    next = last + 1;
  }
  return runs;
}
