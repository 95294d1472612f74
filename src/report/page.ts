import { bytes } from '../format.js';
import { type Verdict, worstVerdict } from '../verify/check.js';
import type { BackfillFacts, ReportFacts } from './collect.js';
import { badge, facts, type RenderContext, type ToRunnable } from './context.js';
import { page, pageHeader } from './document.js';
import { type Html, html, isolateBidi } from './html.js';
import { checksSection } from './sections/checks.js';
import { coverageSection } from './sections/coverage.js';
import { lagSection } from './sections/lag.js';
import { runsSection } from './sections/runs.js';
import { skipsSection } from './sections/skips.js';
import { timelineSection } from './sections/timeline.js';

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
${facts([
  [say('Table'), step.table],
  [say('Key'), step.key],
  [say('Columns filled'), list(step.columns.map(({ name }) => name))],
])}
${sections.map((section) => section(found, context, toRunnable))}</section>
`;
}
