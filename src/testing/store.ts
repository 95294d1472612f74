import { copyFileSync } from 'node:fs';
import type Database from 'better-sqlite3';
import { identifier } from '../db/sql.js';
import { connect } from '../db/sqlite/connection.js';
import { flatMapEach } from '../each.js';
import { BackfillError, toBackfillError } from '../errors.js';
import type { CellValue, SchemaStepDefinition, SqlStepDefinition, Verification } from '../index.js';
import { type MessageValue, msg } from '../messages/message.js';
import { down } from '../migrate/down.js';
import type { MigratorOptions } from '../migrate/options.js';
import { inSnapshot, type Session, withStore } from '../migrate/session.js';
import { up } from '../migrate/up.js';
import { applySchemaStep, applySqlStep } from '../run/schema.js';
import { BackfillTestError } from './failure.js';
import type { Key, Subject, TestRow } from './options.js';

type SchemaStep = (SchemaStepDefinition | SqlStepDefinition) & Pick<Subject['step'], 'name' | 'path'>;

/** Returns the parts of the schema: SQL, and steps with names that sort before all others. */
const schemaOf = ({ schema }: Subject): (string | SchemaStep)[] =>
  schema.map((part, i) =>
    typeof part === 'string' ? part : { ...part, name: ` schema-${i + 1}`, path: 'testBackfill()' },
  );

const optionsAt = (path: string, steps: MigratorOptions['project']['steps']): MigratorOptions => ({
  project: { config: { kind: 'config', database: { path }, steps: [], requires: {} }, steps },
  path,
});

/** Returns the project of a backfill under test, with the options of its runs. */
export const runOptions = (subject: Subject, path: string): MigratorOptions => ({
  ...optionsAt(path, [...schemaOf(subject).filter((part) => typeof part !== 'string'), subject.step]),
  batchRows: subject.batchRows,
  targetBatchMs: 600_000, // only `batchRows` limits a batch, even on the slowest machine
  pace: 'full',
  backup: false,
  allowTriggers: subject.allowTriggers,
});

/** Runs `act` on a snapshot of a store opened read-only. */
export const withReadOnly = async <Result>(
  path: string,
  act: (session: Session) => Promise<Result>,
): Promise<Result> => await inSnapshot(optionsAt(path, []), act);

/** Creates a store with the schema, and with rows in the backfill's table. */
export async function makeStore(path: string, subject: Subject, rows: readonly TestRow[]): Promise<void> {
  asApplication(path, (db) => {
    db.pragma('journal_mode = WAL');
    db.pragma('user_version = 1'); // an empty file is not a store
  });
  for (const part of schemaOf(subject)) {
    if (typeof part === 'string') asApplication(path, (db) => withContext('`schema`', () => db.exec(part)));
    else await applyStep(path, part);
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

const applyStep = async (path: string, step: SchemaStep): Promise<void> =>
  await withStore(optionsAt(path, []), 'write', async ({ store, ledger }) =>
    step.kind === 'schema'
      ? applySchemaStep(store, ledger, step, { pace: 'full' })
      : applySqlStep(store, ledger, step),
  );

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
export const copyStore = (from: string, to: string): void => copyFileSync(from, to);

/** Runs `up`. Does not throw if its verification fails: the filled cells are compared first, then {@link requireVerified} throws. */
export async function runUp(
  subject: Subject,
  path: string,
  onEvent?: MigratorOptions['onEvent'],
): Promise<Verification | undefined> {
  const { error, verifications } = await up({ ...runOptions(subject, path), onEvent });
  if (error && error.code !== 'VERIFICATION_FAILED') throw error;
  return verifications.at(-1);
}

/** Reverts the backfill. */
export async function runDown(subject: Subject, path: string): Promise<void> {
  const { error } = await down(runOptions(subject, path), { migrations: [subject.step.name] });
  if (error) throw error;
}

/**
 * Checks that a verification has not failed.
 *
 * @param when phrase for its time, for the message
 * @throws {BackfillTestError} `NOT_VERIFIED`
 */
export function requireVerified(verification: Verification | undefined, when: string): void {
  const failed = verification?.checks.find(({ verdict }) => verdict === 'fail');
  const finding = failed?.findings.find(({ verdict }) => verdict === 'fail');
  if (!failed) return;
  const [key] = finding?.sampleKeys ?? [];
  throw new BackfillTestError(
    'NOT_VERIFIED',
    `The check ${failed.title} fails ${when}: ${finding?.text ?? failed.id}${key === undefined ? '' : `, the first of them row ${key}`}`,
    { key },
  );
}

/** Records of a backfill in the ledger. */
export type LedgerState = Awaited<ReturnType<typeof readLedger>>;

/** Reads the records of a backfill from the ledger. */
export const readLedger = async (path: string, { step: { name } }: Subject) =>
  await withReadOnly(path, async ({ ledger }) => {
    const batches = await ledger.batches(name);
    return {
      /** Number of batches. */
      batches: batches.length,
      rowsScanned: batches.reduce((sum, batch) => sum + batch.rowsScanned, 0),
      /** Filled cells with their batch; one that was filled twice is listed twice. */
      cells: await flatMapEach(batches, async ({ number: batch }) =>
        (await ledger.cells(name, batch)).flatMap(({ columns, runs }) =>
          runs.flatMap(keysOf).flatMap((key) => columns.map((column) => ({ key, column, batch }))),
        ),
      ),
      skips: await ledger.skips(name),
      /** Whether the backfill is in the ledger. */
      isStarted: (await ledger.step(name)) !== undefined,
    };
  });

function keysOf([first, last]: readonly [Key, Key]): Key[] {
  if (typeof first === 'string' || typeof last === 'string') return [first];
  return Array.from({ length: Number(last - first) + 1 }, (_, i) => first + BigInt(i));
}
