import { deflateRawSync, inflateRawSync } from 'node:zlib';
import { BackfillError } from '../errors.js';
import { msg } from '../messages/message.js';

/** The key of a row: an integer, or a text. */
export type Key = bigint | string;

/** Consecutive integer keys, or one text key. */
export type KeySpan = readonly [first: Key, last: Key];

/**
 * Compares two keys of one kind as SQLite does: texts by their bytes in UTF-8, which is their order by code points.
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

/** Orders surrogates after all other code units, as UTF-8 orders the characters that they encode. */
const order = (unit: number): number => (unit >= 0xd800 && unit < 0xe000 ? unit + 0x10000 : unit);

/** Counts the keys of the spans. */
export function countKeys(runs: readonly KeySpan[]): number {
  return runs.reduce(
    (count, [first, last]) =>
      count + (typeof first === 'bigint' && typeof last === 'bigint' ? Number(last - first) + 1 : 1),
    0,
  );
}

/** Returns the same keys as sorted spans without overlaps. */
export function united(runs: readonly KeySpan[]): KeySpan[] {
  const all: KeySpan[] = [];
  for (const run of [...runs].sort(([a], [b]) => compareKeys(a, b))) {
    const last = all.at(-1);
    if (last === undefined || compareKeys(run[0], last[1]) > 0) all.push(run);
    else if (compareKeys(run[1], last[1]) > 0) all[all.length - 1] = [last[0], run[1]];
  }
  return all;
}

/** Splits keys by whether `from` contains them. Both are sorted, without overlaps. */
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
      // A text is a span of one key: only integers have keys before and after.
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

/** Maximum offset that can be packed: larger JavaScript numbers are not exact. */
export const MAX_OFFSET = Number.MAX_SAFE_INTEGER;

/** The largest integer that a key can be. */
const MAX_KEY = 2n ** 63n - 1n;

/**
 * Packs integer keys as spans of consecutive keys: for each span the gap after the one before and its length minus one, both as unsigned
 * LEB128. Keys are offsets from a first key, so that numbers suffice. A span takes 2 to 4 bytes, whatever its length.
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
  let next = 0; // offset after the last span
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
 * Unpacks the result of {@link encodeIntegerKeys}.
 *
 * @param firstKey the key of offset 0
 * @param most maximum number of keys
 * @returns sorted spans
 * @throws {RangeError} if the bytes are damaged, or contain more keys
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
    throw new RangeError('A packed key set contains a number that is not an offset');
  };
  let next = 0;
  let left = most;
  while (at < bytes.length) {
    const first = next + take();
    const last = first + take();
    left -= last - first + 1;
    if (left < 0 || last > MAX_OFFSET || firstKey + BigInt(last) > MAX_KEY)
      throw new RangeError('A packed key set contains more keys than a batch can have');
    runs.push([firstKey + BigInt(first), firstKey + BigInt(last)]);
    next = last + 1;
  }
  return runs;
}

/** Maximum bytes of the JSON of packed text keys. Larger ones are not read, and so must not be written. */
export const MAX_TEXT_BYTES = 32 * 1024 * 1024;

const [QUOTE, BACKSLASH, COMMA, OPEN, CLOSE] = [0x22, 0x5c, 0x2c, 0x5b, 0x5d];

/**
 * Packs sorted text keys as a deflated JSON array. Identifiers of 36 characters take about 20 bytes each.
 *
 * @throws {BackfillError} `KEY_UNSUITABLE` if they are longer than {@link MAX_TEXT_BYTES}
 */
export function encodeTextKeys(keys: readonly string[]): Buffer {
  const json = Buffer.from(JSON.stringify(keys));
  if (json.length <= MAX_TEXT_BYTES) return deflateRawSync(json);
  throw new BackfillError(
    'KEY_UNSUITABLE',
    msg('The keys of {rows} rows take {bytes} bytes; the maximum per batch is {most}', {
      rows: keys.length,
      bytes: json.length,
      most: MAX_TEXT_BYTES,
    }),
    msg('Use smaller batches: --batch-size {rows}', {
      rows: Math.max(1, Math.floor((keys.length * MAX_TEXT_BYTES) / json.length / 2)),
    }),
  );
}

/**
 * Unpacks the result of {@link encodeTextKeys}.
 *
 * @param most maximum number of keys
 * @returns one span per key, sorted
 * @throws {RangeError} if the bytes are damaged, or contain more keys
 */
export function decodeTextKeys(bytes: Buffer, most = Number.POSITIVE_INFINITY): KeySpan[] {
  let keys: string[];
  try {
    const json = inflateRawSync(bytes, { maxOutputLength: MAX_TEXT_BYTES });
    if (!isList(json, most)) throw new RangeError('A packed key set is not a list of texts');
    keys = JSON.parse(json.toString('utf8')) as string[];
  } catch (error) {
    throw new RangeError('A packed key set cannot be read', { cause: error });
  }
  const isRising = keys.every((key, i) => i === 0 || compareKeys(keys[i - 1] as string, key) < 0);
  if (!isRising) throw new RangeError('A packed key set is not sorted');
  return keys.map((key: string) => [key, key]);
}

/** Checks that JSON without white space is an array of up to `most` texts. A few bytes of other JSON could parse to any number of objects. */
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
