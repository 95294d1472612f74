import type { StoreRequirements } from '../config.js';
import type { Connection, Store, Transaction } from '../db/connection.js';
import { pathExists } from '../db/file.js';
import { identifier, isSameName, literal } from '../db/sql.js';
import { filterEach, mapEach } from '../each.js';
import type { Estimate } from '../engine/dialect.js';
import { absentColumns, declaredVersion, storeVersion } from '../engine/inspect.js';
import type { RunOptions } from '../engine/run-options.js';
import { planSchemaStep, reverseStatements } from '../engine/schema-plan.js';
import { BackfillError } from '../errors.js';
import type { Ledger } from '../ledger/ledger.js';
import type { CreatedObject } from '../ledger/records.js';
import { msg } from '../messages/message.js';
import { shellWord } from '../shell.js';
import type { SchemaStepDefinition, VersionOptions } from '../steps/schema-step.js';
import type { SqlStepDefinition } from '../steps/sql-step.js';
import { noStatement } from '../steps/sql-step.js';
import { fingerprint, type Step } from '../steps/step.js';
import { compareVersions } from '../version.js';

// The schema of a store: what the project requires of it, and the steps that change it by single statements.

/**
 * Refuses a store that lacks what the project's config requires.
 *
 * @throws {BackfillError} `TABLE_MISSING`, `COLUMN_MISSING`, `VERSION_MISSING`, `VERSION_UNREADABLE`, `VERSION_TOO_OLD`
 */
export async function checkRequirements(store: Store, requires: StoreRequirements): Promise<void> {
  if (requires.version) {
    const { text, version } = await storeVersion(store, requires.version);
    if (compareVersions(version, declaredVersion(requires.version.atLeast)) < 0) {
      throw new BackfillError(
        'VERSION_TOO_OLD',
        msg('The store is at version {version}; at least {least} is needed', {
          version: text,
          least: requires.version.atLeast,
        }),
        msg('Bring it to {version} with the application first', { version: requires.version.atLeast }),
      );
    }
  }
  for (const [table, columns] of Object.entries(requires.tables ?? {})) {
    if (!(await store.dialect.hasTable(store, table))) {
      throw new BackfillError(
        'TABLE_MISSING',
        msg('The store has no table {table}', { table }),
        msg('Pass the path of a store that the application has created: --db-path /path/to/store.db'),
      );
    }
    const absent = await absentColumns(store, table, columns);
    if (absent.size > 0) {
      throw new BackfillError(
        'COLUMN_MISSING',
        msg('The table {table} has no column {columns}', { table, columns: [...absent].join(', ') }),
        msg('Look at it with: sqlite3 STORE {sql}', { sql: shellWord(`.schema ${table}`) }),
      );
    }
  }
}

/** A schema step with its name. */
export type SchemaStep = Step & SchemaStepDefinition;

/**
 * Makes what of a schema step is missing. Columns and version row commit in one transaction with their ledger rows,
 * each index in its own with its ledger row where
 * the engine can, the last of them with the step's mark as applied. Safe to kill: it goes
 * on with what is then missing.
 */
export async function applySchemaStep(store: Connection, ledger: Ledger, step: SchemaStep): Promise<void> {
  const startedAt = performance.now();
  const finish = async (tx: Transaction): Promise<void> =>
    await ledger.in(tx).finishStep(step.name, performance.now() - startedAt);
  const indexes = await store.write(async (tx) => {
    const own = ledger.in(tx);
    await own.beginStep({ name: step.name, kind: step.kind, fingerprint: fingerprint(step) });
    const plan = await planSchemaStep(tx, step);
    for (const { sql, creates } of plan.first) {
      await tx.project.exec(sql);
      await own.addObject(step.name, creates);
    }
    if (plan.indexes.length === 0) await finish(tx);
    return plan.indexes;
  });
  await mapEach(indexes, async ({ sql, creates }, i) => {
    // Planned again: another process may have made it while this one waited for the lock.
    const isDue = async (tx: Transaction): Promise<boolean> =>
      (await planSchemaStep(tx, step)).indexes.some((index) => index.creates.name === creates.name);
    await store.dialect.createIndex(
      store,
      { name: creates.name, table: step.table, sql },
      isDue,
      async (tx) => await ledger.in(tx).addObject(step.name, creates),
      async (tx) => {
        if (i === indexes.length - 1) await finish(tx);
      },
    );
  });
}

