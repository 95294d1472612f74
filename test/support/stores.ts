import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { expect } from 'chai';
import backfillDefinition from '../../backfills/v021-2-decision-fields.js';
import { generateStore, type StoreOptions } from '../../demo/store-generator.js';
import schemaDefinition from '../../migrations/v021-1-decision-columns.js';
import {
  type BackfillDefinition,
  BackfillError,
  type ErrorCode,
  type SchemaStepDefinition,
} from '../../src/index.js';
import type { Step } from './project.js';

/** The project's own steps, named as their files are. */
export const schemaStep: Step & SchemaStepDefinition = {
  ...schemaDefinition,
  name: 'v021-1-decision-columns',
  path: 'migrations/v021-1-decision-columns.ts',
};
export const backfillStep: Step & BackfillDefinition = {
  ...backfillDefinition,
  name: 'v021-2-decision-fields',
  path: 'backfills/v021-2-decision-fields.ts',
};

/** Runs `act` with a new folder, and removes it whatever happens. */
export async function withFolder<Result>(act: (folder: string) => Promise<Result> | Result): Promise<Result> {
  const folder = mkdtempSync(join(tmpdir(), 'umzug-backfill-'));
  try {
    return await act(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Runs `act` with the path of a generated v20 store. */
export async function withGeneratedStore<Result>(
  options: Omit<StoreOptions, 'path'>,
  act: (path: string) => Promise<Result> | Result,
): Promise<Result> {
  return await withFolder((folder) => {
    const path = join(folder, 'store.db');
    generateStore({ ...options, path });
    return act(path);
  });
}

/** Runs `act` with a plain connection of another program, as AgentOS would have one. */
export function asAgentOs<Result>(path: string, act: (db: Database.Database) => Result): Result {
  const db = new Database(path);
  db.pragma('foreign_keys = OFF');
  try {
    return act(db);
  } finally {
    db.close();
  }
}

/** Runs SQL on the store, as AgentOS or a person with the sqlite3 shell would. */
export const change = (path: string, sql: string): void => asAgentOs(path, (db) => void db.exec(sql));

/** The first column of a query. */
export const query = <Value = string>(path: string, sql: string): Value[] =>
  asAgentOs(path, (db) => db.prepare(sql).pluck().all() as Value[]);

/** Every cell of a table, exact to type and bytes, by key. */
export function dumpTable(path: string, table = 'task_audits'): string[] {
  return asAgentOs(path, (db) => {
    const columns = db.prepare('SELECT name FROM pragma_table_xinfo(?)').pluck().all(table) as string[];
    const cells = columns.map(
      (name) => `'${name}=' || typeof("${name}") || ':' || hex(CAST("${name}" AS BLOB))`,
    );
    const isRowid = db.prepare('SELECT 1 FROM pragma_table_list(?) WHERE wr = 0').get(table) !== undefined;
    return db
      .prepare(`SELECT ${cells.join(` || ' ' || `)} FROM "${table}" ORDER BY ${isRowid ? 'rowid' : 1}`)
      .pluck()
      .all() as string[];
  });
}

/** The whole schema, without root pages: those may move. */
export function dumpSchema(path: string): unknown[] {
  return asAgentOs(path, (db) =>
    db.prepare('SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY type, name').all(),
  );
}

/** Schema and every cell of every table, ours included. */
export function dumpStore(path: string): { schema: unknown[]; tables: Record<string, string[]> } {
  const names = asAgentOs(path, (db) =>
    db.prepare(`SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name`).pluck().all(),
  ) as string[];
  const tables = Object.fromEntries(names.map((name) => [name, dumpTable(path, name)]));
  return { schema: dumpSchema(path), tables };
}

/** One row of `task_audits`. */
export interface Audit {
  /** Default: the next one. */
  readonly key?: bigint | number | null;
  /** Default 'SUPERVISOR_DECISION'. */
  readonly eventType?: string;
  /** Default '{}'. A Buffer is stored as a BLOB, with `asText` as TEXT. */
  readonly payload?: string | Buffer | null;
  readonly asText?: boolean;
  /** Default '2026-01-20 10:00:00'. */
  readonly createdAt?: string | number | bigint | Buffer | null;
  /** What stands in the v21 columns. Default: NULL, and the columns need not be there. */
  readonly cells?: readonly [source: string | null, processed: string | null];
}

/** Writes audits in one transaction, into a table of either schema. */
export function insertAudits(db: Database.Database, audits: readonly Audit[]): void {
  const hasTask = db.prepare(`SELECT 1 FROM pragma_table_xinfo('task_audits') WHERE name = 'task_id'`).get();
  const insert = (audit: Audit): void => {
    const values = new Map<string, unknown>([
      ['audit_id', audit.key ?? null],
      ['event_type', audit.eventType ?? 'SUPERVISOR_DECISION'],
      ['payload', audit.payload === undefined ? '{}' : audit.payload],
      ['created_at', audit.createdAt === undefined ? '2026-01-20 10:00:00' : audit.createdAt],
    ]);
    if (hasTask) values.set('task_id', 'task_000000');
    backfillStep.columns.forEach(({ name }, i) => {
      if (audit.cells) values.set(name, audit.cells[i]);
    });
    const names = [...values.keys()];
    // A bound Buffer is a BLOB, and a bound string always UTF-8: TEXT that is not takes a cast.
    const marks = names.map((name) => (name === 'payload' && audit.asText ? 'CAST(? AS TEXT)' : '?'));
    db.prepare(`INSERT INTO task_audits (${names.join(', ')}) VALUES (${marks.join(', ')})`).run(
      ...values.values(),
    );
  };
  db.transaction(() => audits.forEach(insert))();
}

/** What `act` fails with, which must be an error of ours with this code. */
export async function failureOf(code: ErrorCode, act: () => unknown): Promise<BackfillError> {
  try {
    await act();
  } catch (error) {
    if (!(error instanceof BackfillError)) throw error;
    expect(error.code, error.message).to.equal(code);
    return error;
  }
  throw new Error(`Expected ${code}, and nothing was thrown`);
}
