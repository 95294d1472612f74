import { msg } from '../messages/message.js';
import { optionOf, refuseUnknownOptions, requireText } from '../options.js';
import {
  type ColumnValue,
  type EngineSql,
  type FirstOf,
  invalidStep,
  type ProcessFunction,
  requireEngineSql,
  type SqlExpression,
} from './values.js';

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

/** Options of every backfill. */
interface CommonOptions<Column extends string, Key extends string> {
  /** Table to fill. */
  readonly table: string;
  /** Key of the batches: a column of integers or texts that alone is the primary key or has a unique index. */
  readonly key: Key;
  /** SQL condition that selects the rows; `{ sqlite, postgres }` if the engines need different SQL. Default: every row. */
  readonly scope?: EngineSql;
  /** Further checks for the verification. */
  readonly checks?: BackfillChecks<Column>;
}

/** Options of a backfill whose values the database derives. */
export interface SqlBackfillOptions<Column extends string = string, Key extends string = string>
  extends CommonOptions<Column, Key> {
  /** Columns to fill where they are NULL, with the source of each. Existing values are never overwritten. */
  readonly columns: Readonly<Record<Column, FirstOf | SqlExpression>>;
}

/** Options of a backfill whose values a function derives, if SQL cannot. */
export interface ProcessOptions<
  Column extends string = string,
  Key extends string = string,
  Read extends string = string,
> extends CommonOptions<Column, Key> {
  /**
   * Columns to fill where they are NULL: a list if `process` fills all of them, or an object as in {@link SqlBackfillOptions}
   * with `'process'` for those that it fills. Existing values are never overwritten. If `process` or a document fails for one
   * column, the whole row is skipped.
   */
  readonly columns: readonly Column[] | Readonly<Record<Column, FirstOf | SqlExpression | 'process'>>;
  /** Columns of the table that `process` receives in addition to the key. */
  readonly reads: readonly Read[];
  /** Derives the values. */
  readonly process: ProcessFunction<NoInfer<Key | Read>, NoInfer<Column>>;
  /** Version of `process`. Increase it when `process` derives other values, so that this is detected as drift. Default 1. */
  readonly processVersion?: number;
}

/** Options of {@link defineBackfill}. */
export type BackfillOptions<
  Column extends string = string,
  Key extends string = string,
  Read extends string = string,
> = SqlBackfillOptions<Column, Key> | ProcessOptions<Column, Key, Read>;

/** A validated backfill definition. Its file provides the name. */
export interface BackfillDefinition {
  readonly kind: 'backfill';
  readonly table: string;
  readonly key: string;
  readonly scope: EngineSql;
  readonly columns: readonly { readonly name: string; readonly value: ColumnValue }[];
  readonly checks: BackfillChecks;
  /** The function that derives values, with the columns that it reads and fills. */
  readonly process?: {
    readonly reads: readonly string[];
    readonly fills: readonly string[];
    readonly derive: ProcessFunction;
    readonly version: number;
  };
}

/** A backfill with the name of its step. */
export interface Backfill extends BackfillDefinition {
  readonly name: string;
}

/** Maximum number of columns: the state of each is two bits of one integer. */
const MAX_COLUMNS = 15;

const what = 'defineBackfill()';

/**
 * Declares a backfill: the rows, the columns, and the source of each column: {@link firstOf}, {@link sql}, or a function,
 * `process`.
 *
 * @param options see {@link BackfillOptions}
 * @returns a step, for the default export of a file in a step folder
 * @throws {BackfillError} `STEP_INVALID` naming the option that is missing, unknown or of the wrong kind
 *
 * @example
 * export default defineBackfill({
 *   table: 'events',
 *   key: 'id',
 *   scope: `kind = 'order'`,
 *   columns: { ordered_at: firstOf('body', ['ordered_at', 'ts'], 'created_at') },
 * });
 *
 * @example
 * export default defineBackfill({
 *   table: 'customers',
 *   key: 'email',
 *   reads: ['name'],
 *   columns: ['first_name', 'last_name'],
 *   process: (rows, { skip }) =>
 *     rows.map(({ name }) => {
 *       const [first, ...rest] = String(name ?? '').split(' ');
 *       return rest.length > 0 ? { first_name: first, last_name: rest.join(' ') } : skip('NO_SURNAME');
 *     }),
 * });
 */
export function defineBackfill<
  const Column extends string,
  const Key extends string = string,
  const Read extends string = string,
