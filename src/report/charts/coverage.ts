import * as Plot from '@observablehq/plot';
import type { Html } from '../html.js';
import { draw, labelWidth, shorten } from './draw.js';

/** Coverage of one group. */
export interface CoverageBar {
  readonly name: string;
  /** Filled part of the cells to fill, from 0 to 100. */
  readonly percent: number;
  /** Text after the bar on a wide page. */
  readonly label: string;
}

/** Draws a bar for each group, in percent. */
export function coverageChart(label: string, bars: readonly CoverageBar[]): Html {
  const data = bars.map((bar, i) => ({ ...bar, id: String(i) }));
  return draw(label, (format) => {
    const { isNarrow } = format;
    const length = isNarrow ? 18 : 36;
    const names = data.map(({ name }) => shorten(name, length));
    return {
      height: data.length * 24 + 40,
      marginTop: 6,
      marginLeft: labelWidth(names, format),
      marginRight: isNarrow ? 52 : 170,
      x: { domain: [0, 100], label: null },
      y: { type: 'band', domain: data.map(({ id }) => id), label: null, padding: 0.25 },
      marks: [
        Plot.axisY({ tickSize: 0, tickFormat: (_: unknown, i: number) => names[i] ?? '', label: null }),
        Plot.axisX({ ticks: isNarrow ? 2 : 5, tickFormat: (value: number) => `${value}%`, label: null }),
        Plot.barX(data, { y: 'id', x1: 0, x2: 100, fill: 'var(--track)' }),
        Plot.barX(data, { y: 'id', x1: 0, x2: 'percent', fill: 'var(--series-1)' }),
        Plot.text(data, {
          y: 'id',
          x: 100,
          text: isNarrow ? ({ percent }: CoverageBar) => `${percent}%` : 'label',
          textAnchor: 'start',
          dx: 6,
          fill: 'currentColor',
        }),
      ],
    };
  });
}
