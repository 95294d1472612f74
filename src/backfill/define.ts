import { BackfillError } from '../errors.js';
import { refuseUnknown, requireText } from '../options.js';
import { normaliseSql } from '../store/sqlite/sql.js';

/** A column's value: the first usable member of a JSON document, else another column of the row. */
export interface FirstOf {
  readonly kind: 'first-of';
  /** Column that holds the JSON document, as text. */
  readonly document: string;
  /** Top-level member names, tried in this order. */
  readonly names: readonly string[];
  /** Column whose value is taken when no member is usable. */
  readonly fallback: string;
}

/**
 * Says that a column takes the first usable of some top-level members of a JSON document, else another column.
 *
 * Usable is a non-empty string (copied verbatim) or a finite number other than zero (its text, as SQLite's
 * `CAST(… AS TEXT)` gives it). A row whose document can not be read is skipped, with its reason.
 *
 * @param document column that holds the JSON text; NULL and `''` count as a document without members
 * @param names member names, tried in this order
 * @param fallback column to copy when no member is usable; where it is NULL or `''` the cell is skipped
 * @throws {BackfillError} `STEP_INVALID` when a name is empty or holds a quote or a backslash
 *
 * @example
 * firstOf('payload', ['source_ts', 'event_timestamp'], 'created_at');
 */
export function firstOf(document: string, names: readonly string[], fallback: string): FirstOf {
  requireText(document, 'document', 'firstOf()', 'STEP_INVALID');
  requireText(fallback, 'fallback', 'firstOf()', 'STEP_INVALID');
  if (!Array.isArray(names) || names.length === 0) {
    throw new BackfillError(
      'STEP_INVALID',
      'firstOf() needs at least one member name',
      'Name the members to try',
    );
  }
  for (const name of names) {
    requireText(name, 'names', 'firstOf()', 'STEP_INVALID');
    if (/["\\\u0000-\u001f]/.test(name)) {
      throw new BackfillError(
        'STEP_INVALID',
        `The member name ${JSON.stringify(name)} can not be written in an SQLite JSON path`,
        'Use a name without quotes, backslashes and control characters',
      );
    }
  }
  return { kind: 'first-of', document, names: [...names], fallback };
}

/** A query that must use a certain index, for the verification's index check. */
export interface IndexUse {
  /** Name of the index; an index of the same table and definition under another name counts too. */
  readonly index: string;
  /** The query it is for, without parameters. */
  readonly query: string;
}

/** What the verification looks at beyond coverage, consistency, NULLs and integrity. */
export interface BackfillChecks {
  /** Column whose values the coverage is broken down by. */
  readonly groupBy?: string;
  /** Queries that must use an index. */
  readonly indexes?: readonly IndexUse[];
  /** Whether the filled columns hold timestamps, to be judged as such. Default false. */
  readonly areTimestamps?: boolean;
  /** Two filled columns whose difference in seconds is a figure worth watching. Needs `areTimestamps`. */
  readonly lag?: { readonly from: string; readonly to: string };
}

/** What {@link defineBackfill} takes. */
export interface BackfillOptions {
  /** Table to fill. */
  readonly table: string;
  /** Its key: one INTEGER PRIMARY KEY column. Batches go by it. */
  readonly key: string;
  /** SQL condition on a row of the table: which rows are in scope. Default: every row. */
  readonly scope?: string;
  /** Columns to fill where they are NULL, with what fills each. A value that stands is never overwritten. */
  readonly columns: Readonly<Record<string, FirstOf>>;
  /** Further checks for the verification. */
  readonly checks?: BackfillChecks;
}

/** A validated backfill declaration: data, without a name (its file gives it one). */
export interface BackfillDefinition {
  readonly kind: 'backfill';
  readonly table: string;
  readonly key: string;
  readonly scope: string;
  readonly columns: readonly { readonly name: string; readonly value: FirstOf }[];
  readonly checks: BackfillChecks;
}

/** A backfill with the name of its step. */
export interface Backfill extends BackfillDefinition {
  readonly name: string;
}

/** At most this many columns: the state of each is two bits of one integer. */
const MAX_COLUMNS = 15;

/**
 * Declares a backfill: which rows, which columns, what fills them.
 *
 * @param options see {@link BackfillOptions}
 * @returns a step to be the default export of a file in one of the project's step folders
 * @throws {BackfillError} `STEP_INVALID` naming the option that is missing, unknown or of the wrong kind
 *
 * @example
 * export default defineBackfill({
 *   table: 'events',
 *   key: 'id',
 *   scope: `kind = 'order'`,
 *   columns: { ordered_at: firstOf('body', ['ordered_at', 'ts'], 'created_at') },
 * });
 */
export function defineBackfill(options: BackfillOptions): BackfillDefinition {
  const what = 'defineBackfill()';
  refuseUnknown(options, ['table', 'key', 'scope', 'columns', 'checks'], what, 'STEP_INVALID');
  const columns = Object.entries(options.columns ?? {}).map(([name, value]) => ({ name, value }));
  if (columns.length === 0 || columns.length > MAX_COLUMNS) {
    throw new BackfillError(
      'STEP_INVALID',
      `Expected \`columns\` in ${what} to have 1 to ${MAX_COLUMNS} columns, got ${columns.length}`,
      'Split the backfill, or name a column',
    );
  }
  for (const { name, value } of columns) {
    if (value?.kind !== 'first-of') {
      throw new BackfillError(
        'STEP_INVALID',
        `Expected \`columns.${name}\` in ${what} to be made by firstOf()`,
        `Write ${name}: firstOf(document, [names], fallback)`,
      );
    }
  }
  const checks = options.checks ?? {};
  refuseUnknown(
    checks,
    ['groupBy', 'indexes', 'areTimestamps', 'lag'],
    `\`checks\` of ${what}`,
    'STEP_INVALID',
  );
  for (const end of checks.lag ? [checks.lag.from, checks.lag.to] : []) {
    if (!columns.some(({ name }) => name === end) || checks.areTimestamps !== true) {
      throw new BackfillError(
        'STEP_INVALID',
        `\`checks.lag\` in ${what} names ${end}, which is not a filled column of timestamps`,
        'Name two of `columns` and set `areTimestamps: true`',
      );
    }
  }
  return {
    kind: 'backfill',
    table: requireText(options.table, 'table', what, 'STEP_INVALID'),
    key: requireText(options.key, 'key', what, 'STEP_INVALID'),
    scope: options.scope === undefined ? 'true' : requireText(options.scope, 'scope', what, 'STEP_INVALID'),
    columns,
    checks,
  };
}

/** What of a backfill decides its result, in a form in which layout and checks don't count: for drift. */
export function backfillEssence(definition: BackfillDefinition): unknown {
  const { kind, table, key, scope, columns } = definition;
  return { kind, table: table.toLowerCase(), key: key.toLowerCase(), scope: normaliseSql(scope), columns };
}
