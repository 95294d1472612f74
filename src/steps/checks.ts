import { BackfillError } from '../errors.js';
import { type Message, msg } from '../messages/message.js';
import { optionOf, refuseUnknownOptions, requireText } from '../options.js';

/** A query that must use an index, for the index check of the verification. */
export interface IndexUse {
  /** Name of the index. An index with the same definition and another name counts too. */
  readonly index: string;
  /** The query, without parameters. */
  readonly query: string;
}

/** A project-specific rule of the verification. */
export interface VerificationRule {
  /** The rule in a few words, for display, such as `no lag is negative`. */
  readonly title: string;
  /** A SELECT, without parameters, of the rows that break the rule. Its first column, the key, is displayed. */
  readonly query: string;
  /** Verdict if a row breaks the rule. Default `fail`. */
  readonly verdict?: 'warn' | 'fail';
}

/** Checks of the verification in addition to coverage, consistency, NULLs and integrity. */
export interface BackfillChecks<Column extends string = string> {
  /** Column to group the coverage by. */
  readonly groupBy?: string;
  /** Queries that must use an index. */
  readonly indexes?: readonly IndexUse[];
  /** Project-specific rules that every row must satisfy. */
  readonly rules?: readonly VerificationRule[];
  /** Whether the filled columns contain timestamps, which are then checked. Default false. */
  readonly timestamps?: boolean;
  /** Two filled columns; the verification reports the difference in seconds. Requires `timestamps`. */
  readonly lag?: { readonly from: NoInfer<Column>; readonly to: NoInfer<Column> };
}

const WHAT = 'defineBackfill()';

const invalid = (message: Message, hint: Message): BackfillError =>
  new BackfillError('STEP_INVALID', message, hint);

/**
 * Validates the checks of a backfill.
 *
 * @param columns names of the filled columns
 * @throws {BackfillError} `STEP_INVALID` naming the option
 */
export function validateChecks(checks: BackfillChecks, columns: readonly string[]): BackfillChecks {
  refuseUnknownOptions(
    checks,
    ['groupBy', 'indexes', 'rules', 'timestamps', 'lag'],
    optionOf('checks', WHAT),
    'STEP_INVALID',
  );
  for (const end of checks.lag ? [checks.lag.from, checks.lag.to] : []) {
    if (!columns.includes(end) || checks.timestamps !== true) {
      throw invalid(
        msg('`checks.lag` in {what} names {column}, which is not a filled column of timestamps', {
          what: WHAT,
          column: end,
        }),
        msg('Set it to two of `columns`, and set `timestamps: true`'),
      );
    }
  }
  for (const rule of checks.rules ?? []) {
    const what = optionOf('checks.rules', WHAT);
    refuseUnknownOptions(rule, ['title', 'query', 'verdict'], what, 'STEP_INVALID');
    requireText(rule.title, 'title', what, 'STEP_INVALID');
    requireText(rule.query, 'query', what, 'STEP_INVALID');
    if (rule.verdict !== undefined && !['warn', 'fail'].includes(rule.verdict)) {
      throw invalid(
        msg('Expected `verdict` in {what} to be warn or fail, got `{value}`', {
          what,
          value: String(rule.verdict),
        }),
        msg('Remove it for the default, fail'),
      );
    }
  }
  return checks;
}
