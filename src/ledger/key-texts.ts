import { deflateRawSync, inflateRawSync } from 'node:zlib';
import { BackfillError } from '../errors.js';
import { compareKeys, type KeyRun } from './keys.js';

/** A set of text keys, packed: a JSON array, deflated. Identifiers of 36 characters take about 20 bytes each. */

/** Bytes that the JSON of a set may have: what is read is no longer, so that nothing longer may be written. */
export const MAX_TEXT_BYTES = 32 * 1024 * 1024;

const [QUOTE, BACKSLASH, COMMA, OPEN, CLOSE] = [0x22, 0x5c, 0x2c, 0x5b, 0x5d];

/**
 * Packs keys, in rising order.
 *
 * @throws {BackfillError} `KEY_UNSUITABLE` when they are longer than can be read again
 */
export function packTexts(keys: readonly string[]): Buffer {
  const json = Buffer.from(JSON.stringify(keys));
  if (json.length <= MAX_TEXT_BYTES) return deflateRawSync(json);
  throw new BackfillError(
    'KEY_UNSUITABLE',
    `The keys of ${keys.length} rows are ${json.length} bytes long, and the ledger takes ${MAX_TEXT_BYTES} of one batch`,
    `Make the batches smaller: --batch-size ${Math.max(1, Math.floor((keys.length * MAX_TEXT_BYTES) / json.length / 2))}`,
  );
}

/**
 * Unpacks what {@link packTexts} packed.
 *
 * @param most how many keys there can be
 * @returns a run for each key, in rising order
 * @throws {RangeError} when it is damaged, or holds more than there can be
 */
export function unpackTexts(bytes: Buffer, most = Number.POSITIVE_INFINITY): KeyRun[] {
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
