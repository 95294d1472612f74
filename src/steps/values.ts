import { BackfillError } from '../errors.js';
import { msg } from '../messages/message.js';
import { refuseUnknownOptions, requireText } from '../options.js';

/** A column's value: the first usable member of a JSON document, else another column of the row. */
export interface FirstOf {
  readonly kind: 'first-of';
  /** Column that holds the JSON document, as text. */
  readonly document: string;
  /** Top-level member names, tried in this order. */
  readonly names: readonly string[];
  /** Column whose value is taken when no member is usable. Absent where there is none. */
  readonly fallback?: string;
}

/** SQL: a text that SQLite and PostgreSQL read alike, or one for each. */
export type EngineSql = string | { readonly sqlite: string; readonly postgres: string };

/** A column's value: what an SQL expression gives on the row. */
export interface SqlExpression {
  readonly kind: 'sql';
  readonly expression: EngineSql;
}

/** A column's value: what the backfill's `process` gives for the row. */
export interface ProcessedColumn {
  readonly kind: 'process';
}

/** What fills a column. */
export type ColumnValue = FirstOf | SqlExpression | ProcessedColumn;

/**
 * Says that a column takes the first usable of some top-level members of a JSON document, else another column, if one is named.
 *
 * Usable is a non-empty string (copied verbatim) or a finite number other than zero (its text, as SQLite's
 * `CAST(… AS TEXT)` gives it; on PostgreSQL as `numeric` prints it). A row whose document can not be read is skipped, with its reason.
 *
 * @param document column that holds the JSON text; NULL and `''` count as a document without members
 * @param names member names, tried in this order
 * @param fallback column to copy when no member is usable. Default: none. Without it, or where it is NULL or `''`, the cell is skipped (`NO_USABLE_VALUE`)
 * @throws {BackfillError} `STEP_INVALID` when a name is empty or holds a quote or a backslash
 *
 * @example
 * firstOf('payload', ['source_ts', 'event_timestamp'], 'created_at');
 */
