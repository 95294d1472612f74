import type { Connection, Store } from '../db/connection.js';
import type { BehindPass } from '../engine/scan.js';
import { compareKeys } from '../ledger/keys.js';
import type { Ledger } from '../ledger/ledger.js';
import { shellWord } from '../shell.js';
import type { Backfill } from '../steps/define.js';
import type { Step } from '../steps/step.js';
import { fallbackOf } from '../steps/values.js';
import {
  type CheckFinding,
  type CheckResult,
  checkResult,
  pass,
  percent,
  type Verdict,
  worstVerdict,
} from './check.js';
import { addGroup, type GroupFacts, type SampledCount, type ScanFacts } from './facts.js';
import { OTHER_GROUPS, scanPass } from './scan.js';
import { indexUse, integrity, rules } from './store-checks.js';
import { lagFigures, showValue } from './times.js';

/** The verification of one backfill. */
export interface Verification {
  readonly backfill: string;
  readonly verdict: Verdict;
  /** The last run that it saw. */
  readonly run: number;
  readonly checks: readonly CheckResult[];
  /** How many threads have read the rows. */
  readonly threads: 1 | 2;
  readonly durationMs: number;
}

/** How to verify. */
export interface VerifyOptions {
  /** Coverage below this many percent fails. Default: it doesn't. */
  readonly minCoverage?: number | undefined;
  /** The present. Default: the system's clock. */
  readonly now?: (() => Date) | undefined;
  /** Size of the store, in bytes, from which on a second thread helps. Default 64 MiB. */
  readonly parallelMinBytes?: number | undefined;
}

/**
 * Verifies a backfill on one snapshot of the store: eight checks over every row in scope, and the project's own rules. Writes nothing.
 *
 * @param steps the project's steps
 * @returns the checks with the gravest verdict among them
 */
export async function verifyBackfill(
  store: Connection,
  ledger: Ledger,
  backfill: Backfill,
  steps: readonly Step[],
  options: VerifyOptions = {},
): Promise<Verification> {
  const startedAt = performance.now();
  const nowMs = (options.now?.() ?? new Date()).getTime();
  const check: BehindPass<ScanFacts, Verification> = async (tx, facts, threads) => {
    const own = ledger.in(tx);
    const run = (await own.lastRun(backfill.name))?.run ?? 0;
    const checks = [
      coverage(backfill, facts, await own.skipCounts(backfill.name), options.minCoverage),
      consistency(backfill, facts),
      groups(backfill, facts),
      await indexUse(tx, backfill, steps),
      timestamps(backfill, facts),
      nulls(backfill, facts),
      await lag(tx, backfill, facts),
      await integrity(tx, own, backfill, facts),
      ...(await rules(tx, backfill)),
    ];
    const verdict = worstVerdict(checks.map((result) => result.verdict));
    const durationMs = Math.round(performance.now() - startedAt);
    return { backfill: backfill.name, verdict, run, checks, threads, durationMs };
  };
  const scan = scanPass(ledger, backfill, nowMs);
  return await store.dialect.passOver(store, backfill, scan, check, options.parallelMinBytes);
}

/** At most this many values of the grouping column are shown, those whose rows come first; the rest is counted together. */
const MAX_GROUPS = 200;

/** Makes findings for the rows or cells of `found`: none where there are none. */
const counted =
  (verdict: Verdict) =>
  ({ count, keys }: SampledCount, text: string): CheckFinding[] =>
    count === 0 ? [] : [{ verdict, text, sampleKeys: keys.map(String) }];

const [fail, warn] = [counted('fail'), counted('warn')];

