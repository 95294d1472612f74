import type { Store } from '../db/connection.js';
import { mapEach } from '../each.js';
import { findIndex, hasIndex } from '../engine/inspect.js';
import type { IndexUse } from '../steps/checks.js';
import type { Backfill } from '../steps/define.js';
import type { Step } from '../steps/step.js';
import { type CheckFinding, type CheckResult, checkResult } from './check.js';

/**
 * Check 4: whether the store uses each index for the query it is for.
 *
 * An index that stands under another name with the same definition counts. One that it could use, while it prefers
 * another index of the store, is a warning: the query is served, but not by the index made for it.
 *
 * @param steps the project's steps: schema steps say how an index is defined
 */
export async function indexUse(
  store: Store,
  backfill: Backfill,
  steps: readonly Step[],
): Promise<CheckResult> {
  const uses = backfill.checks.indexes ?? [];
  const findings = await mapEach(uses, async (use) => await judge(store, backfill, use, steps));
  const figures = { indexes: uses.map(({ index }, i) => ({ index, verdict: findings[i]?.verdict })) };
  const nothing: CheckFinding[] = [{ verdict: 'pass', text: 'no index is asked for' }];
  const hint = remakeHint(store, uses, findings, steps);
  return checkResult('index-use', 'Index use', findings.length > 0 ? findings : nothing, figures, hint);
}

async function judge(
  store: Store,
  backfill: Backfill,
  use: IndexUse,
  steps: readonly Step[],
): Promise<CheckFinding> {
  const name = await standingName(store, backfill.table, use.index, steps);
  if (name === undefined) return { verdict: 'fail', text: `${use.index} does not exist` };
  const verdict = await store.dialect.indexVerdict(store, use.query, backfill.table, name);
  const known = `${use.index}${name === use.index ? '' : ` (as ${name})`}`;
  if (verdict === 'used') return { verdict: 'pass', text: `${known} is used` };
  if (verdict === 'passed over')
    return {
      verdict: 'warn',
      text: `${known} could be used, but ${store.dialect.engine} prefers ${store.dialect.otherWay}`,
    };
  return { verdict: 'fail', text: `${known} is not used for its query` };
}

async function standingName(
  store: Store,
  table: string,
  index: string,
  steps: readonly Step[],
): Promise<string | undefined> {
  for (const step of steps) {
    const definition = step.kind === 'schema' ? step.indexes.find(({ name }) => name === index) : undefined;
    if (step.kind === 'schema' && definition) return await findIndex(store, step, definition);
  }
  return (await hasIndex(store, table, index)) === true ? index : undefined;
}

/** What makes the missing index again: taking the step that makes it back to where it began, and on again. */
function remakeHint(
  store: Store,
  uses: readonly IndexUse[],
  findings: readonly CheckFinding[],
  steps: readonly Step[],
): string {
  const failed = uses.filter((_, i) => findings[i]?.verdict === 'fail').map(({ index }) => index);
  const makers = steps.filter(
    (step) => step.kind === 'schema' && step.indexes.some(({ name }) => failed.includes(name)),
  );
  return makers.length > 0
    ? `umzug-backfill up (it makes again what ${makers.map(({ name }) => name).join(', ')} made and somebody dropped), or ANALYZE where the index stands but is not used`
    : `ANALYZE, so that ${store.dialect.engine} knows the index pays`;
}