export function firstOf(document: string, names: readonly string[], fallback?: string): FirstOf {
  requireText(document, 'document', 'firstOf()', 'STEP_INVALID');
  if (fallback !== undefined) requireText(fallback, 'fallback', 'firstOf()', 'STEP_INVALID');
  if (!Array.isArray(names) || names.length === 0) {
    throw new BackfillError(
      'STEP_INVALID',
      msg('firstOf() needs at least one member name'),
      msg('Name the members to try'),
    );
  }
  for (const name of names) {
    requireText(name, 'names', 'firstOf()', 'STEP_INVALID');
    if (/["\\\u0000-\u001f]/.test(name)) {
      throw new BackfillError(
        'STEP_INVALID',
        msg('The member name {name} can not be written in an SQLite JSON path', {
          name: JSON.stringify(name),
        }),
        msg('Use a name without quotes, backslashes and control characters'),
      );
    }
  }
  return { kind: 'first-of', document, names: [...names], ...(fallback === undefined ? {} : { fallback }) };
}

/** What gives another value each time it is asked: it could neither be verified nor taken back. */
const NONDETERMINISTIC =
  /\b(random(?:blob)?|changes|total_changes|last_insert_rowid|now|clock_timestamp|statement_timestamp|transaction_timestamp|timeofday|nextval|gen_random_(?:uuid|bytes)|uuid_generate_v[14]\w*|uuidv[47]|random_normal|txid_current|pg_current_xact_id|pg_backend_pid)\s*\(|\b(current_(?:time|date|timestamp)|localtime(?:stamp)?)\b|'\s*(now)\s*'|\b((?:date|time|datetime|julianday|unixepoch|strftime)\s*\(\s*\))/i;

/**
 * Says that a column takes what an SQL expression gives on the row. Where that is NULL the cell is skipped
 * (`NO_USABLE_VALUE`).
 *
 * It is asked again by the verification and by `down`, so that it must give the same for the same row: what depends on
 * chance or on the time is refused. It is of one row: aggregates and window functions belong into a subquery. It must not fail on any row: guard `json_extract` and its like by CASE.
 *
 * @param expression on the columns of the table, as the store reads it; `{ sqlite, postgres }` where the two differ
 * @throws {BackfillError} `STEP_INVALID` when it is empty, or depends on chance or on the time
 *
 * @example
 * sql(`lower(trim(email))`);
 */
export function sql(expression: EngineSql): SqlExpression {
  const given = requireEngineSql(expression, 'expression', 'sql()');
  for (const text of engineTexts(given)) {
    const [found] = NONDETERMINISTIC.exec(text) ?? [];
    if (found === undefined) continue;
    throw new BackfillError(
      'STEP_INVALID',
      msg('The expression of sql() gives another value each time: {found}', { found }),
      msg('Take what the row itself says, so that it can be verified and taken back'),
    );
  }
  return { kind: 'sql', expression: given };
}

/** The column that a value falls back to, if there is one. */
export const fallbackOf = (value: ColumnValue | undefined): string | undefined =>
  value?.kind === 'first-of' ? value.fallback : undefined;

/** The texts of SQL, whichever engine they are for. */
export const engineTexts = (sqlText: EngineSql): string[] =>
  typeof sqlText === 'string' ? [sqlText] : [sqlText.sqlite, sqlText.postgres];

/** SQL as one engine reads it. */
export const sqlFor = (sqlText: EngineSql, engine: keyof typeof SQL_OF): string =>
  typeof sqlText === 'string' ? sqlText : sqlText[SQL_OF[engine]];

/** Which of the texts is an engine's. */
const SQL_OF = { SQLite: 'sqlite', PostgreSQL: 'postgres' } as const;

/** Insists on SQL, for every engine or for each. */
export function requireEngineSql(value: EngineSql, option: string, what: string): EngineSql {
  if (typeof value !== 'object' || value === null) return requireText(value, option, what, 'STEP_INVALID');
  refuseUnknownOptions(value, ['sqlite', 'postgres'], `\`${option}\` of ${what}`, 'STEP_INVALID');
  requireText(value.sqlite, `${option}.sqlite`, what, 'STEP_INVALID');
  requireText(value.postgres, `${option}.postgres`, what, 'STEP_INVALID');
  return { sqlite: value.sqlite, postgres: value.postgres };
}

/** A value that a store can hold. */
export type CellValue = string | number | bigint | Uint8Array | null;

/** A row as `process` gets it: the key and the columns of `reads`. Integers beyond 2^53 are bigint. */
export type ProcessRow<Read extends string = string> = Readonly<Record<Read, CellValue>>;

/** A row that `process` leaves alone, with its reason: what `context.skip()` returns, and no other object. */
export interface Skip {
  readonly skip: string;
}

/** What `process` gives for a row: values by column; NULL, or no value, leaves the cell alone. */
export type Changes<Column extends string = string> = Readonly<Partial<Record<Column, CellValue>>>;

/** What `process` may use. */
export interface ProcessContext {
  /**
   * Leaves the row alone and records why.
   *
   * @param reason a code in capitals, as `NO_SURNAME`: it is recorded and shown, so that it must not hold contents
   */
  readonly skip: (reason: string) => Skip;
}

/**
 * Derives values of rows.
 *
 * It is synchronous, and gives the same for the same row whenever it is asked: alone or among others, while filling, by the
 * verification, by `down`. A row on which it throws is left alone and recorded (`PROCESS_FAILED`).
 *
 * @param rows one or more
 * @returns an entry for each row, in their order
 */
export type ProcessFunction<Read extends string = string, Column extends string = string> = (
  rows: readonly ProcessRow<Read>[],
  context: ProcessContext,
) => readonly (Changes<Column> | Skip)[];
