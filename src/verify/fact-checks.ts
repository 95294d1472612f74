import type { Store } from '../db/connection.js';
import { count } from '../format.js';
import { compareKeys } from '../ledger/keys.js';
import { type Message, msg } from '../messages/message.js';
import { shellWord } from '../shell.js';
import type { Backfill } from '../steps/define.js';
import { fallbackOf } from '../steps/values.js';
import {
  type CheckFinding,
  type CheckResult,
  checkResult,
  finding,
  notConfigured,
  pass,
  percent,
} from './check.js';
import {
  addGroup,
  type GroupFacts,
  groupName,
  OTHER_GROUPS,
  type SampledCount,
  type ScanFacts,
} from './facts.js';
import { lagFigures } from './times.js';

// The checks that need only the facts of the scan.

/** Maximum number of groups in a result, those with the lowest keys; the others are counted together. */
const MAX_GROUPS = 200;

/** Returns a function that makes a finding of sampled rows or cells; none if there are none. */
const counted =
  (verdict: 'warn' | 'fail') =>
  (sampled: SampledCount, text: (rows: string) => Message): CheckFinding[] =>
    sampled.count === 0 ? [] : [finding(verdict, text(count(sampled.count)), sampled.keys)];

const [fail, warn] = [counted('fail'), counted('warn')];

/** Check 1: the filled share of the scope. */
export function coverage(
  backfill: Backfill,
  { rows: rowsInScope, columns }: ScanFacts,
  skips: Readonly<Record<string, number>>,
  minCoverage: number | undefined,
): CheckResult {
  const findings = columns.flatMap((facts): CheckFinding[] => {
    const { name: column, filled, fillable, pendingCatchUp, rejected, noValue } = facts;
    const share = percent(filled, rowsInScope);
    const values = { column, filled: count(filled), rows: count(rowsInScope), percent: share };
    const required = { ...values, minimum: minCoverage };
    return [
      minCoverage !== undefined && share < minCoverage
        ? finding(
            'fail',
            msg('{column}: {filled} of {rows} filled ({percent}%), below the required {minimum}%', required),
          )
        : pass(msg('{column}: {filled} of {rows} filled ({percent}%)', values)),
      ...fail(fillable, (cells) =>
        msg('{cells} cells of {column} are NULL though a value can be derived', { cells, column }),
      ),
      ...warn(pendingCatchUp, (cells) =>
        msg('{cells} cells of {column} are pending catch-up', { cells, column }),
      ),
      ...warn(rejected, (cells) =>
        msg('{cells} cells of {column} were rejected by a trigger or a constraint', { cells, column }),
      ),
      ...warn(noValue, (cells) =>
        msg('{cells} cells of {column} have no value to derive', { cells, column }),
      ),
    ];
  });
  const reasons = Object.entries(skips).map(([reason, cells]) => `${count(cells)} ${reason}`);
  if (reasons.length > 0) findings.push(finding('warn', msg('Skipped: {reasons}', { reasons })));
  const stats = {
    rowsInScope,
    columns: columns.map(({ name, filled, fillable, pendingCatchUp, rejected, noValue }) => ({
      name,
      filled,
      percent: percent(filled, rowsInScope),
      fillable: fillable.count,
      waiting: pendingCatchUp.count,
      refused: rejected.count,
      withoutValue: noValue.count,
    })),
    skips,
  };
  const canFill = stats.columns.some(({ fillable, waiting, refused }) => fillable + waiting + refused > 0);
  const name = shellWord(backfill.name);
  return checkResult('coverage', msg('Coverage'), findings, stats, {
    fail: canFill
      ? msg('Run: umzug-backfill backfill {name} --rescan', { name })
      : msg(
          'Run umzug-backfill skips {name} to list the rows without a value, or pass a lower --min-coverage',
          { name },
        ),
  });
}

