import * as Plot from '@observablehq/plot';
import type { BatchPoint } from '../batch-points.js';
import type { Html } from '../html.js';
import { countTick, integerTicks } from './axes.js';
import { draw } from './draw.js';

/** Maximum number of marked run starts; more would hide the line. */
const MAX_RUN_MARKS = 12;

/** Draws one series of the batches. A vertical rule marks the start of a run. */
export function batchesChart(
  label: string,
  points: readonly BatchPoint[],
  series: 'rowsPerSecond' | 'rowsPerBatch',
  names: { readonly series: string; readonly batch: string },
): Html {
  const starts = points.filter(({ run }, i) => i > 0 && run !== points[i - 1]?.run);
  const marks = starts.length <= MAX_RUN_MARKS ? starts : [];
  const [first, last] = [points[0]?.firstBatch ?? 0, points.at(-1)?.lastBatch ?? 1];
  const color = series === 'rowsPerSecond' ? 'var(--series-1)' : 'var(--series-3)';
  const domain = first === last ? [first - 1, last + 1] : [first, last];
  return draw(label, ({ isNarrow }) => ({
    height: isNarrow ? 200 : 220,
    marginLeft: isNarrow ? 48 : 64,
    marginRight: 24,
    marginTop: 28,
    marginBottom: 44,
    x: { type: 'linear', domain, label: names.batch },
    y: { label: names.series, grid: true, zero: true, tickFormat: countTick, ticks: isNarrow ? 4 : 5 },
    marks: [
      Plot.axisX({
        ticks: integerTicks(first, last, isNarrow ? 4 : 8),
        tickFormat: String,
        label: names.batch,
      }),
      Plot.ruleX(marks, {
        x: 'firstBatch',
        stroke: 'currentColor',
        strokeOpacity: 0.35,
        strokeDasharray: '2 3',
      }),
      Plot.lineY(points, { x: 'lastBatch', y: series, stroke: color, strokeWidth: 2 }),
      Plot.dot(points, { x: 'lastBatch', y: series, fill: color, r: points.length > 60 ? 1.5 : 2.5 }),
      Plot.ruleY([0], { stroke: 'currentColor' }),
    ],
  }));
}
