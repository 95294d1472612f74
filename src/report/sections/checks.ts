import { duration } from '../../format.js';
import { checkText } from '../check-lines.js';
import type { BackfillFacts } from '../gather.js';
import { type Html, html } from '../html.js';
import { table } from '../table.js';
import { badge, code, type Making } from './section.js';

/** The checks of a backfill, each with its verdict, or why there are none. */
export function checksSection({ step, verification, refusal }: BackfillFacts, { words, tell }: Making): Html {
  if (!verification) {
    if (refusal === undefined || refusal.code === 'STEP_NOT_APPLIED')
      return html`<h3>${words.verification}</h3><p>${words.notApplied}</p>`;
    return html`<h3>${words.verification}</h3>
<p>${words.notVerified} ${code(refusal.code)} <span lang="en">${refusal.message}.</span></p>
`;
  }
  const texts = verification.checks.map((check) => checkText(check, step, words));
  const rows = texts.map(({ title, verdict, lines, mend }) => [
    html`<strong>${title}</strong>`,
    badge(verdict, words),
    html`<ul>${lines.map(
      (line) =>
        html`<li>${line.verdict === 'pass' ? undefined : badge(line.verdict, words)} ${line.text}${
          line.keys ? html` <small>(${words.keys(line.keys.join(words.comma))})</small>` : undefined
        }</li>`,
    )}</ul>${
      mend
        ? html`<p class="mend">${mend.text} ${mend.command === undefined ? undefined : code(tell(mend.command))}</p>`
        : undefined
    }`,
  ]);
  return html`<h3>${words.verification}</h3>
<p>${words.verifiedIn(duration(verification.durationMs))}</p>
${table(
  [{ title: words.check }, { title: words.verdict }, { title: words.finding }],
  rows,
  words.verification,
)}`;
}
