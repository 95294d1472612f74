import { normaliseSql } from '../db/sql.js';
import { BackfillError } from '../errors.js';
import { msg, type Phrase, type PlainText } from '../messages/message.js';
import { refuseUnknownOptions, requireText } from '../options.js';

/** Options of {@link defineSqlStep}. */
export interface SqlStepOptions {
  /**
   * Statements that apply the step, one per text, without parameters. They run in order, in one transaction with the step's
   * ledger row.
   */
  readonly up: readonly string[];
  /** Statements that revert the step. Without them the step cannot be reverted. */
  readonly down?: readonly string[];
}

/** A validated SQL step. */
export interface SqlStepDefinition {
  readonly kind: 'sql';
  readonly up: readonly string[];
  readonly down: readonly string[] | undefined;
}

const WHAT = 'defineSqlStep()';

/**
 * Declares a step of SQL statements.
 *
 * @param options see {@link SqlStepOptions}
 * @returns a step, for the default export of a file in a step folder
 * @throws {BackfillError} `STEP_INVALID` if there is no statement, or if a text contains none or several, a parameter, or a
 *   statement that ends the transaction
 *
 * @example
 * export default defineSqlStep({
 *   up: ['CREATE VIEW late AS SELECT * FROM events WHERE is_late'],
 *   down: ['DROP VIEW late'],
 * });
 */
export function defineSqlStep(options: SqlStepOptions): SqlStepDefinition {
  refuseUnknownOptions(options, ['up', 'down'], WHAT, 'STEP_INVALID');
  if (!Array.isArray(options.up) || options.up.length === 0) {
    throw new BackfillError(
      'STEP_INVALID',
      msg('Expected `up` in defineSqlStep() to be a list of statements'),
      msg('Pass at least one statement'),
    );
  }
  if (options.down !== undefined && !Array.isArray(options.down)) {
    throw new BackfillError(
      'STEP_INVALID',
      msg('Expected `down` in defineSqlStep() to be a list of statements'),
      msg('Pass at least one statement, or remove `down`; without it the step cannot be reverted'),
    );
  }
  const inUp = options.up.length;
  for (const [i, statement] of [...options.up, ...(options.down ?? [])].entries()) {
    requireText(statement, i < inUp ? 'up' : 'down', WHAT, 'STEP_INVALID');
    if (
      /^(?:begin|commit|end|rollback|savepoint|release|vacuum|attach|detach|pragma)\b/.test(
        normaliseSql(statement),
      )
    ) {
      throw new BackfillError(
        'STEP_INVALID',
        msg("A statement in defineSqlStep() cannot run inside the step's transaction: {sql}", {
          sql: statement.slice(0, 40),
        }),
        msg('Remove it: each step runs in a separate transaction'),
      );
    }
    requireOneStatement(statement, WHAT);
  }
  return { kind: 'sql', up: [...options.up], down: options.down && [...options.down] };
}

/**
 * Parts of SQL, of either engine, in which `;` and parameters have no meaning: texts, quoted names, bodies between `$$`,
 * comments.
 */
const OPAQUE =
  /(?<comment>--[^\n]*|\/\*[\s\S]*?(?:\*\/|$))|\bE'(?:[^'\\]|''|\\[\s\S])*'?|'(?:[^']|'')*'?|"(?:[^"]|"")*"?|`(?:[^`]|``)*`?|\[[^\]'"]*\]|(?<![\w$])\$(?<tag>[A-Za-z_]\w*|)\$[\s\S]*?(?:\$\k<tag>\$|$)/gi;

/** Statements with a body, which may contain `;` and parameters. */
const HAS_BODY = /^\s*CREATE\s+(?:OR\s+REPLACE\s+)?(?:TEMP(?:ORARY)?\s+)?(?:TRIGGER|FUNCTION|PROCEDURE)\b/i;

/**
 * A parameter: by number; by name, unlike `::` or an array slice; or a `?` without an operand on one side, unlike the `jsonb`
 * operators of PostgreSQL.
 */
const PARAMETER =
  /(?<![\w$])\$\d|\?\d|(?<![:\w\])]):[a-z_]|(?:^|[(,=<>+*/%-])\s*\?(?![|&#-])|(?<![@?])\?(?=\s*(?:[),;=<>+*/%]|$))/i;

/**
 * Checks that a text of a step is one statement without parameters. A second statement would be ignored, or could end the
 * transaction.
 *
 * @throws {BackfillError} `STEP_INVALID`
 */
export function requireOneStatement(sql: string, what: Phrase): void {
  const plain = sql.replace(OPAQUE, (_, comment?: string) => (comment === undefined ? "''" : ' '));
  const hasBody = HAS_BODY.test(plain);
  // In a body, only the text after its last END is a separate statement.
  const rest = hasBody ? (/^[\s\S]*\bEND\b([\s\S]*)$/i.exec(plain)?.[1] ?? plain) : plain;
  if (/^[\s;]*$/.test(plain)) throw faulty(sql, what, 'no statement', 'Remove it');
  if (/;\s*[^\s;]/.test(withoutParentheses(rest)))
    throw faulty(sql, what, 'several statements', 'Pass each of them as a separate text in the list');
  if (!hasBody && PARAMETER.test(plain))
    throw faulty(
      sql,
      what,
      'a parameter',
      'Write its value into the statement; parameters are not supported',
    );
}

const faulty = (sql: string, what: Phrase, found: PlainText, hint: PlainText): BackfillError =>
  new BackfillError(
    'STEP_INVALID',
    msg('Expected each text in {what} to be one statement, got {found}: {text}', {
      what,
      found: msg(found),
      text: JSON.stringify(sql.slice(0, 40)),
    }),
    msg(hint),
  );

/** Removes text in parentheses, where a rule of PostgreSQL may have several statements. */
function withoutParentheses(sql: string): string {
  let depth = 0;
  let out = '';
  for (const character of sql) {
    if (character === ')') depth -= 1;
    if (depth === 0) out += character;
    if (character === '(') depth += 1;
  }
  return out;
}

/** Returns the error for a text that the database does not accept as one statement without parameters. */
export const noStatement = (step: string, sql: string, cause: Error): BackfillError =>
  new BackfillError(
    'STEP_INVALID',
    msg('A text of the step {name} is not one statement without parameters: {text}', {
      name: step,
      text: JSON.stringify(sql.slice(0, 40)),
    }),
    msg('Pass each statement as a separate text in the list, with values instead of parameters'),
    { cause },
  );
