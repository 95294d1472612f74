import * as Plot from '@observablehq/plot';
import { parseHTML } from 'linkedom';
import { cleanText, escapeText, Html } from '../html.js';

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

/** Shortens text to one line of up to `length` characters. */
export function shorten(text: string, length: number): string {
  const characters = [...cleanText(text).replace(/\s+/g, ' ')];
  return characters.length <= length ? characters.join('') : `${characters.slice(0, length - 1).join('')}…`;
}

/** Estimates the width of names at the left of a chart, in pixels. It errs on the wide side, because it cannot measure letters. */
export function labelWidth(names: readonly string[], { width }: Format): number {
  const widthOf = (name: string): number =>
    [...name].reduce(
      (sum, sign) => sum + (/[\u0020-\u024f]/.test(sign) ? (/[A-Z_@%&]/.test(sign) ? 8.8 : 7) : 13),
      0,
    );
  return Math.min(Math.max(0, ...names.map(widthOf)) + 16, width / 2);
}
