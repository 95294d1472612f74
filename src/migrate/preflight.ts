import type { Store } from '../db/connection.js';
import { foldCase, identifier } from '../db/sql.js';
import { filterEach } from '../each.js';
import { expressionSql, scopeSql } from '../engine/rows.js';
import { absentColumns, planSchemaStep } from '../engine/schema.js';
import { BackfillError } from '../errors.js';
import { type Message, msg } from '../messages/message.js';
import { existingObjects } from '../run/schema.js';
import { shellWord } from '../shell.js';
import type { SchemaStepDefinition } from '../steps/schema-steps.js';
import type { Step } from '../steps/step.js';
import { atStep, inStep } from '../steps/step.js';
import { type BackfillStep, missingColumns, requiredBackfill, type Session } from './session.js';

/** Result of the checks of pending steps. */
export interface PreflightResult {
  readonly warnings: Message[];
  /** Steps that cannot be checked yet, each with the SQL step before it that may create what they need. */
  readonly awaiting: ReadonlyMap<string, string>;
}

/**
 * Checks that pending steps can run on this store. Reads only. What is refused after a pending SQL step is checked again when that has run,
 * because it may create the table.
 *
 * @param steps steps of the project
 * @throws {BackfillError} `STEP_INVALID`, `TABLE_MISSING`, `COLUMN_MISSING`, `KEY_UNSUITABLE`, `SCHEMA_BLOCKED`, a `VERSION_…` or a `STORE_…` code
 */
export async function checkPendingSteps(
  { store, ledger }: Session,
  steps: readonly Step[],
  pending: readonly Step[],
): Promise<PreflightResult> {
  const warnings: Message[] = [];
  const awaiting = new Map<string, string>();
  let sqlStep: string | undefined;
  const coming = new Set<string>(); // columns that earlier pending steps create, as `table.column`
  for (const step of pending) {
    if (step.kind === 'sql') sqlStep = step.name;
    await store.dialect.checkStep(store, step);
    if (step.kind === 'require') requiredBackfill(steps, step);
    if (step.kind !== 'schema' && step.kind !== 'backfill') continue;
    try {
      await requireTable(store, step.table);
      if (step.kind === 'schema') {
        const existing = await existingObjects(store, ledger, step);
        warnings.push(
          ...(await store.dialect.preflightUp(store, step, await planSchemaStep(store, step), existing)),
        );
      } else {
        await checkBackfill(store, step, coming);
        await store.dialect.checkKeyValues(store, step);
      }
    } catch (error) {
      if (sqlStep === undefined || !(error instanceof BackfillError)) throw atStep(error, step);
      awaiting.set(step.name, sqlStep);
    }
    if (step.kind === 'schema') for (const name of pendingColumns([step])) coming.add(name);
  }
  return { warnings, awaiting };
}

async function requireTable(store: Store, table: string): Promise<void> {
  if (await store.dialect.hasTable(store, table)) return;
  throw new BackfillError(
    'TABLE_MISSING',
    msg('The store has no table {table}', { table }),
    missingTableHint(store, table),
  );
}

function missingTableHint(store: Store, table: string): Message {
  const isOfServer = store.files === undefined;
  const [, schema, name] = /^([^.]+)\.([^.]+)$/.exec(table) ?? [];
  if (schema !== undefined && name !== undefined)
    return isOfServer
      ? msg(
          "Declare table: '{name}', without a schema, and add ?options=-csearch_path%3D{schema} to the URL: tables are found through the search path",
          { name, schema },
        )
      : msg("Declare table: '{name}', without a schema", { name });
  return isOfServer
    ? msg(
        'Pass the database of the application with --database-url, add ?options=-csearch_path%3DNAME to the URL if the table is in another schema, or fix the declaration',
      )
    : msg('Pass the path of a store of the application with --db-path, or fix the declaration');
}

/** Returns the columns that schema steps create, as folded `table.column`. */
export function pendingColumns(steps: readonly SchemaStepDefinition[]): Set<string> {
  return new Set(
    steps.flatMap(({ table, columns }) => columns.map(({ name }) => foldCase(`${table}.${name}`))),
  );
}

/** Whether a pending step creates a column of the table, or of a table that it is a partition of. */
const isPending = async (
  store: Store,
  table: string,
  column: string,
  coming: ReadonlySet<string>,
): Promise<boolean> =>
  coming.size > 0 &&
  [table, ...(await store.dialect.parentTables(store, table))].some((name) =>
    coming.has(foldCase(`${name}.${column}`)),
  );

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
  const { table, key, columns, checks } = step;
  const needed = [
    key,
    ...columns.flatMap(({ value }) =>
      value.kind === 'first-of' ? [value.document, value.fallback ?? []].flat() : [],
    ),
    ...(step.process?.reads ?? []),
    ...(checks.groupBy === undefined ? [] : [checks.groupBy]),
  ];
  const missing = [
    ...(await absentColumns(store, table, needed)),
    ...(await filterEach(
      [...(await missingColumns(store, step))],
      async (name) => !(await isPending(store, table, name, coming)),
    )),
  ];
  if (missing.length > 0) {
    throw new BackfillError(
      'COLUMN_MISSING',
      msg('The table {table} has no column {columns}, which {step} needs', {
        table,
        columns: missing.join(', '),
        step: step.name,
      }),
      msg('Add it in a step that sorts before {step}, or fix the declaration', { step: step.name }),
    );
  }
  await store.dialect.checkKey(store, step);
  if (
    await store.compileError(`SELECT 1 FROM ${identifier(table)} AS t WHERE ${scopeSql(step, store.dialect)}`)
  ) {
    throw new BackfillError(
      'STEP_INVALID',
      msg('The scope of {backfill} is not a condition on {table}', { backfill: step.name, table }),
      msg('Fix `scope` in {file}: it may name columns of {table} only', { file: step.path, table }),
    );
  }
  await checkScope(store, step);
  await checkExpressions(store, step);
  await checkUpdatable(store, step, coming);
  if ((await missingColumns(store, step)).size === 0) await checkQueries(store, step);
}

