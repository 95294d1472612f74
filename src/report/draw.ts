import * as Plot from '@observablehq/plot';
import { parseHTML } from 'linkedom';
import { count, seconds } from '../format.js';
import { cleanText, escapeText, Html } from './html.js';

/** Format of a chart: for a desktop screen or a phone. */
export interface Format {
  readonly width: number;
  readonly isNarrow: boolean;
}

const FORMATS: readonly Format[] = [
  { width: 860, isNarrow: false },
  { width: 340, isNarrow: true },
];

// The type of a browser's document is not available to this package.
const { document } = parseHTML('<!doctype html><html><body></body></html>') as unknown as {
  readonly document: never;
};

/**
 * Draws a chart as SVG, once for wide and once for narrow pages, where scaled letters would be too small. Colors are CSS variables of the
 * page, so they follow its light or dark mode. Needs no script.
 *
 * @param label description for screen readers
 * @param options returns the plot for a format
 */
export function draw(label: string, options: (format: Format) => Plot.PlotOptions): Html {
  const drawn = FORMATS.map((format) => {
    const chart = Plot.plot({ width: format.width, ...options(format), document, className: 'plot' });
    chart.setAttribute('class', `plot ${format.isNarrow ? 'narrow' : 'wide'}`);
    return chart.outerHTML.replace('<svg ', () => `<svg role="img" aria-label="${escapeText(label)}" `);
  });
  return new Html(drawn.join('\n'));
}

/** Draws a line with a dot at each point, because a point without neighbors has no line. */
export const line = (
  points: readonly object[],
  { x, y, color, dash, radius = 2.5 }: LineStyle,
): Plot.Markish[] => [
  Plot.lineY(points, { x, y, stroke: color, strokeWidth: 2, ...(dash && { strokeDasharray: dash }) }),
  Plot.dot(points, { x, y, fill: color, r: radius }),
];

interface LineStyle {
  /** Properties of a point. */
  readonly x: string;
  readonly y: string;
  readonly color: string;
  /** Lengths of dashes and gaps. Default: a solid line. */
  readonly dash?: string;
  /** Radius of the dots, in pixels. Default 2.5. */
  readonly radius?: number;
}

/** Shortens text to one line of up to `length` characters. */
function shorten(text: string, length: number): string {
  const characters = [...cleanText(text).replace(/\s+/g, ' ')];
  return characters.length <= length ? characters.join('') : `${characters.slice(0, length - 1).join('')}…`;
}

/** Returns the names at the left of a chart, one per band, and their width. */
export function nameAxis(names: readonly string[], format: Format) {
  const shown = names.map((name) => shorten(name, format.isNarrow ? 18 : 36));
  const tickFormat = (_: unknown, i: number): string => shown[i] ?? '';
  return {
    marginLeft: labelWidth(shown, format),
    axis: Plot.axisY({ tickSize: 0, tickFormat, label: null }),
  };
}

/** Estimates the width of names at the left of a chart, in pixels. It errs on the wide side, because it cannot measure letters. */
function labelWidth(names: readonly string[], { width }: Format): number {
  const widthOf = (name: string): number =>
    [...name].reduce(
      (sum, sign) => sum + (/[\u0020-\u024f]/.test(sign) ? (/[A-Z_@%&]/.test(sign) ? 8.8 : 7) : 13),
      0,
    );
  return Math.min(Math.max(0, ...names.map(widthOf)) + 16, width / 2);
}

const DAY_MS = 86_400_000;

/**
 * Returns a function that formats instants on an axis, in UTC: the part that differs, and on a second line the common part where it
 * changes. The format is the same in every language.
 */
function timeTick(spanMs: number): (time: Date, index: number, all?: readonly Date[]) => string {
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

/**
 * Returns an axis of instants at the bottom.
 *
 * @param ticks approximate number of ticks
 * @param spanMs milliseconds from the first to the last instant
 */
export const timeAxis = (ticks: number, spanMs: number): Plot.Markish =>
  Plot.axisX({ ticks, tickFormat: timeTick(spanMs), label: null });

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
