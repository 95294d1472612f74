import { scrub } from '../secrets.js';
import { visible } from '../visible.js';

/** Markup that is safe as it stands: made by {@link html}, or by a library that escapes. */
export class Html {
  readonly text: string;

  /** @param text markup; whoever makes it answers for it */
  constructor(text: string) {
    this.text = text;
  }
}

/** What may stand in a template: markup as it is, text and numbers escaped, lists one behind the other, nothing for nothing. */
export type Content = Html | string | number | undefined | readonly Content[];

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

/** Text without passwords, and with escapes for what HTML has no place for and for what a reader would not see. */
export const cleanText = (text: string): string => visible(scrub(text));

/** Text as it may stand between tags and in a quoted attribute. */
export function escapeText(text: string): string {
  return cleanText(text).replace(/[&<>"']/g, (sign) => ENTITIES[sign] ?? sign);
}

function render(content: Content): string {
  if (content === undefined) return '';
  if (content instanceof Html) return content.text;
  if (typeof content === 'string' || typeof content === 'number') return escapeText(String(content));
  return content.map(render).join('');
}

/**
 * A template of markup: what is put into it is escaped, unless it is markup itself.
 *
 * @example
 * html`<td title="${name}">${name}</td>`;
 */
export function html(strings: TemplateStringsArray, ...contents: readonly Content[]): Html {
  return new Html(strings.reduce((text, part, i) => text + render(contents[i - 1]) + part));
}

/** Text of the store: set apart, so that its direction of writing does not turn what stands around it. */
export const isolateBidi = (text: string): Html => html`<bdi>${text}</bdi>`;
