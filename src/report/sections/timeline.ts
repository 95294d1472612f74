import { duration, instantUtc } from '../../format.js';
import type { Step } from '../../steps/step.js';
import { type TimelineEvent, timelineChart } from '../charts/timeline.js';
import type { ReportFacts } from '../collect.js';
import { type Html, html } from '../html.js';
import type { Messages } from '../messages.js';
import { figure, table } from '../table.js';
import { badge, type RenderContext } from './section.js';

/** When commands, steps, runs and verdicts were: drawn, and in tables. */
export function timelineSection(facts: ReportFacts, { words }: RenderContext): Html {
  const events = eventsOf(facts, words);
  const chart =
    events.length === 0
      ? undefined
      : figure(words, {
          title: words.timeline,
          caption: words.timelineChart,
          chart: timelineChart(`${words.timeline}. ${words.timelineChart}`, events),
          figures: html`${commandsTable(facts, words)}${verdictsTable(facts, words)}`,
        });
  return html`<section><h2>${words.timeline}</h2>
<h3>${words.steps}</h3>
${stepsTable(facts, words)}${chart ?? html`<p>${words.noCommands}</p>`}</section>
`;
}

function eventsOf(
  { steps, backfills, commands, generatedAt }: ReportFacts,
  words: Messages,
): TimelineEvent[] {
  const at = (time: string): number => Date.parse(time);
  const isOne = backfills.length === 1;
  const laneOf = (kind: 'run' | 'verification', name: string): string =>
    isOne ? words.events[kind] : `${name} ${words.events[kind]}`;
  const events = [
    ...commands.map(
      ({ startedAt }): TimelineEvent => ({
        lane: words.events.command,
        startMs: at(startedAt),
        endMs: at(startedAt),
        color: 'series-3',
      }),
    ),
    ...steps.flatMap(({ name, record }): TimelineEvent[] =>
      record
        ? [
            {
              lane: name,
              startMs: at(record.startedAt),
              endMs: at(record.appliedAt ?? record.startedAt),
              color: 'series-1',
            },
          ]
        : [],
    ),
    ...backfills.flatMap(({ step, runs, verdicts }): TimelineEvent[] => [
      ...runs.map(
        ({ startedAt, filledAt }): TimelineEvent => ({
          lane: laneOf('run', step.name),
          startMs: at(startedAt),
          endMs: filledAt === null ? at(startedAt) : at(filledAt),
          color: 'series-2',
        }),
      ),
      ...verdicts.map(
        ({ verdict, verifiedAt }): TimelineEvent => ({
          lane: laneOf('verification', step.name),
          startMs: at(verifiedAt),
          endMs: at(verifiedAt),
          color: verdict,
        }),
      ),
    ]),
  ];
  const isKnown = ({ startMs, endMs }: TimelineEvent): boolean =>
    startMs <= endMs && endMs <= generatedAt.getTime() + YEAR_MS;
  return events.filter(isKnown);
}

/** An entry of the ledger further ahead than this is no time that a chart could show. */
const YEAR_MS = 365 * 86_400_000;

function stepsTable({ steps }: ReportFacts, words: Messages): Html {
  return table(
    [
      { title: words.step },
      { title: words.kind, isWhole: true },
      { title: words.status, isWhole: true },
      { title: words.startedAt, isWhole: true },
      { title: words.endedAt, isWhole: true },
      { title: words.took, isNumber: true },
    ],
    steps.map(({ name, kind, record }) => [
      name,
      kind in words.stepKinds ? words.stepKinds[kind as Step['kind']] : kind, // of another version: as it is
      words.stepStatuses[record?.status ?? 'pending'],
      record ? instantUtc(record.startedAt) : '',
      record?.appliedAt ? instantUtc(record.appliedAt) : '',
      record?.appliedAt ? duration(record.durationMs) : '',
    ]),
    words.steps,
  );
}

function commandsTable({ commands }: ReportFacts, words: Messages): Html {
  return html`<h4>${words.commands}</h4>
${table(
  [{ title: words.time, isWhole: true }, { title: words.command }, { title: words.steps }],
  commands.map(({ command, steps, startedAt }) => [instantUtc(startedAt), command, steps.join(words.comma)]),
  words.commands,
)}`;
}

function verdictsTable({ backfills }: ReportFacts, words: Messages): Html {
  const rows = backfills.flatMap(({ step, verdicts }) =>
    verdicts.map(({ verifiedAt, run, verdict }) => [
      instantUtc(verifiedAt),
      step.name,
      run,
      badge(verdict, words),
    ]),
  );
  return html`<h4>${words.recordedVerdicts}</h4>
${table(
  [
    { title: words.time, isWhole: true },
    { title: words.backfill },
    { title: words.run, isNumber: true },
    { title: words.verdict },
  ],
  rows,
  words.recordedVerdicts,
)}`;
}
