import type { Store } from '../db/connection.js';
import { foldCase, identifier } from '../db/sql.js';
import { expressionSql, scopeSql } from '../engine/rows.js';
import { warning } from '../engine/run-options.js';
import { absentColumns, planSchemaStep } from '../engine/schema.js';
import { BackfillError } from '../errors.js';
import { type Message, msg } from '../messages/message.js';
import { shellWord } from '../shell.js';
import type { SchemaStepDefinition } from '../steps/schema-steps.js';
import { inStep, type Step } from '../steps/step.js';
import type { MigratorOptions } from './options.js';
import { type BackfillStep, isBackfill, missingColumns, type Session } from './session.js';

// Checks that steps can run on a store. They only read.

const invalid = (message: Message, hint: Message, cause?: Error): BackfillError =>
  new BackfillError('STEP_INVALID', message, hint, cause && { cause });

/** Returns the columns that schema steps create, as folded `table.column`. */
export function pendingColumns(steps: readonly SchemaStepDefinition[]): Set<string> {
  return new Set(
    steps.flatMap(({ table, columns }) => columns.map(({ name }) => foldCase(`${table}.${name}`))),
  );
}

/** Returns the columns that no pending step creates in the table, or in a table that it is a partition of. */
async function withoutPending(
  store: Store,
  table: string,
  columns: Iterable<string>,
  coming: ReadonlySet<string>,
): Promise<string[]> {
  if (coming.size === 0) return [...columns];
  const tables = [table, ...(await store.dialect.parentTables(store, table))];
  return [...columns].filter((column) => !tables.some((name) => coming.has(foldCase(`${name}.${column}`))));
}

/**
 * Checks that a backfill can run on this store.
 *
 * @param coming columns that earlier pending steps create, as folded `table.column`. Default: none
 * @throws {BackfillError} `COLUMN_MISSING`, `KEY_UNSUITABLE`, `STEP_INVALID`, `SCHEMA_BLOCKED`
 */
export async function checkBackfill(
  store: Store,
  step: BackfillStep,
  coming: ReadonlySet<string> = new Set(),
): Promise<void> {
  const { name, table, key, columns, checks, path } = step;
  const needed = [
    key,
    ...columns.flatMap(({ value }) =>
      value.kind === 'first-of' ? [value.document, value.fallback ?? []].flat() : [],
    ),
    ...(step.process?.reads ?? []),
    ...(checks.groupBy === undefined ? [] : [checks.groupBy]),
  ];
  const unfilled = await missingColumns(store, step);
  const missing = [
    ...(await absentColumns(store, table, needed)),
    ...(await withoutPending(store, table, unfilled, coming)),
  ];
  if (missing.length > 0) {
    const values = { table, columns: missing.join(', '), step: name };
    throw new BackfillError(
      'COLUMN_MISSING',
      msg('The table {table} has no column {columns}, which {step} needs', values),
      msg('Add it in a step that sorts before {step}, or fix the declaration', { step: name }),
    );
  }
  await store.dialect.checkKey(store, step);
  const scope = scopeSql(step, store.dialect);
  if (await store.compileError(`SELECT 1 FROM ${identifier(table)} AS t WHERE ${scope}`)) {
    throw invalid(
      msg('The scope of {backfill} is not a condition on {table}', { backfill: name, table }),
      msg('Fix `scope` in {file}: it may name columns of {table} only', { file: path, table }),
    );
  }
  await checkScope(store, step, scope);
  await checkExpressions(store, step);
  await checkUpdatable(store, step, coming);
  if (unfilled.size === 0) await checkQueries(store, step);
}

/** Checks the queries of checks. They may use columns that do not exist yet, so they are checked once those exist. */
async function checkQueries(store: Store, { name, path, checks }: BackfillStep): Promise<void> {
  for (const { title, query } of checks.rules ?? []) {
    if (await store.isReadOnlyQuery(query)) continue;
    const values = { title, name };
    throw invalid(
      msg('The query of the rule "{title}" of {name} is not a SELECT that this store can run', values),
      msg('Fix `checks.rules` in {path}', { path }),
    );
  }
  for (const { index, query } of checks.indexes ?? []) {
    // A query with INDEXED BY does not compile while its index is missing, and the index may be recreated.
    const error = /\bINDEXED\s+BY\b/i.test(query) ? undefined : await store.compileError(query);
    if (!error) continue;
    throw invalid(
      msg('The query for the index {index} of {name} cannot run on this store', { index, name }),
      msg('Fix `checks.indexes` in {path}: one statement, without parameters', { path }),
      error,
    );
  }
}

/** Checks that the scope does not read filled columns: a row that is out of scope once it is filled would never be verified. */
async function checkScope(
  store: Store,
  { name, table, path, columns }: BackfillStep,
  scope: string,
): Promise<void> {
  const filled = columns.filter((column) => foldCase(scope).includes(foldCase(column.name)));
  if (filled.length === 0) return;
  const isFilled = (other: string): boolean =>
    columns.some((column) => foldCase(column.name) === foldCase(other));
  const others = (await store.dialect.tableColumns(store, table)).filter((column) => !isFilled(column.name));
  const rows = `SELECT ${others.map((column) => identifier(column.name)).join(', ')} FROM ${identifier(table)}`;
  if (!(await store.compileError(`SELECT 1 FROM (${rows}) AS t WHERE ${scope}`))) return;
  const values = { name, path, columns: filled.map((column) => column.name).join(', ') };
  throw invalid(
    msg(
      'The scope of {name} reads {columns}, which it fills: a row that is filled would be out of scope, and never be verified',
      values,
    ),
    msg('Leave {columns} out of `scope` in {path}: only cells that are NULL are filled in any case', values),
  );
}

