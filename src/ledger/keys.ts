import { deflateRawSync, inflateRawSync } from 'node:zlib';
import { BackfillError } from '../errors.js';
import { msg } from '../messages/message.js';

/** The key of a row: an integer, or a text. */
export type Key = bigint | string;

/** Keys from the first to the last: of integers all between them, of texts one. */
export type KeySpan = readonly [first: Key, last: Key];

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
export function countKeys(runs: readonly KeySpan[]): number {
  return runs.reduce(
    (count, [first, last]) =>
      count + (typeof first === 'bigint' && typeof last === 'bigint' ? Number(last - first) + 1 : 1),
    0,
  );
}

/** Returns the same keys as runs in rising order that do not overlap. */
export function united(runs: readonly KeySpan[]): KeySpan[] {
  const all: KeySpan[] = [];
  for (const run of [...runs].sort(([a], [b]) => compareKeys(a, b))) {
    const last = all.at(-1);
    if (last === undefined || compareKeys(run[0], last[1]) > 0) all.push(run);
    else if (compareKeys(run[1], last[1]) > 0) all[all.length - 1] = [last[0], run[1]];
  }
  return all;
}

/** Splits keys by whether `from` has them; both in rising order, without overlaps of their own. */
export function split(
  keys: readonly KeySpan[],
  from: readonly KeySpan[],
): { shared: KeySpan[]; others: KeySpan[] } {
  const [shared, others]: [KeySpan[], KeySpan[]] = [[], []];
  let next = 0;
  for (const [first, last] of keys) {
    let rest: Key | undefined = first;
    for (; next < from.length; next += 1) {
      const [start, end] = from[next] as KeySpan;
      if (compareKeys(end, rest) < 0) continue;
      if (compareKeys(start, last) > 0) break;
      // Texts are runs of one key each: only integers have keys before and after.
      if (compareKeys(start, rest) > 0) others.push([rest, (start as bigint) - 1n]);
      const isWithin: boolean = compareKeys(end, last) < 0;
      shared.push([compareKeys(start, rest) > 0 ? start : rest, isWithin ? end : last]);
      rest = isWithin ? (end as bigint) + 1n : undefined;
      if (rest === undefined) break;
    }
    if (rest !== undefined) others.push([rest, last]);
  }
  return { shared, others };
}

// Keys of integers, packed

/** Largest offset that can be packed: beyond it JavaScript's numbers have gaps. */
export const MAX_OFFSET = Number.MAX_SAFE_INTEGER;

/** Bytes that the runs of so many keys take at most: two numbers of up to 53 bits, 7 of them a byte, for each key. */
export const maxBytes = (keys: number): number => 16 * keys;

/** The largest integer that a key can be. */
const MAX_KEY = 2n ** 63n - 1n;

/**
 * Packs integer keys as runs of consecutive keys: for each run the gap to the end of the run before and the run's length less one, both as
 * unsigned LEB128. Keys are given as offsets from a first key, so that numbers suffice. A run without gaps costs 2 to 4 bytes, whatever
 * its length.
 *
 * @see https://en.wikipedia.org/wiki/LEB128
 * @param offsets strictly rising, from 0 to {@link MAX_OFFSET}
 */
export function encodeIntegerKeys(offsets: readonly number[]): Buffer {
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
 * Unpacks what {@link encodeIntegerKeys} packed.
 *
 * @param firstKey the key of offset 0
 * @param bytes the packed runs
 * @param most how many keys there can be
 * @returns the runs in rising order
 * @throws {RangeError} when they are damaged, or more keys than there can be
 */
export function decodeIntegerKeys(
  firstKey: bigint,
  bytes: Buffer,
  most = Number.POSITIVE_INFINITY,
): KeySpan[] {
  const runs: KeySpan[] = [];
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

// Keys of texts, packed

/** Bytes that the JSON of a set may have: what is read is no longer, so that nothing longer may be written. */
export const MAX_TEXT_BYTES = 32 * 1024 * 1024;

const [QUOTE, BACKSLASH, COMMA, OPEN, CLOSE] = [0x22, 0x5c, 0x2c, 0x5b, 0x5d];

/**
 * Packs text keys, in rising order: a JSON array, deflated. Identifiers of 36 characters take about 20 bytes each.
 *
 * @throws {BackfillError} `KEY_UNSUITABLE` when they are longer than can be read again
 */
export function encodeTextKeys(keys: readonly string[]): Buffer {
  const json = Buffer.from(JSON.stringify(keys));
  if (json.length <= MAX_TEXT_BYTES) return deflateRawSync(json);
  throw new BackfillError(
    'KEY_UNSUITABLE',
    msg('The keys of {rows} rows are {bytes} bytes long, and the ledger takes {most} of one batch', {
      rows: keys.length,
      bytes: json.length,
      most: MAX_TEXT_BYTES,
    }),
    msg('Make the batches smaller: --batch-size {rows}', {
      rows: Math.max(1, Math.floor((keys.length * MAX_TEXT_BYTES) / json.length / 2)),
    }),
  );
}

/**
 * Unpacks what {@link encodeTextKeys} packed.
 *
 * @param most how many keys there can be
 * @returns a run for each key, in rising order
 * @throws {RangeError} when it is damaged, or holds more than there can be
 */
export function decodeTextKeys(bytes: Buffer, most = Number.POSITIVE_INFINITY): KeySpan[] {
  let keys: string[];
  try {
    const json = inflateRawSync(bytes, { maxOutputLength: MAX_TEXT_BYTES });
    if (!isList(json, most)) throw new RangeError('A packed key set holds more than texts');
    keys = JSON.parse(json.toString('utf8')) as string[];
  } catch (error) {
    throw new RangeError('A packed key set can not be read', { cause: error });
  }
  const isRising = keys.every((key, i) => i === 0 || compareKeys(keys[i - 1] as string, key) < 0);
  if (!isRising) throw new RangeError('A packed key set is not in order');
  return keys.map((key: string) => [key, key]);
}

/** Whether JSON without white space is an array of so many texts at most. A few bytes of other JSON would be objects without end. */
function isList(json: Buffer, most: number): boolean {
  if (json[0] !== OPEN || json.at(-1) !== CLOSE) return false;
  let at = 1;
  for (let texts = 0; texts < most && json[at] === QUOTE; texts += 1) {
    do at += json[at] === BACKSLASH ? 2 : 1;
    while (at < json.length && json[at] !== QUOTE);
    at += 1;
    if (json[at] !== COMMA) break;
    at += 1;
  }
  return at === json.length - 1;
}