/** Check 1: how much of the scope is filled. */
function coverage(
  backfill: Backfill,
  facts: ScanFacts,
  skips: Readonly<Record<string, number>>,
  minCoverage: number | undefined,
): CheckResult {
  const findings = facts.columns.flatMap((column): CheckFinding[] => {
    const { name, filled, fillable, pendingCatchUp, rejected, noValue } = column;
    const share = percent(filled, facts.rows);
    const isBelow = minCoverage !== undefined && share < minCoverage;
    const text = `${name}: ${filled} of ${facts.rows} filled (${share}%)${isBelow ? `, below the ${minCoverage}% asked for` : ''}`;
    return [
      { verdict: isBelow ? 'fail' : 'pass', text },
      ...fail(fillable, `${fillable.count} cells of ${name} are NULL though a value can be derived`),
      ...warn(pendingCatchUp, `${pendingCatchUp.count} cells of ${name} wait for a catch-up`),
      ...warn(rejected, `${rejected.count} cells of ${name} were refused by a trigger or a constraint`),
      ...warn(noValue, `${noValue.count} cells of ${name} have no value to derive`),
    ];
  });
  const reasons = Object.entries(skips).map(([reason, count]) => `${count} ${reason}`);
  if (reasons.length > 0) findings.push({ verdict: 'warn', text: `skipped: ${reasons.join(', ')}` });
  const stats = {
    rowsInScope: facts.rows,
    columns: facts.columns.map(({ name, filled, fillable, pendingCatchUp, rejected, noValue }) => ({
      name,
      filled,
      percent: percent(filled, facts.rows),
      fillable: fillable.count,
      waiting: pendingCatchUp.count,
      refused: rejected.count,
      withoutValue: noValue.count,
    })),
    skips,
  };
  const canFill = stats.columns.some(({ fillable, waiting, refused }) => fillable + waiting + refused > 0);
  const name = shellWord(backfill.name);
  const hint = canFill
    ? `umzug-backfill backfill ${name} --rescan`
    : `umzug-backfill skips ${name} lists what no value can be derived for; ask for less with --min-coverage`;
  return checkResult('coverage', 'Coverage', findings, stats, hint);
}

/** Check 2: whether each filled cell holds what its row derives. */
function consistency(backfill: Backfill, facts: ScanFacts): CheckResult {
  const filled = facts.columns.reduce((sum, column) => sum + column.filled, 0);
  const { thisRun, rewritten, earlierRun, application, declaredOtherwise, underivable } = facts.mismatches;
  const equal = Object.values(facts.mismatches).reduce((rest, { count }) => rest - count, filled);
  const findings: CheckFinding[] = [
    pass(`${equal} of ${filled} filled cells hold what their row derives`),
    ...fail(
      thisRun,
      `${thisRun.count} cells filled by the run being verified do not hold what their row derives`,
    ),
    ...warn(
      rewritten,
      `${rewritten.count} cells filled by the run being verified were changed since by other transactions`,
    ),
    ...warn(earlierRun, `${earlierRun.count} cells filled by an earlier run were changed since`),
    ...warn(
      declaredOtherwise,
      `${declaredOtherwise.count} cells hold what an earlier declaration of the backfill derived, which filled them`,
    ),
    ...warn(
      underivable,
      `${underivable.count} cells were filled by what can not be asked any more, and are not compared`,
    ),
    ...warn(application, `${application.count} cells written by the application hold a value of its own`),
  ];
  const stats = {
    cellsFilled: filled,
    equal,
    changedInRun: thisRun.count,
    changedMeanwhile: rewritten.count,
    changedSince: earlierRun.count,
    written: application.count,
    declaredOtherwise: declaredOtherwise.count,
    underivable: underivable.count,
  };
  const hint = `umzug-backfill down --to ${shellWord(backfill.name)}, then umzug-backfill up, fills them anew, once what they are derived from, rows or function, is as it was when they were filled`;
  return checkResult('consistency', 'Consistency', findings, stats, hint);
}

/** Check 3: coverage by the values of one column. */
function groups({ checks: { groupBy } }: Backfill, facts: ScanFacts): CheckResult {
  const rows = shownGroups(facts).map(([name, { total, filled }]) => ({
    name,
    total,
    columns: facts.columns.map((column, i) => ({
      name: column.name,
      filled: filled[i] ?? 0,
      percent: percent(filled[i] ?? 0, total),
    })),
  }));
  const findings = rows.map(({ name, total, columns }) => {
    const filled = columns.map((column) => `${column.name} ${column.filled} (${column.percent}%)`);
    return pass(`${groupBy === undefined ? 'all' : name}: ${total} rows, ${filled.join(', ')}`);
  });
  const stats = {
    column: groupBy ?? null,
    groups: rows.map(({ name, total, columns }) => ({
      name,
      total,
      filled: Object.fromEntries(columns.map((column) => [column.name, column.filled])),
      percent: Object.fromEntries(columns.map((column) => [column.name, column.percent])),
    })),
  };
  return checkResult('groups', groupBy === undefined ? 'All rows' : `By ${groupBy}`, findings, stats);
}

/** Returns the groups by name; beyond the first {@link MAX_GROUPS} all are one. */
function shownGroups({ groups: found }: ScanFacts): [name: string, GroupFacts][] {
  const byKey = [...found].sort(([, a], [, b]) => compareKeys(a.firstKey, b.firstKey));
  const named = byKey.filter(([name]) => name !== OTHER_GROUPS);
  const shown = new Map(named.slice(0, MAX_GROUPS));
  for (const [, group] of named.slice(MAX_GROUPS)) addGroup(shown, OTHER_GROUPS, group);
  const others = found.get(OTHER_GROUPS);
  if (others) addGroup(shown, OTHER_GROUPS, others);
  return [...shown].sort(([a], [b]) => (a < b ? -1 : 1));
}

