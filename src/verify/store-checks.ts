import type { Store } from '../db/connection.js';
import { mapEach, turns } from '../each.js';
import { isRunOf } from '../engine/filled-by.js';
import { countPrefilled } from '../engine/scan.js';
import { count } from '../format.js';
import type { BatchRecord } from '../ledger/batches.js';
import { countCells } from '../ledger/cells.js';
import { compareKeys, type Key } from '../ledger/keys.js';
import type { Ledger } from '../ledger/ledger.js';
import type { RunRecord } from '../ledger/records.js';
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
import type { ScanFacts } from './facts.js';
import { baselineRun } from './scan.js';

// The checks that query the store or its ledger: index use, rules, and integrity.

/**
 * Check 4: whether the store uses each index for its query.
 *
 * An index with another name and the same definition counts. One that the store could use, but to which it prefers another plan, is a
 * warning: the query is served, but not by the index made for it.
 *
 * @param steps the project's steps; schema steps define the indexes
 */
export async function indexUse(store: Store, { table, checks }: Backfill, steps: readonly Step[]) {
  const uses = checks.indexes ?? [];
  const findings = await mapEach(uses, async (use) => await indexFinding(store, table, use, steps));
  const indexes = uses.map(({ index }, i) => ({ index, verdict: findings[i]?.verdict }));
  const failed = indexes.filter(({ verdict }) => verdict === 'fail').map(({ index }) => index);
  const makers = steps.filter(
    (step) => step.kind === 'schema' && step.indexes.some(({ name }) => failed.includes(name)),
  );
  const hint =
    makers.length > 0
      ? msg(
          'Run umzug-backfill up to recreate what was dropped of {steps}; if the index exists but is not used, run ANALYZE in the store',
          { steps: makers.map(({ name }) => name) },
        )
      : msg('Run ANALYZE in the store, so that {engine} has statistics in favor of the index', {
          engine: store.dialect.engine,
        });
  if (findings.length === 0) findings.push(notConfigured());
  return checkResult('index-use', msg('Index use'), findings, { indexes }, { fail: hint });
}

