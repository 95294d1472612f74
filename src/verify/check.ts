import type { Key } from '../ledger/keys.js';
import { english, type Message, msg } from '../messages/message.js';

/** The outcome of a check: nothing found, a warning, a failure. */
export type Verdict = 'pass' | 'warn' | 'fail';

/** Maximum number of sample keys of a finding. */
export const MAX_SAMPLES = 10;

/** One thing that a check found. */
export interface CheckFinding {
  readonly verdict: Verdict;
  /** One line in English. From the store it holds only timestamps, keys and names. */
  readonly text: string;
  /** Keys of the first rows that it concerns, up to 10. */
  readonly sampleKeys?: readonly string[];
  /** The text as data, for other languages. Not enumerable, so JSON has the English text alone. */
  readonly texts: { readonly text: Message };
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
  /** The statistics of the findings, for programs. */
  readonly stats: Readonly<Record<string, unknown>>;
  /** The fix for a failure, always present if the verdict is `fail`; or the explanation of a warning. */
  readonly hint?: string;
  /** Title and hint as data, for other languages. Not enumerable, so JSON has the English texts alone. */
  readonly texts: { readonly title: Message; readonly hint?: Message };
}

/** Returns the worst of some verdicts; `pass` if there are none. */
export const worstVerdict = (verdicts: readonly Verdict[]): Verdict =>
  (['fail', 'warn'] as const).find((verdict) => verdicts.includes(verdict)) ?? 'pass';

/**
 * Returns a finding.
 *
 * @param keys keys of the first rows that it concerns. Default: not about rows
 */
export const finding = (verdict: Verdict, text: Message, keys?: readonly (Key | string)[]): CheckFinding =>
  withTexts({ verdict, text: english(text), ...(keys ? { sampleKeys: keys.map(String) } : {}) }, { text });

/** Returns a finding without trouble. */
export const pass = (text: Message): CheckFinding => finding('pass', text);

/** Returns the finding of a check that the project does not configure. */
export const notConfigured = (): CheckFinding => pass(msg('Not configured'));

/**
 * Returns a check's result. Its verdict is the worst of its findings'.
 *
 * @param hints `fail`: how to fix a failure; `note`: explains a warning. Default: none, for a check that cannot fail
 */
export function checkResult(
  id: CheckResult['id'],
  title: Message,
  findings: readonly CheckFinding[],
  stats: CheckResult['stats'],
  hints: { readonly fail?: Message; readonly note?: Message | undefined } = {},
): CheckResult {
  const verdict = worstVerdict(findings.map((found) => found.verdict));
  const hint = verdict === 'fail' ? hints.fail : hints.note;
  const result = { id, title: english(title), verdict, findings, stats };
  return hint ? withTexts({ ...result, hint: english(hint) }, { title, hint }) : withTexts(result, { title });
}

const withTexts = <Result extends object, Texts>(
  result: Result,
  texts: Texts,
): Result & { readonly texts: Texts } =>
  Object.defineProperty(result, 'texts', { value: texts }) as Result & { readonly texts: Texts };

/** Returns a part in percent, rounded down to hundredths so that 100 means all. If the whole is 0, returns 100. */
export function percent(part: number, whole: number): number {
  return whole === 0 ? 100 : Math.floor((part * 10_000) / whole) / 100;
}
