import type { Connection, SqlValue, Store, Transaction } from '../db/connection.js';
import type { LockHolder } from '../db/connector.js';
import type { Key } from '../ledger/keys.js';
import type { CreatedObject } from '../ledger/records.js';
import type { Backfill } from '../steps/define.js';
import type { IndexDefinition, SchemaStepDefinition } from '../steps/schema-step.js';
import type { Step } from '../steps/step.js';
import type { BatchResult, FilledCell, FillOptions, FillWindow, Undone } from './batch.js';
import type { Derivation, Given } from './derive.js';
import type { PaceSettings } from './pace.js';
import type { KeyKind } from './rows.js';
import type { RunOptions } from './run-options.js';
import type { BehindPass, Pass } from './scan.js';
import type { SchemaPlan } from './schema-plan.js';

/** A column of a table. */
export interface ColumnInfo {
  readonly name: string;
  /** As it was declared. */
  readonly type: string;
  /** 1 and up for the columns of the primary key, 0 for others. */
  readonly pk: number;
  readonly isGenerated: boolean;
}

/** What a statement is expected to cost other writers. */
export interface Estimate {
  /** How long they wait, in milliseconds. */
  readonly lockMs: number;
  /** Disk needed while it runs, in bytes. */
  readonly diskBytes: number;
}

/** Work on a table: columns dropped, an index made on columns that are still NULL, or rows updated, without their new values. */
export type TableWork =
  | { readonly dropsColumns: number }
  | { readonly createsIndex: true }
  | { readonly updatesRows: number };

/** Keys from the first to the last. */
export type KeyRange = readonly [first: Key, last: Key];

/** Whether a query uses an index. */
export type IndexPlan = 'used' | 'usable' | 'unused';

/** What a loop of batches goes by: see the `Pacer`. */
export interface LoadMonitor {
  /** Whether others have been at work since it was asked last. Called first thing in a batch's transaction. */
  hasContention(tx: Transaction): Promise<boolean>;
  /** Called between two batches; may wait, and throw when it has waited for too long. */
  betweenBatches(): Promise<void>;
  /** Ends what was begun. */
  close(): Promise<void>;
}

/**
 * How keys go on: `growing` where they only grow, so that rows written later are found behind the watermark; `restarted` where those that
 * a sequence gives begin again, so that the next one may be the watermark or less.
 */
export type KeyGrowth = 'growing' | 'restarted' | 'unknown';

/** What people call an engine. */
export type Engine = 'SQLite' | 'PostgreSQL';

/** The key of a backfill, as its column is. */
export interface KeyFacts {
  /** What it is made of; undefined for what can be no key. */
  readonly kind: KeyKind | undefined;
  /** SQL for the key of a row of the table, as `t`: what to order and compare by. */
  readonly sql: string;
  /** SQL that makes of it what the ledger has. */
  readonly ledgerSql: string;
}

/** What of the ledger differs from engine to engine. */
export interface LedgerDialect {
  /** Makes its tables where they are missing, in a transaction of its caller's. */
  make(store: Store): Promise<void>;
  /** Drops them, likewise. */
  drop(store: Store): Promise<void>;
  /**
   * Refuses a ledger of which a table is another object than this program makes, or one that acts when it is read or written, where that
   * may have changed since the store was opened; throws `LEDGER_UNTRUSTED`.
   *
   * @param tables those to look at. Default: all
   */
  check(store: Store, tables?: readonly string[]): Promise<void>;
  /** A key as a cell of it. */
  toCell(key: Key | null): SqlValue;
  /** The key of such a cell. */
  toKey(cell: SqlValue): Key | null;
  /** What to order its `key` by. */
  readonly keyOrder: string;
  /** How several processes work on one run; undefined where one writes at a time. */
  readonly shared: SharedLedger | undefined;
  /** Tables of this engine alone that have rows of a batch, by its number in `batch`. */
  readonly batchTables: readonly string[];
}

/** What several processes need that work on one run. */
export interface SharedLedger {
  /** End of a SELECT that locks its row, and passes over rows that others have locked. */
  readonly skipLocked: string;
  /** Returns the number of the next batch, which no other process gets. */
  nextBatch(store: Store): Promise<number>;
  /** Returns the process that has claimed a part of a run for the longest time, if another one has. */
  claimHolder(store: Store): Promise<LockHolder | undefined>;
}

