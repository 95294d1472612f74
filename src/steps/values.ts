import { BackfillError } from '../errors.js';
import { type Message, msg } from '../messages/message.js';
import { optionOf, refuseUnknownOptions, requireText } from '../options.js';

/** Source of a column: the first usable member of a JSON document, else another column. */
export interface FirstOf {
  readonly kind: 'first-of';
  /** Column with the JSON document, as text. */
  readonly document: string;
  /** Names of top-level members, tried in this order. */
  readonly names: readonly string[];
  /** Column to copy if no member is usable. Default: none. */
  readonly fallback?: string;
}

/** SQL for both engines, or one text for each. */
export type EngineSql = string | { readonly sqlite: string; readonly postgres: string };

/** Source of a column: an SQL expression on the row. */
export interface SqlExpression {
  readonly kind: 'sql';
  readonly expression: EngineSql;
}

/** Source of a column's values; `process` is the function of the backfill. */
export type ColumnValue = FirstOf | SqlExpression | { readonly kind: 'process' };

/** Returns the error for a wrong declaration. */
export const invalidStep = (message: Message, hint: Message, options?: { cause?: unknown }): BackfillError =>
  new BackfillError('STEP_INVALID', message, hint, options);

/**
 * Derives a column from the first usable top-level member of a JSON document, else from another column.
 *
 * Usable values are non-empty strings (copied verbatim) and finite numbers other than zero (as text: the result of SQLite's
 * `CAST(… AS TEXT)`, or PostgreSQL's output of `numeric`). A row whose document cannot be read is skipped, and the reason is
 * recorded.
 *
 * @param document column with the JSON text; NULL and `''` count as a document without members
 * @param names member names, tried in this order
 * @param fallback column to copy if no member is usable. Default: none. Without it, or if it is NULL or `''`, the cell is skipped
 *   (`NO_USABLE_VALUE`)
 * @throws {BackfillError} `STEP_INVALID` if a name is empty or contains a quote or a backslash
 *
 * @example
 * firstOf('payload', ['source_ts', 'event_timestamp'], 'created_at');
 */
export function firstOf(document: string, names: readonly string[], fallback?: string): FirstOf {
  requireText(document, 'document', 'firstOf()', 'STEP_INVALID');
  if (fallback !== undefined) requireText(fallback, 'fallback', 'firstOf()', 'STEP_INVALID');
  if (!Array.isArray(names) || names.length === 0)
    throw invalidStep(msg('firstOf() requires at least one member name'), msg('List the members to try'));
  for (const name of names) {
    requireText(name, 'names', 'firstOf()', 'STEP_INVALID');
    if (/["\\\u0000-\u001f]/.test(name))
      throw invalidStep(
        msg('The member name {name} cannot be used in a JSON path of SQLite', { name: JSON.stringify(name) }),
        msg('Use a name without quotes, backslashes and control characters'),
      );
  }
  return { kind: 'first-of', document, names: [...names], ...(fallback === undefined ? {} : { fallback }) };
}

/** Nondeterministic SQL, whose values could be neither verified nor reverted. */
const NONDETERMINISTIC =
  /\b(random(?:blob)?|changes|total_changes|last_insert_rowid|now|clock_timestamp|statement_timestamp|transaction_timestamp|timeofday|nextval|gen_random_(?:uuid|bytes)|uuid_generate_v[14]\w*|uuidv[47]|random_normal|txid_current|pg_current_xact_id|pg_backend_pid)\s*\(|\b(current_(?:time|date|timestamp)|localtime(?:stamp)?)\b|'\s*(now)\s*'|\b((?:date|time|datetime|julianday|unixepoch|strftime)\s*\(\s*\))/i;

/**
 * Derives a column by an SQL expression on the row. If the result is NULL, the cell is skipped (`NO_USABLE_VALUE`).
 *
 * The verification and `down` evaluate the expression again, so it must be deterministic: randomness and the current time are
 * refused. Aggregates and window functions are allowed only in a subquery. It must not fail on any row: guard functions such as
 * `json_extract` with CASE.
 *
 * @param expression SQL on columns of the table; `{ sqlite, postgres }` if the engines need different SQL
 * @throws {BackfillError} `STEP_INVALID` if it is empty or not deterministic
 *
 * @example
 * sql(`lower(trim(email))`);
 */
export function sql(expression: EngineSql): SqlExpression {
  const given = requireEngineSql(expression, 'expression', 'sql()');
  for (const text of typeof given === 'string' ? [given] : Object.values(given)) {
    const [found] = NONDETERMINISTIC.exec(text) ?? [];
    if (found !== undefined)
      throw invalidStep(
        msg('The expression of sql() is not deterministic: {found}', { found }),
        msg('Use only values of the row, so that the result can be verified and reverted'),
      );
  }
  return { kind: 'sql', expression: given };
}

/** Returns the fallback column of a source, or undefined. */
export const fallbackOf = (value: ColumnValue | undefined): string | undefined =>
  value?.kind === 'first-of' ? value.fallback : undefined;

/** Returns the SQL for one engine. */
export const sqlFor = (sqlText: EngineSql, engine: keyof typeof SQL_OF): string =>
  typeof sqlText === 'string' ? sqlText : sqlText[SQL_OF[engine]];

/** Key of {@link EngineSql} by engine name. */
const SQL_OF = { SQLite: 'sqlite', PostgreSQL: 'postgres' } as const;

/** Validates SQL for both engines, or for each. */
export function requireEngineSql(value: EngineSql, option: string, what: string): EngineSql {
  if (typeof value !== 'object' || value === null) return requireText(value, option, what, 'STEP_INVALID');
  refuseUnknownOptions(value, ['sqlite', 'postgres'], optionOf(option, what), 'STEP_INVALID');
  requireText(value.sqlite, `${option}.sqlite`, what, 'STEP_INVALID');
  requireText(value.postgres, `${option}.postgres`, what, 'STEP_INVALID');
  return { sqlite: value.sqlite, postgres: value.postgres };
}

/** A value of a cell. */
export type CellValue = string | number | bigint | Uint8Array | null;

/** A row for `process`: the key and the columns of `reads`. Integers beyond 2^53 are bigint. */
export type ProcessRow<Read extends string = string> = Readonly<Record<Read, CellValue>>;

/** Result for a row that `process` skips. Only `context.skip()` creates it. */
export interface Skip {
  readonly skip: string;
}

/** Result of `process` for a row: values by column. A cell is skipped if its value is NULL or missing. */
export type Changes<Column extends string = string> = Readonly<Partial<Record<Column, CellValue>>>;

/** Second argument of `process`. */
export interface ProcessContext {
  /**
   * Skips the row and records the reason.
   *
   * @param reason a code in capitals, such as `NO_SURNAME`. It is stored and displayed, so it must not contain data of the row
   */
  readonly skip: (reason: string) => Skip;
}

/**
 * Derives values of rows.
 *
 * It must be synchronous, and must return the same result for the same row in every call: alone or with other rows, during the
 * fill, the verification and `down`. A row on which it throws is skipped and recorded (`PROCESS_FAILED`).
 *
 * @param rows one or more rows
 * @returns an entry for each row, in their order
 */
export type ProcessFunction<Read extends string = string, Column extends string = string> = (
  rows: readonly ProcessRow<Read>[],
  context: ProcessContext,
) => readonly (Changes<Column> | Skip)[];
