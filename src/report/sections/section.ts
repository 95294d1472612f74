import type { Verdict } from '../../verify/check.js';
import type { Say } from '../../words/lang.js';
import { type Html, html } from '../html.js';
import type { Words } from '../words.js';

/** What a section of a report is made with. */
export interface Making {
  readonly words: Words;
  /** Says a text of an error in the words' language. */
  readonly say: Say;
  /** Makes of a command that a hint names one that runs as it stands. */
  readonly tell: (command: string) => string;
}

/** A verdict as a word, which is coloured besides. */
export const badge = (verdict: Verdict | 'none', { verdicts }: Words): Html =>
  html`<span class="badge ${verdict}">${verdicts[verdict]}</span>`;

/** A command, to be copied. */
export const code = (text: string): Html => html`<code>${text}</code>`;
