import { count, instantUtc, seconds } from '../../format.js';
import type { LagFigures } from '../../verify/times.js';
import { lagHistogram, lagOverTime } from '../charts/lag.js';
import type { BackfillFacts } from '../collect.js';
import type { RenderContext } from '../context.js';
import { type Html, html } from '../html.js';
import type { LagSeries } from '../lag-series.js';
import { figure, number, table, whole } from '../table.js';

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

function spreadFigure({ bars, rows, negative, zero }: LagSeries, context: RenderContext): Html {
  const { say } = context;
  const title = say('Distribution of lags');
  const caption = [
    say('Number of rows by lag, for {rows} rows, on a logarithmic scale.', { rows: count(rows) }),
    ...(negative > 0
      ? [
          say('{rows} rows have the second time before the first; they are not drawn.', {
            rows: count(negative),
          }),
        ]
      : []),
    ...(zero > 0
      ? [say('{rows} rows have the same time twice; they are not drawn.', { rows: count(zero) })]
      : []),
  ].join(' ');
  if (bars.length === 0) return html`<p><strong>${title}</strong> ${caption}</p>`;
  return figure(context, {
    title,
    caption,
    chart: (label) => lagHistogram(label, bars, say('Rows')),
    data: table(
      [number(say('From')), number(say('Below')), number(say('Rows'))],
      bars.map((bar) => [seconds(bar.fromSeconds), seconds(bar.toSeconds), count(bar.rows)]),
      title,
    ),
  });
}

function timeFigure(
  { buckets, bucketMs, outside }: LagSeries,
  column: string,
  context: RenderContext,
): Html | undefined {
  if (buckets.length === 0) return undefined;
  const { say } = context;
  const title = say('Lag over time');
  const width = seconds(bucketMs / 1000);
  const caption = [
    say('Median (p50) and 95th percentile (p95) of the lag, by {column}, in steps of {width}.', {
      column,
      width,
    }),
    say('Percentiles over time are within one percent of the exact value.'),
    ...(outside > 0
      ? [say('{rows} rows are too far from the others in time to be drawn.', { rows: count(outside) })]
      : []),
  ].join(' ');
  return figure(context, {
    title,
    caption,
    legend: [
      ['series-1', 'p50'],
      ['series-2 dashed', 'p95'],
    ],
    chart: (label) => lagOverTime(label, buckets, bucketMs, say('Lag')),
    data: table(
      [whole(say('From')), number(say('Rows')), number('p50'), number('p95')],
      buckets.map((bucket) => [
        instantUtc(bucket.startMs),
        count(bucket.rows),
        seconds(bucket.p50Seconds),
        seconds(bucket.p95Seconds),
      ]),
      title,
    ),
  });
}

/** Formats seconds to the microsecond. */
const exact = (value: number): string => value.toLocaleString('en-US', { maximumFractionDigits: 6 });

function slowestTable(slowest: LagFigures['slowest'], { say }: RenderContext): Html | undefined {
  if (slowest.length === 0) return undefined;
  const title = say('Slowest rows');
  return html`<h4>${title}</h4>
<div class="small">${table(
    [number(say('Key')), number(say('Lag'))],
    slowest.map((row) => [row.key, `${exact(row.seconds)} s`]),
    title,
  )}</div>`;
}
