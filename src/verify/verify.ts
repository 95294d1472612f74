import type { Connection, Store } from '../db/connection.js';
import type { BehindPass } from '../engine/scan.js';
import { compareKeys } from '../ledger/keys.js';
import type { Ledger } from '../ledger/ledger.js';
import { shellWord } from '../shell.js';
import type { Backfill } from '../steps/define.js';
import type { Step } from '../steps/step.js';
import { fallbackOf } from '../steps/values.js';
import { type CheckFinding, type CheckResult, checkResult, gravest, percent, type Verdict } from './check.js';
import type { Finding, GroupFacts, ScanFacts } from './facts.js';
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
  readonly threadFromBytes?: number | undefined;
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
    const verdict = gravest(checks.map((result) => result.verdict));
    const durationMs = Math.round(performance.now() - startedAt);
    return { backfill: backfill.name, verdict, run, checks, threads, durationMs };
  };
  const pass = scanPass(ledger, backfill, nowMs);
  return await store.dialect.passOver(store, backfill, pass, check, options.threadFromBytes);
}

/** At most this many values of the grouping column are shown, those whose rows come first; the rest is counted together. */
const MAX_GROUPS = 200;

/** A finding for the cells of `found`, none when there are none. */
function cells(
  verdict: CheckFinding['verdict'],
  found: Finding,
  text: (cells: number) => string,
): CheckFinding[] {
  return found.count === 0 ? [] : [{ verdict, text: text(found.count), sampleKeys: found.keys.map(String) }];
}

/** Check 1: how much of the scope is filled. */
export function coverage(
  backfill: Backfill,
  facts: ScanFacts,
  skips: Readonly<Record<string, number>>,
  minCoverage: number | undefined,
): CheckResult {
  const reasons = Object.entries(skips).map(([reason, count]) => `${count} ${reason}`);
  const findings = facts.columns.flatMap((column): CheckFinding[] => {
    const share = percent(column.filled, facts.rows);
    const isBelow = minCoverage !== undefined && share < minCoverage;
    return [
      {
        verdict: isBelow ? 'fail' : 'pass',
        text: `${column.name}: ${column.filled} of ${facts.rows} filled (${share}%)${isBelow ? `, below the ${minCoverage}% asked for` : ''}`,
      },
      ...cells(
        'fail',
        column.fillable,
        (n) => `${n} cells of ${column.name} are NULL though a value can be derived`,
      ),
      ...cells('warn', column.waiting, (n) => `${n} cells of ${column.name} wait for a catch-up`),
      ...cells(
        'warn',
        column.refused,
        (n) => `${n} cells of ${column.name} were refused by a trigger or a constraint`,
      ),
      ...cells('warn', column.withoutValue, (n) => `${n} cells of ${column.name} have no value to derive`),
    ];
  });
  if (reasons.length > 0) findings.push({ verdict: 'warn', text: `skipped: ${reasons.join(', ')}` });
  const canFill = facts.columns.some((column) =>
    [column.fillable, column.waiting, column.refused].some(({ count }) => count > 0),
  );
  const name = shellWord(backfill.name);
  const figures = {
    rowsInScope: facts.rows,
    columns: facts.columns.map((column) => ({
      name: column.name,
      filled: column.filled,
      percent: percent(column.filled, facts.rows),
      fillable: column.fillable.count,
      waiting: column.waiting.count,
      refused: column.refused.count,
      withoutValue: column.withoutValue.count,
    })),
    skips,
  };
  return checkResult(
    'coverage',
    'Coverage',
    findings,
    figures,
    canFill
      ? `umzug-backfill backfill ${name} --rescan`
      : `umzug-backfill skips ${name} lists what no value can be derived for; ask for less with --min-coverage`,
  );
}

