import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
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

const generated = new Map<string, Buffer>();

/** Makes a v20 store as `generateStore` does; one that was made with these options before is a copy of its bytes. */
export function makeStore(path: string, options: Omit<StoreOptions, 'path'>): void {
  const key = JSON.stringify(options);
  const bytes = generated.get(key);
  if (bytes) writeFileSync(path, bytes, { flag: 'wx' });
  else {
    generateStore({ ...options, path });
    generated.set(key, readFileSync(path));
  }
}

/** Runs `act` with the path of a generated v20 store. */
export async function withGeneratedStore<Result>(
  options: Omit<StoreOptions, 'path'>,
  act: (path: string) => Promise<Result> | Result,
): Promise<Result> {
  return await withFolder((folder) => {
    const path = join(folder, 'store.db');
    makeStore(path, options);
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
  const cells = query(path, `SELECT name FROM pragma_table_xinfo('${table}')`).map(
    (name) => `'${name}=' || typeof("${name}") || ':' || hex(CAST("${name}" AS BLOB))`,
  );
  const isRowid = query(path, `SELECT 1 FROM pragma_table_list('${table}') WHERE wr = 0`).length > 0;
  const order = isRowid ? 'rowid' : 1;
  return query(path, `SELECT ${cells.join(` || ' ' || `)} FROM "${table}" ORDER BY ${order}`);
}

/** The whole schema, without root pages: those may move. */
export const dumpSchema = (path: string): unknown[] =>
  asAgentOs(path, (db) =>
    db.prepare('SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY type, name').all(),
  );

/** Schema and every cell of every table, ours included. */
export function dumpStore(path: string) {
  const names = query(path, `SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name`);
  const tables: Record<string, string[]> = {};
  for (const name of names) tables[name] = dumpTable(path, name);
  return { schema: dumpSchema(path), tables };
}

type Value = string | number | bigint | Buffer | null;

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
  readonly createdAt?: Value;
  /** What stands in the v21 columns. Default: NULL, and the columns need not be there. */
  readonly cells?: readonly [source: string | null, processed: string | null];
}

/** The values of an audit by column, those of v21 where it has some. */
export const valuesOf = ({
  key = null,
  eventType = 'SUPERVISOR_DECISION',
  payload = '{}',
  createdAt = '2026-01-20 10:00:00',
  cells,
}: Audit): Readonly<Record<string, Value>> => ({
  ...{ audit_id: key, event_type: eventType, payload, created_at: createdAt },
  ...Object.fromEntries(cells ? backfillStep.columns.map(({ name }, i) => [name, cells[i] ?? null]) : []),
});

/** Writes audits in one transaction, into a table of either schema. */
export function insertAudits(db: Database.Database, audits: readonly Audit[]): void {
  const hasTask = db.prepare(`SELECT 1 FROM pragma_table_xinfo('task_audits') WHERE name = 'task_id'`).get();
  const statements = new Map<string, Database.Statement>();
  const prepared = (sql: string): Database.Statement => {
    const found = statements.get(sql) ?? db.prepare(sql);
    statements.set(sql, found);
    return found;
  };
  const insert = (audit: Audit): void => {
    const values = { ...valuesOf(audit), ...(hasTask ? { task_id: 'task_000000' } : {}) };
    const names = Object.keys(values);
    // A bound Buffer is a BLOB, and a bound string always UTF-8: TEXT that is not takes a cast.
    const marks = names.map((name) => (name === 'payload' && audit.asText ? 'CAST(? AS TEXT)' : '?'));
    prepared(`INSERT INTO task_audits (${names.join(', ')}) VALUES (${marks.join(', ')})`).run(
      ...Object.values(values),
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
