import { normaliseSql } from '../db/sql.js';
import { BackfillError } from '../errors.js';
import { msg } from '../messages/message.js';
import { refuseUnknownOptions, requireText } from '../options.js';

/** What {@link defineSqlStep} takes. */
export interface SqlStepOptions {
  /** Statements that apply the step, run in order in one transaction with its ledger row: one in each text, without parameters. */
  readonly up: readonly string[];
  /** Statements that revert it, likewise. Without them the step can not be reverted. */
  readonly down?: readonly string[];
}

/** A validated step of plain SQL. */
export interface SqlStepDefinition {
  readonly kind: 'sql';
  readonly up: readonly string[];
  readonly down: readonly string[] | undefined;
}

const WHAT = 'defineSqlStep()';

/**
 * Declares a step of plain SQL statements.
 *
 * @param options see {@link SqlStepOptions}
 * @returns a step to be the default export of a file in one of the project's step folders
 * @throws {BackfillError} `STEP_INVALID` when there is no statement, a text holds none or several, has a parameter, or ends the transaction it runs in
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
      msg('Name one'),
    );
  }
  if (options.down !== undefined && !Array.isArray(options.down)) {
    throw new BackfillError(
      'STEP_INVALID',
      msg('Expected `down` in defineSqlStep() to be a list of statements'),
      msg('Name one, or leave it out: the step can not be reverted then'),
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
        msg("A statement in defineSqlStep() can not run inside the step's transaction: {sql}", {
          sql: statement.slice(0, 40),
        }),
        msg('Leave it out: each step runs in a transaction of its own'),
      );
    }
    requireOneStatement(statement, WHAT);
  }
  return { kind: 'sql', up: [...options.up], down: options.down && [...options.down] };
}

/** What no `;` and no parameter is looked for in: texts, quoted names, bodies between `$$`, comments. Of both engines. */
const OPAQUE =
  /(?<comment>--[^\n]*|\/\*[\s\S]*?(?:\*\/|$))|\bE'(?:[^'\\]|''|\\[\s\S])*'?|'(?:[^']|'')*'?|"(?:[^"]|"")*"?|`(?:[^`]|``)*`?|\[[^\]'"]*\]|(?<![\w$])\$(?<tag>[A-Za-z_]\w*|)\$[\s\S]*?(?:\$\k<tag>\$|$)/gi;

/** What has a body of statements, or whose parameters are its own. */
const HAS_BODY = /^\s*CREATE\s+(?:OR\s+REPLACE\s+)?(?:TEMP(?:ORARY)?\s+)?(?:TRIGGER|FUNCTION|PROCEDURE)\b/i;

/**
 * A parameter: by number; by name, which a `::` or a slice of an array is not; or a `?` that has no operand on one of its sides, and so
 * is none of PostgreSQL's operators on `jsonb`.
 */
const PARAMETER =
  /(?<![\w$])\$\d|\?\d|(?<![:\w\])]):[a-z_]|(?:^|[(,=<>+*/%-])\s*\?(?![|&#-])|(?<![@?])\?(?=\s*(?:[),;=<>+*/%]|$))/i;

/**
 * Insists that a text of a step is one statement without parameters: nothing is bound to it, and what stands behind a first statement
 * would end the transaction or be left out.
 *
 * @throws {BackfillError} `STEP_INVALID`
 */
export function requireOneStatement(sql: string, what: string): void {
  const plain = sql.replace(OPAQUE, (_, comment?: string) => (comment === undefined ? "''" : ' '));
  const hasBody = HAS_BODY.test(plain);
  // Of a body, only what stands behind its last END is a statement of its own.
  const rest = hasBody ? (/^[\s\S]*\bEND\b([\s\S]*)$/i.exec(plain)?.[1] ?? plain) : plain;
  if (/^[\s;]*$/.test(plain)) throw faulty(sql, what, 'no statement', 'Leave it out');
  if (/;\s*[^\s;]/.test(withoutParentheses(rest)))
    throw faulty(sql, what, 'several statements', 'Give each of them a text of its own in the list');
  if (!hasBody && PARAMETER.test(plain))
    throw faulty(sql, what, 'a parameter', 'Write its value into the statement: nothing is bound to it');
}

const faulty = (sql: string, what: string, found: string, hint: string): BackfillError =>
  new BackfillError(
    'STEP_INVALID',
    msg('Expected each text in {what} to be one statement, got {found}: {text}', {
      what,
      found,
      text: JSON.stringify(sql.slice(0, 40)),
    }),
    hint,
  );

/** Without what stands in parentheses: a rule of PostgreSQL has several statements there. */
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

/** The error for a text of a step that is not one statement without parameters. */
export const noStatement = (step: string, sql: string, cause: Error): BackfillError =>
  new BackfillError(
    'STEP_INVALID',
    msg('A text of the step {name} is not one statement without parameters: {text}', {
      name: step,
      text: JSON.stringify(sql.slice(0, 40)),
    }),
    msg('Give each statement a text of its own in the list, with the values written into it'),
    { cause },
  );
