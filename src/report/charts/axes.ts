import { count, seconds } from '../../format.js';

const DAY_MS = 86_400_000;

/**
 * Returns a function that formats instants on an axis, in UTC: the part that differs, and on a second line the common part where it
 * changes. The format is the same in every language.
 *
 * @param spanMs milliseconds from the first to the last instant
 */
export function timeTick(spanMs: number): (time: Date, index: number, all?: readonly Date[]) => string {
  const lines = (time: Date): readonly [string, string] => {
    const text = time.toISOString();
    if (spanMs > 900 * DAY_MS) return [text.slice(0, 7), ''];
    if (spanMs > 3 * DAY_MS) return [text.slice(5, 10), text.slice(0, 4)];
    return [text.slice(11, spanMs > 20 * 60_000 ? 16 : spanMs > 10_000 ? 19 : 23), text.slice(0, 10)];
  };
  return (time, index, all) => {
    const [upper, lower] = lines(time);
    const before = all?.[index - 1];
    return index > 0 && before && lines(before)[1] === lower ? upper : `${upper}\n${lower}`;
  };
}

/** Possible ticks of a lag axis, in seconds. */
const LAG_TICKS = [
  ...[1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 0.1, 1, 10],
  ...[60, 600, 3600, 6 * 3600, 86_400, 10 * 86_400, 100 * 86_400, 1000 * 86_400, 1e4 * 86_400, 1e5 * 86_400],
];

/**
 * Returns the ticks of a logarithmic lag axis, with space for their labels.
 *
 * @param pixels length of the axis
 * @param minPixels minimum distance between two ticks
 */
export function lagTicks(from: number, to: number, pixels: number, minPixels: number): number[] {
  const perPixel = Math.max(Math.log(to / from), 1e-9) / pixels;
  const shown: number[] = [];
  for (const tick of LAG_TICKS) {
    const last = shown.at(-1);
    const isFar = last === undefined || Math.log(tick / last) / perPixel >= minPixels;
    if (tick >= from * 0.999 && tick <= to * 1.001 && isFar) shown.push(tick);
  }
  return shown.length > 0 ? shown : [from, to];
}

/** Formats a count on an axis. */
export const countTick = (value: number): string =>
  value >= 1e6 ? `${count(value / 1e6)}M` : value >= 10_000 ? `${count(value / 1000)}k` : count(value);

/** Formats a lag on an axis. On a logarithmic axis pass it as `text`: with `tickFormat` the library omits some labels. */
export const lagTick = (value: number): string => seconds(value);

/** Returns up to `max` ticks at whole numbers. */
export function integerTicks(from: number, to: number, max: number): number[] {
  const minStep = Math.max(1, (to - from) / max);
  const power = 10 ** Math.floor(Math.log10(minStep));
  const step = [1, 2, 5, 10].map((n) => n * power).find((n) => n >= minStep && Number.isInteger(n)) ?? 1;
  const first = Math.ceil(from / step) * step;
  return Array.from({ length: Math.floor((to - first) / step) + 1 }, (_, i) => first + i * step);
}
