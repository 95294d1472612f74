import { identifier, normaliseSql } from '../db/sql.js';
import type { BackfillError } from '../errors.js';
import { msg, type Phrase, type PlainText } from '../messages/message.js';
import { optionOf, refuseUnknownOptions, requireText } from '../options.js';
import { parseVersion } from '../version.js';
import { invalidStep } from './values.js';

// Steps that change the schema: declared by their objects, or as SQL statements.

/** An index that a schema step creates. */
export interface IndexOptions {
  /** Columns, in order. */
  readonly columns: readonly string[];
  /** SQL condition of a partial index. */
  readonly where?: string;
}

/** A row with the schema's version. */
export interface VersionOptions {
  /** Table with one row per version. */
  readonly table: string;
  /** Column with the version, such as `0.21.0`. */
  readonly column: string;
  /** Version of the store after this step. */
  readonly to: string;
}

/** Options of {@link defineSchemaStep}. */
export interface SchemaStepOptions {
  /** Table to change. */
  readonly table: string;
  /** Columns to add if they are missing, by name, with their types. They start as NULL. */
  readonly columns?: Readonly<Record<string, string>>;
  /** Indexes to create unless one with the same definition exists, by name. */
  readonly indexes?: Readonly<Record<string, IndexOptions>>;
  /** Version row to add if the store's version is lower. */
  readonly version?: VersionOptions;
}

/** An index with its name. */
export interface IndexDefinition extends IndexOptions {
  readonly name: string;
}

/** A validated schema step. */
export interface SchemaStepDefinition {
  readonly kind: 'schema';
  readonly table: string;
  readonly columns: readonly { readonly name: string; readonly type: string }[];
  readonly indexes: readonly IndexDefinition[];
  readonly version: VersionOptions | undefined;
}

/**
 * Declares a schema change of one table. `up` creates only missing objects, and `down` drops exactly those.
 *
 * @param options see {@link SchemaStepOptions}
 * @returns a step, for the default export of a file in a step folder
 * @throws {BackfillError} `STEP_INVALID` naming the option that is missing, unknown or of the wrong kind
 *
 * @example
 * export default defineSchemaStep({
 *   table: 'events',
 *   columns: { ordered_at: 'TEXT' },
 *   indexes: { idx_events_ordered_at: { columns: ['ordered_at'], where: 'ordered_at IS NOT NULL' } },
 * });
 */
export function defineSchemaStep(options: SchemaStepOptions): SchemaStepDefinition {
  const what = 'defineSchemaStep()';
  refuseUnknownOptions(options, ['table', 'columns', 'indexes', 'version'], what, 'STEP_INVALID');
  const columns = Object.entries(options.columns ?? {}).map(([column, type]) => {
    if (!/^[A-Za-z]\w*$/.test(type))
      throw invalidStep(
        msg('Expected `columns.{column}` in {what} to be a type name, got `{type}`', { column, what, type }),
        msg('Pass only a type, such as TEXT; constraints and defaults cannot be reverted exactly'),
      );
    return { name: requireText(column, 'columns', what, 'STEP_INVALID'), type };
  });
  const indexes = Object.entries(options.indexes ?? {}).map(([index, given]) => {
    refuseUnknownOptions(given, ['columns', 'where'], optionOf(`indexes.${index}`, what), 'STEP_INVALID');
    const { columns: names, where }: { columns: unknown; where?: string } = given;
    if (!Array.isArray(names) || names.length === 0)
      throw invalidStep(
        msg('Expected `indexes.{index}.columns` in {what} to be a list of column names', { index, what }),
        msg('List the columns of the index, in order'),
      );
    for (const column of names) requireText(column, `indexes.${index}.columns`, what, 'STEP_INVALID');
    if (where !== undefined) {
      requireText(where, `indexes.${index}.where`, what, 'STEP_INVALID');
      requireOneStatement(`SELECT 1 WHERE ${where}`, optionOf(`indexes.${index}.where`, what));
    }
    return { name: index, ...given };
  });
  const { version } = options;
  if (version) {
    refuseUnknownOptions(version, ['table', 'column', 'to'], optionOf('version', what), 'STEP_INVALID');
    requireText(version.table, 'version.table', what, 'STEP_INVALID');
    requireText(version.column, 'version.column', what, 'STEP_INVALID');
    if (parseVersion(version.to) === undefined)
      throw invalidStep(
        msg('Expected `version.to` in {what} to be a version, got `{version}`', {
          what,
          version: version.to,
        }),
        msg('Write it as 1.2.3'),
      );
  }
  const table = requireText(options.table, 'table', what, 'STEP_INVALID');
  return { kind: 'schema', table, columns, indexes, version };
}

