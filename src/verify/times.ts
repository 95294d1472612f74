import type { Store } from '../db/connection.js';
import { countWhile, mapEach, turns } from '../each.js';
import { compareKeys, type Key } from '../ledger/keys.js';
import { type Message, msg } from '../messages/message.js';

// Timestamps: parsing them, and the lags between two.

/** An instant parsed from text. */
export interface Instant {
  /** Unix time in milliseconds, with fractions. */
  readonly epochMs: number;
  /** Whether the text has an offset from UTC. Without one it is read as UTC. */
  readonly hasOffset: boolean;
}

const UNIX_SECONDS = /^\d{9,10}$/;
const UNIX_MILLISECONDS = /^\d{12,13}$/;

/** Codes of the characters between the digits of a timestamp. */
const [DASH, COLON, DOT, SPACE, PLUS, T, Z] = [0x2d, 0x3a, 0x2e, 0x20, 0x2b, 0x54, 0x5a];

/** Length of `YYYY-MM-DDTHH:MM:SS`. */
const SECONDS_END = 19;

/**
 * Parses a timestamp: strict ISO-8601 (an existing date, `T` or a space, optional fraction and offset), or digits as Unix seconds (9 or 10)
 * or milliseconds (12 or 13). Compares character codes, because regular expressions took half the time of a scan.
 *
 * @returns the instant, or undefined if the text is not a timestamp
 */
export function parseTimestamp(text: string): Instant | undefined {
  if (text.length < SECONDS_END || text.charCodeAt(4) !== DASH) {
    if (UNIX_SECONDS.test(text)) return { epochMs: Number(text) * 1000, hasOffset: true };
    if (UNIX_MILLISECONDS.test(text)) return { epochMs: Number(text), hasOffset: true };
    return undefined;
  }
  const secondsMs = secondsOf(text);
  if (Number.isNaN(secondsMs)) return undefined;
  let end = SECONDS_END;
  let fractionMs = 0;
  if (text.charCodeAt(end) === DOT) {
    do end += 1;
    while (isDigit(text.charCodeAt(end)));
    if (end === SECONDS_END + 1) return undefined;
    fractionMs = Number(`0${text.slice(SECONDS_END, end)}`) * 1000;
  }
  if (end === text.length) return { epochMs: secondsMs + fractionMs, hasOffset: false };
  const offset = offsetMs(text, end);
  return Number.isNaN(offset) ? undefined : { epochMs: secondsMs + fractionMs - offset, hasOffset: true };
}

const isDigit = (code: number): boolean => code >= 0x30 && code <= 0x39;

/** Parses two digits; NaN if they are not digits. */
function twoDigits(text: string, at: number): number {
  const [tens, ones] = [text.charCodeAt(at), text.charCodeAt(at + 1)];
  return isDigit(tens) && isDigit(ones) ? (tens - 0x30) * 10 + ones - 0x30 : Number.NaN;
}

/** Returns the Unix time in milliseconds of `YYYY-MM-DDTHH:MM:SS` at the beginning of a text, or NaN. */
function secondsOf(text: string): number {
  const separator = text.charCodeAt(10);
  const isShaped =
    text.charCodeAt(7) === DASH &&
    (separator === T || separator === SPACE) &&
    text.charCodeAt(13) === COLON &&
    text.charCodeAt(16) === COLON;
  const year = twoDigits(text, 0) * 100 + twoDigits(text, 2);
  const [month, day] = [twoDigits(text, 5), twoDigits(text, 8)];
  const [hour, minute, second] = [twoDigits(text, 11), twoDigits(text, 14), twoDigits(text, 17)];
  // A comparison with NaN is false.
  const isDate = month >= 1 && month <= 12 && day >= 1 && day <= daysIn(year, month);
  if (!isShaped || !isDate || !(hour <= 23 && minute <= 59 && second <= 59)) return Number.NaN;
  return ((daysBefore(year, month, day) * 24 + hour) * 60 + minute) * 60_000 + second * 1000;
}

function daysIn(year: number, month: number): number {
  if (month === 2) return (year % 4 === 0 && year % 100 !== 0) || year % 400 === 0 ? 29 : 28;
  return month === 4 || month === 6 || month === 9 || month === 11 ? 30 : 31;
}

/**
 * Returns the days from 1970-01-01 to a Gregorian date, counted in years that start in March.
 *
 * @see https://howardhinnant.github.io/date_algorithms.html days_from_civil
 */
function daysBefore(year: number, month: number, day: number): number {
  const y = month <= 2 ? year - 1 : year;
  const era = Math.floor(y / 400);
  const yearOfEra = y - era * 400;
  const dayOfYear = Math.floor((153 * (month + (month > 2 ? -3 : 9)) + 2) / 5) + day - 1;
  const dayOfEra = yearOfEra * 365 + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100) + dayOfYear;
  return era * 146_097 + dayOfEra - 719_468;
}