/** What differs from engine to engine. Functions that change anything run inside their caller's transaction. */
export interface Dialect {
  /** What people call the engine. */
  readonly engine: Engine;
  /** What is told of it: what it prefers to an index that it passes over, and an expression that is guarded against what it fails on. */
  readonly words: { readonly otherWay: string; readonly guardExample: string };
  readonly ledger: LedgerDialect;
  /** SQL for one of the engine's own operators, whatever of its name a search path has. It binds as `||` does: its operands want parentheses. */
  operator(sign: string): string;
  /** SQL for the name of one of the engine's own functions, likewise. */
  builtIn(name: string): string;
  /** SQL for a table as `t`, in a statement that reads most of its rows. */
  wholeTable(name: string): string;

  // Its schema
  hasTable(store: Store, name: string): Promise<boolean>;
  /** Whether the store has an index of this name; `unfinished` where a killed run has left one of this table incomplete. */
  hasIndex(store: Store, table: string, name: string): Promise<boolean | 'unfinished'>;
  /** All columns of a table, generated and hidden ones too; empty when there is no such table. */
  tableColumns(store: Store, table: string): Promise<ColumnInfo[]>;
  /** Triggers of a table that an UPDATE of one of `columns` fires. */
  updateTriggers(store: Store, table: string, columns: readonly string[]): Promise<string[]>;
  /** Name of an index with this table and definition, whatever it is called, or undefined. */
  findIndex(store: Store, step: SchemaStepDefinition, index: IndexDefinition): Promise<string | undefined>;
  /** A text that is another once the table was made anew, and may be after a VACUUM or DDL; empty if there is no such table. */
  tableIdentity(store: Store, table: string): Promise<string>;
  /** What work on a table is expected to cost. */
  estimate(store: Store, table: string, work: TableWork): Promise<Estimate>;
  /**
   * Refuses a step that can't run here, whatever the store holds: one for which this user, or the server as it is set, lacks a right, and
   * a text that is no statement. Reads only.
   *
   * @throws {BackfillError} a `STORE_…` code, `STEP_INVALID`
   */
  checkStep(store: Store, step: Step): Promise<void>;
  /**
   * Tries a schema step: forward, an UPDATE that changes nothing, and back. Nothing stays of it.
   *
   * @param made what it has made already, when it resumes
   * @returns warnings: names of objects that will block `down`
   * @throws {BackfillError} `SCHEMA_BLOCKED` naming the object that stands in the way
   */
  preflightUp(
    store: Store,
    step: SchemaStepDefinition,
    plan: SchemaPlan,
    made: readonly CreatedObject[],
  ): Promise<string[]>;
  /** Tries the way back; throws `SCHEMA_BLOCKED` naming the object that stands in the way. */
  preflightDown(store: Store, step: SchemaStepDefinition, objects: readonly CreatedObject[]): Promise<void>;
  /** Returns why columns of a table can not be updated, or undefined. Throws `SCHEMA_BLOCKED` where it can name what stands in the way. */
  updateError(store: Store, table: string, columns: readonly string[]): Promise<Error | undefined>;
  /**
   * Makes an index. Not inside a transaction.
   *
   * @param isStillNeeded asked in the transaction in which the index is noted: another process may have made it meanwhile
   * @param recordIntent notes it in the ledger
   * @param recordDone called in the transaction behind it
   */
  createIndex(
    store: Connection,
    index: IndexStatement,
    isStillNeeded: (tx: Transaction) => Promise<boolean>,
    recordIntent: (tx: Transaction) => Promise<void>,
    recordDone: (tx: Transaction) => Promise<void>,
  ): Promise<void>;
  /** Drops an index, and forgets it in the ledger. Not inside a transaction. */
  dropIndex(
    store: Connection,
    index: IndexStatement,
    deleteRecord: (tx: Transaction) => Promise<void>,
  ): Promise<void>;
  /** Whether a query uses an index. */
  explainIndex(store: Store, query: string, table: string, index: string): Promise<IndexPlan>;

