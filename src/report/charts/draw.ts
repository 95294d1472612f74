import * as Plot from '@observablehq/plot';
import { parseHTML } from 'linkedom';
import { cleanText, escapeText, Html } from '../html.js';

/** What a chart is drawn for: a screen of a desk, or of a phone. */
export interface Format {
  readonly width: number;
  readonly isNarrow: boolean;
}

const FORMATS: readonly Format[] = [
  { width: 860, isNarrow: false },
  { width: 340, isNarrow: true },
];

// Typed as a browser's, which is not among the types that this package is compiled with.
const { document } = parseHTML('<!doctype html><html><body></body></html>') as unknown as {
  readonly document: never;
};

/**
 * Draws a chart as SVG, once for wide and once for narrow pages: shrunk, its letters would be too small. Colours are the
 * page's own variables, so that it is light or dark as the page is; it needs no script.
 *
 * @param label what the chart shows, for who can't see it
 * @param options what to draw in a format
 */
export function draw(label: string, options: (format: Format) => Plot.PlotOptions): Html {
  const drawn = FORMATS.map((format) => {
    const chart = Plot.plot({ width: format.width, ...options(format), document, className: 'plot' });
    chart.setAttribute('class', `plot ${format.isNarrow ? 'narrow' : 'wide'}`);
    return chart.outerHTML.replace('<svg ', () => `<svg role="img" aria-label="${escapeText(label)}" `);
  });
  return new Html(drawn.join('\n'));
}

/** Text in a chart: one line, no longer than that many characters. */
export function shorten(text: string, length: number): string {
  const characters = [...cleanText(text).replace(/\s+/g, ' ')];
  return characters.length <= length ? characters.join('') : `${characters.slice(0, length - 1).join('')}…`;
}

/** Space for names at the left of a chart, in pixels: an estimate that is rather too wide, as there are no letters to measure. */
export function labelWidth(names: readonly string[], { width }: Format): number {
  const widthOf = (name: string): number =>
    [...name].reduce(
      (sum, sign) => sum + (/[\u0020-\u024f]/.test(sign) ? (/[A-Z_@%&]/.test(sign) ? 8.8 : 7) : 13),
      0,
    );
  return Math.min(Math.max(0, ...names.map(widthOf)) + 16, width / 2);
}
