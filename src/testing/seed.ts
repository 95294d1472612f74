import { copyFileSync } from 'node:fs';
import type Database from 'better-sqlite3';
import { locateStore } from '../db/path.js';
import { identifier } from '../db/sql.js';
import { connect } from '../db/sqlite/connection.js';
import { openSqlite } from '../engine/sqlite/dialect.js';
import { BackfillError, toBackfillError } from '../errors.js';
import type { CellValue, SchemaStepDefinition, SqlStepDefinition } from '../index.js';
import { openLedger } from '../ledger/ledger.js';
import { type MessageValue, msg } from '../messages/message.js';
import type { MigratorOptions } from '../migrate/options.js';
import { applySchemaStep, applySqlStep } from '../run/schema.js';
import type { Subject, TestRow } from './options.js';

type SchemaStep = (SchemaStepDefinition | SqlStepDefinition) & Pick<Subject['step'], 'name' | 'path'>;

/** Returns the steps of the schema, with names that sort before all others. */
function schemaSteps({ schema }: Pick<Subject, 'schema'>): SchemaStep[] {
  return schema.flatMap((part, i) =>
    typeof part === 'string' ? [] : [{ ...part, name: ` schema-${i + 1}`, path: 'testBackfill()' }],
  );
}

/** Returns the project of a backfill under test, with the options of its runs. */
export const runOptions = (subject: Subject, path: string): MigratorOptions => ({
  project: {
    config: { kind: 'config', database: { path }, steps: [], requires: {} },
    steps: [...schemaSteps(subject), subject.step],
  },
  path,
  batchRows: subject.batchRows,
  targetBatchMs: 600_000, // only `batchRows` limits a batch, even on the slowest machine
  pace: 'full',
  backup: false,
  allowTriggers: subject.allowTriggers,
});

/** Creates a store with the schema, and with rows in the backfill's table. */
export async function makeStore(path: string, subject: Subject, rows: readonly TestRow[]): Promise<void> {
  asApplication(path, (db) => {
    db.pragma('journal_mode = WAL');
    db.pragma('user_version = 1'); // an empty file is not a store
  });
  const steps = schemaSteps(subject).values();
  for (const part of subject.schema) {
    if (typeof part === 'string') asApplication(path, (db) => withContext('`schema`', () => db.exec(part)));
    else await applyStep(path, steps.next().value);
  }
  asApplication(path, (db) => {
    const { table } = subject.step;
    const count = db
      .prepare(`SELECT count(*) FROM pragma_table_list(?) WHERE type = 'table'`)
      .pluck()
      .get(table);
    if (count !== 1) {
      throw new BackfillError(
        'TABLE_MISSING',
        msg('`schema` of testBackfill() does not create the table {table}', { table }),
        msg('Add the CREATE TABLE of the table that the backfill names'),
      );
    }
    if (db.prepare(`SELECT 1 FROM ${identifier(table)} LIMIT 1`).get() !== undefined) {
      throw new BackfillError(
        'USAGE',
        msg('`schema` of testBackfill() inserts rows into {table}', { table }),
        msg('Pass them as `rows`: some of them are written while the backfill runs'),
      );
    }
    insertRows(db, table, rows);
  });
}

async function applyStep(path: string, step: SchemaStep | undefined): Promise<void> {
  const store = openSqlite(locateStore(path), { access: 'write' });
  try {
    if (step?.kind === 'schema') await applySchemaStep(store, openLedger(store), step);
    if (step?.kind === 'sql') await applySqlStep(store, openLedger(store), step);
  } finally {
    await store.close();
  }
}

/** Inserts rows into a table in one transaction. */
export function insertRows(db: Database.Database, table: string, rows: readonly TestRow[]): void {
  db.transaction(() => {
    for (const [i, row] of rows.entries()) {
      const names = Object.keys(row);
      const list = `(${names.map(identifier).join(', ')}) VALUES (${names.map(() => '?').join(', ')})`;
      withContext(msg('row {number} of `rows`', { number: i + 1 }), () =>
        db
          .prepare(`INSERT INTO ${identifier(table)} ${names.length > 0 ? list : 'DEFAULT VALUES'}`)
          .run(...Object.values(row).map(bound)),
      );
    }
  })();
}

/** Converts integers to bigint, because the driver would bind a number as a real. */
export const bound = (value: CellValue): unknown =>
  typeof value === 'number' && Number.isSafeInteger(value) ? BigInt(value) : value;

function withContext(where: MessageValue, act: () => unknown): void {
  try {
    act();
  } catch (error) {
    throw toBackfillError(error, msg('in {where} of testBackfill()', { where }));
  }
}

/** Changes a store on a separate connection, as the application does. */
export function asApplication(path: string, act: (db: Database.Database) => void): void {
  const db = connect(path);
  try {
    db.pragma('foreign_keys = OFF');
    db.pragma('synchronous = OFF');
    act(db);
  } finally {
    db.close();
  }
}

/** Copies a store that has no open connection. */
export function copyStore(from: string, to: string): string {
  copyFileSync(from, to);
  return to;
}
