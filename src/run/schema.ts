import type { StoreRequirements } from '../config.js';
import type { Connection, Store, Transaction } from '../db/connection.js';
import { pathExists } from '../db/file.js';
import { identifier, isSameName, literal } from '../db/sql.js';
import { filterEach, mapEach } from '../each.js';
import type { Estimate, IndexCreation } from '../engine/dialect.js';
import type { RunOptions } from '../engine/run-options.js';
import {
  absentColumns,
  columnMissing,
  compareStoreVersion,
  planSchemaStep,
  reverseStatements,
} from '../engine/schema.js';
import { BackfillError } from '../errors.js';
import type { Ledger } from '../ledger/ledger.js';
import type { CreatedObject } from '../ledger/records.js';
import { msg } from '../messages/message.js';
import { shellWord } from '../shell.js';
import {
  noStatement,
  type SchemaStepDefinition,
  type SqlStepDefinition,
  type VersionOptions,
} from '../steps/schema-steps.js';
import { fingerprint, type Step } from '../steps/step.js';
import { type DdlOptions, pausing } from './ddl-pauses.js';

/**
 * Checks that a store meets the requirements of the project's config.
 *
 * @throws {BackfillError} `TABLE_MISSING`, `COLUMN_MISSING`, `VERSION_MISSING`, `VERSION_UNREADABLE`, `VERSION_TOO_OLD`
 */
export async function checkRequirements(store: Store, { version, tables = {} }: StoreRequirements) {
  if (version) {
    const { atLeast: least } = version;
    const { greatest, order } = await compareStoreVersion(store, version, least);
    if (order < 0)
      throw new BackfillError(
        'VERSION_TOO_OLD',
        msg('The store is at version {version}; at least {least} is needed', { version: greatest, least }),
        msg('Upgrade it to {version} with the application first', { version: least }),
      );
  }
  for (const [table, columns] of Object.entries(tables)) {
    if (!(await store.dialect.hasTable(store, table)))
      throw new BackfillError(
        'TABLE_MISSING',
        msg('The store has no table {table}', { table }),
        msg('Pass the path of a store that the application created: --db-path /path/to/store.db'),
      );
    const absent = await absentColumns(store, table, columns);
    if (absent.size > 0) throw columnMissing(table, [...absent]);
  }
}

/** A schema step with its name. */
export type SchemaStep = Step & SchemaStepDefinition;

/**
 * Creates the missing objects of a schema step. Columns and version row commit in one transaction with their ledger rows; each index and
 * its ledger row in a separate one, where the dialect can; the last of them also marks the step as applied. Safe to kill.
 */
export async function applySchemaStep(
  store: Connection,
  ledger: Ledger,
  step: SchemaStep,
  options: DdlOptions = {},
): Promise<void> {
  const startedAt = performance.now();
  const finish = (tx: Transaction) => ledger.in(tx).finishStep(step.name, performance.now() - startedAt);
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
  const afterPause = pausing(store, options);
  await mapEach(indexes, async ({ sql, creates }, i) => {
    const index: IndexCreation = {
      name: creates.name,
      table: step.table,
      sql,
      // Planned again: another process may have created it while this one waited for the lock.
      isStillNeeded: async (tx) =>
        (await planSchemaStep(tx, step)).indexes.some((index) => index.creates.name === creates.name),
      recordIntent: async (tx) => await ledger.in(tx).addObject(step.name, creates),
      async recordDone(tx) {
        if (i === indexes.length - 1) await finish(tx);
      },
    };
    await afterPause(() => store.dialect.createIndex(store, index));
  });
}

/** Lock time above which `down` requires confirmation, in milliseconds. */
const LONG_LOCK_MS = 2000;

/**
 * Refuses a `down` of a schema step that is impossible, and an unconfirmed one that would lose values or hold the write lock for long.
 *
 * @param isFirst whether nothing is reverted before it: else values in its columns are checked only then
 * @returns the estimated cost of dropping its columns; undefined if it has none
 * @throws {BackfillError} `VERSION_TOO_NEW`, `SCHEMA_BLOCKED`; unconfirmed: `COLUMN_HAS_VALUES`, `CONFIRMATION_REQUIRED`
 */
export async function checkRevertible(
  store: Store,
  ledger: Ledger,
  step: SchemaStep,
  isConfirmed: boolean,
  isFirst: boolean,
): Promise<Estimate | undefined> {
  const objects = await existingObjects(store, ledger, step);
  await refuseNewerVersion(store, ledger, step, objects);
  await store.dialect.preflightDown(store, step, objects);
  if (isFirst && !isConfirmed) await refuseDataLoss(store, step, objects);
  const columns = objects.filter(({ kind }) => kind === 'column');
  if (columns.length === 0) return undefined;
  const estimate = await store.dialect.estimate(store, step.table, { dropsColumns: columns.length });
  if (estimate.lockMs <= LONG_LOCK_MS || isConfirmed) return estimate;
  const seconds = Math.ceil(estimate.lockMs / 1000);
  const size = Math.ceil(estimate.diskBytes / 1e6);
  throw new BackfillError(
    'CONFIRMATION_REQUIRED',
    msg(
      'Dropping the columns rewrites {table}: about {seconds} s with the write lock held, and {size} MB of disk',
      { table: step.table, seconds, size },
    ),
    msg('Run it again with --yes if other writers can wait that long'),
  );
}

