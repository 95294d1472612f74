import { scrub } from '../secrets.js';
import { visible } from '../visible.js';

/** Safe markup, made by {@link html} or by a library that escapes. */
export class Html {
  readonly text: string;

  /** @param text escaped markup */
  constructor(text: string) {
    this.text = text;
  }
}

/** Contents of a template: markup is inserted as it is, texts and numbers escaped, lists item by item, undefined as nothing. */
export type Content = Html | string | number | undefined | readonly Content[];

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

/** Returns text without passwords, and with escapes for invisible characters and those that HTML does not allow. */
export const cleanText = (text: string): string => visible(scrub(text));

/** Escapes text for use between tags and in quoted attributes. */
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
 * Renders a template of markup. Contents are escaped, unless they are markup.
 *
 * @example
 * html`<td title="${name}">${name}</td>`;
 */
export function html(strings: TemplateStringsArray, ...contents: readonly Content[]): Html {
  return new Html(strings.reduce((text, part, i) => text + render(contents[i - 1]) + part));
}

/** Isolates text from the store, so that its writing direction does not affect the text around it. */
export const isolateBidi = (text: string): Html => html`<bdi>${text}</bdi>`;
