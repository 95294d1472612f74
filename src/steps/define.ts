import { normaliseSql } from '../db/sql.js';
import { BackfillError } from '../errors.js';
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

/** What every backfill says. */
interface CommonOptions<Key extends string> {
  /** Table to fill. */
  readonly table: string;
  /**
   * Its key, of integers or of texts: the only column of its primary key, or of a unique index. Batches go by it.
   */
  readonly key: Key;
  /** SQL condition on a row of the table: which rows are in scope; `{ sqlite, postgres }` where the two differ. Default: every row. */
  readonly scope?: EngineSql;
}

/** A backfill whose values the store derives, in sets. */
export interface SqlBackfillOptions<Column extends string = string, Key extends string = string>
  extends CommonOptions<Key> {
  /** Columns to fill where they are NULL, with what fills each. A value that stands is never overwritten. */
  readonly columns: Readonly<Record<Column, FirstOf | SqlExpression>>;
  /** Further checks for the verification. */
  readonly checks?: BackfillChecks<Column>;
}

/** A backfill with values that a function derives, for what SQL can't say. */
export interface ProcessOptions<
  Column extends string = string,
  Key extends string = string,
  Read extends string = string,
> extends CommonOptions<Key> {
  /**
   * Columns to fill where they are NULL: a list of those that `process` fills, or an object as in {@link SqlBackfillOptions} in which these
   * are `'process'`. A value that stands is never overwritten. What can't be derived for one column by `process` or for its
   * document leaves the whole row alone.
   */
  readonly columns: readonly Column[] | Readonly<Record<Column, FirstOf | SqlExpression | 'process'>>;
  /** Columns of the table that `process` gets, beside the key. */
  readonly reads: readonly Read[];
  /** Derives the values. */
  readonly process: ProcessFunction<NoInfer<Key | Read>, NoInfer<Column>>;
  /** What `process` says; raise it when it derives otherwise, so that the change is noticed as drift. Default 1. */
  readonly processVersion?: number;
  /** Further checks for the verification. */
  readonly checks?: BackfillChecks<Column>;
}

/** What {@link defineBackfill} takes. */
export type BackfillOptions<
  Column extends string = string,
  Key extends string = string,
  Read extends string = string,
> = SqlBackfillOptions<Column, Key> | ProcessOptions<Column, Key, Read>;

/** A validated backfill declaration: data, without a name (its file gives it one). */
export interface BackfillDefinition {
  readonly kind: 'backfill';
  readonly table: string;
  readonly key: string;
  readonly scope: EngineSql;
  readonly columns: readonly { readonly name: string; readonly value: ColumnValue }[];
  readonly checks: BackfillChecks;
  /** The function that derives values, if one does: of which columns, and for which. */
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

/** At most this many columns: the state of each is two bits of one integer. */
const MAX_COLUMNS = 15;

const WHAT = 'defineBackfill()';

const invalid = (message: string, hint: string): BackfillError =>
  new BackfillError('STEP_INVALID', message, hint);

/**
 * Declares a backfill: which rows, which columns, and what fills each of these: {@link firstOf}, {@link sql}, or a function, `process`.
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
      `Expected \`columns\` in ${WHAT} to have 1 to ${MAX_COLUMNS} columns, got ${columns.length}`,
      'Split the backfill, or name a column',
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
      `Expected \`columns.${name}\` in ${WHAT} to be made by firstOf() or sql(), or to be 'process' where \`process\` is given`,
      `Write ${name}: firstOf(document, [names], fallback), ${name}: sql(expression), or ${name}: 'process'`,
    );
  });
}

function checkedProcess(
  { reads, process, processVersion = 1 }: ProcessOptions,
  columns: BackfillDefinition['columns'],
): BackfillDefinition['process'] {
  if (typeof process !== 'function' || process.constructor.name !== 'Function') {
    throw invalid(
      `Expected \`process\` in ${WHAT} to be a synchronous function`,
      'Load what it waits for before the run: a batch is one transaction, which cannot wait',
    );
  }
  if (!Array.isArray(reads)) {
    throw invalid(
      `Expected \`reads\` in ${WHAT} to be a list of column names`,
      'List the columns that `process` reads, beside the key',
    );
  }
  for (const name of reads) requireText(name, 'reads', WHAT, 'STEP_INVALID');
  if (!Number.isSafeInteger(processVersion)) {
    throw invalid(
      `Expected \`processVersion\` in ${WHAT} to be an integer, got \`${String(processVersion)}\``,
      'Begin with 1, and raise it when `process` derives otherwise',
    );
  }
  const fills = columns.filter(({ value }) => value.kind === 'process').map(({ name }) => name);
  if (fills.length === 0) {
    throw invalid(
      `Expected \`columns\` in ${WHAT} to have a column that \`process\` fills`,
      "Write 'process' as its value, or list the columns if `process` fills all of them",
    );
  }
  return { reads: [...reads], fills, derive: process, version: processVersion };
}

/**
 * What of a backfill decides its result, in a form in which layout and checks don't count: for drift. Of a function it is
 * the version that its author gives, as a formatter or a compiler changes its text.
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
