import { count, duration, instantUtc } from '../../format.js';
import type { RunRecord } from '../../ledger/records.js';
import type { PlainText } from '../../messages/message.js';
import { batchesChart } from '../charts/batches.js';
import type { BackfillFacts } from '../collect.js';
import type { RenderContext } from '../context.js';
import { type Html, html } from '../html.js';
import { figure, number, table, whole } from '../table.js';

const STATUSES: Readonly<Record<RunRecord['status'], PlainText>> = {
  running: 'running',
  filled: 'filled, not verified',
  verified: 'verified',
  superseded: 'superseded by a rescan',
};

/** Renders the runs of a backfill, with throughput and batch size over its batches. */
export function runsSection(facts: BackfillFacts, context: RenderContext): Html {
  const { runs, runCount, points, batchCount } = facts;
  const { say } = context;
  const title = say('Runs');
  if (runs.length === 0) return html`<h3>${title}</h3><p>${say('No run is recorded on this store.')}</p>`;
  const omitted = runCount - runs.length;
  const all = table(
    [
      number(say('Run')),
      whole(say('Kind')),
      whole(say('Status')),
      whole(say('Started')),
      number(say('Took')),
      number(say('Batches')),
      number(say('Rows read')),
      number(say('Cells filled')),
      number(say('Cells skipped')),
      number(say('Rows per second')),
    ],
    runs.map((run) => [
      run.run,
      say(run.kind),
      say(STATUSES[run.status]),
      instantUtc(run.startedAt),
      msOf(run) > 0 ? duration(msOf(run)) : '',
      count(run.batches),
      count(run.rowsScanned),
      count(run.cellsFilled),
      count(run.cellsSkipped),
      rate(run),
    ]),
    title,
  );
  return html`<h3>${title}</h3>
${omitted > 0 ? html`<p>${say('{runs} earlier runs are not shown.', { runs: count(omitted) })}</p>` : undefined}${all}
${batchCount === 0 ? undefined : batchFigures(points, context)}`;
}

function batchFigures(points: BackfillFacts['points'], context: RenderContext): Html[] {
  const { say } = context;
  const data = table(
    [
      number(say('Batch')),
      number(say('Run')),
      whole(say('Finished')),
      number(say('Rows')),
      number(say('Rows per second')),
      number(say('Rows per batch')),
    ],
    points.map((point) => [
      point.firstBatch === point.lastBatch ? point.lastBatch : `${point.firstBatch}–${point.lastBatch}`,
      point.run,
      instantUtc(point.committedAt),
      count(point.rows),
      count(point.rowsPerSecond),
      count(point.rowsPerBatch),
    ]),
    say('Throughput'),
  );
  const charts = [
    [
      say('Throughput'),
      say('Rows per second while a batch ran; pauses between batches do not count.'),
      'rowsPerSecond',
      say('Rows per second'),
    ],
    [
      say('Batch size'),
      say('Rows per batch; the size follows how long the batch before held the write lock.'),
      'rowsPerBatch',
      say('Rows per batch'),
    ],
  ] as const;
  return charts.map(([title, caption, series, name]) =>
    figure(context, {
      title,
      caption,
      chart: (label) => batchesChart(label, points, series, { series: name, batch: say('Batch') }),
      data,
    }),
  );
}

/** Duration of a run, including pauses and interruptions; 0 if it has not finished. */
const msOf = ({ startedAt, filledAt }: RunRecord): number =>
  filledAt === null ? 0 : Date.parse(filledAt) - Date.parse(startedAt);

const rate = (run: RunRecord): string =>
  msOf(run) > 0 ? count(Math.round((run.rowsScanned * 1000) / msOf(run))) : '';
