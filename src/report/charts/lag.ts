import * as Plot from '@observablehq/plot';
import type { Html } from '../html.js';
import type { HistogramBin, LagBucket } from '../lag-series.js';
import { countTick, lagTick, lagTicks, timeTick } from './axes.js';
import { draw } from './draw.js';

/** Draws the number of rows by lag. */
export function lagHistogram(label: string, bars: readonly HistogramBin[], rows: string): Html {
  const from = bars[0]?.fromSeconds ?? 1;
  const to = bars.at(-1)?.toSeconds ?? 10;
  return draw(label, ({ width, isNarrow }) => ({
    height: isNarrow ? 220 : 260,
    marginLeft: isNarrow ? 48 : 64,
    marginRight: 24,
    marginTop: 28,
    x: { type: 'log', domain: [from, to], label: null },
    y: { label: rows, grid: true, tickFormat: countTick, ticks: isNarrow ? 4 : 6, zero: true },
    marks: [
      Plot.axisX(lagTicks(from, to, width - 90, isNarrow ? 52 : 60), { text: lagTick, label: null }),
      Plot.rect(bars, {
        x1: 'fromSeconds',
        x2: 'toSeconds',
        y1: 0,
        y2: 'rows',
        fill: 'var(--series-1)',
        insetLeft: 0.5,
        insetRight: 0.5,
      }),
      Plot.ruleY([0], { stroke: 'currentColor' }),
    ],
  }));
}

/** Draws the median and the 95th percentile by time. */
export function lagOverTime(
  label: string,
  buckets: readonly LagBucket[],
  bucketMs: number,
  lag: string,
): Html {
  const points = buckets.map((bucket) => ({ ...bucket, time: new Date(bucket.startMs + bucketMs / 2) }));
  const values = buckets.flatMap(({ p50Seconds, p95Seconds }) => [p50Seconds, p95Seconds]);
  const [min, max] = [Math.min(...values), Math.max(...values)];
  const isLog = min > 0 && max / min > 30;
  const startMs = buckets[0]?.startMs ?? 0;
  const endMs = (buckets.at(-1)?.startMs ?? 0) + bucketMs;
  return draw(label, ({ width, isNarrow }) => {
    const height = isNarrow ? 220 : 260;
    const domain = isLog ? [min * 0.8, max * 1.25] : [Math.min(0, min), max > 0 ? max : 1];
    const ticks = isLog ? lagTicks(domain[0] ?? 1, domain[1] ?? 10, height - 80, 24) : isNarrow ? 4 : 6;
    return {
      height,
      marginLeft: isNarrow ? 56 : 64,
      marginRight: 44,
      marginTop: 28,
      marginBottom: 44,
      x: { type: 'utc', domain: [new Date(startMs), new Date(endMs)], label: null },
      y: { type: isLog ? 'log' : 'linear', domain, label: lag },
      marks: [
        Plot.axisX({
          ticks: isNarrow ? 3 : Math.floor(width / 110),
          tickFormat: timeTick(endMs - startMs),
          label: null,
        }),
        Array.isArray(ticks)
          ? Plot.axisY(ticks, { text: lagTick, label: lag })
          : Plot.axisY({ ticks, tickFormat: lagTick, label: lag }),
        Plot.gridY({ ticks }),
        ...series(points, 'p95Seconds', 'var(--series-2)', '5 3'),
        ...series(points, 'p50Seconds', 'var(--series-1)', undefined),
      ],
    };
  });
}

/** Draws a line with a dot at each point, because a point without neighbors has no line. */
function series(data: readonly object[], y: string, color: string, dash: string | undefined): Plot.Markish[] {
  return [
    Plot.lineY(data, {
      x: 'time',
      y,
      stroke: color,
      strokeWidth: 2,
      ...(dash ? { strokeDasharray: dash } : {}),
    }),
    Plot.dot(data, { x: 'time', y, fill: color, r: 2.5 }),
  ];
}