  // Its keys
  /** What the key of a backfill is. */
  keyOf(store: Store, backfill: Pick<Backfill, 'table' | 'key'>): Promise<KeyFacts>;
  /** Refuses a key by which batches can not go; throws `KEY_UNSUITABLE` with the reason. */
  checkKey(store: Store, backfill: Backfill): Promise<void>;
  /** Refuses a table in which the key of some row is none; throws `KEY_UNSUITABLE`. */
  checkKeyValues(store: Store, backfill: Backfill): Promise<void>;
  /** How the table's keys go on behind `watermark`; null before the first run. */
  keyGrowth(store: Store, backfill: Backfill, watermark: Key | null): Promise<KeyGrowth>;
  /** First and last key of the table, or undefined when it is empty. */
  keyRange(store: Store, backfill: Backfill): Promise<KeyRange | undefined>;
  /**
   * Last keys of the ranges into which the keys behind `start` are cut for several processes, the last of which is the table's; none where
   * it is empty.
   */
  rangeEnds(store: Store, backfill: Backfill, start: Key | null): Promise<readonly Key[]>;
  /**
   * Last keys of the slices into which the keys behind `after`, up to `upTo`, are cut where a statement keeps the event loop waiting, so that
   * each is read in a moment; null for one that goes to the end. It turns between two.
   *
   * @param isPaged whether their rows come out in pages. Default: they are counted, or looked for
   */
  sliceEnds(
    store: Store,
    backfill: Backfill,
    after: Key | null,
    upTo: Key | null,
    isPaged?: boolean,
  ): AsyncIterable<Key | null>;

  // Its rows
  /** How a backfill's rows are derived, having asked what that hangs on. */
  derive(store: Store, backfill: Backfill): Promise<Derivation>;
  /**
   * Finds the next rows to fill, behind `after` and up to `upTo`, where reading up to them in a batch would keep others out of the table:
   * few enough rows of the table for one statement. Not inside a transaction. Undefined where it keeps nobody out.
   *
   * @param excludeSkips whether rows that are recorded as skips are left alone
   */
  fillWindow(
    store: Store,
    backfill: Backfill,
    after: Key | null,
    upTo: Key,
    excludeSkips: boolean,
  ): Promise<FillWindow | undefined>;
  /**
   * Fills the next rows behind the cursor.
   *
   * @returns what was done, or undefined when no row was left
   * @throws {RefusedUpdate} when a row, or one of several, can not be updated
   */
  fillBatch(store: Store, backfill: Backfill, take: FillOptions): Promise<BatchResult | undefined>;
  /**
   * Sets cells to NULL where they hold what is derived.
   *
   * @param rows SELECT of the rows: `k`, and for each of `columns`, by its number, `c<i>` and `v<i>`
   * @throws {BackfillError} `UPDATE_IGNORED`
   */
  undo(store: Store, derivation: Derivation, columns: readonly number[], rows: Given): Promise<Undone>;
  /**
   * Makes a pass over the table on a snapshot of its own, and then acts on the same.
   *
   * @param parallelMinBytes size of the store from which on a second thread helps, where the engine reads in the caller's. Default 64 MiB
   */
  passOver<Found, Result>(
    store: Connection,
    backfill: Backfill,
    pass: Pass<Found>,
    act: BehindPass<Found, Result>,
    parallelMinBytes?: number,
  ): Promise<Result>;
  /**
   * Finds cells whose rows are known to have been written by somebody else since a batch filled them, and returns their positions in
   * `cells`.
   */
  rewrittenSince(
    store: Store,
    backfill: Backfill,
    cells: readonly FilledCell[],
  ): Promise<ReadonlySet<number>>;

  // Its neighbours
  /** What a pace goes by. */
  readonly pacing: Pick<PaceSettings, 'targetBatchMs' | 'bottleneck'>;
  /** Tables that a table is a partition of, at any remove: columns that are added to one of them are its own, too. */
  parentTables(store: Store, table: string): Promise<string[]>;
  /**
   * Why trying again may do: `busy` where another process kept a lock for longer than was waited, `conflict` where another transaction
   * wrote the same rows meanwhile; undefined for any other error.
   */
  retryReason(error: unknown): 'busy' | 'conflict' | undefined;
  /** Looks after what surrounds a loop of batches. */
  loadMonitor(store: Connection, backfill: Backfill, options: RunOptions): Promise<LoadMonitor>;
}

/** An index to be made or dropped. */
export interface IndexStatement {
  readonly name: string;
  readonly table: string;
  /** `CREATE INDEX …` or `DROP INDEX …`, without the engine's own additions. */
  readonly sql: string;
}
