import type { Store } from '../db/connection.js';
import { mapEach } from '../each.js';
import { isRunOf } from '../engine/filled-by.js';
import { countPrefilled } from '../engine/scan.js';
import { compareKeys, countKeys, type Key } from '../ledger/keys.js';
import type { Ledger } from '../ledger/ledger.js';
import type { BatchRecord, RunRecord } from '../ledger/records.js';
import { shellWord } from '../shell.js';
import type { IndexUse, VerificationRule } from '../steps/checks.js';
import type { Backfill } from '../steps/define.js';
import type { Step } from '../steps/step.js';
import { turns } from '../turns.js';
import { type CheckFinding, type CheckResult, checkResult, MAX_SAMPLES, pass } from './check.js';
import type { ScanFacts } from './facts.js';

// Checks that ask the store and its ledger, not the scan's facts alone.

/**
 * The run up to whose watermark consistent cells are compared with the ledger: the last that began at the first key,
 * with the cells that were found before it.
 */
export const baselineRun = (runs: readonly RunRecord[]): RunRecord | undefined =>
  runs.findLast(({ startKey }) => startKey === null);

/** At most this many contradictions are told one by one: a ledger that somebody else has made may hold any number. */
const MAX_INCONSISTENCIES = 20;

/**
 * Check 8: whether the ledger's rows agree with each other and with the table. The table may hold fewer of our cells
 * than the ledger (rows deleted by retention, cells changed), never more.
 */
export async function integrity(
  store: Store,
  ledger: Ledger,
  backfill: Backfill,
  facts: ScanFacts,
): Promise<CheckResult> {
  const runs = await ledger.runs(backfill.name);
  const batches = await ledger.batches(backfill.name);
  const isApplied = (await ledger.step(backfill.name))?.status === 'applied';
  const contradictions = [
    ...(runs.length === 0 ? ['no run is recorded'] : isApplied ? [] : ['the row of the step is missing']),
    ...runInconsistencies(runs, batches),
    ...(await cellInconsistencies(store, ledger, backfill, batches)),
    ...(await skipInconsistencies(ledger, backfill, runs, batches)),
    ...(await ledger.objectInconsistencies()),
  ];
  const findings: CheckFinding[] = contradictions
    .slice(0, MAX_INCONSISTENCIES)
    .map((text) => ({ verdict: 'fail', text }));
  const more = contradictions.length - findings.length;
  if (more > 0) findings.push({ verdict: 'fail', text: `${more} more of them` });

  const run = baselineRun(runs);
  const consistent = facts.columns.reduce((sum, column) => sum + column.consistentUpTo, 0);
  const recorded = run ? run.prefilledCells + run.cellsFilled : 0;
  // What the application has mended and filled itself, after the backfill left it alone, is not ours. Asked for only
  // where it matters: it reads the table once more.
  const excess = Math.max(0, consistent - recorded);
  const mended =
    excess > 0 && run && run.watermark !== null
      ? await countPrefilled(store, backfill, run.watermark, { onlySkipped: true })
      : 0;
  const held = consistent - Math.min(mended, excess);
  if (contradictions.length === 0) findings.push(pass(`${batches.length} batches agree with their runs`));
  if (held > recorded) {
    // Where several write, rows appear below the watermark that the application has filled itself. What stood before the run
    // was counted by the declaration of then: another one may derive what the application wrote.
    const isInnocent =
      ledger.isShared || (run !== undefined && !(await isRunOf(store, ledger, backfill, run.run)));
    const text = `the table holds ${held - recorded} derived cells more than the ledger records`;
    findings.push({ verdict: isInnocent ? 'warn' : 'fail', text });
  } else if (held < recorded) {
    const text = `the table holds ${recorded - held} derived cells fewer than the ledger records: rows deleted or cells changed since`;
    findings.push({ verdict: 'warn', text });
  }
  const stats = { batches: batches.length, contradictions: contradictions.length, held, recorded };
  const hint = `umzug-backfill backfill ${shellWord(backfill.name)} --rescan takes the table as it is: cells the ledger has lost count as the application's own, and \`down\` leaves them`;
  return checkResult('integrity', 'Integrity', findings, stats, hint);
}

