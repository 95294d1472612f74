import * as Plot from '@observablehq/plot';
import { count } from '../format.js';
import { percent } from '../verify/check.js';
import { groupName } from '../verify/facts.js';
import type { BackfillFacts } from './collect.js';
import { draw, nameAxis } from './draw.js';
import { figure, number, type RenderContext, table } from './elements.js';
import { type Html, html, isolateBidi } from './html.js';

/** Maximum number of groups in the chart, the most frequent ones; the table has all. */
const MAX_BARS = 24;

interface Group {
  readonly name: string;
  readonly total: number;
  readonly filled: Readonly<Record<string, number>>;
}

/** Renders the coverage by the values of `checks.groupBy`, or of all rows. */
export function coverageSection(
  { step, verification }: BackfillFacts,
  context: RenderContext,
): Html | undefined {
  const { say, translate } = context;
  const check = verification?.checks.find(({ id }) => id === 'groups');
  if (!check) return undefined;
  const { groups } = check.stats as { readonly groups: readonly Group[] };
  const columns = step.columns.map(({ name }) => name);
  const { groupBy } = step.checks;
  const title = groupBy === undefined ? say('Coverage') : say('Coverage by {column}', { column: groupBy });
  if (groups.length === 0) return html`<h3>${title}</h3><p>${say('No row is in scope.')}</p>`;
  const nameOf = (group: Group): string => {
    const name = groupName(group.name, groupBy);
    return typeof name === 'string' ? name : translate(name);
  };
  const shareOf = ({ total, filled }: Group): number =>
    percent(
      columns.reduce((sum, column) => sum + (filled[column] ?? 0), 0),
      total * columns.length,
    );
  const byRows = [...groups].sort((a, b) => b.total - a.total);
  const bars = byRows.slice(0, MAX_BARS).map((group) => {
    const share = shareOf(group);
    const label = say('{percent}% of {rows} rows', { percent: share, rows: count(group.total) });
    return { name: nameOf(group), percent: share, label };
  });
  const caption = say(
    'Filled cells, in percent of the cells to fill, for the {shown} most frequent of {all} values.',
    { shown: count(bars.length), all: count(groups.length) },
  );
  const chart = (label: string): Html => coverageChart(label, bars);
  const data = table(title, byRows, [
    { title: groupBy ?? say('Rows'), cell: (group) => isolateBidi(nameOf(group)) },
    number(say('Rows'), ({ total }) => count(total)),
    ...columns.flatMap((column) => [
      number<Group>(say('Filled in {column}', { column }), ({ filled }) => count(filled[column] ?? 0)),
      number<Group>(say('Share'), ({ filled, total }) => `${percent(filled[column] ?? 0, total)}%`),
    ]),
  ]);
  return html`<h3>${title}</h3>
${figure({ title, caption, chart, data }, context)}`;
}

/** Coverage of one group. */
interface Bar {
  readonly name: string;
  /** Filled part of the cells to fill, from 0 to 100. */
  readonly percent: number;
  /** Text after the bar on a wide page. */
  readonly label: string;
}

/** Draws a bar for each group, in percent. */
function coverageChart(label: string, bars: readonly Bar[]): Html {
  const data = bars.map((bar, i) => ({ ...bar, id: String(i) }));
  return draw(label, (format) => {
    const { isNarrow } = format;
    const { marginLeft, axis } = nameAxis(
      bars.map(({ name }) => name),
      format,
    );
    return {
      height: data.length * 24 + 40,
      marginTop: 6,
      marginLeft,
      marginRight: isNarrow ? 52 : 170,
      x: { domain: [0, 100], label: null },
      y: { type: 'band', domain: data.map(({ id }) => id), label: null, padding: 0.25 },
      marks: [
        axis,
        Plot.axisX({ ticks: isNarrow ? 2 : 5, tickFormat: (value: number) => `${value}%`, label: null }),
        Plot.barX(data, { y: 'id', x1: 0, x2: 100, fill: 'var(--track)' }),
        Plot.barX(data, { y: 'id', x1: 0, x2: 'percent', fill: 'var(--series-1)' }),
        Plot.text(data, {
          y: 'id',
          x: 100,
          text: isNarrow ? (bar: Bar) => `${bar.percent}%` : 'label',
          textAnchor: 'start',
          dx: 6,
          fill: 'currentColor',
        }),
      ],
    };
  });
}
