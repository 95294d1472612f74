/** What a check says: all well; well enough, with something to know; not well. */
export type Verdict = 'pass' | 'warn' | 'fail';

/** At most this many keys are shown as samples of one finding. */
export const MAX_SAMPLES = 10;

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
  readonly id:
    | 'coverage'
    | 'consistency'
    | 'groups'
    | 'index-use'
    | 'timestamps'
    | 'nulls'
    | 'lag'
    | 'integrity'
    | 'rules';
  readonly title: string;
  readonly verdict: Verdict;
  readonly findings: readonly CheckFinding[];
  /** The figures behind the findings, for programs. */
  readonly stats: Readonly<Record<string, unknown>>;
  /** The command that mends it; there is one whenever the verdict is `fail`. Of a warning: what explains it. */
  readonly hint?: string;
}

/** Returns the gravest of some verdicts; `pass` when there are none. */
export const worstVerdict = (verdicts: readonly Verdict[]): Verdict =>
  (['fail', 'warn'] as const).find((verdict) => verdicts.includes(verdict)) ?? 'pass';

/**
 * Makes a check's result from its findings.
 *
 * @param hint what mends a failure. Default: none, for a check that can't fail
 */
export function checkResult(
  id: CheckResult['id'],
  title: string,
  findings: readonly CheckFinding[],
  stats: CheckResult['stats'],
  hint = '',
): CheckResult {
  const verdict = worstVerdict(findings.map((finding) => finding.verdict));
  return { id, title, verdict, findings, stats, ...(verdict === 'fail' ? { hint } : {}) };
}

/** Returns the finding that something is well. */
export const pass = (text: string): CheckFinding => ({ verdict: 'pass', text });

/** Returns part of a whole in percent, rounded down to hundredths so that 100 means all; of nothing, all. */
export function percent(part: number, whole: number): number {
  return whole === 0 ? 100 : Math.floor((part * 10_000) / whole) / 100;
}