function runInconsistencies(runs: readonly RunRecord[], batches: readonly BatchRecord[]): string[] {
  const known = new Map(runs.map(({ run }) => [run, [] as BatchRecord[]]));
  for (const batch of batches) known.get(batch.run)?.push(batch);
  const orphans = batches.filter((batch) => !known.has(batch.run));
  const found = orphans.map(({ number }) => `batch ${number} belongs to no run`);
  for (const run of runs) {
    // Several processes number them as they come.
    const own = (known.get(run.run) ?? []).sort((a, b) => compareKeys(a.firstKey, b.firstKey));
    const isSame =
      own.length === run.batches &&
      (['rowsScanned', 'cellsFilled', 'cellsSkipped'] as const).every(
        (count) => own.reduce((sum, batch) => sum + batch[count], 0) === run[count],
      );
    if (!isSame)
      found.push(
        `run ${run.run} does not add up: it counts ${run.batches} batches, ${own.length} are recorded`,
      );
    let before = run.startKey;
    for (const { number, firstKey, lastKey } of own) {
      const isInOrder =
        (before === null || compareKeys(firstKey, before) > 0) && compareKeys(firstKey, lastKey) <= 0;
      if (!isInOrder) found.push(`batch ${number} overlaps the one before`);
      before = lastKey;
    }
    if (
      before !== null &&
      [run.cursor, run.watermark].some((end) => end === null || compareKeys(before as Key, end) > 0)
    ) {
      found.push(`run ${run.run} has a batch behind its cursor or its watermark`);
    }
  }
  return found;
}

async function cellInconsistencies(
  store: Store,
  ledger: Ledger,
  backfill: Backfill,
  batches: readonly BatchRecord[],
): Promise<string[]> {
  const found: string[] = [];
  const turn = turns(store);
  for (const { number, firstKey, lastKey, cellsFilled } of batches) {
    await turn();
    const sets = await ledger.cells(backfill.name, number);
    if (sets.some(({ isDamaged }) => isDamaged)) {
      found.push(`the cells of batch ${number} can not be read`);
      continue;
    }
    const cells = sets.reduce((total, { columns, runs }) => total + columns.length * countKeys(runs), 0);
    const isInside = sets.every(
      ({ runs }) =>
        compareKeys(runs[0]?.[0] ?? firstKey, firstKey) >= 0 &&
        compareKeys(runs.at(-1)?.[1] ?? lastKey, lastKey) <= 0,
    );
    if (cells !== cellsFilled || !isInside)
      found.push(`the cells of batch ${number} do not match its counts`);
  }
  return found;
}

/** Catch-ups leave alone what is recorded as a skip, any other run reads it again: only its and later skips must stand. */
async function skipInconsistencies(
  ledger: Ledger,
  backfill: Backfill,
  runs: readonly RunRecord[],
  batches: readonly BatchRecord[],
): Promise<string[]> {
  const from = runs.findLast(({ kind }) => kind !== 'catch-up')?.run ?? 0;
  const counts = await ledger.skipsByBatch(backfill.name);
  return batches
    .filter(({ run, number, skips }) => run >= from && (counts.get(number) ?? 0) !== skips)
    .map(({ number }) => `the skips of batch ${number} do not match its count`);
}

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
  const stats = { indexes: uses.map(({ index }, i) => ({ index, verdict: findings[i]?.verdict })) };
  if (findings.length === 0) findings.push(pass('no index is asked for'));
  return checkResult('index-use', 'Index use', findings, stats, recreateHint(store, uses, findings, steps));
}

async function judge(
  store: Store,
  backfill: Backfill,
  use: IndexUse,
  steps: readonly Step[],
): Promise<CheckFinding> {
  const name = await existingName(store, backfill.table, use.index, steps);
  if (name === undefined) return { verdict: 'fail', text: `${use.index} does not exist` };
  const verdict = await store.dialect.explainIndex(store, use.query, backfill.table, name);
  const known = `${use.index}${name === use.index ? '' : ` (as ${name})`}`;
  if (verdict === 'used') return pass(`${known} is used`);
  if (verdict === 'usable')
    return {
      verdict: 'warn',
      text: `${known} could be used, but ${store.dialect.engine} prefers ${store.dialect.words.otherWay}`,
    };
  return { verdict: 'fail', text: `${known} is not used for its query` };
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

/** What makes the missing index again: taking the step that makes it back to where it began, and on again. */
function recreateHint(
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

/** Check 9, of a project that has rules of its own: no row may break one. */
export async function rules(store: Store, { checks }: Backfill): Promise<CheckResult[]> {
  if (checks.rules === undefined) return [];
  const found = await mapEach(checks.rules, async (rule) => ({ ...rule, ...(await rowsOf(store, rule)) }));
  const findings = found.map(
    ({ title, verdict = 'fail', rows, sampleKeys }): CheckFinding =>
      rows === 0
        ? pass(`${title}: no row breaks it`)
        : { verdict, text: `${title}: ${rows} rows break it`, sampleKeys },
  );
  const stats = { rules: found.map(({ title, rows }) => ({ title, rows })) };
  const hint =
    'umzug-backfill verify --print-sql shows the query of each rule; mend the rows that it gives, then run umzug-backfill up';
  return [checkResult('rules', 'Rules', findings, stats, hint)];
}

async function rowsOf(
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
