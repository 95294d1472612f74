import type { Store } from '../db/connection.js';
import { mapEach } from '../each.js';
import { count } from '../format.js';
import { type Message, msg } from '../messages/message.js';
import { shellWord } from '../shell.js';
import type { Backfill, IndexUse, VerificationRule } from '../steps/define.js';
import type { Step } from '../steps/step.js';
import {
  type CheckFinding,
  type CheckResult,
  checkResult,
  finding,
  MAX_SAMPLES,
  notConfigured,
  pass,
} from './check.js';

// The checks that query the store: index use, and rules.

/**
 * Check 4: whether the store uses each index for its query.
 *
 * An index with another name and the same definition counts. One that the store could use, but to which it prefers another plan, is a
 * warning: the query is served, but not by the index made for it.
 *
 * @param steps the project's steps; schema steps define the indexes
 */
export async function indexUse(
  store: Store,
  backfill: Backfill,
  steps: readonly Step[],
): Promise<CheckResult> {
  const uses = backfill.checks.indexes ?? [];
  const findings = await mapEach(uses, async (use) => await indexFinding(store, backfill, use, steps));
  const stats = { indexes: uses.map(({ index }, i) => ({ index, verdict: findings[i]?.verdict })) };
  const hint = recreateHint(store, uses, findings, steps);
  if (findings.length === 0) findings.push(notConfigured());
  return checkResult('index-use', msg('Index use'), findings, stats, { fail: hint });
}

async function indexFinding(
  store: Store,
  { table }: Backfill,
  { index: wanted, query }: IndexUse,
  steps: readonly Step[],
): Promise<CheckFinding> {
  const name = await existingName(store, table, wanted, steps);
  if (name === undefined) return finding('fail', msg('{index} does not exist', { index: wanted }));
  const index = name === wanted ? wanted : msg('{index} (as {name})', { index: wanted, name });
  const { engine } = store.dialect;
  switch (await store.dialect.explainIndex(store, query, table, name)) {
    case 'used':
      return pass(msg('{index} is used', { index }));
    case 'usable':
      return finding(
        'warn',
        msg('{index} could be used, but {engine} prefers another plan', { index, engine }),
      );
    case 'unused':
      return finding('fail', msg('{index} is not used for its query', { index }));
  }
}

async function existingName(
  store: Store,
  table: string,
  index: string,
  steps: readonly Step[],
): Promise<string | undefined> {
  for (const step of steps) {
    if (step.kind !== 'schema') continue;
    const definition = step.indexes.find(({ name }) => name === index);
    if (definition) return await store.dialect.findIndex(store, step, definition);
  }
  return (await store.dialect.hasIndex(store, table, index)) === true ? index : undefined;
}

function recreateHint(
  { dialect: { engine } }: Store,
  uses: readonly IndexUse[],
  findings: readonly CheckFinding[],
  steps: readonly Step[],
): Message {
  const failed = uses.filter((_, i) => findings[i]?.verdict === 'fail').map(({ index }) => index);
  const makers = steps.filter(
    (step) => step.kind === 'schema' && step.indexes.some(({ name }) => failed.includes(name)),
  );
  return makers.length > 0
    ? msg(
        'Run umzug-backfill up to recreate what was dropped of {steps}; if the index exists but is not used, run ANALYZE in the store',
        { steps: makers.map(({ name }) => name) },
      )
    : msg('Run ANALYZE in the store, so that {engine} has statistics in favor of the index', { engine });
}

/** Check 9, only for a project with rules: whether a row violates one. */
export async function rules(store: Store, { name, checks }: Backfill): Promise<CheckResult[]> {
  if (checks.rules === undefined) return [];
  const found = await mapEach(checks.rules, async (rule) => ({
    ...rule,
    ...(await violations(store, rule)),
  }));
  const findings = found.map(({ title, verdict = 'fail', rows, sampleKeys }) =>
    rows === 0
      ? pass(msg('{title}: no row breaks it', { title }))
      : finding(verdict, msg('{title}: {rows} rows break it', { title, rows: count(rows) }), sampleKeys),
  );
  const stats = { rules: found.map(({ title, rows }) => ({ title, rows })) };
  const hint = msg(
    'Fix the rows that the query of the rule returns, then run umzug-backfill up; if the backfill is wrong, fix its file, then run umzug-backfill down --to {name}, then umzug-backfill up',
    { name: shellWord(name) },
  );
  return [checkResult('rules', msg('Rules'), findings, stats, { fail: hint })];
}

async function violations(
  store: Store,
  { query }: VerificationRule,
): Promise<{ rows: number; sampleKeys: string[] }> {
  let rows = 0;
  const sampleKeys: string[] = [];
  for await (const page of store.project.pages<readonly unknown[]>(query)) {
    rows += page.length;
    for (const [key] of page.slice(0, MAX_SAMPLES - sampleKeys.length)) sampleKeys.push(String(key));
  }
  return { rows, sampleKeys };
}