/** Check 5: whether the filled columns hold timestamps, and plausible ones. */
function timestamps({ checks, columns }: Backfill, facts: ScanFacts): CheckResult {
  const fallbackFor = (name: string): string | undefined =>
    fallbackOf(columns.find((column) => column.name === name)?.value);
  const judged = checks.timestamps ? facts.columns : [];
  const findings = judged.flatMap(({ name, timestamps: found }): CheckFinding[] => {
    const { min, max, valid, invalid, future } = found;
    const fallback = fallbackFor(name);
    return [
      pass(
        `${name}: ${min && max ? `${showValue(min.text)} to ${showValue(max.text)}` : 'none'}; ${found.withoutOffset} of ${valid} without offset, read as UTC`,
      ),
      ...(fallback === undefined
        ? []
        : [pass(`${name}: ${found.fromFallback} of ${valid} hold the value of ${fallback}, its fallback`)]),
      ...warn(invalid, `${invalid.count} values of ${name} are no timestamps`),
      ...warn(future, `${future.count} values of ${name} lie in the future`),
    ];
  });
  if (!checks.timestamps) findings.push(pass('not asked for'));
  const { from = '', to = '' } = checks.lag ?? {};
  const { toBefore, mixedOffsets } = facts;
  findings.push(
    ...warn(toBefore, `${toBefore.count} rows have ${to} before ${from}`),
    ...warn(
      mixedOffsets,
      `${mixedOffsets.count} rows have an offset in one of ${from} and ${to}, and none in the other`,
    ),
  );
  const stats = {
    columns: facts.columns.map(({ name, timestamps: found }) => ({
      name,
      min: found.min?.text ?? null,
      max: found.max?.text ?? null,
      valid: found.valid,
      withoutOffset: found.withoutOffset,
      fromFallback: found.fromFallback,
      invalid: found.invalid.count,
      future: found.future.count,
    })),
    endBeforeStart: toBefore.count,
    endBeforeFallback: facts.toBeforeFallback,
    mixedOffsets: mixedOffsets.count,
  };
  const result = checkResult('timestamps', 'Timestamps', findings, stats);
  if (facts.toBeforeFallback === 0) return result;
  const hint = `in ${facts.toBeforeFallback} of the rows that end before they start, ${from} is ${fallbackFor(from)}, its fallback: an application that writes the row a moment after the event makes that lag slightly negative, and nothing is to be mended`;
  return { ...result, hint };
}

/** Check 6: rows with NULLs, by which columns are NULL. */
function nulls({ columns }: Backfill, facts: ScanFacts): CheckResult {
  const byMask = [...facts.nulls].sort(([a], [b]) => a - b);
  const rows = byMask.map(([mask, count]) => ({
    columns: columns.filter((_, i) => (mask >> i) & 1).map(({ name }) => name),
    rows: count,
  }));
  const findings = rows.map(({ columns: names, rows: count }) =>
    pass(
      `${count} rows have NULL in ${names.length === columns.length && names.length > 1 ? 'all of ' : 'only '}${names.join(', ')}`,
    ),
  );
  if (findings.length === 0) findings.push(pass('no row in scope has a NULL'));
  return checkResult('nulls', 'NULLs', findings, { rows });
}

/** Check 7: seconds between the two columns of `checks.lag`. */
async function lag(store: Store, { checks }: Backfill, facts: ScanFacts): Promise<CheckResult> {
  const stats = await lagFigures(store, facts.lag);
  if (!stats)
    return checkResult('lag', 'Lag', [pass(checks.lag ? 'no row has both timestamps' : 'not asked for')], {});
  const { count, p50Seconds, p95Seconds, p99Seconds, maxSeconds, slowest } = stats;
  const findings = [
    pass(
      `${checks.lag?.from} to ${checks.lag?.to}: ${count} rows, p50 ${p50Seconds} s, p95 ${p95Seconds} s, p99 ${p99Seconds} s, max ${maxSeconds} s`,
    ),
    pass(`slowest: ${slowest.map(({ key, seconds }) => `${key} (${seconds} s)`).join(', ')}`),
  ];
  return checkResult('lag', 'Lag', findings, { ...stats });
}
