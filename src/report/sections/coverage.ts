import { count } from '../../format.js';
import { percent } from '../../verify/check.js';
import { OTHER_GROUPS } from '../../verify/scan.js';
import { coverageChart } from '../charts/coverage.js';
import type { BackfillFacts } from '../collect.js';
import { type Html, html, isolateBidi } from '../html.js';
import { figure, table } from '../table.js';
import type { RenderContext } from './section.js';

/** At most this many groups are drawn, the most frequent ones; the table has all. */
const MAX_BARS = 24;

interface Group {
  readonly name: string;
  readonly total: number;
  readonly filled: Readonly<Record<string, number>>;
}

/** How much is filled, by the values of the column that the backfill groups by; else of all rows together. */
export function coverageSection(
  { step, verification }: BackfillFacts,
  { words }: RenderContext,
): Html | undefined {
  const check = verification?.checks.find(({ id }) => id === 'groups');
  if (!check) return undefined;
  const { groups } = check.stats as { readonly groups: readonly Group[] };
  const columns = step.columns.map(({ name }) => name);
  const title =
    step.checks.groupBy === undefined ? words.checks.coverage : words.coverageBy(step.checks.groupBy);
  if (groups.length === 0) return html`<h3>${title}</h3><p>${words.noRows}</p>`;
  const nameOf = ({ name }: Group): string => {
    if (step.checks.groupBy === undefined) return words.checks.groups(undefined);
    return name === OTHER_GROUPS ? words.otherGroups : name === '(NULL)' ? words.nullGroup : name;
  };
  const shareOf = ({ total, filled }: Group): number =>
    percent(
      columns.reduce((sum, column) => sum + (filled[column] ?? 0), 0),
      total * columns.length,
    );
  const byRows = [...groups].sort((a, b) => b.total - a.total);
  const bars = byRows.slice(0, MAX_BARS).map((group) => ({
    name: nameOf(group),
    percent: shareOf(group),
    label: words.shareOf(`${shareOf(group)}%`, count(group.total)),
  }));
  const caption = words.coverageChart(count(bars.length), count(groups.length));
  return html`<h3>${title}</h3>
${figure(words, {
  title,
  caption,
  chart: coverageChart(`${title}. ${caption}`, bars),
  figures: table(
    [
      { title: step.checks.groupBy ?? words.rows },
      { title: words.rows, isNumber: true },
      ...columns.flatMap((column) => [
        { title: words.filled(column), isNumber: true },
        { title: words.share, isNumber: true },
      ]),
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
