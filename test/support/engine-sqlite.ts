import { join } from 'node:path';
import { snapshotFiles } from './cli.js';
import { readLedger } from './ledger.js';
import { derivedCells, oracle } from './oracle-words.js';
import { actualCells } from './reference.js';
import { asAgentOs, dumpStore, insertAudits, withFolder } from './stores.js';
import { generateTestStore, type TestEngine, type TestStore } from './test-store.js';

/** Stores that are files, which everybody has. */
export const sqliteEngine: TestEngine = {
  name: 'SQLite',
  whyNot: () => undefined,
  knowsGrowingKeys: true,
  withStore: (options, act) =>
    withFolder((folder) => {
      const path = join(folder, 'store.db');
      generateTestStore(path, options);
      return act(sqliteStore(path));
    }),
};

/** The store at a path. */
export const sqliteStore = (path: string): TestStore => ({
  address: { path },
  change: async (sql) => asAgentOs(path, (db) => void db.exec(sql)),
  changeNow: (sql) => asAgentOs(path, (db) => void db.exec(sql)),
  query: async (sql) =>
    (asAgentOs(path, (db) => db.prepare(sql).pluck().all()) as (string | number | null)[]).map((value) =>
      value === null ? null : String(value),
    ),
  insert: async (...audits) => asAgentOs(path, (db) => insertAudits(db, audits)),
  cells: async () => actualCells(path),
  dump: async () => dumpStore(path),
  ledger: async () => readLedger(path),
  async traces() {
    const { main, wal, journal } = snapshotFiles(path);
    return { main, wal: wal === 'none' ? EMPTY : wal, journal };
  },
  expected: async () => oracle(path),
  derived: async () => derivedCells(path),
  damages: async () =>
    (
      asAgentOs(path, (db) => db.pragma('integrity_check', { simple: false })) as {
        integrity_check: string;
      }[]
    )
      .map(({ integrity_check: found }) => found)
      .filter((found) => found !== 'ok'),
});

/** Hash of an empty file: whether an empty `-wal` stands there is no matter of what was written. */
const EMPTY = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855';
