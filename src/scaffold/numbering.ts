/** Forms of timestamps that names begin with, and how each is made of an instant. The longest come first. */
const TIMESTAMP_FORMATS: readonly (readonly [form: RegExp, stamp: (now: Date) => string])[] = [
  [/^\d{4}\.\d\d\.\d\dT\d\d\.\d\d\.\d\d(?!\d)/, (now) => now.toISOString().slice(0, 19).replace(/\W/g, '.')],
  [/^\d{14}(?!\d)/, (now) => digits(now).slice(0, 14)],
  [/^\d{13}(?!\d)/, (now) => String(now.getTime())],
  [/^\d{12}(?!\d)/, (now) => digits(now).slice(0, 12)],
  [/^\d{10}(?!\d)/, (now) => String(Math.floor(now.getTime() / 1000))],
  [/^\d{8}(?!\d)/, (now) => digits(now).slice(0, 8)],
];

const digits = (now: Date): string => now.toISOString().replace(/\D/g, '');

/** A number before a name, with what stands before it and what parts them: `v021-` `2` `-` of `v021-2-orders`. */
const NUMBERED = /^(?<head>.*?)(?<number>\d+)(?<separator>[-_.])(?=\p{L})/u;

/** What stands before the name itself: numbers and signs, and a `v` before a number. */
const PREFIX = /^(?:v?\d+(?:[-_.T]|(?=\D)))*/;

/** The name of a step without its number. */
export const stripNumber = (step: string): string => step.replace(PREFIX, '');

/**
 * The name of a new step, numbered as the steps of the project are, so that it sorts after the last of them: `001-` for the first;
 * a timestamp, in UTC, where the last has one; else the next number. Where the last has no number, the name stands alone.
 *
 * @param steps names of all steps, in any order
 */
export function nextName(steps: readonly string[], name: string, now: Date): string {
  const last = [...steps].sort().at(-1);
  if (last === undefined) return `001-${name}`;
  const parts = NUMBERED.exec(last)?.groups;
  if (parts === undefined) return name;
  const { head = '', number = '', separator = '' } = parts;
  const stamp = TIMESTAMP_FORMATS.find(([form]) => form.test(last))?.[1](now);
  const stamped = `${stamp}${separator}${name}`;
  return stamp !== undefined && stamped > last ? stamped : `${head}${nextNumber(number)}${separator}${name}`;
}

/** The next number with as many digits. After the last one a digit more: 10 would sort before 9, and 91 does not. */
function nextNumber(number: string): string {
  const next = String(BigInt(number) + 1n).padStart(number.length, '0');
  return next.length > number.length ? `${number}1` : next;
}
