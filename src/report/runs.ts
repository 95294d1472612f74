import * as Plot from '@observablehq/plot';
import { count, duration, instantUtc } from '../format.js';
import type { PlainText } from '../messages/message.js';
import type { BackfillFacts } from './collect.js';
import { countTick, draw, integerTicks, line } from './draw.js';
import { figure, number, type RenderContext, table, whole } from './elements.js';
import { type Html, html } from './html.js';

type Run = BackfillFacts['runs'][number];

const STATUSES: Readonly<Record<Run['status'], PlainText>> = {
  running: 'running',
  filled: 'filled, not verified',
  verified: 'verified',
  superseded: 'superseded by a rescan',
};

/** Renders the runs of a backfill, with throughput and batch size over its batches. */
export function runsSection(facts: BackfillFacts, context: RenderContext): Html {
  const { runs, runCount, points } = facts;
  const { say } = context;
  const title = say('Runs');
  if (runs.length === 0) return html`<h3>${title}</h3><p>${say('No run is recorded on this store.')}</p>`;
  const omitted = runCount - runs.length;
  const all = table(title, runs, [
    number(say('Run'), ({ run }) => run),
    whole(say('Kind'), ({ kind }) => say(kind)),
    whole(say('Status'), ({ status }) => say(STATUSES[status])),
    whole(say('Started'), ({ startedAt }) => instantUtc(startedAt)),
    number(say('Took'), (run) => (msOf(run) > 0 ? duration(msOf(run)) : '')),
    number(say('Batches'), ({ batches }) => count(batches)),
    number(say('Rows read'), ({ rowsScanned }) => count(rowsScanned)),
    number(say('Cells filled'), ({ cellsFilled }) => count(cellsFilled)),
    number(say('Cells skipped'), ({ cellsSkipped }) => count(cellsSkipped)),
    number(say('Rows per second'), rate),
  ]);
  return html`<h3>${title}</h3>
${omitted > 0 ? html`<p>${say('{runs} earlier runs are not shown.', { runs: count(omitted) })}</p>` : undefined}${all}
${points.length === 0 ? undefined : batchFigures(points, context)}`;
}

/** Duration of a run, including pauses and interruptions; 0 if it has not finished. */
const msOf = ({ startedAt, filledAt }: Run): number =>
  filledAt === null ? 0 : Date.parse(filledAt) - Date.parse(startedAt);

const rate = (run: Run): string =>
  msOf(run) > 0 ? count(Math.round((run.rowsScanned * 1000) / msOf(run))) : '';

function batchFigures(points: BackfillFacts['points'], context: RenderContext): Html[] {
  const { say } = context;
  const data = table(say('Throughput'), points, [
    number(say('Batch'), ({ firstBatch, lastBatch }) =>
      firstBatch === lastBatch ? lastBatch : `${firstBatch}–${lastBatch}`,
    ),
    number(say('Run'), ({ run }) => run),
    whole(say('Finished'), ({ committedAt }) => instantUtc(committedAt)),
    number(say('Rows'), ({ rows }) => count(rows)),
    number(say('Rows per second'), ({ rowsPerSecond }) => count(rowsPerSecond)),
    number(say('Rows per batch'), ({ rowsPerBatch }) => count(rowsPerBatch)),
  ]);
  const charts = [
    {
      title: say('Throughput'),
      caption: say('Rows per second while a batch ran; pauses between batches do not count.'),
      series: { y: 'rowsPerSecond', name: say('Rows per second'), color: 'var(--series-1)' },
    },
    {
      title: say('Batch size'),
      caption: say('Rows per batch; the size follows how long the batch before held the write lock.'),
      series: { y: 'rowsPerBatch', name: say('Rows per batch'), color: 'var(--series-3)' },
    },
  ] as const;
  return charts.map(({ title, caption, series }) => {
    const chart = (label: string): Html => batchesChart(label, points, series, say('Batch'));
    return figure({ title, caption, chart, data }, context);
  });
}

/** Maximum number of marked run starts; more would hide the line. */
const MAX_RUN_MARKS = 12;

/** Draws one series of the batches. A vertical rule marks the start of a run. */
function batchesChart(
  label: string,
  points: BackfillFacts['points'],
  { y, name, color }: { readonly y: string; readonly name: string; readonly color: string },
  batch: string,
): Html {
  const starts = points.filter(({ run }, i) => i > 0 && run !== points[i - 1]?.run);
  const marks = starts.length <= MAX_RUN_MARKS ? starts : [];
  const [first, last] = [points[0]?.firstBatch ?? 0, points.at(-1)?.lastBatch ?? 1];
  const domain = first === last ? [first - 1, last + 1] : [first, last];
  return draw(label, ({ isNarrow }) => ({
    height: isNarrow ? 200 : 220,
    marginLeft: isNarrow ? 48 : 64,
    marginRight: 24,
    marginTop: 28,
    marginBottom: 44,
    x: { type: 'linear', domain, label: batch },
    y: { label: name, grid: true, zero: true, tickFormat: countTick, ticks: isNarrow ? 4 : 5 },
    marks: [
      Plot.axisX({ ticks: integerTicks(first, last, isNarrow ? 4 : 8), tickFormat: String, label: batch }),
      Plot.ruleX(marks, {
        x: 'firstBatch',
        stroke: 'currentColor',
        strokeOpacity: 0.35,
        strokeDasharray: '2 3',
      }),
      ...line(points, { x: 'lastBatch', y, color, radius: points.length > 60 ? 1.5 : 2.5 }),
      Plot.ruleY([0], { stroke: 'currentColor' }),
    ],
  }));
}
