import { type Lang, loadTranslator, type Translate } from '../messages/lang.js';
import { type MessageText, msg, type PlainText, type ValuesOf } from '../messages/message.js';
import type { Verdict } from '../verify/check.js';
import { type Html, html } from './html.js';

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

/** Renders names with their values. */
export const facts = (items: readonly (readonly [name: string, value: Html | string])[]): Html =>
  html`<dl>${items.map(([name, value]) => html`<div><dt>${name}</dt><dd>${value}</dd></div>`)}</dl>`;
