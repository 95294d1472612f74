/** Formats a count with separators, such as `1,000,000`, to three decimals. Intl would take 10 ms to load. */
export const count = (value: number): string =>
  String(Math.round(value * 1000) / 1000).replace(/\B(?<!\.\d*)(?=(?:\d{3})+(?!\d))/g, ',');

/** Formats bytes in the largest unit that fits, such as `1.5 MB`. */
export function bytes(value: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  let [size, unit] = [value, 0];
  while (Math.abs(size) >= 1000 && unit < units.length - 1) {
    size /= 1000;
    unit += 1;
  }
  return `${size.toFixed(unit === 0 || Math.abs(size) >= 100 ? 0 : 1)} ${units[unit]}`;
}

/** Formats milliseconds in the largest unit that fits, such as `2.5 s`. */
export function duration(ms: number): string {
  if (ms < 1000) return `${Math.round(ms)} ms`;
  const seconds = ms / 1000;
  return seconds < 60
    ? `${seconds.toFixed(1)} s`
    : `${Math.floor(seconds / 60)} min ${Math.round(seconds % 60)} s`;
}

const UNITS: readonly (readonly [unit: string, seconds: number])[] = [
  ['d', 86_400],
  ['h', 3600],
  ['min', 60],
  ['s', 1],
  ['ms', 1e-3],
  ['µs', 1e-6],
];

/** Formats seconds in the largest unit that fits, to three digits, such as `1.5 ms` or `2 h`. */
export function seconds(value: number): string {
  const size = Math.abs(value);
  if (size === 0) return '0 s';
  const [unit, of] = UNITS.find(([, least]) => size >= least * 0.9995) ?? ['µs', 1e-6];
  const inUnit = value / of;
  return `${Math.abs(inUnit) >= 1000 ? count(Math.round(inUnit)) : Number(inUnit.toPrecision(3))} ${unit}`;
}

/** Formats an instant to the second, such as `2026-01-20 10:00:00 UTC`. */
export const instant = (time: Date): string => `${instantUtc(time.getTime())} UTC`;

/**
 * Like {@link instant}, without the zone.
 *
 * @param time Unix time in milliseconds, or ISO-8601
 * @returns a dash if `time` is neither
 */
export function instantUtc(time: number | string): string {
  const date = new Date(time);
  return Number.isNaN(date.getTime()) ? '–' : date.toISOString().slice(0, 19).replace('T', ' ');
}
