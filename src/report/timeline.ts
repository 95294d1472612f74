import * as Plot from '@observablehq/plot';
import { duration, instantUtc } from '../format.js';
import type { PlainText } from '../messages/message.js';
import type { ReportFacts } from './collect.js';
import { draw, nameAxis, timeAxis } from './draw.js';
import { badge, figure, number, type RenderContext, table, whole } from './elements.js';
import { type Html, html } from './html.js';

/** Renders the times of commands, steps, runs and verdicts, as a chart and in tables. */
export function timelineSection(facts: ReportFacts, context: RenderContext): Html {
  const { say } = context;
  const events = eventsOf(facts, context);
  const title = say('Timeline');
  const caption = say('Times of commands, steps, runs and recorded verdicts.');
  const chart = (label: string): Html => timelineChart(label, events);
  const data = html`${commandsTable(facts, context)}${verdictsTable(facts, context)}`;
  const body =
    events.length === 0
      ? html`<p>${say('No command has changed this store yet.')}</p>`
      : figure({ title, caption, chart, data }, context);
  return html`<section><h2>${title}</h2>
<h3>${say('Steps')}</h3>
${stepsTable(facts, context)}${body}</section>
`;
}

/** A period, or an instant if both times are equal. */
interface TimelineEvent {
  readonly lane: string;
  readonly color: 'series-1' | 'series-2' | 'series-3' | 'pass' | 'warn' | 'fail';
  readonly startMs: number;
  readonly endMs: number;
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

/** Draws a lane for each kind of event, over time. */
function timelineChart(label: string, events: readonly TimelineEvent[]): Html {
  const lanes = [...new Set(events.map(({ lane }) => lane))];
  const ids = lanes.map((_, i) => String(i));
  const data = events.map((event) => ({
    id: String(lanes.indexOf(event.lane)),
    start: new Date(event.startMs),
    end: new Date(event.endMs),
    color: `var(--${event.color})`,
  }));
  const minMs = Math.min(...events.map(({ startMs }) => startMs));
  const maxMs = Math.max(...events.map(({ endMs }) => endMs));
  const marginMs = Math.max((maxMs - minMs) * 0.03, 500);
  return draw(label, (format) => {
    const { width, isNarrow } = format;
    const { marginLeft, axis } = nameAxis(lanes, format);
    return {
      height: lanes.length * 30 + 54,
      marginTop: 6,
      marginLeft,
      marginRight: 44,
      marginBottom: 44,
      x: { type: 'utc', domain: [new Date(minMs - marginMs), new Date(maxMs + marginMs)], label: null },
      y: { type: 'band', domain: ids, label: null },
      marks: [
        timeAxis(isNarrow ? 2 : Math.floor(width / 140), maxMs - minMs + 2 * marginMs),
        axis,
        Plot.gridY(ids),
        Plot.ruleY(data, {
          y: 'id',
          x1: 'start',
          x2: 'end',
          stroke: 'color',
          strokeWidth: 8,
          strokeOpacity: 0.45,
          strokeLinecap: 'round',
        }),
        Plot.dot(data, { y: 'id', x: 'start', fill: 'color', r: 4.5 }),
      ],
      color: { type: 'identity' },
    };
  });
}

const STEP_KINDS: ReadonlyMap<string, PlainText> = new Map<string, PlainText>([
  ['schema', 'schema'],
  ['sql', 'SQL statements'],
  ['backfill', 'backfill'],
  ['require', 'requirement'],
]);

const stepsTable = ({ steps }: ReportFacts, { say }: RenderContext): Html =>
  table(say('Steps'), steps, [
    { title: say('Step'), cell: ({ name }) => name },
    whole(say('Kind'), ({ kind }) => {
      const known = STEP_KINDS.get(kind);
      return known ? say(known) : kind;
    }),
    whole(say('Status'), ({ record }) => say(record?.status ?? 'pending')),
    whole(say('Started'), ({ record }) => record && instantUtc(record.startedAt)),
    whole(say('Finished'), ({ record }) => (record?.appliedAt ? instantUtc(record.appliedAt) : '')),
    number(say('Took'), ({ record }) => (record?.appliedAt ? duration(record.durationMs) : '')),
  ]);

function commandsTable({ commands }: ReportFacts, { say, list }: RenderContext): Html {
  const title = say('Commands that changed the store');
  return html`<h4>${title}</h4>
${table(title, commands, [
  whole(say('Time'), ({ startedAt }) => instantUtc(startedAt)),
  { title: say('Command'), cell: ({ command }) => command },
  { title: say('Steps'), cell: ({ steps }) => list(steps) },
])}`;
}

function verdictsTable({ backfills }: ReportFacts, context: RenderContext): Html {
  const { say } = context;
  const title = say('Recorded verdicts');
  const rows = backfills.flatMap(({ step: { name }, verdicts }) =>
    verdicts.map((verdict) => ({ name, ...verdict })),
  );
  return html`<h4>${title}</h4>
${table(title, rows, [
  whole(say('Time'), ({ verifiedAt }) => instantUtc(verifiedAt)),
  { title: say('Backfill'), cell: ({ name }) => name },
  number(say('Run'), ({ run }) => run),
  { title: say('Verdict'), cell: ({ verdict }) => badge(verdict, context) },
])}`;
}
