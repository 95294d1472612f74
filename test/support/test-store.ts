import type Database from 'better-sqlite3';
import { generateStore, type StoreOptions } from '../../demo/store-generator.js';
import type { Ledger } from './ledger.js';
import type { PgForm } from './postgres-stores.js';
import type { Address } from './project.js';
import type { Cells } from './reference.js';
import { type Audit, asAgentOs, insertAudits } from './stores.js';

// What a test needs of a store, whatever engine it is of.

/** Schema and every cell of every table. */
export interface Dump {
  readonly schema: readonly unknown[];
  readonly tables: Readonly<Record<string, readonly string[]>>;
}

/** What a fill must lead to, by the oracle. */
export interface Expected {
  /** What both columns of every row must hold, by key. */
  readonly cells: Map<string, Cells>;
  /** Of each row that is skipped, `column: reason` (`*` for all columns), in the ledger's words, sorted. */
  readonly skips: Map<string, string[]>;
}

/** A store of AgentOS. */
export interface TestStore {
  /** What leads a command to it. */
  readonly address: Address;
  /** Runs SQL that both engines take, as AgentOS would. */
  change(sql: string): Promise<void>;
  /** The same from within a callback: it is done when this returns. */
  changeNow(sql: string): void;
  /** The first column of a query that both engines take, as text. */
  query(sql: string): Promise<(string | null)[]>;
  /** Lets AgentOS write audits. */
  insert(...audits: readonly Audit[]): Promise<void>;
  /** What both columns of every row hold; NULL where there is no column. */
  cells(): Promise<Map<string, Cells>>;
  dump(): Promise<Dump>;
  /** What the ledger says. */
  ledger(): Promise<Ledger>;
  /** What is another after any write to the store, be it of what stood there. */
  traces(): Promise<unknown>;
  /** What a fill of the store as it is must lead to. */
  expected(): Promise<Expected>;
  /** What each row derives now, in scope or not, for both columns; null where it can't be derived. */
  derived(): Promise<Map<string, Cells>>;
  /** What the engine finds wrong with its store. */
  damages(): Promise<string[]>;
}

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
  generateStore({ audits: 60, ...options, path });
  asAgentOs(path, (db) => {
    if (rows) insertAudits(db, rows);
    if (typeof prepare === 'string') db.exec(prepare);
    else prepare?.(db);
  });
}
