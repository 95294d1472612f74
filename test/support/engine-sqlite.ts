import { join } from 'node:path';
import type Database from 'better-sqlite3';
import type { StoreOptions } from '../../demo/store-generator.js';
import { bytesOf } from './cli.js';
import type { State } from './expect-same.js';
import { readLedger } from './ledger.js';
import { derivedCells, oracle } from './oracle-words.js';
import type { PgForm } from './postgres-stores.js';
import type { Address, Extra, UpOutcome } from './project.js';
import { actualCells } from './reference.js';
import {
  type Audit,
  asAgentOs,
  change,
  dumpStore,
  insertAudits,
  makeStore,
  query,
  withFolder,
} from './stores.js';

/** What a store begins with. */
export interface TestStoreOptions extends Partial<Omit<StoreOptions, 'path'>> {
  /** Types of columns, where the engine has several. Default: text. */
  readonly form?: PgForm;
  /** Further rows. */
  readonly rows?: readonly Audit[];
  /** Changes the generated store before it becomes one of the engine: SQL, or with a connection. */
  readonly prepare?: string | ((db: Database.Database) => void);
}

/** One engine. */
export interface TestEngine {
  readonly name: 'SQLite' | 'PostgreSQL';
  /** What titles of tests say instead of its name. */
  readonly title?: string;
  /** Why there is none here; undefined when there is. */
  whyNot(): string | undefined;
  /** Whether keys are taken to grow, so that a catch-up looks behind the watermark only: with AUTOINCREMENT. */
  readonly knowsGrowingKeys: boolean;
  /** Runs `act` with a store of its own at v20. PostgreSQL has those of the rows that it can hold. */
  withStore<Result>(
    options: TestStoreOptions,
    act: (store: TestStore) => Promise<Result> | Result,
  ): Promise<Result>;
}

/** Makes the file that a store begins as. */
export function generateTestStore(path: string, { form: _, rows, prepare, ...options }: TestStoreOptions) {
  makeStore(path, { audits: 60, ...options });
  asAgentOs(path, (db) => {
    if (rows) insertAudits(db, rows);
    if (typeof prepare === 'string') db.exec(prepare);
    else prepare?.(db);
  });
}

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

/** The store at a path, by what a test needs of one, whatever engine it is of. */
export const sqliteStore = (path: string) => ({
  /** What leads a command to it. */
  address: { path } as Address,
  /** Runs SQL that both engines take, as AgentOS would. */
  change: async (sql: string): Promise<void> => change(path, sql),
  /** The same from within a callback: it is done when this returns. */
  changeNow: (sql: string): void => change(path, sql),
  /** The first column of a query that both engines take, as text. */
  query: async (sql: string) =>
    query<string | number | null>(path, sql).map((value) => (value === null ? null : String(value))),
  /** Lets AgentOS write audits. */
  insert: async (...audits: readonly Audit[]): Promise<void> =>
    asAgentOs(path, (db) => insertAudits(db, audits)),
  /** What both columns of every row hold; NULL where there is no column. */
  cells: async () => actualCells(path),
  dump: async (): Promise<{ schema: readonly unknown[]; tables: State }> => dumpStore(path),
  /** What the ledger says. */
  ledger: async () => readLedger(path),
  /** What is another after any write to the store, be it of what stood there. */
  async traces(): Promise<unknown> {
    const files = bytesOf(path);
    return { ...files, wal: files.wal === 'none' ? EMPTY : files.wal };
  },
  /** What a fill of the store as it is must lead to. */
  expected: async () => oracle(path),
  /** What each row derives now, in scope or not, for both columns; null where it can't be derived. */
  derived: async () => derivedCells(path),
  /** What the engine finds wrong with its store. */
  damages: async () => query(path, 'SELECT * FROM pragma_integrity_check').filter((found) => found !== 'ok'),
});
export type TestStore = ReturnType<typeof sqliteStore> & {
  /** Applies the steps in another way than the command line. */
  readonly up?: (extra: Extra) => Promise<UpOutcome>;
};

/** Hash of an empty file: whether an empty `-wal` stands there is no matter of what was written. */
const EMPTY = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855';
