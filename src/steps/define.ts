import { normaliseSql } from '../db/sql.js';
import { BackfillError } from '../errors.js';
import { type Message, msg } from '../messages/message.js';
import { refuseUnknownOptions, requireText } from '../options.js';
import { type BackfillChecks, validateChecks } from './checks.js';
import {
  type ColumnValue,
  type EngineSql,
  type FirstOf,
  type ProcessFunction,
  requireEngineSql,
  type SqlExpression,
} from './values.js';

/** Options of every backfill. */
interface CommonOptions<Key extends string> {
  /** Table to fill. */
  readonly table: string;
  /** Key of the batches: a column of integers or texts that alone is the primary key or has a unique index. */
  readonly key: Key;
  /** SQL condition that selects the rows; `{ sqlite, postgres }` if the engines need different SQL. Default: every row. */
  readonly scope?: EngineSql;
}

/** Options of a backfill whose values the database derives. */
export interface SqlBackfillOptions<Column extends string = string, Key extends string = string>
  extends CommonOptions<Key> {
  /** Columns to fill where they are NULL, with the source of each. Existing values are never overwritten. */
  readonly columns: Readonly<Record<Column, FirstOf | SqlExpression>>;
  /** Further checks for the verification. */
  readonly checks?: BackfillChecks<Column>;
}

/** Options of a backfill whose values a function derives, if SQL cannot. */
export interface ProcessOptions<
  Column extends string = string,
  Key extends string = string,
  Read extends string = string,
> extends CommonOptions<Key> {
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
  /**
   * Version of `process`. Increase it when `process` derives other values, so that the change is detected as drift. Default 1.
   */
  readonly processVersion?: number;
  /** Further checks for the verification. */
  readonly checks?: BackfillChecks<Column>;
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

const WHAT = 'defineBackfill()';

const invalid = (message: Message, hint: Message): BackfillError =>
  new BackfillError('STEP_INVALID', message, hint);

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
  refuseUnknownOptions(options, ['table', 'key', 'scope', 'columns', 'checks', ...own], WHAT, 'STEP_INVALID');
  const columns = checkedColumns(options.columns, isProcess);
  if (columns.length === 0 || columns.length > MAX_COLUMNS) {
    throw invalid(
      msg('Expected `columns` in {what} to have 1 to {most} columns, got {count}', {
        what: WHAT,
        most: MAX_COLUMNS,
        count: columns.length,
      }),
      msg('Split the backfill, or pass at least one column'),
    );
  }
  const process = isProcess ? checkedProcess(options, columns) : undefined;
  return {
    kind: 'backfill',
    table: requireText(options.table, 'table', WHAT, 'STEP_INVALID'),
    key: requireText(options.key, 'key', WHAT, 'STEP_INVALID'),
    scope: options.scope === undefined ? 'true' : requireEngineSql(options.scope, 'scope', WHAT),
    columns,
    checks: validateChecks(
      options.checks ?? {},
      columns.map(({ name }) => name),
    ),
    ...(process ? { process } : {}),
  };
}

const isList = (columns: BackfillOptions['columns']): columns is readonly string[] => Array.isArray(columns);

function checkedColumns(
  columns: BackfillOptions['columns'],
  isProcess: boolean,
): BackfillDefinition['columns'] {
  const given = isList(columns)
    ? columns.map((name) => [requireText(name, 'columns', WHAT, 'STEP_INVALID'), 'process'] as const)
    : Object.entries<FirstOf | SqlExpression | 'process'>(columns ?? {});
  return given.map(([name, value]) => {
    if (value === 'process' && isProcess) return { name, value: { kind: 'process' } };
    if (typeof value === 'object' && (value?.kind === 'first-of' || value?.kind === 'sql'))
      return { name, value };
    throw invalid(
      msg("Expected `columns.{column}` in {what} to be firstOf(), sql() or, with `process`, 'process'", {
        column: name,
        what: WHAT,
      }),
      msg(
        "Write {column}: firstOf(document, [names], fallback), {column}: sql(expression), or {column}: 'process'",
        { column: name },
      ),
    );
  });
}

function checkedProcess(
  { reads, process, processVersion = 1 }: ProcessOptions,
  columns: BackfillDefinition['columns'],
): BackfillDefinition['process'] {
  if (typeof process !== 'function' || process.constructor.name !== 'Function') {
    throw invalid(
      msg('Expected `process` in {what} to be a synchronous function', { what: WHAT }),
      msg('Load what it waits for before the run: a batch is one transaction, which cannot wait'),
    );
  }
  if (!Array.isArray(reads)) {
    throw invalid(
      msg('Expected `reads` in {what} to be a list of column names', { what: WHAT }),
      msg('List the columns that `process` reads in addition to the key'),
    );
  }
  for (const name of reads) requireText(name, 'reads', WHAT, 'STEP_INVALID');
  if (!Number.isSafeInteger(processVersion)) {
    throw invalid(
      msg('Expected `processVersion` in {what} to be an integer, got `{value}`', {
        what: WHAT,
        value: String(processVersion),
      }),
      msg('Start with 1, and increase it when `process` derives other values'),
    );
  }
  const fills = columns.filter(({ value }) => value.kind === 'process').map(({ name }) => name);
  if (fills.length === 0) {
    throw invalid(
      msg('Expected `columns` in {what} to have a column that `process` fills', { what: WHAT }),
      msg("Set its value to 'process', or list the columns if `process` fills all of them"),
    );
  }
  return { reads: [...reads], fills, derive: process, version: processVersion };
}

/**
 * Returns the parts of a backfill that determine its result, without layout and checks, for the detection of drift. A function is
 * represented by its version, because a formatter or a compiler changes its text.
 */
export function canonicalBackfill(definition: BackfillDefinition): unknown {
  const { kind, table, key, scope, process } = definition;
  const columns = definition.columns.map(({ name, value }) => ({
    name,
    value: value.kind === 'sql' ? { ...value, expression: normalised(value.expression) } : value,
  }));
  return {
    kind,
    table: table.toLowerCase(),
    key: key.toLowerCase(),
    scope: normalised(scope),
    columns,
    ...(process ? { reads: process.reads, version: process.version } : {}),
  };
}

const normalised = (sqlText: EngineSql): EngineSql =>
  typeof sqlText === 'string'
    ? normaliseSql(sqlText)
    : { sqlite: normaliseSql(sqlText.sqlite), postgres: normaliseSql(sqlText.postgres) };