/** Check 2: whether each filled cell equals the derived value. */
export function consistency(backfill: Backfill, facts: ScanFacts): CheckResult {
  const filled = facts.columns.reduce((sum, column) => sum + column.filled, 0);
  const { thisRun, rewritten, earlierRun, application, declaredOtherwise, underivable } = facts.mismatches;
  const equal = Object.values(facts.mismatches).reduce((rest, { count: cells }) => rest - cells, filled);
  const shown = { equal: count(equal), filled: count(filled) };
  const findings = [
    pass(msg('{equal} of {filled} filled cells equal the derived value', shown)),
    ...fail(thisRun, (cells) =>
      msg('{cells} cells filled by the run being verified differ from the derived value', { cells }),
    ),
    ...warn(rewritten, (cells) =>
      msg('{cells} cells filled by the run being verified were changed since by other transactions', {
        cells,
      }),
    ),
    ...warn(earlierRun, (cells) =>
      msg('{cells} cells filled by an earlier run were changed since', { cells }),
    ),
    ...warn(declaredOtherwise, (cells) =>
      msg('{cells} cells hold the value that an earlier definition of the backfill derived', { cells }),
    ),
    ...warn(underivable, (cells) =>
      msg('{cells} cells cannot be compared: what filled them is no longer available', { cells }),
    ),
    ...warn(application, (cells) =>
      msg('{cells} cells written by the application hold another value', { cells }),
    ),
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
  return checkResult('consistency', msg('Consistency'), findings, stats, {
    fail: msg(
      'Run umzug-backfill down --to {name}, then umzug-backfill up, once the rows or the function that the cells are derived from are as they were when the cells were filled',
      { name: shellWord(backfill.name) },
    ),
  });
}

/** Check 3: coverage by the values of `checks.groupBy`. */
export function groups({ checks: { groupBy } }: Backfill, facts: ScanFacts): CheckResult {
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
    const shares = columns.map((column) => `${column.name} ${count(column.filled)} (${column.percent}%)`);
    const values = { group: groupName(name, groupBy), rows: count(total), columns: shares };
    return pass(msg('{group}: {rows} rows, {columns}', values));
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
  const title = groupBy === undefined ? msg('Groups') : msg('By {column}', { column: groupBy });
  return checkResult('groups', title, findings, stats);
}

/** Returns the groups by name; those after the first {@link MAX_GROUPS} are one. */
function shownGroups({ groups: found }: ScanFacts): [name: string, GroupFacts][] {
  const byKey = [...found].sort(([, a], [, b]) => compareKeys(a.firstKey, b.firstKey));
  const named = byKey.filter(([name]) => name !== OTHER_GROUPS);
  const shown = new Map(named.slice(0, MAX_GROUPS));
  for (const [, group] of named.slice(MAX_GROUPS)) addGroup(shown, OTHER_GROUPS, group);
  const others = found.get(OTHER_GROUPS);
  if (others) addGroup(shown, OTHER_GROUPS, others);
  return [...shown].sort(([a], [b]) => (a < b ? -1 : 1));
}

/** Check 5: whether the filled columns hold plausible timestamps. */
export function timestamps({ checks, columns }: Backfill, facts: ScanFacts): CheckResult {
  const fallbackFor = (name: string): string | undefined =>
    fallbackOf(columns.find((column) => column.name === name)?.value);
  const judged = checks.timestamps ? facts.columns : [];
  const findings = judged.flatMap(({ name: column, timestamps: found }): CheckFinding[] => {
    const { invalid, future } = found;
    const { min, max } = found.extremes;
    const [valid, fallback] = [count(found.valid), fallbackFor(column)];
    const fromFallback = { column, rows: count(found.fromFallback), valid, fallback };
    return [
      pass(
        min && max
          ? msg('{column}: {from} to {to}; {without} of {valid} without offset, read as UTC', {
              ...{ column, from: min.text, to: max.text, without: count(found.withoutOffset), valid },
            })
          : msg('{column}: no timestamps', { column }),
      ),
      ...(fallback === undefined
        ? []
        : [pass(msg('{column}: {rows} of {valid} hold the value of the fallback {fallback}', fromFallback))]),
      ...warn(invalid, (values) => msg('{values} values of {column} are not timestamps', { values, column })),
      ...warn(future, (values) => msg('{values} values of {column} are in the future', { values, column })),
    ];
  });
  if (!checks.timestamps) findings.push(notConfigured());
  const { from = '', to = '' } = checks.lag ?? {};
  const { toBefore, toBeforeFallback, mixedOffsets } = facts;
  findings.push(
    ...warn(toBefore, (rows) => msg('{rows} rows have {to} before {from}', { rows, to, from })),
    ...warn(mixedOffsets, (rows) =>
      msg('{rows} rows have an offset in only one of {from} and {to}', { rows, from, to }),
    ),
  );
  const stats = {
    columns: facts.columns.map(({ name, timestamps: found }) => ({
      name,
      min: found.extremes.min?.text ?? null,
      max: found.extremes.max?.text ?? null,
      valid: found.valid,
      withoutOffset: found.withoutOffset,
      fromFallback: found.fromFallback,
      invalid: found.invalid.count,
      future: found.future.count,
    })),
    endBeforeStart: toBefore.count,
    endBeforeFallback: toBeforeFallback,
    mixedOffsets: mixedOffsets.count,
  };
  return checkResult('timestamps', msg('Timestamps'), findings, stats, {
    note:
      toBeforeFallback > 0
        ? msg(
            'No fix is needed for {rows} of the rows with {to} before {from}: there {from} is its fallback {fallback}, which the application writes a moment after the event',
            { rows: count(toBeforeFallback), to, from, fallback: fallbackFor(from) },
          )
        : undefined,
  });
}

/** Check 6: rows with NULLs, by which columns are NULL. */
export function nulls({ columns }: Backfill, facts: ScanFacts): CheckResult {
  const byMask = [...facts.nulls].sort(([a], [b]) => a - b);
  const rows = byMask.map(([mask, found]) => ({
    columns: columns.filter((_, i) => (mask >> i) & 1).map(({ name }) => name),
    rows: found,
  }));
  const findings = rows.map(({ columns: names, rows: found }) => {
    const values = { rows: count(found), columns: names };
    return pass(
      names.length === columns.length && names.length > 1
        ? msg('{rows} rows have NULL in all of {columns}', values)
        : msg('{rows} rows have NULL in only {columns}', values),
    );
  });
  if (findings.length === 0) findings.push(pass(msg('No row in scope has a NULL')));
  return checkResult('nulls', msg('NULLs'), findings, { rows });
}

/** Check 7: seconds between the two columns of `checks.lag`. */
export async function lag(store: Store, { checks }: Backfill, facts: ScanFacts): Promise<CheckResult> {
  const stats = await lagFigures(store, facts.lag);
  const title = msg('Lag');
  if (!stats || !checks.lag) {
    const found = checks.lag ? pass(msg('No row has both timestamps')) : notConfigured();
    return checkResult('lag', title, [found], {});
  }
  const { p50Seconds: p50, p95Seconds: p95, p99Seconds: p99, maxSeconds: max, slowest } = stats;
  const values = { ...checks.lag, rows: count(stats.count), p50, p95, p99, max };
  const findings = [
    pass(msg('{from} to {to}: {rows} rows, p50 {p50} s, p95 {p95} s, p99 {p99} s, max {max} s', values)),
    pass(msg('Slowest: {rows}', { rows: slowest.map(({ key, seconds }) => `${key} (${seconds} s)`) })),
  ];
  return checkResult('lag', title, findings, { ...stats });
}
