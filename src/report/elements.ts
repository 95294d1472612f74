import { type Lang, loadTranslator, type Translate } from '../messages/lang.js';
import { type MessageText, msg, type PlainText, type ValuesOf } from '../messages/message.js';
import type { Verdict } from '../verify/check.js';
import { type Content, type Html, html } from './html.js';

/** The language of a page, and functions that render in it. */
export interface RenderContext {
  readonly lang: Lang;
  readonly translate: Translate;
  /** Renders a text of the catalogue. */
  readonly say: <Text extends MessageText>(text: Text, ...values: ValuesOf<Text>) => string;
  /** Renders a list of names or keys. */
  readonly list: (items: readonly string[]) => string;
}

/** Returns the context of a page in a language. */
export async function renderContext(lang: Lang): Promise<RenderContext> {
  const translate = await loadTranslator(lang);
  const say: RenderContext['say'] = (text, ...values) => translate(msg(text, ...values));
  return { lang, translate, say, list: (items) => items.join(say(', ')) };
}

/** Makes the commands of a text runnable, with the store and the folder of its backups. */
export type ToRunnable = (text: string) => string;

const VERDICTS: Readonly<Record<Verdict | 'none', PlainText>> = {
  pass: 'pass',
  warn: 'warn',
  fail: 'fail',
  none: 'unverified',
};

/** Renders a verdict, which also has a color. */
export const badge = (verdict: Verdict | 'none', { say }: RenderContext): Html =>
  html`<span class="badge ${verdict}">${say(VERDICTS[verdict])}</span>`;

/** Renders a code or a command. */
export const code = (text: string): Html => html`<code>${text}</code>`;

/** Names with their values. */
export type Facts = readonly (readonly [name: string, value: Html | string])[];

/** Renders names with their values. */
export const factList = (facts: Facts): Html =>
  html`<dl>${facts.map(([name, value]) => html`<div><dt>${name}</dt><dd>${value}</dd></div>`)}</dl>`;

/** A column of a table: its title, and its cell in a row. Cells of a `number` or `whole` column are not broken into lines. */
export interface Column<Row> {
  readonly title: string;
  readonly cell: (row: Row) => Content;
  readonly kind?: 'number' | 'whole';
}

/** Returns a column of numbers, aligned at their end. */
export const number = <Row>(title: string, cell: Column<Row>['cell']): Column<Row> => ({
  title,
  cell,
  kind: 'number',
});

/** Returns a column of texts that are not broken into lines. */
export const whole = <Row>(title: string, cell: Column<Row>['cell']): Column<Row> => ({
  title,
  cell,
  kind: 'whole',
});

/** Renders a table. It scrolls by itself where the page is too narrow. */
export function table<Row>(label: string, rows: readonly Row[], columns: readonly Column<Row>[]): Html {
  const classOf = ({ kind }: Column<Row>): Content => (kind ? html` class="${kind}"` : undefined);
  const head = columns.map((column) => html`<th scope="col"${classOf(column)}>${column.title}</th>`);
  const body = rows.map(
    (row) => html`<tr>${columns.map((column) => html`<td${classOf(column)}>${column.cell(row)}</td>`)}</tr>
`,
  );
  return html`<div class="scroll" tabindex="0" role="region" aria-label="${label}"><table><thead><tr>${head}</tr></thead>
<tbody>
${body}</tbody></table></div>
`;
}

/** A chart with its caption, its legend, and its data as a table. Title and caption are the chart's label for screen readers. */
export interface Figure {
  readonly title: string;
  readonly caption: string;
  readonly legend?: readonly (readonly [series: string, name: string])[];
  readonly chart: (label: string) => Html;
  readonly data: Html;
}

/** Renders a figure. */
export function figure({ title, caption, legend, chart, data }: Figure, { say }: RenderContext): Html {
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
