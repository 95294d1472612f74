import { deflateRawSync, inflateRawSync } from 'node:zlib';
import type { KeyRun } from './keys.js';

/** A set of text keys, packed: a JSON array, deflated. Identifiers of 36 characters take about 20 bytes each. */

/** Packs keys, in rising order. */
export const packTexts = (keys: readonly string[]): Buffer => deflateRawSync(JSON.stringify(keys));

/**
 * Unpacks what {@link packTexts} packed.
 *
 * @returns a run for each key, in rising order
 * @throws {RangeError} when it is damaged
 */
export function unpackTexts(bytes: Buffer): KeyRun[] {
  let keys: unknown;
  try {
    keys = JSON.parse(inflateRawSync(bytes).toString('utf8'));
  } catch (error) {
    throw new RangeError('A packed key set can not be read', { cause: error });
  }
  if (!Array.isArray(keys) || !keys.every((key) => typeof key === 'string'))
    throw new RangeError('A packed key set holds no texts');
  return keys.map((key: string) => [key, key]);
}