>(options: BackfillOptions<Column, Key, Read>): BackfillDefinition {
  const isProcess = 'process' in options;
  const own = isProcess ? ['reads', 'process', 'processVersion'] : [];
  refuseUnknownOptions(options, ['table', 'key', 'scope', 'columns', 'checks', ...own], what, 'STEP_INVALID');
  const columns = checkedColumns(options.columns, isProcess);
  if (columns.length === 0 || columns.length > MAX_COLUMNS)
    throw invalidStep(
      msg('Expected `columns` in {what} to have 1 to {most} columns, got {count}', {
        what,
        most: MAX_COLUMNS,
        count: columns.length,
      }),
      msg('Split the backfill, or pass at least one column'),
    );
  const process = isProcess ? checkedProcess(options, columns) : undefined;
  return {
    kind: 'backfill',
    table: requireText(options.table, 'table', what, 'STEP_INVALID'),
    key: requireText(options.key, 'key', what, 'STEP_INVALID'),
    scope: options.scope === undefined ? 'true' : requireEngineSql(options.scope, 'scope', what),
    columns,
    checks: checkedChecks(options.checks ?? {}, columns),
    ...(process ? { process } : {}),
  };
}

const isList = (columns: BackfillOptions['columns']): columns is readonly string[] => Array.isArray(columns);

function checkedColumns(
  columns: BackfillOptions['columns'],
  isProcess: boolean,
): BackfillDefinition['columns'] {
  const given = isList(columns)
    ? columns.map((name) => [requireText(name, 'columns', what, 'STEP_INVALID'), 'process'] as const)
    : Object.entries<FirstOf | SqlExpression | 'process'>(columns ?? {});
  return given.map(([column, value]) => {
    if (value === 'process' && isProcess) return { name: column, value: { kind: 'process' } };
    if (typeof value === 'object' && (value?.kind === 'first-of' || value?.kind === 'sql'))
      return { name: column, value };
    throw invalidStep(
      msg("Expected `columns.{column}` in {what} to be firstOf(), sql() or, with `process`, 'process'", {
        column,
        what,
      }),
      msg(
        "Write {column}: firstOf(document, [names], fallback), {column}: sql(expression), or {column}: 'process'",
        { column },
      ),
    );
  });
}

function checkedProcess(
  { reads, process, processVersion: version = 1 }: ProcessOptions,
  columns: BackfillDefinition['columns'],
): BackfillDefinition['process'] {
  if (typeof process !== 'function' || process.constructor.name !== 'Function')
    throw invalidStep(
      msg('Expected `process` in {what} to be a synchronous function', { what }),
      msg('Load what it waits for before the run: a batch is one transaction, which cannot wait'),
    );
  if (!Array.isArray(reads))
    throw invalidStep(
      msg('Expected `reads` in {what} to be a list of column names', { what }),
      msg('List the columns that `process` reads in addition to the key'),
    );
  for (const name of reads) requireText(name, 'reads', what, 'STEP_INVALID');
  if (!Number.isSafeInteger(version))
    throw invalidStep(
      msg('Expected `processVersion` in {what} to be an integer, got `{value}`', {
        what,
        value: String(version),
      }),
      msg('Start with 1, and increase it when `process` derives other values'),
    );
  const fills = columns.filter(({ value }) => value.kind === 'process').map(({ name }) => name);
  if (fills.length === 0)
    throw invalidStep(
      msg('Expected `columns` in {what} to have a column that `process` fills', { what }),
      msg("Set its value to 'process', or list the columns if `process` fills all of them"),
    );
  return { reads: [...reads], fills, derive: process, version };
}

function checkedChecks(checks: BackfillChecks, columns: BackfillDefinition['columns']): BackfillChecks {
  const known = ['groupBy', 'indexes', 'rules', 'timestamps', 'lag'];
  refuseUnknownOptions(checks, known, optionOf('checks', what), 'STEP_INVALID');
  for (const column of checks.lag ? [checks.lag.from, checks.lag.to] : [])
    if (!columns.some(({ name }) => name === column) || checks.timestamps !== true)
      throw invalidStep(
        msg('`checks.lag` in {what} names {column}, which is not a filled column of timestamps', {
          what,
          column,
        }),
        msg('Set it to two of `columns`, and set `timestamps: true`'),
      );
  const of = optionOf('checks.rules', what);
  for (const rule of checks.rules ?? []) {
    refuseUnknownOptions(rule, ['title', 'query', 'verdict'], of, 'STEP_INVALID');
    requireText(rule.title, 'title', of, 'STEP_INVALID');
    requireText(rule.query, 'query', of, 'STEP_INVALID');
    if (rule.verdict !== undefined && !['warn', 'fail'].includes(rule.verdict))
      throw invalidStep(
        msg('Expected `verdict` in {what} to be warn or fail, got `{value}`', {
          what: of,
          value: String(rule.verdict),
        }),
        msg('Remove it for the default, fail'),
      );
  }
  return checks;
}
