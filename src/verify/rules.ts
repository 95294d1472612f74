import type { Store } from '../db/connection.js';
import { mapEach } from '../each.js';
import type { Rule } from '../steps/checks.js';
import type { Backfill } from '../steps/define.js';
import { type CheckFinding, type CheckResult, checkResult } from './check.js';

/** At most this many keys are shown of the rows that break a rule. */
const MAX_SAMPLES = 10;

/** Check 9, of a project that has rules of its own: no row may break one. */
export async function rules(store: Store, { checks }: Backfill): Promise<CheckResult[]> {
  if (checks.rules === undefined) return [];
  const found = await mapEach(checks.rules, async (rule) => ({ ...rule, ...(await rowsOf(store, rule)) }));
  const findings = found.map(
    ({ title, verdict = 'fail', rows, sampleKeys }): CheckFinding =>
      rows === 0
        ? { verdict: 'pass', text: `${title}: no row breaks it` }
        : { verdict, text: `${title}: ${rows} rows break it`, sampleKeys },
  );
  const figures = { rules: found.map(({ title, rows }) => ({ title, rows })) };
  const hint =
    'umzug-backfill verify --print-sql shows the query of each rule; mend the rows that it gives, then run umzug-backfill up';
  return [checkResult('rules', 'Rules', findings, figures, hint)];
}

async function rowsOf(store: Store, { query }: Rule): Promise<{ rows: number; sampleKeys: string[] }> {
  let rows = 0;
  const sampleKeys: string[] = [];
  for await (const page of store.project.pages<readonly unknown[]>(query)) {
    rows += page.length;
    for (const [key] of page.slice(0, MAX_SAMPLES - sampleKeys.length)) sampleKeys.push(String(key));
  }
  return { rows, sampleKeys };
}
