import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import backfillDefinition from '../../backfills/v021-2-decision-fields.js';
import { generateStore, type StoreOptions } from '../../demo/store-generator.js';
import schemaDefinition from '../../migrations/v021-1-decision-columns.js';
import type { BackfillDefinition } from '../../src/backfill/define.js';
import { Ledger } from '../../src/ledger/ledger.js';
import type { SchemaStepDefinition } from '../../src/steps/schema-step.js';
import type { Step } from '../../src/steps/step.js';
import { locateStore } from '../../src/store/path.js';
import { Store } from '../../src/store/sqlite/store.js';

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

/** An open store with its ledger. */
export interface Opened {
  readonly path: string;
  readonly store: Store;
  readonly ledger: Ledger;
}

/** Opens a store for writing, runs `act`, closes it whatever happens. */
export async function withOpened<Result>(
  path: string,
  act: (opened: Opened) => Promise<Result> | Result,
): Promise<Result> {
  const store = new Store(locateStore(path), { access: 'write' });
  try {
    return await act({ path, store, ledger: new Ledger(store) });
  } finally {
    store.close();
  }
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

/** Every cell of a table, exact to type and bytes, by key. */
export function dumpTable(path: string, table = 'task_audits'): string[] {
  return asAgentOs(path, (db) => {
    const columns = db.prepare('SELECT name FROM pragma_table_xinfo(?)').pluck().all(table) as string[];
    const cells = columns.map(
      (name) => `'${name}=' || typeof("${name}") || ':' || hex(CAST("${name}" AS BLOB))`,
    );
    return db
      .prepare(`SELECT ${cells.join(` || ' ' || `)} FROM "${table}" ORDER BY rowid`)
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
