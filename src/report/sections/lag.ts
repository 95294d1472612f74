import { count, instantUtc, seconds } from '../../format.js';
import type { LagFigures } from '../../verify/times.js';
import { lagHistogram, lagOverTime } from '../charts/lag.js';
import type { BackfillFacts } from '../collect.js';
import { type Html, html } from '../html.js';
import type { LagSeries } from '../lag-series.js';
import { figure, table } from '../table.js';
import type { RenderContext } from './section.js';

/** How the lags between two columns are spread, how they went over time, and the slowest rows. */
export function lagSection(
  { step, verification, lag }: BackfillFacts,
  context: RenderContext,
): Html | undefined {
  const asked = step.checks.lag;
  if (!asked || !lag) return undefined;
  const { words } = context;
  const heading = html`<h3>${words.lagHeading(asked.from, asked.to)}</h3>`;
  if (lag.rows === 0) return html`${heading}<p>${words.noLags}</p>`;
  const figures = verification?.checks.find(({ id }) => id === 'lag')?.stats as
    | Partial<LagFigures>
    | undefined;
  return html`${heading}
${spreadFigure(lag, context)}${timeFigure(lag, asked.to, context)}${slowestTable(figures?.slowest ?? [], context)}`;
}

function spreadFigure({ bars, rows, negative, zero }: LagSeries, { words }: RenderContext): Html {
  const caption = [
    words.lagSpreadChart(count(rows)),
    ...(negative > 0 ? [words.lagNegative(count(negative))] : []),
    ...(zero > 0 ? [words.lagZero(count(zero))] : []),
  ].join(' ');
  if (bars.length === 0) return html`<p><strong>${words.lagSpread}</strong> ${caption}</p>`;
  return figure(words, {
    title: words.lagSpread,
    caption,
    chart: lagHistogram(`${words.lagSpread}. ${caption}`, bars, words.rows),
    figures: table(
      [
        { title: words.lagFrom, isNumber: true },
        { title: words.lagBelow, isNumber: true },
        { title: words.rows, isNumber: true },
      ],
      bars.map((bar) => [seconds(bar.fromSeconds), seconds(bar.toSeconds), count(bar.rows)]),
      words.lagSpread,
    ),
  });
}

function timeFigure(
  { buckets, bucketMs, outside }: LagSeries,
  to: string,
  { words }: RenderContext,
): Html | undefined {
  if (buckets.length === 0) return undefined;
  const caption = [
    words.lagOverTimeChart(to, seconds(bucketMs / 1000)),
    words.lagIsClose,
    ...(outside > 0 ? [words.lagOutside(count(outside))] : []),
  ].join(' ');
  return figure(words, {
    title: words.lagOverTime,
    caption,
    legend: [
      ['series-1', 'p50'],
      ['series-2 dashed', 'p95'],
    ],
    chart: lagOverTime(`${words.lagOverTime}. ${caption}`, buckets, bucketMs, words.lag),
    figures: table(
      [
        { title: words.lagFrom, isWhole: true },
        { title: words.rows, isNumber: true },
        { title: 'p50', isNumber: true },
        { title: 'p95', isNumber: true },
      ],
      buckets.map((bucket) => [
        instantUtc(bucket.startMs),
        count(bucket.rows),
        seconds(bucket.p50Seconds),
        seconds(bucket.p95Seconds),
      ]),
      words.lagOverTime,
    ),
  });
}

/** Seconds to the microsecond. */
const exact = (value: number): string => value.toLocaleString('en-US', { maximumFractionDigits: 6 });

function slowestTable(slowest: LagFigures['slowest'], { words }: RenderContext): Html | undefined {
  if (slowest.length === 0) return undefined;
  return html`<h4>${words.slowest}</h4>
<div class="small">${table(
    [
      { title: words.key, isNumber: true },
      { title: words.lag, isNumber: true },
    ],
    slowest.map((row) => [row.key, `${exact(row.seconds)} s`]),
    words.slowest,
  )}</div>`;
}
