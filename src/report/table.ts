import type { RenderContext } from './context.js';
import { type Content, type Html, html } from './html.js';

/** A column of a table. Cells of a `number` or `whole` column are not broken into lines. */
export interface Column {
  readonly title: string;
  readonly kind?: 'number' | 'whole';
}

/** Returns a column of numbers, aligned at their end. */
export const number = (title: string): Column => ({ title, kind: 'number' });

/** Returns a column of texts that are not broken into lines. */
export const whole = (title: string): Column => ({ title, kind: 'whole' });

/** Renders a table. It scrolls by itself where the page is too narrow. */
export function table(
  columns: readonly Column[],
  rows: readonly (readonly Content[])[],
  label: string,
): Html {
  const classOf = ({ kind }: Column): Content => (kind ? html` class="${kind}"` : undefined);
  const head = columns.map((column) => html`<th scope="col"${classOf(column)}>${column.title}</th>`);
  const body = rows.map(
    (cells) =>
      html`<tr>${columns.map((column, i) => html`<td${classOf(column)}>${cells[i]}</td>`)}</tr>
`,
  );
  return html`<div class="scroll" tabindex="0" role="region" aria-label="${label}"><table><thead><tr>${head}</tr></thead>
<tbody>
${body}</tbody></table></div>
`;
}

/** Renders a chart with its caption, its legend, and its data as a table. Title and caption are its label for screen readers. */
export function figure(
  { say }: RenderContext,
  {
    title,
    caption,
    legend,
    chart,
    data,
  }: {
    readonly title: string;
    readonly caption: string;
    readonly legend?: readonly (readonly [series: string, name: string])[];
    readonly chart: (label: string) => Html;
    readonly data: Html;
  },
): Html {
  const keys = legend?.map(
    ([series, name]) => html`<span class="legend"><span class="swatch ${series}"></span>${name}</span> `,
  );
  return html`<figure>
<figcaption><strong>${title}</strong> ${caption}</figcaption>
${keys ? html`<p class="legends">${keys}</p>` : undefined}
${chart(`${title}. ${caption}`)}
<details><summary>${say('Data table')}</summary>
${data}</details>
</figure>
`;
}
