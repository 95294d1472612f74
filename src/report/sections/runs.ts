import { count, duration, instantUtc } from '../../format.js';
import type { RunRecord } from '../../ledger/records.js';
import { batchesChart } from '../charts/batches.js';
import type { BackfillFacts } from '../collect.js';
import { type Html, html } from '../html.js';
import { figure, table } from '../table.js';
import type { RenderContext } from './section.js';

/** The runs of a backfill, with throughput and batch size over its batches. */
export function runsSection(facts: BackfillFacts, { words }: RenderContext): Html {
  const { runs, runCount, points, batchCount } = facts;
  if (runs.length === 0) return html`<h3>${words.runs}</h3><p>${words.noRuns}</p>`;
  const number = (title: string) => ({ title, isNumber: true });
  const omitted = runCount - runs.length;
  const all = table(
    [
      number(words.run),
      { title: words.kind, isWhole: true },
      { title: words.status, isWhole: true },
      { title: words.startedAt, isWhole: true },
      number(words.took),
      number(words.batches),
      number(words.rowsRead),
      number(words.cellsFilled),
      number(words.cellsSkipped),
      number(words.rowsPerSecond),
    ],
    runs.map((run) => [
      run.run,
      words.runKinds[run.kind],
      words.runStatuses[run.status],
      instantUtc(run.startedAt),
      msOf(run) > 0 ? duration(msOf(run)) : '',
      count(run.batches),
      count(run.rowsScanned),
      count(run.cellsFilled),
      count(run.cellsSkipped),
      rate(run),
    ]),
    words.runs,
  );
  const names = { batch: words.batchNumber, run: words.run };
  const figures = table(
    [
      number(words.batchNumber),
      number(words.run),
      { title: words.endedAt, isWhole: true },
      number(words.rows),
      number(words.rowsPerSecond),
      number(words.rowsPerBatch),
    ],
    points.map((point) => [
      point.firstBatch === point.lastBatch ? point.lastBatch : `${point.firstBatch}–${point.lastBatch}`,
      point.run,
      instantUtc(point.committedAt),
      count(point.rows),
      count(point.rowsPerSecond),
      count(point.rowsPerBatch),
    ]),
    words.throughput,
  );
  const charts = [
    [words.throughput, words.throughputChart, 'rowsPerSecond', words.rowsPerSecond],
    [words.batchSize, words.batchSizeChart, 'rowsPerBatch', words.rowsPerBatch],
  ] as const;
  return html`<h3>${words.runs}</h3>
${omitted > 0 ? html`<p>${words.earlierLeftOut(count(omitted))}</p>` : undefined}${all}
${
  batchCount === 0
    ? undefined
    : charts.map(([title, caption, figureName, name]) =>
        figure(words, {
          title,
          caption,
          chart: batchesChart(`${title}. ${caption}`, points, figureName, { ...names, figure: name }),
          figures,
        }),
      )
}`;
}

/** How long a run took, pauses and the time between two processes and all; 0 when it has not ended. */
const msOf = ({ startedAt, filledAt }: RunRecord): number =>
  filledAt === null ? 0 : Date.parse(filledAt) - Date.parse(startedAt);

const rate = (run: RunRecord): string =>
  msOf(run) > 0 ? count(Math.round((run.rowsScanned * 1000) / msOf(run))) : '';
