import { duration } from '../../format.js';
import { type CheckText, checkText } from '../check-lines.js';
import type { BackfillFacts } from '../gather.js';
import { type Html, html } from '../html.js';
import { badge, code, type Making } from './section.js';

/** The checks of a backfill, each with its verdict, or why there are none. */
export function checksSection({ step, verification, refusal }: BackfillFacts, making: Making): Html {
  const { words, say } = making;
  if (!verification) {
    if (refusal === undefined || refusal.code === 'STEP_NOT_APPLIED')
      return html`<h3>${words.verification}</h3><p>${words.notApplied}</p>`;
    return html`<h3>${words.verification}</h3>
<p>${words.notVerified} ${code(refusal.code)} <span lang="${words.locale}">${say(refusal.message)}${say('.')}</span></p>
`;
  }
  const texts = verification.checks.map((check) => checkText(check, step, words));
  return html`<h3>${words.verification}</h3>
<p>${words.verifiedIn(duration(verification.durationMs))}</p>
<ul class="checks">
${texts.map((text) => checkItem(text, making))}</ul>
`;
}

function checkItem({ title, verdict, lines, mend }: CheckText, { words, tell }: Making): Html {
  const items = lines.map((line) => {
    const mark = line.verdict === 'pass' ? undefined : html`${badge(line.verdict, words)} `;
    const keys = line.keys ? html` <small>(${words.keys(line.keys.join(words.comma))})</small>` : undefined;
    return html`<li>${mark}${line.text}${keys}</li>`;
  });
  const command = mend?.command === undefined ? undefined : code(tell(mend.command));
  return html`<li class="check"><strong>${title}</strong><span>${badge(verdict, words)}</span><div><ul>${items}</ul>${
    mend ? html`<p class="mend">${mend.text} ${command}</p>` : undefined
  }</div></li>
`;
}