/** Checks that expressions compile and read a single row, so that they do not fail in the first batch. */
async function checkExpressions(store: Store, { name, table, path, columns }: BackfillStep): Promise<void> {
  for (const { name: column, value } of columns) {
    if (value.kind !== 'sql') continue;
    const [expression, from] = [expressionSql(value, store.dialect.engine), `FROM ${identifier(table)} AS t`];
    const error = await store.compileError(`SELECT ${expression} ${from}`);
    if (error)
      throw invalid(
        msg('The expression of {column} in {name} cannot be computed on {table}', { column, name, table }),
        msg(
          'Fix sql() in {path}: it may name columns of {table}, which the store has or an earlier step makes',
          { path, table },
        ),
        error,
      );
    const cause = await store.compileError(`SELECT 1 ${from} WHERE ${expression} IS NULL`);
    if (cause)
      throw invalid(
        msg(
          'The expression of {column} in {name} cannot be computed on a single row of {table}: it has an aggregate, a window function, or another function of several rows',
          { column, name, table },
        ),
        msg(
          'Fix sql() in {path}: move what reads several rows into a subquery, such as (SELECT max(n) FROM other)',
          { path },
        ),
        cause,
      );
  }
}

/** Checks that the columns can be updated: a generated column or a broken trigger would fail every batch. */
async function checkUpdatable(
  store: Store,
  { table, columns }: BackfillStep,
  coming: ReadonlySet<string>,
): Promise<void> {
  const names = columns.map(({ name }) => name);
  const present = await withoutPending(store, table, names, coming);
  if (present.length === 0) return;
  const error = await store.dialect.updateError(store, table, present);
  if (!error) return;
  const sql = shellWord(`.schema ${table}`);
  throw new BackfillError(
    'SCHEMA_BLOCKED',
    msg('The columns {columns} of {table} cannot be updated', { columns: present.join(', '), table }),
    msg('Check for a generated column or a broken trigger: sqlite3 STORE {sql}', { sql }),
    { cause: error },
  );
}

/**
 * Refuses a backfill that is not applied, or can no longer run on this store.
 *
 * @throws {BackfillError} `STEP_NOT_APPLIED`, and the codes of {@link checkBackfill}
 */
export async function requireApplied({ store, ledger }: Session, step: BackfillStep): Promise<void> {
  const status = (await ledger.step(step.name))?.status;
  if (status !== 'applied') {
    throw new BackfillError(
      'STEP_NOT_APPLIED',
      status === undefined
        ? msg('The step {step} is not applied', { step: step.name })
        : msg('The step {step} is only partly applied', { step: step.name }),
      msg('Apply it first: umzug-backfill up'),
    );
  }
  await inStep(step, async () => await checkBackfill(store, step));
}

/**
 * Refuses steps whose statements would fire triggers, unless `allowTriggers` is set: then it is a warning. Backfills update their table; in a
 * file, schema steps also write the version table. On a server, its owner trusts the authors of triggers.
 *
 * @throws {BackfillError} `TRIGGERS_WOULD_FIRE` listing them
 */
export async function refuseTriggers(
  { store, ledger }: Session,
  steps: readonly Step[],
  direction: 'up' | 'down',
  { allowTriggers = false, onEvent }: Pick<MigratorOptions, 'allowTriggers' | 'onEvent'>,
): Promise<void> {
  const allow = (table: string, triggers: readonly string[], one: Message, several: Message): void => {
    if (triggers.length === 0) return;
    const message = triggers.length > 1 ? several : one;
    if (!allowTriggers)
      throw new BackfillError(
        'TRIGGERS_WOULD_FIRE',
        message,
        msg(
          'Check what they do: sqlite3 STORE {command}; if they may run for every row that is updated, run it again with --allow-triggers',
          { command: shellWord(`.schema ${table}`) },
        ),
      );
    onEvent?.(warning(message));
  };
  for (const { table, columns } of steps.filter(isBackfill)) {
    const names = columns.map(({ name }) => name);
    const triggers = await store.dialect.updateTriggers(store, table, names);
    const list = triggers.join(', ');
    const one = msg('Each update of {table} fires the trigger {name}', { table, name: list });
    allow(
      table,
      triggers,
      one,
      msg('Each update of {table} fires the triggers {names}', { table, names: list }),
    );
  }
  for (const step of store.files ? steps : []) {
    if (step.kind !== 'schema' || !step.version) continue;
    const { table } = step.version;
    const triggers = await store.pluck<string>(
      `SELECT name FROM sqlite_schema WHERE type = 'trigger' AND tbl_name = ? COLLATE NOCASE ORDER BY name`,
      table,
    );
    if (triggers.length === 0) continue;
    const objects =
      direction === 'up'
        ? (await planSchemaStep(store, step)).first.map(({ creates }) => creates)
        : await ledger.objects(step.name);
    if (!objects.some(({ kind }) => kind === 'version')) continue;
    const values = { table, triggers: triggers.join(', ') };
    allow(
      table,
      triggers,
      msg(
        'Each version that is written to {table} or removed from it may fire the trigger {triggers}',
        values,
      ),
      msg(
        'Each version that is written to {table} or removed from it may fire the triggers {triggers}',
        values,
      ),
    );
  }
}