/** Check 2: whether each filled cell holds what its row derives. */
export function consistency(backfill: Backfill, facts: ScanFacts): CheckResult {
  const filled = facts.columns.reduce((sum, column) => sum + column.filled, 0);
  const { thisRun, rewritten, earlierRun, foreign, declaredOtherwise, underivable } = facts.mismatches;
  const equal = Object.values(facts.mismatches).reduce((rest, { count }) => rest - count, filled);
  const findings: CheckFinding[] = [
    { verdict: 'pass', text: `${equal} of ${filled} filled cells hold what their row derives` },
    ...cells(
      'fail',
      thisRun,
      (n) => `${n} cells filled by the run being verified do not hold what their row derives`,
    ),
    ...cells(
      'warn',
      rewritten,
      (n) => `${n} cells filled by the run being verified were changed since by other transactions`,
    ),
    ...cells('warn', earlierRun, (n) => `${n} cells filled by an earlier run were changed since`),
    ...cells(
      'warn',
      declaredOtherwise,
      (n) => `${n} cells hold what an earlier declaration of the backfill derived, which filled them`,
    ),
    ...cells(
      'warn',
      underivable,
      (n) => `${n} cells were filled by what can not be asked any more, and are not compared`,
    ),
    ...cells('warn', foreign, (n) => `${n} cells written by the application hold a value of its own`),
  ];
  const figures = {
    cellsFilled: filled,
    equal,
    changedInRun: thisRun.count,
    changedMeanwhile: rewritten.count,
    changedSince: earlierRun.count,
    written: foreign.count,
    declaredOtherwise: declaredOtherwise.count,
    underivable: underivable.count,
  };
  const hint = `umzug-backfill down --to ${shellWord(backfill.name)}, then umzug-backfill up, fills them anew, once what they are derived from, rows or function, is as it was when they were filled`;
  return checkResult('consistency', 'Consistency', findings, figures, hint);
}

/** Check 3: coverage by the values of one column. */
export function groups({ checks }: Backfill, facts: ScanFacts): CheckResult {
  const rows = shownGroups(facts).sort(([a], [b]) => (a < b ? -1 : 1));
  const findings = rows.map(([name, group]): CheckFinding => {
    const filled = facts.columns.map(
      (column, i) => `${column.name} ${group.filled[i]} (${percent(group.filled[i] ?? 0, group.total)}%)`,
    );
    return {
      verdict: 'pass',
      text: `${checks.groupBy === undefined ? 'all' : name}: ${group.total} rows, ${filled.join(', ')}`,
    };
  });
  const figures = {
    column: checks.groupBy ?? null,
    groups: rows.map(([name, { total, filled }]) => ({
      name,
      total,
      filled: Object.fromEntries(facts.columns.map((column, i) => [column.name, filled[i] ?? 0])),
      percent: Object.fromEntries(
        facts.columns.map((column, i) => [column.name, percent(filled[i] ?? 0, total)]),
      ),
    })),
  };
  const title = checks.groupBy === undefined ? 'All rows' : `By ${checks.groupBy}`;
  return checkResult('groups', title, findings, figures, '');
}

function shownGroups({ groups: found, columns }: ScanFacts): [name: string, GroupFacts][] {
  const named = [...found].filter(([name]) => name !== OTHER_GROUPS);
  named.sort(([, a], [, b]) => compareKeys(a.firstKey, b.firstKey));
  const shown = named.slice(0, MAX_GROUPS);
  const others = [...named.slice(MAX_GROUPS).map(([, group]) => group), found.get(OTHER_GROUPS) ?? []].flat();
  if (others.length === 0) return shown;
  const sum = (of: (group: GroupFacts) => number): number =>
    others.reduce((all, group) => all + of(group), 0);
  const filled = columns.map((_, i) => sum((group) => group.filled[i] ?? 0));
  return [...shown, [OTHER_GROUPS, { firstKey: 0n, total: sum(({ total }) => total), filled }]];
}