/** Whether a person has agreed to lose values, or to hold the write lock for long. */
type Consent = Pick<RunOptions, 'confirmed'>;

/** Lock time above which `down` wants to be confirmed, in milliseconds. */
const LONG_LOCK_MS = 2000;

/**
 * Refuses a `down` of a schema step that can't be done, whoever confirms it.
 *
 * @throws {BackfillError} `VERSION_TOO_NEW`, `SCHEMA_BLOCKED`
 */
export async function checkRevertible(store: Store, ledger: Ledger, step: SchemaStep): Promise<void> {
  await refuseNewerVersion(store, ledger, step);
  await store.dialect.preflightDown(store, step, await existingObjects(store, ledger, step));
}

/** What a later version takes for granted, a column or its own predecessor, must stay. An index is nobody's condition. */
async function refuseNewerVersion(store: Store, ledger: Ledger, step: SchemaStep): Promise<void> {
  const objects = await existingObjects(store, ledger, step);
  if (!step.version || objects.every(({ kind }) => kind === 'index')) return;
  const { text, version } = await storeVersion(store, step.version);
  if (compareVersions(version, declaredVersion(step.version.to)) <= 0) return;
  const backup = await ledger.backupBefore(step.name);
  throw new BackfillError(
    'VERSION_TOO_NEW',
    msg('The store is at version {version}, above {made}, and may rest on what this step made: {objects}', {
      version: text,
      made: step.version.to,
      objects: objects.map(({ name }) => name).join(', '),
    }),
    backup !== undefined && pathExists(backup)
      ? msg(
          'umzug-backfill restore {backup} brings back the store as it was before the step, without all that was written since',
          { backup: shellWord(backup) },
        )
      : msg(
          'Leave what it made, or bring back a backup from before the step; none that this program made is known any more',
        ),
  );
}

const existingColumns = async (store: Store, ledger: Ledger, step: SchemaStep): Promise<string[]> =>
  (await existingObjects(store, ledger, step))
    .filter(({ kind }) => kind === 'column')
    .map(({ name }) => name);

/**
 * Refuses a `down` that would lose values nobody has agreed to lose.
 *
 * @throws {BackfillError} `COLUMN_HAS_VALUES`
 */
export async function checkDataLoss(
  store: Store,
  ledger: Ledger,
  step: SchemaStep,
  { confirmed }: Consent,
): Promise<void> {
  const columns = await existingColumns(store, ledger, step);
  if (columns.length === 0 || confirmed) return;
  const count = store.dialect.builtIn('count');
  const counts = columns.map((name, i) => `${count}(${identifier(name)}) AS n${i}`).join(', ');
  const sql = `SELECT ${counts} FROM ${identifier(step.table)}`;
  const values = Object.values((await store.project.get<Record<string, number>>(sql)) ?? {});
  if (!values.some((n) => n > 0)) return;
  const list = columns.map((name, i) => `${values[i]} in ${name}`).join(', ');
  throw new BackfillError(
    'COLUMN_HAS_VALUES',
    msg('Dropping the columns of {table} would lose values that stand in them: {counts}', {
      table: step.table,
      counts: list,
    }),
    msg('If they may be lost, run it again with --yes'),
  );
}

/**
 * What the columns of a `down` are expected to cost, or undefined when it drops none.
 *
 * @throws {BackfillError} `CONFIRMATION_REQUIRED` when the write lock would be held for long and nobody has agreed
 */
export async function checkLockTime(
  store: Store,
  ledger: Ledger,
  step: SchemaStep,
  { confirmed }: Consent,
): Promise<Estimate | undefined> {
  const columns = await existingColumns(store, ledger, step);
  if (columns.length === 0) return undefined;
  const estimate = await store.dialect.estimate(store, step.table, { dropsColumns: columns.length });
  if (estimate.lockMs <= LONG_LOCK_MS || confirmed) return estimate;
  throw new BackfillError(
    'CONFIRMATION_REQUIRED',
    msg(
      'Dropping the columns rewrites {table}: about {seconds} s with the write lock held, and {size} MB of disk',
      {
        table: step.table,
        seconds: Math.ceil(estimate.lockMs / 1000),
        size: Math.ceil(estimate.diskBytes / 1e6),
      },
    ),
    msg('If other writers can wait that long, run it again with --yes'),
  );
}