/** Returns the statement that adds a column. */
export function addColumnSql(step: SchemaStepDefinition, column: { name: string; type: string }): string {
  return `ALTER TABLE ${identifier(step.table)} ADD COLUMN ${identifier(column.name)} ${column.type}`;
}

/** Returns the statement that creates an index. */
export function createIndexSql(step: SchemaStepDefinition, index: IndexDefinition): string {
  const columns = index.columns.map(identifier).join(', ');
  const where = index.where === undefined ? '' : ` WHERE ${index.where}`;
  return `CREATE INDEX ${identifier(index.name)} ON ${identifier(step.table)} (${columns})${where}`;
}

/** Options of {@link defineSqlStep}. */
export interface SqlStepOptions {
  /** Statements that apply the step, one per text, without parameters, run in order in one transaction with its ledger row. */
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
  const what = 'defineSqlStep()';
  refuseUnknownOptions(options, ['up', 'down'], what, 'STEP_INVALID');
  const { up, down } = options;
  if (!Array.isArray(up) || up.length === 0)
    throw invalidStep(
      msg('Expected `up` in defineSqlStep() to be a list of statements'),
      msg('Pass at least one statement'),
    );
  if (down !== undefined && !Array.isArray(down))
    throw invalidStep(
      msg('Expected `down` in defineSqlStep() to be a list of statements'),
      msg('Pass at least one statement, or remove `down`; without it the step cannot be reverted'),
    );
  for (const [i, statement] of [...up, ...(down ?? [])].entries()) {
    requireText(statement, i < up.length ? 'up' : 'down', what, 'STEP_INVALID');
    if (ENDS_TRANSACTION.test(normaliseSql(statement)))
      throw invalidStep(
        msg("A statement in defineSqlStep() cannot run inside the step's transaction: {sql}", {
          sql: statement.slice(0, 40),
        }),
        msg('Remove it: each step runs in a separate transaction'),
      );
    requireOneStatement(statement, what);
  }
  return { kind: 'sql', up: [...up], down: down && [...down] };
}

/** A statement, normalised, that cannot run in a transaction, or ends it. */
const ENDS_TRANSACTION = /^(?:begin|commit|end|rollback|savepoint|release|vacuum|attach|detach|pragma)\b/;

/** Parts of either engine's SQL without meaning for `;` and parameters: texts, quoted names, bodies between `$$`, comments. */
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
 * Checks that a text of a step is one statement without parameters. A second one would be ignored, or could end the transaction.
 *
 * @throws {BackfillError} `STEP_INVALID`
 */
function requireOneStatement(sql: string, what: Phrase): void {
  const plain = sql.replace(OPAQUE, (_, comment?: string) => (comment === undefined ? "''" : ' '));
  const hasBody = HAS_BODY.test(plain);
  // In a body, only the text after its last END is a separate statement.
  const rest = hasBody ? (/^[\s\S]*\bEND\b([\s\S]*)$/i.exec(plain)?.[1] ?? plain) : plain;
  const refuse = (found: PlainText, hint: PlainText): never => {
    const text = JSON.stringify(sql.slice(0, 40));
    throw invalidStep(
      msg('Expected each text in {what} to be one statement, got {found}: {text}', {
        what,
        found: msg(found),
        text,
      }),
      msg(hint),
    );
  };
  if (/^[\s;]*$/.test(plain)) refuse('no statement', 'Remove it');
  if (/;\s*[^\s;]/.test(withoutParentheses(rest)))
    refuse('several statements', 'Pass each of them as a separate text in the list');
  if (!hasBody && PARAMETER.test(plain))
    refuse('a parameter', 'Write its value into the statement; parameters are not supported');
}

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
  invalidStep(
    msg('A text of the step {name} is not one statement without parameters: {text}', {
      name: step,
      text: JSON.stringify(sql.slice(0, 40)),
    }),
    msg('Pass each statement as a separate text in the list, with values instead of parameters'),
    { cause },
  );