/** Check 5: whether the filled columns hold timestamps, and plausible ones. */
export function timestamps({ checks, columns }: Backfill, facts: ScanFacts): CheckResult {
  const fallbackFor = (name: string): string | undefined =>
    fallbackOf(columns.find((column) => column.name === name)?.value);
  const judged = checks.areTimestamps ? facts.columns : [];
  const findings = judged.flatMap(({ name, timestamps: found }): CheckFinding[] => {
    const fallback = fallbackFor(name);
    return [
      {
        verdict: 'pass',
        text: `${name}: ${found.min && found.max ? `${showValue(found.min.text)} to ${showValue(found.max.text)}` : 'none'}; ${found.withoutOffset} of ${found.valid} without offset, read as UTC`,
      },
      ...(fallback === undefined
        ? []
        : [
            {
              verdict: 'pass' as const,
              text: `${name}: ${found.fromFallback} of ${found.valid} hold the value of ${fallback}, its fallback`,
            },
          ]),
      ...cells('warn', found.invalid, (n) => `${n} values of ${name} are no timestamps`),
      ...cells('warn', found.future, (n) => `${n} values of ${name} lie in the future`),
    ];
  });
  if (!checks.areTimestamps) findings.push({ verdict: 'pass', text: 'not asked for' });
  const { from = '', to = '' } = checks.lag ?? {};
  findings.push(
    ...cells('warn', facts.toBefore, (n) => `${n} rows have ${to} before ${from}`),
    ...cells(
      'warn',
      facts.mixedOffsets,
      (n) => `${n} rows have an offset in one of ${from} and ${to}, and none in the other`,
    ),
  );
  const figures = {
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
    endBeforeStart: facts.toBefore.count,
    endBeforeFallback: facts.toBeforeFallback,
    mixedOffsets: facts.mixedOffsets.count,
  };
  const result = checkResult('timestamps', 'Timestamps', findings, figures, '');
  if (facts.toBeforeFallback === 0) return result;
  const hint = `in ${facts.toBeforeFallback} of the rows that end before they start, ${from} is ${fallbackFor(from)}, its fallback: an application that writes the row a moment after the event makes that lag slightly negative, and nothing is to be mended`;
  return { ...result, hint };
}

/** Check 6: rows with NULLs, by which columns are NULL. */
export function nulls({ columns }: Backfill, facts: ScanFacts): CheckResult {
  const rows = [...facts.nulls].sort(([a], [b]) => a - b);
  const named = rows.map(([mask, count]) => {
    const names = columns.filter((_, i) => (mask >> i) & 1).map(({ name }) => name);
    return { columns: names, rows: count };
  });
  const findings: CheckFinding[] =
    named.length === 0
      ? [{ verdict: 'pass', text: 'no row in scope has a NULL' }]
      : named.map(({ columns: names, rows: count }) => ({
          verdict: 'pass',
          text: `${count} rows have NULL in ${names.length === columns.length && names.length > 1 ? 'all of ' : 'only '}${names.join(', ')}`,
        }));
  return checkResult('nulls', 'NULLs', findings, { rows: named }, '');
}

/** Check 7: seconds between the two columns of `checks.lag`. */
export async function lag(store: Store, { checks }: Backfill, facts: ScanFacts): Promise<CheckResult> {
  const figures = await lagFigures(store, facts.lag);
  const findings: CheckFinding[] = figures
    ? [
        {
          verdict: 'pass',
          text: `${checks.lag?.from} to ${checks.lag?.to}: ${figures.count} rows, p50 ${figures.p50Seconds} s, p95 ${figures.p95Seconds} s, p99 ${figures.p99Seconds} s, max ${figures.maxSeconds} s`,
        },
        {
          verdict: 'pass',
          text: `slowest: ${figures.slowest.map(({ key, seconds }) => `${key} (${seconds} s)`).join(', ')}`,
        },
      ]
    : [{ verdict: 'pass', text: checks.lag ? 'no row has both timestamps' : 'not asked for' }];
  return checkResult('lag', 'Lag', findings, { ...figures }, '');
}