/** What the step made and nobody has removed since. */
export async function existingObjects(
  store: Store,
  ledger: Ledger,
  step: SchemaStep,
): Promise<CreatedObject[]> {
  const columns = await store.dialect.tableColumns(store, step.table);
  return await filterEach(await ledger.objects(step.name), async ({ kind, name }) => {
    if (kind === 'column') return columns.some((column) => isSameName(column.name, name));
    if (kind === 'index') {
      const declared = step.indexes.find((index) => index.name === name);
      const found = await store.dialect.hasIndex(store, step.table, name);
      return (
        found === 'unfinished' ||
        (found && (!declared || (await store.dialect.findIndex(store, step, declared)) !== undefined))
      );
    }
    return true;
  });
}

/** The statement that removes a version row. */
export function deleteVersionSql({ table, column }: VersionOptions, version: string, equals = '='): string {
  return `DELETE FROM ${identifier(table)} WHERE ${identifier(column)} ${equals} ${literal(version)}`;
}

/**
 * Removes exactly what the step made, by the ledger: each index in a transaction of its own, then columns, version row
 * and the step's ledger rows in one. Safe to kill: it goes on with what is then left.
 *
 * @throws {BackfillError} `VERSION_TOO_NEW`, `COLUMN_HAS_VALUES`
 */
export async function revertSchemaStep(
  store: Connection,
  ledger: Ledger,
  step: SchemaStep,
  options: Consent,
): Promise<void> {
  const objects = await existingObjects(store, ledger, step);
  const rest = objects.filter(({ kind }) => kind !== 'index');
  await checkDataLoss(store, ledger, step, options);
  // Another writer may have been waited for since a check: what can't be taken back is checked inside the transaction.
  await store.write(async (tx) => {
    const own = ledger.in(tx);
    await refuseNewerVersion(tx, own, step);
    await own.beginRevert(step.name);
  });
  for (const index of objects.filter(({ kind }) => kind === 'index')) {
    const [sql = ''] = reverseStatements(step, [index]);
    await store.dialect.dropIndex(
      store,
      { name: index.name, table: step.table, sql },
      async (tx) => await ledger.in(tx).removeObject(step.name, index),
    );
  }
  await store.write(async (tx) => {
    const own = ledger.in(tx);
    await refuseNewerVersion(tx, own, step);
    await checkDataLoss(tx, own, step, options);
    for (const sql of reverseStatements(step, rest)) await tx.project.exec(sql);
    const version = rest.find(({ kind }) => kind === 'version');
    if (version && step.version) {
      await tx.project.run(deleteVersionSql(step.version, version.name, tx.dialect.operator('=')));
    }
    await own.deleteStep(step.name);
  });
}

type SqlStep = Step & SqlStepDefinition;

/** Runs a step of plain SQL in one transaction with its ledger row. */
export async function applySqlStep(store: Connection, ledger: Ledger, step: SqlStep): Promise<void> {
  const startedAt = performance.now();
  await store.write(async (tx) => {
    const own = ledger.in(tx);
    await own.beginStep({ name: step.name, kind: step.kind, fingerprint: fingerprint(step) });
    await runStatements(tx, step, step.up);
    await own.finishStep(step.name, performance.now() - startedAt);
  });
}

/** Reverts a step of plain SQL in one transaction with its ledger row. */
export async function revertSqlStep(store: Connection, ledger: Ledger, step: SqlStep): Promise<void> {
  await store.write(async (tx) => {
    await runStatements(tx, step, step.down ?? []);
    await ledger.in(tx).deleteStep(step.name);
  });
}

async function runStatements(
  tx: Transaction,
  { name }: SqlStep,
  statements: readonly string[],
): Promise<void> {
  await tx.runStep(async () => {
    for (const statement of statements)
      try {
        await tx.run(statement);
      } catch (error) {
        // Of SQLite's driver: it refuses a text of several statements, and one with parameters.
        if (error instanceof RangeError || error instanceof TypeError)
          throw noStatement(name, statement, error);
        throw error;
      }
  });
}
