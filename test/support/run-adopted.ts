import Database from 'better-sqlite3';
import type { BackfillStepOptions } from '../../src/index.js';
import { api, JSONStorage, orderTimes, Umzug } from './shop.js';
import { query } from './stores.js';

// An Umzug that was there before this package, with one migration of its own and a backfill of ours; with this file as its
// script in a process that kills itself on the way: PATH up|down ledger|json COUNT, after so many batches.

/** Where umzug's own storage is, beside the store. */
export const jsonOf = (path: string): string => `${path}.json`;

/** The project's Umzug, on a connection of its own. */
export function adopted(
  db: Database.Database,
  storage: 'ledger' | 'attached' | 'json',
  extra: Partial<BackfillStepOptions> = {},
): Umzug<Database.Database> {
  const inLedger = api.ledgerStorage(db);
  const umzug = new Umzug<Database.Database>({
    context: db,
    storage: storage === 'json' ? new JSONStorage({ path: jsonOf(db.name) }) : inLedger,
    logger: undefined,
    migrations: [
      {
        name: '001-order-column.js',
        up: async ({ context }) => context.exec(withColumn),
        down: async ({ context }) => context.exec('ALTER TABLE events DROP COLUMN ordered_at'),
      },
      step(db, extra),
    ],
  });
  return storage === 'attached' ? inLedger.attach(umzug) : umzug;
}

/** Name of the shop's backfill. */
export const name = '002-order-times';
/** Adds the column that it fills. */
export const withColumn = 'ALTER TABLE events ADD COLUMN ordered_at TEXT;';

/** Runs `act` with a connection of the project's. */
export async function connected<Result>(path: string, act: (db: Database.Database) => Promise<Result>) {
  const db = new Database(path);
  try {
    return await act(db);
  } finally {
    db.close();
  }
}

/** The shop's backfill as a migration. */
export const step = (database: BackfillStepOptions['database'], extra: Partial<BackfillStepOptions> = {}) =>
  api.backfillStep({ name, database, backfill: orderTimes, batchRows: 10, ...extra });

/** Calls a migration as umzug does. */
export const call = (migration: ReturnType<typeof step>, direction: 'up' | 'down'): Promise<unknown> =>
  Promise.resolve(migration[direction]?.({ name: migration.name, context: {} }));

/** The names in the ledger, with their kinds. */
export const ledgerRows = (path: string): string[] =>
  query(path, `SELECT name || ' ' || kind || ' ' || status FROM umzug_backfill_steps ORDER BY name`);

const [, script = '', path = '', direction, storage, count] = process.argv;
if (script.endsWith('run-adopted.js') && (storage === 'ledger' || storage === 'json')) {
  let batches = 0;
  const umzug = adopted(new Database(path), storage, {
    onEvent: ({ event }) => {
      if (event !== 'batch_committed' && event !== 'batch_reverted') return;
      batches += 1;
      if (batches === Number(count)) process.kill(process.pid, 'SIGKILL');
    },
  });
  await (direction === 'up' ? umzug.up() : umzug.down());
}
