import { duration } from '../../format.js';
import { type CheckText, checkText } from '../check-lines.js';
import type { BackfillFacts } from '../collect.js';
import { type Html, html } from '../html.js';
import { badge, code, type RenderContext } from './section.js';

/** The checks of a backfill, each with its verdict, or why there are none. */
export function checksSection(
  { step, verification, verifyError }: BackfillFacts,
  context: RenderContext,
): Html {
  const { words, translate } = context;
  if (!verification) {
    if (verifyError === undefined || verifyError.code === 'STEP_NOT_APPLIED')
      return html`<h3>${words.verification}</h3><p>${words.notApplied}</p>`;
    return html`<h3>${words.verification}</h3>
<p>${words.notVerified} ${code(verifyError.code)} <span lang="${words.locale}">${translate(verifyError.message)}${translate('.')}</span></p>
`;
  }
  const texts = verification.checks.map((check) => checkText(check, step, words));
  return html`<h3>${words.verification}</h3>
<p>${words.verifiedIn(duration(verification.durationMs))}</p>
<ul class="checks">
${texts.map((text) => checkItem(text, context))}</ul>
`;
}

function checkItem({ title, verdict, lines, fix }: CheckText, { words, toRunnable }: RenderContext): Html {
  const items = lines.map((line) => {
    const mark = line.verdict === 'pass' ? undefined : html`${badge(line.verdict, words)} `;
    const keys = line.keys ? html` <small>(${words.keys(line.keys.join(words.comma))})</small>` : undefined;
    return html`<li>${mark}${line.text}${keys}</li>`;
  });
  const command = fix?.command === undefined ? undefined : code(toRunnable(fix.command));
  return html`<li class="check"><strong>${title}</strong><span>${badge(verdict, words)}</span><div><ul>${items}</ul>${
    fix ? html`<p class="mend">${fix.text} ${command}</p>` : undefined
  }</div></li>
`;
}
