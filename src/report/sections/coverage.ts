import { count } from '../../format.js';
import { percent } from '../../verify/check.js';
import { groupName } from '../../verify/scan.js';
import { coverageChart } from '../charts/coverage.js';
import type { BackfillFacts } from '../collect.js';
import type { RenderContext } from '../context.js';
import { type Html, html, isolateBidi } from '../html.js';
import { figure, number, table } from '../table.js';

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
  const { say } = context;
  const check = verification?.checks.find(({ id }) => id === 'groups');
  if (!check) return undefined;
  const { groups } = check.stats as { readonly groups: readonly Group[] };
  const columns = step.columns.map(({ name }) => name);
  const { groupBy } = step.checks;
  const title = groupBy === undefined ? say('Coverage') : say('Coverage by {column}', { column: groupBy });
  if (groups.length === 0) return html`<h3>${title}</h3><p>${say('No row is in scope.')}</p>`;
  const nameOf = (group: Group): string => {
    const name = groupName(group.name, groupBy);
    return typeof name === 'string' ? name : context.translate(name);
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
  return html`<h3>${title}</h3>
${figure(context, {
  title,
  caption,
  chart: (label) => coverageChart(label, bars),
  data: table(
    [
      { title: groupBy ?? say('Rows') },
      number(say('Rows')),
      ...columns.flatMap((column) => [number(say('Filled in {column}', { column })), number(say('Share'))]),
    ],
    byRows.map((group) => [
      isolateBidi(nameOf(group)),
      count(group.total),
      ...columns.flatMap((column) => {
        const filled = group.filled[column] ?? 0;
        return [count(filled), `${percent(filled, group.total)}%`];
      }),
    ]),
    title,
  ),
})}`;
}
