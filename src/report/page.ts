import { bytes, instant } from '../format.js';
import { type Verdict, worstVerdict } from '../verify/check.js';
import type { BackfillFacts, ReportFacts } from './collect.js';
import { page } from './document.js';
import { type Html, html, isolateBidi } from './html.js';
import { checksSection } from './sections/checks.js';
import { coverageSection } from './sections/coverage.js';
import { lagSection } from './sections/lag.js';
import { runsSection } from './sections/runs.js';
import { badge, type RenderContext } from './sections/section.js';
import { skipsSection } from './sections/skips.js';
import { timelineSection } from './sections/timeline.js';

/** The page about one store. */
export function storePage(facts: ReportFacts, context: RenderContext): string {
  const { words } = context;
  return page(
    words.title,
    html`${header(facts, context)}
${facts.backfills.length === 0 ? html`<p>${words.noBackfills}</p>` : undefined}
${facts.backfills.map((backfill) => backfillSection(backfill, context))}
${timelineSection(facts, context)}`,
    words,
  );
}

function header(facts: ReportFacts, { words }: RenderContext): Html {
  const items: readonly (readonly [string, Html | string])[] = [
    [words.overall, badge(overall(facts), words)],
    [words.store, isolateBidi(facts.path)],
    [words.storeSize, bytes(facts.storeBytes)],
    [words.generatedAt, instant(facts.generatedAt)],
    [words.generatedBy, `umzug-backfill ${facts.packageVersion}`],
  ];
  return html`<header>
<h1>${words.title}</h1>
<dl>${items.map(([name, value]) => html`<div><dt>${name}</dt><dd>${value}</dd></div>`)}</dl>
<p>${words.timesAreUtc}</p>
</header>`;
}

/** The gravest verdict; that there is none as long as a backfill is not verified, unless another has failed. */
function overall({ backfills }: ReportFacts): Verdict | 'none' {
  const verdict = worstVerdict(backfills.flatMap(({ verification }) => verification?.verdict ?? []));
  const isComplete = backfills.length > 0 && backfills.every(({ verification }) => verification);
  return isComplete || verdict === 'fail' ? verdict : 'none';
}

function backfillSection(facts: BackfillFacts, context: RenderContext): Html {
  const { words } = context;
  const { step, verification } = facts;
  const items = [
    [words.table, step.table],
    [words.key, step.key],
    [words.columns, step.columns.map(({ name }) => name).join(words.comma)],
  ];
  return html`<section>
<h2>${step.name} ${badge(verification?.verdict ?? 'none', words)}</h2>
<dl>${items.map(([name, value]) => html`<div><dt>${name}</dt><dd>${value}</dd></div>`)}</dl>
${[checksSection, coverageSection, lagSection, runsSection, skipsSection].map((section) =>
  section(facts, context),
)}</section>
`;
}