/** Throws if the store has a later version, which may depend on the step's columns and version. It cannot depend on an index. */
async function refuseNewerVersion(
  store: Store,
  ledger: Ledger,
  { name, version: row }: SchemaStep,
  objects: readonly CreatedObject[],
): Promise<void> {
  if (!row || objects.every(({ kind }) => kind === 'index')) return;
  const { greatest: version, order } = await compareStoreVersion(store, row, row.to);
  if (order <= 0) return;
  const backup = await ledger.backupBefore(name);
  const names = objects.map((object) => object.name);
  throw new BackfillError(
    'VERSION_TOO_NEW',
    msg(
      'The store is at version {version}, later than {made}, and may depend on objects of this step: {objects}',
      { version, made: row.to, objects: names },
    ),
    backup !== undefined && pathExists(backup)
      ? msg(
          'Run umzug-backfill restore {backup} to restore the store as it was before the step, without later writes',
          { backup: shellWord(backup) },
        )
      : msg(
          'Keep the objects, or restore a backup from before the step; the ledger records none that still exists',
        ),
  );
}

/** Throws if columns of the step have values, which `down` would lose. */
async function refuseDataLoss(store: Store, { table }: SchemaStep, objects: readonly CreatedObject[]) {
  const columns = objects.filter(({ kind }) => kind === 'column').map(({ name }) => name);
  if (columns.length === 0) return;
  const count = store.dialect.builtIn('count');
  const list = columns.map((name, i) => `${count}(${identifier(name)}) AS n${i}`).join(', ');
  const sql = `SELECT ${list} FROM ${identifier(table)}`;
  const values = Object.values((await store.project.get<Record<string, number>>(sql)) ?? {});
  if (!values.some((n) => n > 0)) return;
  const counts = columns.map((column, i) => msg('{count} in {column}', { count: values[i], column }));
  throw new BackfillError(
    'COLUMN_HAS_VALUES',
    msg('Dropping the columns of {table} would lose their values: {counts}', { table, counts }),
    msg('Run it again with --yes if they may be lost'),
  );
}

/** Returns the objects that the step created and that still exist. */
export async function existingObjects(store: Store, ledger: Ledger, step: SchemaStep) {
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

/** Returns the statement that deletes a version row. */
export function deleteVersionSql({ table, column }: VersionOptions, version: string, equals = '='): string {
  return `DELETE FROM ${identifier(table)} WHERE ${identifier(column)} ${equals} ${literal(version)}`;
}

/**
 * Drops exactly the objects that the ledger records for the step: each index in a separate transaction, then columns, version row and the
 * step's ledger rows in one. Safe to kill.
 *
 * @throws {BackfillError} `VERSION_TOO_NEW`, `COLUMN_HAS_VALUES`
 */
export async function revertSchemaStep(
  store: Connection,
  ledger: Ledger,
  step: SchemaStep,
  { confirmed: isConfirmed = false, ...options }: DdlOptions & Pick<RunOptions, 'confirmed'> = {},
): Promise<void> {
  const objects = await existingObjects(store, ledger, step);
  const rest = objects.filter(({ kind }) => kind !== 'index');
  if (!isConfirmed) await refuseDataLoss(store, step, objects);
  // Checked again in each transaction, which may have waited for another writer.
  await store.write(async (tx) => {
    const own = ledger.in(tx);
    await refuseNewerVersion(tx, own, step, await existingObjects(tx, own, step));
    await own.beginRevert(step.name);
  });
  const afterPause = pausing(store, options);
  for (const index of objects.filter(({ kind }) => kind === 'index')) {
    const [sql = ''] = reverseStatements(step, [index]);
    const statement = { name: index.name, table: step.table, sql };
    const deleteRecord = (tx: Transaction) => ledger.in(tx).removeObject(step.name, index);
    await afterPause(() => store.dialect.dropIndex(store, statement, deleteRecord));
  }
  const dropRest = async (tx: Transaction): Promise<void> => {
    const own = ledger.in(tx);
    const left = await existingObjects(tx, own, step);
    await refuseNewerVersion(tx, own, step, left);
    if (!isConfirmed) await refuseDataLoss(tx, step, left);
    for (const sql of reverseStatements(step, rest)) await tx.project.exec(sql);
    const version = rest.find(({ kind }) => kind === 'version');
    if (version && step.version)
      await tx.project.run(deleteVersionSql(step.version, version.name, tx.dialect.operator('=')));
    await own.deleteStep(step.name);
  };
  await afterPause(() => store.write(dropRest));
}

type SqlStep = Step & SqlStepDefinition;

/** Applies a SQL step in one transaction with its ledger row. */
export async function applySqlStep(store: Connection, ledger: Ledger, step: SqlStep): Promise<void> {
  const startedAt = performance.now();
  await store.write(async (tx) => {
    const own = ledger.in(tx);
    await own.beginStep({ name: step.name, kind: step.kind, fingerprint: fingerprint(step) });
    await runStatements(tx, step, step.up);
    await own.finishStep(step.name, performance.now() - startedAt);
  });
}

/** Reverts a SQL step in one transaction with its ledger row. */
export async function revertSqlStep(store: Connection, ledger: Ledger, step: SqlStep): Promise<void> {
  await store.write(async (tx) => {
    await runStatements(tx, step, step.down ?? []);
    await ledger.in(tx).deleteStep(step.name);
  });
}

const runStatements = (tx: Transaction, { name }: SqlStep, statements: readonly string[]): Promise<void> =>
  tx.runStep(async () => {
    for (const sql of statements)
      await tx.run(sql).catch((error: unknown) => {
        // better-sqlite3 refuses several statements in one text, and parameters.
        const isRefused = error instanceof RangeError || error instanceof TypeError;
        throw isRefused ? noStatement(name, sql, error) : error;
      });
  });
