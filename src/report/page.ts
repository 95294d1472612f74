import { bytes, count, duration } from '../format.js';
import type { PlainText } from '../messages/message.js';
import { type CheckFinding, type CheckResult, type Verdict, worstVerdict } from '../verify/check.js';
import type { BackfillFacts, ReportFacts } from './collect.js';
import { coverageSection } from './coverage.js';
import { page, pageHeader } from './document.js';
import { badge, code, factList, number, type RenderContext, type ToRunnable, table } from './elements.js';
import { type Html, html, isolateBidi } from './html.js';
import { lagSection } from './lag.js';
import { runsSection } from './runs.js';
import { timelineSection } from './timeline.js';

/** Renders the page about one store. */
export function storePage(found: ReportFacts, context: RenderContext, toRunnable: ToRunnable): string {
  const { say } = context;
  const title = say('Backfill report');
  const items = [
    [say('Verdict'), badge(overallVerdict(found), context)],
    [say('Store'), isolateBidi(found.path)],
    [say('Size'), bytes(found.storeBytes)],
  ] as const;
  return page(
    title,
    html`${pageHeader(title, items, found.generatedAt, context)}
${found.backfills.length === 0 ? html`<p>${say('The project has no backfill.')}</p>` : undefined}
${found.backfills.map((backfill) => backfillSection(backfill, context, toRunnable))}
${timelineSection(found, context)}`,
    context,
  );
}

/** Returns the worst verdict; `none` if a backfill is not verified, unless another one failed. */
function overallVerdict({ backfills }: ReportFacts): Verdict | 'none' {
  const verdict = worstVerdict(backfills.flatMap(({ verification }) => verification?.verdict ?? []));
  const isComplete = backfills.length > 0 && backfills.every(({ verification }) => verification);
  return isComplete || verdict === 'fail' ? verdict : 'none';
}

function backfillSection(found: BackfillFacts, context: RenderContext, toRunnable: ToRunnable): Html {
  const { say, list } = context;
  const { step, verification } = found;
  const sections = [checksSection, coverageSection, lagSection, runsSection, skipsSection];
  return html`<section>
<h2>${step.name} ${badge(verification?.verdict ?? 'none', context)}</h2>
${factList([
  [say('Table'), step.table],
  [say('Key'), step.key],
  [say('Columns filled'), list(step.columns.map(({ name }) => name))],
])}
${sections.map((section) => section(found, context, toRunnable))}</section>
`;
}

/** Maximum number of findings of a check that passed which are shown unfolded. */
const MAX_UNFOLDED = 8;

/** Renders the checks of a backfill with their findings, or the reason why there are none. */
function checksSection(
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

const REASONS: ReadonlyMap<string, PlainText> = new Map<string, PlainText>([
  ['DOCUMENT_UNREADABLE', 'the document cannot be read as JSON'],
  ['NO_USABLE_VALUE', 'neither the document nor the fallback has a usable value'],
  ['UPDATE_IGNORED', 'a trigger kept the cell from being filled'],
  ['VALUE_INVALID', 'the store cannot hold the value'],
]);

/** Renders the skips by reason, with keys. */
function skipsSection({ skips }: BackfillFacts, context: RenderContext, toRunnable: ToRunnable): Html {
  const { say, list } = context;
  const title = say('Skips');
  if (skips.length === 0) return html`<h3>${title}</h3><p>${say('Nothing was skipped.')}</p>`;
  const meaningOf = (reason: string): string => {
    if (/^(?:SQLITE|POSTGRES)_/.test(reason)) return say('the database rejected the update with this code');
    const meaning = REASONS.get(reason);
    return meaning ? say(meaning) : '';
  };
  const keysOf = ({ count: all, first }: BackfillFacts['skips'][number]): Html => {
    const keys = first.map(({ key, target }) => (target === '*' ? String(key) : `${key} (${target})`));
    const more = all - first.length;
    if (more > 0)
      keys.push(toRunnable(say('and {rows} more, listed by: umzug-backfill skips', { rows: count(more) })));
    return html`<details><summary>${say('Keys')}</summary><p class="keys">${list(keys)}</p></details>`;
  };
  return html`<h3>${title}</h3>
${table(title, skips, [
  { title: say('Reason'), cell: ({ reason }) => html`${code(reason)} ${meaningOf(reason)}` },
  number(say('Count'), (group) => count(group.count)),
  { title: say('Keys'), cell: keysOf },
])}`;
}
