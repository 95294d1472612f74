import { type Content, type Html, html } from './html.js';
import type { Messages } from './messages.js';

/** A column of a table: its heading, and whether it holds numbers, or what else is not to be broken into lines. */
export interface Column {
  readonly title: string;
  readonly isNumber?: boolean;
  readonly isWhole?: boolean;
}

/** A table that scrolls by itself where the page is too narrow for it. */
export function table(
  columns: readonly Column[],
  rows: readonly (readonly Content[])[],
  label: string,
): Html {
  const kind = ({ isNumber, isWhole }: Column): Content =>
    isNumber ? html` class="number"` : isWhole ? html` class="whole"` : undefined;
  const head = columns.map((column) => html`<th scope="col"${kind(column)}>${column.title}</th>`);
  const body = rows.map(
    (cells) =>
      html`<tr>${columns.map((column, i) => html`<td${kind(column)}>${cells[i]}</td>`)}</tr>
`,
  );
  return html`<div class="scroll" tabindex="0" role="region" aria-label="${label}"><table><thead><tr>${head}</tr></thead>
<tbody>
${body}</tbody></table></div>
`;
}

/** A chart with what it says in words, and all its figures in a table. */
export function figure(
  words: Messages,
  {
    title,
    caption,
    legend,
    chart,
    figures,
  }: {
    readonly title: string;
    readonly caption: Content;
    readonly legend?: readonly (readonly [series: string, name: string])[];
    readonly chart: Html;
    readonly figures: Html;
  },
): Html {
  const keys = legend?.map(
    ([series, name]) => html`<span class="legend"><span class="swatch ${series}"></span>${name}</span> `,
  );
  return html`<figure>
<figcaption><strong>${title}</strong> ${caption}</figcaption>
${keys ? html`<p class="legends">${keys}</p>` : undefined}
${chart}
<details><summary>${words.asTable}</summary>
${figures}</details>
</figure>
`;
}
