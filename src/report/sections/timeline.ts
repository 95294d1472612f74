import { duration, instantUtc } from '../../format.js';
import type { PlainText } from '../../messages/message.js';
import { type TimelineEvent, timelineChart } from '../charts/timeline.js';
import type { ReportFacts } from '../collect.js';
import { badge, type RenderContext } from '../context.js';
import { type Html, html } from '../html.js';
import { figure, number, table, whole } from '../table.js';

/** Renders the times of commands, steps, runs and verdicts, as a chart and in tables. */
export function timelineSection(facts: ReportFacts, context: RenderContext): Html {
  const { say } = context;
  const events = eventsOf(facts, context);
  const title = say('Timeline');
  const caption = say('Times of commands, steps, runs and recorded verdicts.');
  const chart =
    events.length === 0
      ? html`<p>${say('No command has changed this store yet.')}</p>`
      : figure(context, {
          title,
          caption,
          chart: (label) => timelineChart(label, events),
          data: html`${commandsTable(facts, context)}${verdictsTable(facts, context)}`,
        });
  return html`<section><h2>${title}</h2>
<h3>${say('Steps')}</h3>
${stepsTable(facts, context)}${chart}</section>
`;
}

/** Events further ahead than this have a wrong clock, and would squeeze all others. */
const YEAR_MS = 365 * 86_400_000;

function eventsOf(
  { steps, backfills, commands, generatedAt }: ReportFacts,
  { say }: RenderContext,
): TimelineEvent[] {
  const event = (
    lane: string,
    color: TimelineEvent['color'],
    start: string,
    end: string | null = null,
  ): TimelineEvent => ({ lane, color, startMs: Date.parse(start), endMs: Date.parse(end ?? start) });
  const laneOf = (name: string, kind: string): string => (backfills.length === 1 ? kind : `${name} ${kind}`);
  const events = [
    ...commands.map(({ startedAt }) => event(say('commands'), 'series-3', startedAt)),
    ...steps.flatMap(({ name, record }) =>
      record ? [event(name, 'series-1', record.startedAt, record.appliedAt)] : [],
    ),
    ...backfills.flatMap(({ step: { name }, runs, verdicts }) => [
      ...runs.map(({ startedAt, filledAt }) =>
        event(laneOf(name, say('runs')), 'series-2', startedAt, filledAt),
      ),
      ...verdicts.map(({ verdict, verifiedAt }) => event(laneOf(name, say('verdicts')), verdict, verifiedAt)),
    ]),
  ];
  return events.filter(({ startMs, endMs }) => startMs <= endMs && endMs <= generatedAt.getTime() + YEAR_MS);
}

const STEP_KINDS: ReadonlyMap<string, PlainText> = new Map<string, PlainText>([
  ['schema', 'schema'],
  ['sql', 'SQL statements'],
  ['backfill', 'backfill'],
  ['require', 'requirement'],
]);

function stepsTable({ steps }: ReportFacts, { say }: RenderContext): Html {
  return table(
    [
      { title: say('Step') },
      whole(say('Kind')),
      whole(say('Status')),
      whole(say('Started')),
      whole(say('Finished')),
      number(say('Took')),
    ],
    steps.map(({ name, kind, record }) => {
      const known = STEP_KINDS.get(kind);
      return [
        name,
        known ? say(known) : kind,
        say(record?.status ?? 'pending'),
        record ? instantUtc(record.startedAt) : '',
        record?.appliedAt ? instantUtc(record.appliedAt) : '',
        record?.appliedAt ? duration(record.durationMs) : '',
      ];
    }),
    say('Steps'),
  );
}

function commandsTable({ commands }: ReportFacts, { say, list }: RenderContext): Html {
  const title = say('Commands that changed the store');
  return html`<h4>${title}</h4>
${table(
  [whole(say('Time')), { title: say('Command') }, { title: say('Steps') }],
  commands.map(({ command, steps, startedAt }) => [instantUtc(startedAt), command, list(steps)]),
  title,
)}`;
}

function verdictsTable({ backfills }: ReportFacts, context: RenderContext): Html {
  const { say } = context;
  const title = say('Recorded verdicts');
  const rows = backfills.flatMap(({ step, verdicts }) =>
    verdicts.map(({ verifiedAt, run, verdict }) => [
      instantUtc(verifiedAt),
      step.name,
      run,
      badge(verdict, context),
    ]),
  );
  return html`<h4>${title}</h4>
${table(
  [whole(say('Time')), { title: say('Backfill') }, number(say('Run')), { title: say('Verdict') }],
  rows,
  title,
)}`;
}
