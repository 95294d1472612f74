/** A point in time that a text states. */
export interface Instant {
  /** Unix time, in milliseconds; fractions of one are kept. */
  readonly epochMs: number;
  /** Whether the text states its offset from UTC; without one it is taken as UTC. */
  readonly hasOffset: boolean;
}

const ISO =
  /^(\d{4})-(\d{2})-(\d{2})[T ]([01]\d|2[0-3]):([0-5]\d):([0-5]\d)(\.\d+)?(Z|[+-](?:0\d|1[0-4]):[0-5]\d)?$/;
const UNIX_SECONDS = /^\d{9,10}$/;
const UNIX_MILLISECONDS = /^\d{12,13}$/;

/**
 * Reads a timestamp: strict ISO-8601 (a date that exists, `T` or a space, optional fraction and offset), or digits as
 * Unix seconds (9 or 10) or milliseconds (12 or 13).
 *
 * @returns the instant, or undefined when the text is no timestamp
 */
export function parseTimestamp(text: string): Instant | undefined {
  const iso = ISO.exec(text);
  if (!iso) {
    if (UNIX_SECONDS.test(text)) return { epochMs: Number(text) * 1000, hasOffset: true };
    if (UNIX_MILLISECONDS.test(text)) return { epochMs: Number(text), hasOffset: true };
    return undefined;
  }
  const [year, month, day] = [Number(iso[1]), Number(iso[2]), Number(iso[3])];
  if (month < 1 || month > 12 || day < 1 || day > daysIn(year, month)) return undefined;
  const date = new Date(0);
  date.setUTCFullYear(year, month - 1, day); // Date.UTC would read years below 100 as 19xx
  const offset = iso[8];
  const epochMs =
    date.getTime() +
    ((Number(iso[4]) * 60 + Number(iso[5])) * 60 + Number(iso[6])) * 1000 +
    (iso[7] === undefined ? 0 : Number(`0${iso[7]}`) * 1000) -
    offsetMs(offset);
  return { epochMs, hasOffset: offset !== undefined };
}

function daysIn(year: number, month: number): number {
  if (month === 2) return (year % 4 === 0 && year % 100 !== 0) || year % 400 === 0 ? 29 : 28;
  return [4, 6, 9, 11].includes(month) ? 30 : 31;
}

function offsetMs(offset: string | undefined): number {
  if (offset === undefined || offset === 'Z') return 0;
  const minutes = Number(offset.slice(1, 3)) * 60 + Number(offset.slice(4, 6));
  return (offset.startsWith('-') ? -minutes : minutes) * 60_000;
}

/**
 * A column's value as it may be shown: itself if it is a timestamp, else only its kind and length, since it may be a
 * payload's contents.
 */
export function showValue(value: unknown): string {
  if (value === null || value === undefined) return 'NULL';
  if (typeof value === 'string') {
    return parseTimestamp(value) ? value : `‹not a timestamp, ${[...value].length} characters›`;
  }
  if (Buffer.isBuffer(value)) return `‹not a timestamp, ${value.length} bytes›`;
  return parseTimestamp(String(value)) ? String(value) : '‹not a timestamp, a number›';
}
