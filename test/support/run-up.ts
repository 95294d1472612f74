import { join } from 'node:path';
import Database from 'better-sqlite3';
import { generateStore, type StoreOptions } from '../../demo/store-generator.js';
import type { RunOptions } from '../../src/backfill/run-options.js';
import { applyBackfillStep, revertBackfillStep } from '../../src/backfill/runner.js';
import { BackfillError } from '../../src/index.js';
import { Ledger } from '../../src/ledger/ledger.js';
import { applySchemaStep } from '../../src/schema/run.js';
import { locateStore } from '../../src/store/path.js';
import type { Store } from '../../src/store/port.js';
import { SqliteStore } from '../../src/store/sqlite/store.js';
import { backfillStep, schemaStep, withFolder } from './stores.js';

// Both steps up and down, by the functions that the commands are made of.

/** The backfill's name. */
export const name = backfillStep.name;

/** An open store with its ledger. */
export interface Connected {
  readonly path: string;
  readonly store: Store;
  readonly ledger: Ledger;
}

/** Opens a store for writing, as a new process would, and closes it whatever happens. */
export async function connected<Result>(
  path: string,
  act: (at: Connected) => Promise<Result> | Result,
  now?: () => Date,
): Promise<Result> {
  const store = new SqliteStore(locateStore(path), { access: 'write' });
  try {
    return await act({ path, store, ledger: new Ledger(store, now) });
  } finally {
    store.close();
  }
}

/** Runs `act` on a generated v20 store, after `prepare` has changed it by a connection that is not ours. */
export const withV20 = <Result>(
  options: Omit<StoreOptions, 'path'>,
  act: (at: Connected) => Promise<Result> | Result,
  prepare = '',
): Promise<Result> =>
  withFolder((folder) => {
    const path = join(folder, 'store.db');
    generateStore({ ...options, path });
    agentOs(path, (db) => db.exec(prepare));
    return connected(path, act);
  });

/** As {@link withV20}, with the schema step applied. */
export const withV21: typeof withV20 = (options, act, prepare) =>
  withV20(
    options,
    (at) => {
      applySchemaStep(at.store, at.ledger, schemaStep);
      return act(at);
    },
    prepare,
  );

/** Reads or writes by a plain connection, as AgentOS has one: Python's has foreign keys off. */
export function agentOs<Result>(path: string, act: (db: Database.Database) => Result): Result {
  const db = new Database(path);
  try {
    db.pragma('foreign_keys = OFF');
    return act(db);
  } finally {
    db.close();
  }
}

export const fill = ({ store, ledger }: Connected, options?: RunOptions): Promise<void> =>
  applyBackfillStep(store, ledger, backfillStep, options);
export const empty = ({ store, ledger }: Connected, options?: RunOptions) =>
  revertBackfillStep(store, ledger, backfillStep, options);

/** The code and message of the error of ours that `act` fails with. */
export async function refusal(act: () => unknown): Promise<string> {
  try {
    await act();
  } catch (error) {
    if (!(error instanceof BackfillError)) throw error;
    return `${error.code}: ${error.message}`;
  }
  throw new Error('Expected a failure');
}
