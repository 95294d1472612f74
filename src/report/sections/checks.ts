import { duration } from '../../format.js';
import type { CheckFinding, CheckResult } from '../../verify/check.js';
import type { BackfillFacts } from '../collect.js';
import { badge, code, type RenderContext, type ToRunnable } from '../context.js';
import { type Html, html } from '../html.js';

/** Maximum number of findings of a check that passed which are shown unfolded. */
const MAX_UNFOLDED = 8;

/** Renders the checks of a backfill with their findings, or the reason why there are none. */
export function checksSection(
  { verification, verifyError }: BackfillFacts,
  context: RenderContext,
  toRunnable: ToRunnable,
): Html {
  const { say, translate } = context;
  const heading = html`<h3>${say('Verification')}</h3>`;
  if (verification)
    return html`${heading}
<p>${say('Every row in scope was read, in {duration}.', { duration: duration(verification.durationMs) })}</p>
<ul class="checks">
${verification.checks.map((check) => checkItem(check, context, toRunnable))}</ul>
`;
  if (verifyError === undefined || verifyError.code === 'STEP_NOT_APPLIED')
    return html`${heading}<p>${say('Nothing to verify yet: the step is not applied, or only in part.')}</p>`;
  return html`${heading}
<p>${say('Verification was not possible:')} ${code(verifyError.code)} <span>${translate(verifyError.texts.message)}${say('.')}</span></p>
`;
}

function checkItem(
  { texts: { title, hint }, verdict, findings }: CheckResult,
  context: RenderContext,
  toRunnable: ToRunnable,
): Html {
  const { say, translate } = context;
  const items = html`<ul>${findings.map((found) => findingItem(found, context))}</ul>`;
  const isFolded = verdict === 'pass' && findings.length > MAX_UNFOLDED;
  return html`<li class="check"><strong>${translate(title)}</strong><span>${badge(verdict, context)}</span><div>${
    isFolded
      ? html`<details><summary>${say('{findings} findings', { findings: findings.length })}</summary>${items}</details>`
      : items
  }${hint ? html`<p class="hint">→ ${toRunnable(translate(hint))}</p>` : undefined}</div></li>
`;
}

function findingItem({ verdict, texts, sampleKeys: keys }: CheckFinding, context: RenderContext): Html {
  const { say, translate } = context;
  return html`<li>${verdict === 'pass' ? undefined : html`${badge(verdict, context)} `}${translate(texts.text)}${
    keys ? html` <small>${say('(keys {keys})', { keys })}</small>` : undefined
  }</li>`;
}
