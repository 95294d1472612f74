import { count, seconds } from '../../format.js';

const DAY_MS = 86_400_000;

/**
 * How instants on an axis are written, in UTC: what differs within the range, and below it what is common, where it changes.
 * The same in every language.
 *
 * @param spanMs from the first to the last, in milliseconds
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

/** Lags that may be written on an axis, in seconds. */
const LAG_TICKS = [
  ...[1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 0.1, 1, 10],
  ...[60, 600, 3600, 6 * 3600, 86_400, 10 * 86_400, 100 * 86_400, 1000 * 86_400, 1e4 * 86_400, 1e5 * 86_400],
];

/**
 * The lags to write on a logarithmic axis, no closer to each other than a label is wide.
 *
 * @param pixels length of the axis
 * @param least space of a label, in pixels
 */
export function lagTicks(from: number, to: number, pixels: number, least: number): number[] {
  const perPixel = Math.max(Math.log(to / from), 1e-9) / pixels;
  const shown: number[] = [];
  for (const tick of LAG_TICKS) {
    const last = shown.at(-1);
    const isFar = last === undefined || Math.log(tick / last) / perPixel >= least;
    if (tick >= from * 0.999 && tick <= to * 1.001 && isFar) shown.push(tick);
  }
  return shown.length > 0 ? shown : [from, to];
}

/** A count on an axis. */
export const countTick = (value: number): string =>
  value >= 1e6 ? `${count(value / 1e6)}M` : value >= 10_000 ? `${count(value / 1000)}k` : count(value);

/** A lag on an axis. On a logarithmic one it is to be the axis's `text`: as `tickFormat` the library leaves some out. */
export const lagTick = (value: number): string => seconds(value);

/** Whole numbers from one to another to write on an axis, so many at most. */
export function integerTicks(from: number, to: number, most: number): number[] {
  const least = Math.max(1, (to - from) / most);
  const power = 10 ** Math.floor(Math.log10(least));
  const step = [1, 2, 5, 10].map((n) => n * power).find((n) => n >= least && Number.isInteger(n)) ?? 1;
  const first = Math.ceil(from / step) * step;
  return Array.from({ length: Math.floor((to - first) / step) + 1 }, (_, i) => first + i * step);
}
