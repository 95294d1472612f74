import { BackfillError } from '../errors.js';
import { refuseUnknownOptions, requireText } from '../options.js';

/** A query that must use a certain index, for the verification's index check. */
export interface IndexUse {
  /** Name of the index; an index of the same table and definition under another name counts too. */
  readonly index: string;
  /** The query it is for, without parameters. */
  readonly query: string;
}

/** A rule of a project's own, for the verification. */
export interface VerificationRule {
  /** What holds, in a few words, as `no lag is negative`: it is shown. */
  readonly title: string;
  /** A SELECT, without parameters, of the keys of the rows that break it: its first column is shown. */
  readonly query: string;
  /** What broken rows are. Default `fail`. */
  readonly verdict?: 'warn' | 'fail';
}

/** What the verification looks at beyond coverage, consistency, NULLs and integrity. */
export interface BackfillChecks<Column extends string = string> {
  /** Column whose values the coverage is broken down by. */
  readonly groupBy?: string;
  /** Queries that must use an index. */
  readonly indexes?: readonly IndexUse[];
  /** Rules of one's own: no row may break them. */
  readonly rules?: readonly VerificationRule[];
  /** Whether the filled columns hold timestamps, to be judged as such. Default false. */
  readonly timestamps?: boolean;
  /** Two filled columns whose difference in seconds is a figure worth watching. Needs `timestamps`. */
  readonly lag?: { readonly from: NoInfer<Column>; readonly to: NoInfer<Column> };
}

const WHAT = 'defineBackfill()';

const invalid = (message: string, hint: string): BackfillError =>
  new BackfillError('STEP_INVALID', message, hint);

/**
 * Validates the checks of a backfill.
 *
 * @param columns names of the columns that it fills
 * @throws {BackfillError} `STEP_INVALID` naming the option
 */
export function validateChecks(checks: BackfillChecks, columns: readonly string[]): BackfillChecks {
  refuseUnknownOptions(
    checks,
    ['groupBy', 'indexes', 'rules', 'timestamps', 'lag'],
    `\`checks\` of ${WHAT}`,
    'STEP_INVALID',
  );
  for (const end of checks.lag ? [checks.lag.from, checks.lag.to] : []) {
    if (!columns.includes(end) || checks.timestamps !== true) {
      throw invalid(
        `\`checks.lag\` in ${WHAT} names ${end}, which is not a filled column of timestamps`,
        'Name two of `columns` and set `timestamps: true`',
      );
    }
  }
  for (const rule of checks.rules ?? []) {
    const what = `\`checks.rules\` of ${WHAT}`;
    refuseUnknownOptions(rule, ['title', 'query', 'verdict'], what, 'STEP_INVALID');
    requireText(rule.title, 'title', what, 'STEP_INVALID');
    requireText(rule.query, 'query', what, 'STEP_INVALID');
    if (rule.verdict !== undefined && !['warn', 'fail'].includes(rule.verdict)) {
      throw invalid(
        `Expected \`verdict\` in ${what} to be warn or fail, got \`${String(rule.verdict)}\``,
        'Leave it out: a rule that is broken fails',
      );
    }
  }
  return checks;
}
