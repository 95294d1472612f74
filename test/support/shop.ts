import { join } from 'node:path';
import Database from 'better-sqlite3';
import * as api from '../../src/index.js';
import { numbers } from './customers.js';
import { query, withFolder } from './stores.js';

// A shop's store, as a project of another domain has it, and what it fills.

export { JSONStorage, memoryStorage, Umzug } from 'umzug';
export { api };

/** Rows of a shop's table of events. */
export const EVENTS = 50;

/** What the shop fills, and the column that it is filled into. */
export const orderTimes = api.defineBackfill({
  table: 'events',
  key: 'id',
  scope: `kind = 'order'`,
  columns: { ordered_at: api.firstOf('body', ['ordered_at', 'ts'], 'created_at') },
});
export const orderColumn = api.defineSchemaStep({
  table: 'events',
  columns: { ordered_at: 'TEXT' },
  indexes: { idx_events_ordered_at: { columns: ['ordered_at'], where: 'ordered_at IS NOT NULL' } },
});

/** Runs `act` on the path of a shop's store, in WAL mode; `sql` is run on it first. */
export const withShop = (act: (path: string, folder: string) => Promise<void>, sql = ''): Promise<void> =>
  withFolder(async (folder) => {
    const path = join(folder, 'shop.db');
    const db = new Database(path);
    db.pragma('journal_mode = WAL');
    db.exec(`
      CREATE TABLE events (id INTEGER PRIMARY KEY, kind TEXT, body TEXT, created_at TEXT);
      ${numbers(EVENTS)} INSERT INTO events (kind, body, created_at)
      SELECT 'order', '{"ts":"2026-01-20T10:00:00Z"}', '2026-01-21' FROM n;
      ${sql}`);
    db.close();
    await act(path, folder);
  });

/** How many events have their time. */
export const filled = (path: string): number =>
  query<number>(path, 'SELECT count(ordered_at) FROM events')[0] ?? 0;

/** Whether the store has a ledger. */
export const hasLedger = (path: string): boolean =>
  query(path, `SELECT name FROM sqlite_schema WHERE name LIKE 'umzug_backfill%'`).length > 0;
