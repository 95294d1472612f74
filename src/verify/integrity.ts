import type { Store } from '../db/connection.js';
import { turns } from '../each.js';
import { isRunOf } from '../engine/filled-by.js';
import { countPrefilled } from '../engine/scan.js';
import { count } from '../format.js';
import { compareKeys, countKeys, type Key } from '../ledger/keys.js';
import type { Ledger } from '../ledger/ledger.js';
import type { BatchRecord, RunRecord } from '../ledger/records.js';
import { type Message, msg } from '../messages/message.js';
import { shellWord } from '../shell.js';
import type { Backfill } from '../steps/define.js';
import { type CheckResult, checkResult, finding, pass } from './check.js';
import type { ScanFacts } from './facts.js';

/**
 * Returns the run whose counts consistent cells are compared with, up to its watermark: the last one that started at the first key. It
 * counted the prefilled cells.
 */
export const baselineRun = (runs: readonly RunRecord[]): RunRecord | undefined =>
  runs.findLast(({ startKey }) => startKey === null);

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
  const runs = await ledger.runs(backfill.name);
  const batches = await ledger.batches(backfill.name);
  const isApplied = (await ledger.step(backfill.name))?.status === 'applied';
  const contradictions = [
    ...(runs.length === 0
      ? [msg('No run is recorded')]
      : isApplied
        ? []
        : [msg('The row of the step is missing')]),
    ...runContradictions(runs, batches),
    ...(await cellContradictions(store, ledger, backfill, batches)),
    ...(await skipContradictions(ledger, backfill, runs, batches)),
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
    const text = msg('The table holds {cells} more derived cells than the ledger records', {
      cells: count(held - recorded),
    });
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
      { name: shellWord(backfill.name) },
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
    if (
      before !== null &&
      [run.cursor, run.watermark].some((end) => end === null || compareKeys(before as Key, end) > 0)
    )
      found.push(msg('Run {run} has a batch past its cursor or its watermark', { run: run.run }));
  }
  return found;
}

async function cellContradictions(
  store: Store,
  ledger: Ledger,
  backfill: Backfill,
  batches: readonly BatchRecord[],
): Promise<Message[]> {
  const found: Message[] = [];
  const turn = turns(store);
  for (const { number, firstKey, lastKey, cellsFilled } of batches) {
    await turn();
    const sets = await ledger.cells(backfill.name, number);
    if (sets.some(({ isDamaged }) => isDamaged)) {
      found.push(msg('The cells of batch {number} cannot be read', { number }));
      continue;
    }
    const cells = sets.reduce((total, { columns, runs }) => total + columns.length * countKeys(runs), 0);
    const isInside = sets.every(
      ({ runs }) =>
        compareKeys(runs[0]?.[0] ?? firstKey, firstKey) >= 0 &&
        compareKeys(runs.at(-1)?.[1] ?? lastKey, lastKey) <= 0,
    );
    if (cells !== cellsFilled || !isInside)
      found.push(msg('The cells of batch {number} do not match its counts', { number }));
  }
  return found;
}

/** Compares skips with the counts of batches, from the last run on that was not a catch-up: it replaced the skips recorded before. */
async function skipContradictions(
  ledger: Ledger,
  backfill: Backfill,
  runs: readonly RunRecord[],
  batches: readonly BatchRecord[],
): Promise<Message[]> {
  const from = runs.findLast(({ kind }) => kind !== 'catch-up')?.run ?? 0;
  const counts = await ledger.skipsByBatch(backfill.name);
  return batches
    .filter(({ run, number, skips }) => run >= from && (counts.get(number) ?? 0) !== skips)
    .map(({ number }) => msg('The skips of batch {number} do not match its count', { number }));
}
