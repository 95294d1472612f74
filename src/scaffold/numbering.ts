/** Timestamps at the beginning of names, longest first, with the function that formats an instant. */
const TIMESTAMP_FORMATS: readonly (readonly [form: RegExp, stamp: (now: Date) => string])[] = [
  [/^\d{4}\.\d\d\.\d\dT\d\d\.\d\d\.\d\d(?!\d)/, (now) => now.toISOString().slice(0, 19).replace(/\W/g, '.')],
  [/^\d{14}(?!\d)/, (now) => digits(now).slice(0, 14)],
  [/^\d{13}(?!\d)/, (now) => String(now.getTime())],
  [/^\d{12}(?!\d)/, (now) => digits(now).slice(0, 12)],
  [/^\d{10}(?!\d)/, (now) => String(Math.floor(now.getTime() / 1000))],
  [/^\d{8}(?!\d)/, (now) => digits(now).slice(0, 8)],
];

const digits = (now: Date): string => now.toISOString().replace(/\D/g, '');

/** The number before a name, with head and separator: `v021-`, `2` and `-` in `v021-2-orders`. */
const NUMBERED = /^(?<head>.*?)(?<number>\d+)(?<separator>[-_.])(?=\p{L})/u;

/** All numbers before a name, each with an optional `v` and a separator. */
const PREFIX = /^(?:v?\d+(?:[-_.T]|(?=\D)))*/;

/** Returns the name of a step without its number. */
export const stripNumber = (step: string): string => step.replace(PREFIX, '');

/**
 * Returns the name of a new step, numbered like the project's last step: `001-` for the first; a timestamp in UTC if the last step has
 * one; else the next number. No number if the last step has none.
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

/** Returns the next number with as many digits; after 9, 91, because 10 would sort before 9. */
function nextNumber(number: string): string {
  const next = String(BigInt(number) + 1n).padStart(number.length, '0');
  return next.length > number.length ? `${number}1` : next;
}
