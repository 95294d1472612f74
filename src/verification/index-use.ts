import type { IndexUse } from '../backfill/checks.js';
import type { Backfill } from '../backfill/define.js';
import { findIndex, hasIndex } from '../schema/inspect.js';
import type { Step } from '../steps/step.js';
import { identifier } from '../store/sqlite/sql.js';
import type { Store } from '../store/sqlite/store.js';
import { type CheckFinding, type CheckResult, checkResult } from './check.js';

/**
 * Check 4: whether SQLite uses each index for the query it is for.
 *
 * An index that stands under another name with the same definition counts. One that SQLite could use, while it prefers
 * another index of the store, is a warning: the query is served, but not by the index made for it.
 *
 * @param steps the project's steps: schema steps say how an index is defined
 * @see https://www.sqlite.org/eqp.html
 */
export function indexUse(store: Store, backfill: Backfill, steps: readonly Step[]): CheckResult {
  const uses = backfill.checks.indexes ?? [];
  const findings = uses.map((use) => judge(store, backfill, use, steps));
  const figures = { indexes: uses.map(({ index }, i) => ({ index, verdict: findings[i]?.verdict })) };
  const nothing: CheckFinding[] = [{ verdict: 'pass', text: 'no index is asked for' }];
  const hint = remakeHint(uses, findings, steps);
  return checkResult('index-use', 'Index use', findings.length > 0 ? findings : nothing, figures, hint);
}

function judge(store: Store, backfill: Backfill, use: IndexUse, steps: readonly Step[]): CheckFinding {
  const name = standingName(store, use.index, steps);
  if (name === undefined) return { verdict: 'fail', text: `${use.index} does not exist` };
  const other = name === use.index ? undefined : name;
  const plan = queryPlan(store, use.query);
  if (usesIndex(plan, name))
    return { verdict: 'pass', text: `${use.index}${other === undefined ? '' : ` (as ${other})`} is used` };
  const table = identifier(backfill.table);
  const [plain, quoted] = [backfill.table, table].map((text) => text.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&'));
  const forced = use.query.replace(
    new RegExp(`\\bFROM\\s+(?:${plain}\\b|${quoted})`, 'i'),
    () => `FROM ${table} INDEXED BY ${identifier(name)}`,
  );
  const canBeUsed = store.compileError(forced) === undefined && usesIndex(queryPlan(store, forced), name);
  const isServed = plan.some((line) => /\bUSING (?:COVERING )?INDEX /.test(line));
  if (canBeUsed && isServed)
    return {
      verdict: 'warn',
      text: `${use.index}${other === undefined ? '' : ` (as ${other})`} could be used, but SQLite prefers another index`,
    };
  return {
    verdict: 'fail',
    text: `${use.index}${other === undefined ? '' : ` (as ${other})`} is not used for its query`,
  };
}

function standingName(store: Store, index: string, steps: readonly Step[]): string | undefined {
  for (const step of steps) {
    const definition = step.kind === 'schema' ? step.indexes.find(({ name }) => name === index) : undefined;
    if (step.kind === 'schema' && definition) return findIndex(store, step, definition);
  }
  return hasIndex(store, index) ? index : undefined;
}

function queryPlan(store: Store, query: string): string[] {
  return store.all<{ detail: string }>(`EXPLAIN QUERY PLAN ${query}`).map(({ detail }) => detail);
}

function usesIndex(plan: readonly string[], name: string): boolean {
  return plan.some((line) => line.includes(` INDEX ${name} `) || line.endsWith(` INDEX ${name}`));
}

/** What makes the missing index again: taking the step that makes it back to where it began, and on again. */
function remakeHint(
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
    : 'ANALYZE, so that SQLite knows the index pays';
}