async function indexFinding(
  store: Store,
  table: string,
  { index: wanted, query }: IndexUse,
  steps: readonly Step[],
): Promise<CheckFinding> {
  const name = await existingName(store, table, wanted, steps);
  if (name === undefined) return finding('fail', msg('{index} does not exist', { index: wanted }));
  const index = name === wanted ? wanted : msg('{index} (as {name})', { index: wanted, name });
  const values = { index, engine: store.dialect.engine };
  switch (await store.dialect.explainIndex(store, query, table, name)) {
    case 'used':
      return pass(msg('{index} is used', { index }));
    case 'usable':
      return finding('warn', msg('{index} could be used, but {engine} prefers another plan', values));
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

/** Returns the number of rows that violate a rule, and the keys of the first. */
async function violations(store: Store, { query }: VerificationRule) {
  let rows = 0;
  const sampleKeys: string[] = [];
  for await (const page of store.project.pages<readonly unknown[]>(query)) {
    rows += page.length;
    for (const [key] of page.slice(0, MAX_SAMPLES - sampleKeys.length)) sampleKeys.push(String(key));
  }
  return { rows, sampleKeys };
}

/** Maximum number of contradictions that are listed: a ledger that is not trustworthy may hold any number. */
const MAX_CONTRADICTIONS = 20;

/**
 * Check 8: whether the ledger's rows agree with each other and with the table. The table may hold fewer of our cells
 * than the ledger (rows deleted by retention, cells changed), but not more.
 */
export async function integrity(
  store: Store,
  ledger: Ledger,
  backfill: Backfill,
  facts: ScanFacts,
): Promise<CheckResult> {
  const { name } = backfill;
  const runs = await ledger.runs(name);
  const batches = await ledger.batches(name);
  const isApplied = (await ledger.step(name))?.status === 'applied';
  const contradictions = [
    ...(runs.length === 0
      ? [msg('No run is recorded')]
      : isApplied
        ? []
        : [msg('The row of the step is missing')]),
    ...runContradictions(runs, batches),
    ...(await cellContradictions(store, ledger, name, batches)),
    ...skipContradictions(runs, batches, await ledger.skipsByBatch(name)),
    ...(await ledger.objectInconsistencies()),
  ];
  const findings = contradictions.slice(0, MAX_CONTRADICTIONS).map((text) => finding('fail', text));
  const more = contradictions.length - findings.length;
  if (more > 0)
    findings.push(finding('fail', msg('{contradictions} more contradictions', { contradictions: more })));
  if (contradictions.length === 0)
    findings.push(pass(msg('{batches} batches agree with their runs', { batches: count(batches.length) })));

  const run = baselineRun(runs);
  const consistent = facts.columns.reduce((sum, column) => sum + column.consistentUpTo, 0);
  const recorded = run ? run.prefilledCells + run.cellsFilled : 0;
  // The application may have fixed and filled cells that were skipped; those are not ours. Counting them reads the table again.
  const excess = Math.max(0, consistent - recorded);
  const fixed =
    excess > 0 && run && run.watermark !== null
      ? await countPrefilled(store, backfill, run.watermark, { onlySkipped: true })
      : 0;
  const held = consistent - Math.min(fixed, excess);
  if (held > recorded) {
    // With several writers, rows that the application has filled appear below the watermark. And prefilled cells were counted by the
    // definition of then: another one may derive what the application wrote.
    const isExplained =
      ledger.isShared || (run !== undefined && !(await isRunOf(store, ledger, backfill, run.run)));
    const cells = count(held - recorded);
    const text = msg('The table holds {cells} more derived cells than the ledger records', { cells });
    findings.push(finding(isExplained ? 'warn' : 'fail', text));
  } else if (held < recorded) {
    const text = msg(
      'The table holds {cells} fewer derived cells than the ledger records: rows were deleted or cells changed since',
      { cells: count(recorded - held) },
    );
    findings.push(finding('warn', text));
  }
  const stats = { batches: batches.length, contradictions: contradictions.length, held, recorded };
  return checkResult('integrity', msg('Integrity'), findings, stats, {
    fail: msg(
      "Run umzug-backfill backfill {name} --rescan to accept the table as it is: cells missing from the ledger then count as the application's, and `down` keeps them",
      { name: shellWord(name) },
    ),
  });
}

function runContradictions(runs: readonly RunRecord[], batches: readonly BatchRecord[]): Message[] {
  const known = new Map(runs.map(({ run }) => [run, [] as BatchRecord[]]));
  for (const batch of batches) known.get(batch.run)?.push(batch);
  const orphans = batches.filter((batch) => !known.has(batch.run));
  const found = orphans.map(({ number }) => msg('Batch {number} belongs to no run', { number }));
  for (const run of runs) {
    // Numbers follow the commits, and workers commit in any order of keys.
    const own = (known.get(run.run) ?? []).sort((a, b) => compareKeys(a.firstKey, b.firstKey));
    const isSame =
      own.length === run.batches &&
      (['rowsScanned', 'cellsFilled', 'cellsSkipped'] as const).every(
        (figure) => own.reduce((sum, batch) => sum + batch[figure], 0) === run[figure],
      );
    if (!isSame)
      found.push(
        msg('Run {run} does not add up: it counts {counted} batches, {recorded} are recorded', {
          ...{ run: run.run, counted: run.batches, recorded: own.length },
        }),
      );
    let before = run.startKey;
    for (const { number, firstKey, lastKey } of own) {
      const isInOrder =
        (before === null || compareKeys(firstKey, before) > 0) && compareKeys(firstKey, lastKey) <= 0;
      if (!isInOrder) found.push(msg('Batch {number} overlaps the one before', { number }));
      before = lastKey;
    }
    const isPast = (end: Key | null): boolean =>
      before !== null && (end === null || compareKeys(before, end) > 0);
    if (isPast(run.cursor) || isPast(run.watermark))
      found.push(msg('Run {run} has a batch past its cursor or its watermark', { run: run.run }));
  }
  return found;
}

async function cellContradictions(
  store: Store,
  ledger: Ledger,
  name: string,
  batches: readonly BatchRecord[],
) {
  const found: Message[] = [];
  const turn = turns(store);
  for (const { number, firstKey, lastKey, cellsFilled } of batches) {
    await turn();
    const sets = await ledger.cells(name, number);
    if (sets.some(({ isDamaged }) => isDamaged)) {
      found.push(msg('The cells of batch {number} cannot be read', { number }));
      continue;
    }
    const isInside = sets.every(
      ({ runs }) =>
        compareKeys(runs[0]?.[0] ?? firstKey, firstKey) >= 0 &&
        compareKeys(runs.at(-1)?.[1] ?? lastKey, lastKey) <= 0,
    );
    if (countCells(sets) !== cellsFilled || !isInside)
      found.push(msg('The cells of batch {number} do not match its counts', { number }));
  }
  return found;
}

/** Compares skips with the counts of batches, from the last run on that was not a catch-up: it replaced the skips recorded before. */
function skipContradictions(
  runs: readonly RunRecord[],
  batches: readonly BatchRecord[],
  counts: ReadonlyMap<number, number>,
): Message[] {
  const from = runs.findLast(({ kind }) => kind !== 'catch-up')?.run ?? 0;
  return batches
    .filter(({ run, number, skips }) => run >= from && (counts.get(number) ?? 0) !== skips)
    .map(({ number }) => msg('The skips of batch {number} do not match its count', { number }));
}