/** Parses the offset from UTC at the end of a text, in milliseconds; NaN if it is invalid. */
function offsetMs(text: string, at: number): number {
  const sign = text.charCodeAt(at);
  if (sign === Z) return text.length === at + 1 ? 0 : Number.NaN;
  const [hours, minutes] = [twoDigits(text, at + 1), twoDigits(text, at + 4)];
  const isShaped =
    (sign === PLUS || sign === DASH) && text.charCodeAt(at + 3) === COLON && text.length === at + 6;
  if (!isShaped || !(hours <= 14 && minutes <= 59)) return Number.NaN;
  return (sign === DASH ? -1 : 1) * (hours * 60 + minutes) * 60_000;
}

/** Returns a value if it is a timestamp, else only its kind and length, because it may be the contents of a payload. */
export function showValue(value: unknown): Message {
  if (value === null || value === undefined) return msg('{text}', { text: 'NULL' });
  if (Buffer.isBuffer(value)) return msg('‹not a timestamp, {length} bytes›', { length: value.length });
  if (parseTimestamp(String(value))) return msg('{text}', { text: String(value) });
  return typeof value === 'string'
    ? msg('‹not a timestamp, {length} characters›', { length: [...value].length })
    : msg('‹not a timestamp, a number›');
}

/** Number of slowest rows that are kept, with their keys. */
const SLOWEST = 10;

/** Number of lags per chunk. */
const CHUNK = 2 ** 13;

/** Greatest lag that fits a chunk, in microseconds: 71 minutes. */
const MAX_MICROSECONDS = 2 ** 32 - 1;

/** Distribution of the seconds between two columns, over all rows where both are timestamps. */
export interface LagFigures {
  readonly count: number;
  readonly p50Seconds: number;
  readonly p95Seconds: number;
  readonly p99Seconds: number;
  readonly maxSeconds: number;
  readonly slowest: readonly { readonly key: string; readonly seconds: number }[];
}

/**
 * Lags in microseconds; below that, a difference of two doubles is noise. Most take four bytes, so exact percentiles of ten million lags
 * need 40 MB. Chunks are never copied to grow.
 */
export interface LagFacts {
  /** Full chunks, and the last one, which holds `used` values. */
  readonly chunks: Uint32Array<ArrayBuffer>[];
  used: number;
  /** Negative lags, and those too great for a chunk. */
  readonly others: number[];
  readonly slowest: { readonly key: Key; readonly micros: number }[];
}

/** Returns the facts of no lags. */
export const emptyLags = (): LagFacts => ({ chunks: [], used: CHUNK, others: [], slowest: [] });

/**
 * Adds a lag.
 *
 * @param seconds from the first column's time to the second's; negative if the second is earlier
 */
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
  if (facts.used === CHUNK) {
    facts.chunks.push(new Uint32Array(CHUNK));
    facts.used = 0;
  }
  const chunk = facts.chunks.at(-1) as Uint32Array;
  chunk[facts.used] = micros;
  facts.used += 1;
}

/** Keeps the slowest; among equal ones, those with the lowest keys. */
function keepSlowest({ slowest }: LagFacts, more: LagFacts['slowest']): void {
  slowest.push(...more);
  slowest.sort((a, b) => b.micros - a.micros || compareKeys(a.key, b.key));
  slowest.length = Math.min(slowest.length, SLOWEST);
}

/** Returns the buffers, which can be transferred to another thread without a copy. */
export const lagBuffers = ({ chunks }: LagFacts): ArrayBuffer[] => chunks.map(({ buffer }) => buffer);

/** Adds the lags of other rows. */
export function mergeLags(into: LagFacts, from: LagFacts): void {
  const last = from.chunks.at(-1)?.subarray(0, from.used) ?? [];
  const full = from.chunks.slice(0, -1);
  into.chunks.unshift(...full); // the last one stays the one with free space
  for (const micros of last) addMicros(into, micros);
  for (const micros of from.others) into.others.push(micros);
  keepSlowest(into, from.slowest);
}

/** Computes the distribution, with nearest-rank percentiles; undefined if no row has both timestamps. */
export async function lagFigures(
  store: Store,
  { chunks, used, others, slowest }: LagFacts,
): Promise<LagFigures | undefined> {
  const turn = turns(store);
  const parts = await mapEach(chunks, async (chunk, i) => {
    await turn(); // sorting ten million takes a second
    return chunk.subarray(0, i === chunks.length - 1 ? used : CHUNK).sort();
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

/** Returns the n-th smallest value in sorted parts, counting from 1. */
function nthOf(parts: readonly Uint32Array[], n: number): number {
  const countUpTo = (value: number): number =>
    parts.reduce((sum, part) => sum + countWhile(part.length, (i) => (part[i] as number) <= value), 0);
  return countWhile(MAX_MICROSECONDS, (value) => countUpTo(value) < n);
}
