import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import Database from 'better-sqlite3';
import { generateStore, type StoreOptions } from '../../demo/store-generator.js';
import type { RunOptions } from '../../src/backfill/run-options.js';
import { applyBackfillStep, revertBackfillStep } from '../../src/backfill/runner.js';
import { BackfillError } from '../../src/errors.js';
import { Ledger } from '../../src/ledger/ledger.js';
import { applySchemaStep, revertSchemaStep } from '../../src/schema/run.js';
import { locateStore } from '../../src/store/path.js';
import type { Store } from '../../src/store/port.js';
import { SqliteStore } from '../../src/store/sqlite/store.js';
import type { Cells } from './reference.js';
import { backfillStep, schemaStep, withFolder } from './stores.js';

// Both steps up and down, in this process or, with this file as its script, in one that kills itself on the way.

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

/** Options that call `act` right after the k-th batch, filled or reverted, has committed. */
export function afterBatch(k: number, batchRows: number, act: () => void): RunOptions {
  let count = 0;
  return {
    batchRows,
    onEvent: ({ event }) => {
      if (event !== 'batch_committed' && event !== 'batch_reverted') return;
      count += 1;
      if (count === k) act();
    },
  };
}

/** Options that stop a run after its k-th batch. */
export function stoppedAfter(k: number, batchRows: number): RunOptions {
  const controller = new AbortController();
  return { ...afterBatch(k, batchRows, () => controller.abort('SIGTERM')), signal: controller.signal };
}

/** What `act` fails with; it is an error of the test when it does not. */
export async function failure(act: () => unknown): Promise<unknown> {
  try {
    await act();
  } catch (error) {
    return error;
  }
  throw new Error('Expected a failure');
}

/** The code and message of the error of ours that `act` fails with. */
export async function refusal(act: () => unknown): Promise<string> {
  const error = await failure(act);
  if (!(error instanceof BackfillError)) throw error;
  return `${error.code}: ${error.message}`;
}

/** Every cell that the ledger says was filled, as "key column", in the order of its batches. */
export function ledgerCells(ledger: Ledger): string[] {
  return ledger.batches(name).flatMap(({ number }) =>
    ledger.cells(name, number).flatMap(({ columns, runs }) =>
      runs.flatMap((run) => {
        const [first, last] = run as readonly [bigint, bigint];
        const keys = Array.from({ length: Number(last - first) + 1 }, (_, i) => first + BigInt(i));
        return keys.flatMap((key) => columns.map((column) => `${key} ${column}`));
      }),
    ),
  );
}

/** The cells that differ between two states of the table, in the same words. */
export function changedCells(before: Map<string, Cells>, after: Map<string, Cells>): string[] {
  return [...after].flatMap(([key, cells]) =>
    backfillStep.columns.flatMap((column, i) =>
      (cells[i] ?? null) === (before.get(key)?.[i] ?? null) ? [] : [`${key} ${column.name}`],
    ),
  );
}

// The child: run-up.ts PATH up|down BATCH_ROWS batch|clock K. It is gone at the K-th commit of a batch, or the K-th time
// that the ledger asks the clock: that is within a transaction, between two of its statements.
if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [path = '', direction, rows, at, k] = process.argv.slice(2);
  const die = (): void => {
    process.kill(process.pid, 'SIGKILL');
  };
  let asked = 0;
  const now = (): Date => {
    asked += 1;
    if (at === 'clock' && asked === Number(k)) die();
    return new Date();
  };
  const options = afterBatch(at === 'batch' ? Number(k) : 0, Number(rows), die);
  await connected(
    path,
    async (connection) => {
      const { store, ledger } = connection;
      if (direction === 'up') {
        applySchemaStep(store, ledger, schemaStep);
        await fill(connection, options);
      } else {
        await empty(connection, options);
        revertSchemaStep(store, ledger, schemaStep, { isConfirmed: true });
      }
    },
    now,
  );
}
