import type { Translate } from '../../messages/lang.js';
import type { Verdict } from '../../verify/check.js';
import { type Html, html } from '../html.js';
import type { Messages } from '../messages.js';

/** What a section of a report is made with. */
export interface RenderContext {
  readonly words: Messages;
  /** Says a text of an error in the words' language. */
  readonly translate: Translate;
  /** Makes of a command that a hint names one that runs as it stands. */
  readonly toRunnable: (command: string) => string;
}

/** A verdict as a word, which is coloured besides. */
export const badge = (verdict: Verdict | 'none', { verdicts }: Messages): Html =>
  html`<span class="badge ${verdict}">${verdicts[verdict]}</span>`;

/** A command, to be copied. */
export const code = (text: string): Html => html`<code>${text}</code>`;
