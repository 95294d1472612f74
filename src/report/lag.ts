import * as Plot from '@observablehq/plot';
import { count, instantUtc, seconds } from '../format.js';
import type { LagFigures } from '../verify/times.js';
import type { BackfillFacts } from './collect.js';
import { countTick, draw, lagTick, lagTicks, line, timeAxis } from './draw.js';
import { figure, number, type RenderContext, table, whole } from './elements.js';
import { type Html, html } from './html.js';
import type { LagSeries } from './lag-series.js';

/** Renders the distribution of lags between two columns, their course over time, and the slowest rows. */
export function lagSection(
  { step, verification, lag }: BackfillFacts,
  context: RenderContext,
): Html | undefined {
  const columns = step.checks.lag;
  if (!columns || !lag || lag.rows === 0) return undefined;
  const { slowest = [] } = (verification?.checks.find(({ id }) => id === 'lag')?.stats ??
    {}) as Partial<LagFigures>;
  return html`<h3>${context.say('Lag from {from} to {to}', { from: columns.from, to: columns.to })}</h3>
${spreadFigure(lag, context)}${timeFigure(lag, columns.to, context)}${slowestTable(slowest, context)}`;
}

/** Joins those sentences that apply. */
const sentences = (...all: readonly (string | false)[]): string =>
  all.filter((sentence) => sentence !== false).join(' ');

function spreadFigure({ bars, rows, negative, zero }: LagSeries, context: RenderContext): Html {
  const { say } = context;
  const title = say('Distribution of lags');
  const caption = sentences(
    say('Number of rows by lag, for {rows} rows, on a logarithmic scale.', { rows: count(rows) }),
    negative > 0 &&
      say('{rows} rows have the second time before the first; they are not drawn.', {
        rows: count(negative),
      }),
    zero > 0 && say('{rows} rows have the same time twice; they are not drawn.', { rows: count(zero) }),
  );
  if (bars.length === 0) return html`<p><strong>${title}</strong> ${caption}</p>`;
  const chart = (label: string): Html => histogram(label, bars, say('Rows'));
  const data = table(title, bars, [
    number(say('From'), ({ fromSeconds }) => seconds(fromSeconds)),
    number(say('Below'), ({ toSeconds }) => seconds(toSeconds)),
    number(say('Rows'), (bar) => count(bar.rows)),
  ]);
  return figure({ title, caption, chart, data }, context);
}

/** Draws the number of rows by lag. */
function histogram(label: string, bars: LagSeries['bars'], rows: string): Html {
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

function timeFigure(
  { buckets, bucketMs, outside }: LagSeries,
  column: string,
  context: RenderContext,
): Html | undefined {
  if (buckets.length === 0) return undefined;
  const { say } = context;
  const title = say('Lag over time');
  const caption = sentences(
    say('Median (p50) and 95th percentile (p95) of the lag, by {column}, in steps of {width}.', {
      column,
      width: seconds(bucketMs / 1000),
    }),
    say('Percentiles over time are within one percent of the exact value.'),
    outside > 0 &&
      say('{rows} rows are too far from the others in time to be drawn.', { rows: count(outside) }),
  );
  const legend = [
    ['series-1', 'p50'],
    ['series-2 dashed', 'p95'],
  ] as const;
  const chart = (label: string): Html => overTime(label, buckets, bucketMs, say('Lag'));
  const data = table(title, buckets, [
    whole(say('From'), ({ startMs }) => instantUtc(startMs)),
    number(say('Rows'), ({ rows }) => count(rows)),
    number('p50', ({ p50Seconds }) => seconds(p50Seconds)),
    number('p95', ({ p95Seconds }) => seconds(p95Seconds)),
  ]);
  return figure({ title, caption, legend, chart, data }, context);
}

/** Draws the median and the 95th percentile by time. */
function overTime(label: string, buckets: LagSeries['buckets'], bucketMs: number, lag: string): Html {
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
        timeAxis(isNarrow ? 3 : Math.floor(width / 110), endMs - startMs),
        Array.isArray(ticks)
          ? Plot.axisY(ticks, { text: lagTick, label: lag })
          : Plot.axisY({ ticks, tickFormat: lagTick, label: lag }),
        Plot.gridY({ ticks }),
        ...line(points, { x: 'time', y: 'p95Seconds', color: 'var(--series-2)', dash: '5 3' }),
        ...line(points, { x: 'time', y: 'p50Seconds', color: 'var(--series-1)' }),
      ],
    };
  });
}

function slowestTable(slowest: LagFigures['slowest'], { say }: RenderContext): Html | undefined {
  if (slowest.length === 0) return undefined;
  const title = say('Slowest rows');
  return html`<h4>${title}</h4>
<div class="small">${table(title, slowest, [
    number(say('Key'), ({ key }) => key),
    number(say('Lag'), (row) => `${toMicroseconds(row.seconds)} s`),
  ])}</div>`;
}

/** Formats seconds to the microsecond. */
const toMicroseconds = (value: number): string => value.toLocaleString('en-US', { maximumFractionDigits: 6 });