/** Checks the queries of checks. They may use columns that do not exist yet, so they are checked once those exist. */
async function checkQueries(store: Store, { name, path, checks }: BackfillStep): Promise<void> {
  for (const { title, query } of checks.rules ?? []) {
    if (await store.isReadOnlyQuery(query)) continue;
    throw new BackfillError(
      'STEP_INVALID',
      msg('The query of the rule "{title}" of {name} is not a SELECT that this store can run', {
        title,
        name,
      }),
      msg('Fix `checks.rules` in {path}', { path }),
    );
  }
  for (const { index, query } of checks.indexes ?? []) {
    // A query with INDEXED BY does not compile while its index is missing, and the index may be recreated.
    const error = /\bINDEXED\s+BY\b/i.test(query) ? undefined : await store.compileError(query);
    if (!error) continue;
    throw new BackfillError(
      'STEP_INVALID',
      msg('The query for the index {index} of {name} cannot run on this store', { index, name }),
      msg('Fix `checks.indexes` in {path}: one statement, without parameters', { path }),
      { cause: error },
    );
  }
}

/** Checks that the scope does not read filled columns: a row that is out of scope once it is filled would never be verified. */
async function checkScope(store: Store, step: BackfillStep): Promise<void> {
  const { name, table, path, columns } = step;
  const scope = scopeSql(step, store.dialect);
  const filled = columns.filter((column) => foldCase(scope).includes(foldCase(column.name)));
  if (filled.length === 0) return;
  const isFilled = (other: string): boolean =>
    columns.some((column) => foldCase(column.name) === foldCase(other));
  const others = (await store.dialect.tableColumns(store, table)).filter((column) => !isFilled(column.name));
  const rows = `SELECT ${others.map((column) => identifier(column.name)).join(', ')} FROM ${identifier(table)}`;
  if (!(await store.compileError(`SELECT 1 FROM (${rows}) AS t WHERE ${scope}`))) return;
  const names = filled.map((column) => column.name).join(', ');
  throw new BackfillError(
    'STEP_INVALID',
    msg(
      'The scope of {name} reads {columns}, which it fills: a row that is filled would be out of scope, and never be verified',
      { name, columns: names },
    ),
    msg('Leave {columns} out of `scope` in {path}: only cells that are NULL are filled in any case', {
      columns: names,
      path,
    }),
  );
}

/** Checks that expressions compile and read a single row, so that they do not fail in the first batch. */
async function checkExpressions(store: Store, { name, table, path, columns }: BackfillStep): Promise<void> {
  for (const { name: column, value } of columns) {
    if (value.kind !== 'sql') continue;
    const [expression, from] = [expressionSql(value, store.dialect.engine), `FROM ${identifier(table)} AS t`];
    const error = await store.compileError(`SELECT ${expression} ${from}`);
    if (error)
      throw new BackfillError(
        'STEP_INVALID',
        msg('The expression of {column} in {name} cannot be computed on {table}', { column, name, table }),
        msg(
          'Fix sql() in {path}: it may name columns of {table}, which the store has or an earlier step makes',
          { path, table },
        ),
        { cause: error },
      );
    const cause = await store.compileError(`SELECT 1 ${from} WHERE ${expression} IS NULL`);
    if (cause)
      throw new BackfillError(
        'STEP_INVALID',
        msg(
          'The expression of {column} in {name} cannot be computed on a single row of {table}: it has an aggregate, a window function, or another function of several rows',
          { column, name, table },
        ),
        msg(
          'Fix sql() in {path}: move what reads several rows into a subquery, such as (SELECT max(n) FROM other)',
          { path },
        ),
        { cause },
      );
  }
}

/** Checks that the columns can be updated: a generated column or a broken trigger would fail every batch. */
async function checkUpdatable(
  store: Store,
  { table, columns }: BackfillStep,
  coming: ReadonlySet<string>,
): Promise<void> {
  const present = await filterEach(
    columns,
    async ({ name }) => !(await isPending(store, table, name, coming)),
  );
  if (present.length === 0) return;
  const error = await store.dialect.updateError(
    store,
    table,
    present.map(({ name }) => name),
  );
  if (!error) return;
  throw new BackfillError(
    'SCHEMA_BLOCKED',
    msg('The columns {columns} of {table} cannot be updated', {
      columns: present.map(({ name }) => name).join(', '),
      table,
    }),
    msg('Check for a generated column or a broken trigger: sqlite3 STORE {sql}', {
      sql: shellWord(`.schema ${table}`),
    }),
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
