/** What a check says: all well; well enough, with something to know; not well. */
export type Verdict = 'pass' | 'warn' | 'fail';

/** Names of the checks, in the order in which they are shown. */
export const CHECK_IDS = [
  'coverage',
  'consistency',
  'groups',
  'index-use',
  'timestamps',
  'nulls',
  'lag',
  'integrity',
  'rules',
] as const;

/** One thing that a check found. */
export interface CheckFinding {
  readonly verdict: Verdict;
  /** One line for a person, without contents of the store but timestamps, keys and names. */
  readonly text: string;
  /** Keys of the first rows it concerns, at most 10. */
  readonly sampleKeys?: readonly string[];
}

/** The result of one check. */
export interface CheckResult {
  readonly id: (typeof CHECK_IDS)[number];
  readonly title: string;
  readonly verdict: Verdict;
  readonly findings: readonly CheckFinding[];
  /** The figures behind the findings, for programs. */
  readonly figures: Readonly<Record<string, unknown>>;
  /** The command that mends it; there is one whenever the verdict is `fail`. Of a warning: what explains it. */
  readonly hint?: string;
}

const WEIGHT: Readonly<Record<Verdict, number>> = { pass: 0, warn: 1, fail: 2 };

/** The gravest of some verdicts; `pass` when there are none. */
export function gravest(verdicts: readonly Verdict[]): Verdict {
  return verdicts.reduce<Verdict>(
    (worst, verdict) => (WEIGHT[verdict] > WEIGHT[worst] ? verdict : worst),
    'pass',
  );
}

/** Makes a check's result from its findings. */
export function checkResult(
  id: CheckResult['id'],
  title: string,
  findings: readonly CheckFinding[],
  figures: Readonly<Record<string, unknown>>,
  hint: string,
): CheckResult {
  const verdict = gravest(findings.map((finding) => finding.verdict));
  return { id, title, verdict, findings, figures, ...(verdict === 'fail' ? { hint } : {}) };
}

/** Part of a whole in percent, rounded down to hundredths so that 100 means all; of nothing, all. */
export function percent(part: number, whole: number): number {
  return whole === 0 ? 100 : Math.floor((part * 10_000) / whole) / 100;
}
