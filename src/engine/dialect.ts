import type { Connection, LockHolder, SqlValue, Store, Transaction } from '../db/connection.js';
import type { Key, KeySpan } from '../ledger/keys.js';
import type { CreatedObject } from '../ledger/records.js';
import type { Message } from '../messages/message.js';
import type { Backfill } from '../steps/define.js';
import type { IndexDefinition, SchemaStepDefinition } from '../steps/schema-steps.js';
import type { Step } from '../steps/step.js';
import type { BatchResult, FilledCell, FillOptions, FillWindow, RevertedRows } from './batch.js';
import type { Derivation, Given } from './derive.js';
import type { PaceSettings } from './pace.js';
import type { KeyKind } from './rows.js';
import type { RunOptions } from './run-options.js';
import type { AfterPass, Follow, Pass } from './scan.js';
import type { SchemaPlan } from './schema.js';

/** A column of a table. */
export interface ColumnInfo {
  readonly name: string;
  /** Declared type. */
  readonly type: string;
  /** Position in the primary key, from 1; 0 if the column is not part of it. */
  readonly pk: number;
  readonly isGenerated: boolean;
}

/** Expected cost of a statement. */
export interface Estimate {
  /** Time that other writers wait, in milliseconds. */
  readonly lockMs: number;
  /** Disk space needed while it runs, in bytes. */
  readonly diskBytes: number;
}

/** Work on a table: dropping columns, indexing columns that are still NULL, or updating rows, apart from their new values. */
export type TableWork =
  | { readonly dropsColumns: number }
  | { readonly createsIndex: true }
  | { readonly updatesRows: number };

/** First and last key of an interval. */
export type KeyRange = readonly [first: Key, last: Key];

/** Use of an index by a query: it uses it, it could but prefers another plan, or it cannot. */
export type IndexPlan = 'used' | 'usable' | 'unused';

/** Watches the load around a loop of batches, checkpoints the WAL, and waits for readers or replicas. */
export interface LoadMonitor {
  /** Default duration of a batch, in milliseconds. */
  readonly targetBatchMs: number;
  /** Whether other clients were active since the previous call or sample. Call it first in a batch's transaction. */
  hasContention(tx: Transaction): Promise<boolean>;
  /** Runs between two batches. May wait; throws after waiting too long. `written`: keys of the batch before, if it filled rows. */
  betweenBatches(written?: KeyRange): Promise<void>;
  /** Releases its resources. `isFinished`: whether the loop has ended without an error. */
  close(isFinished: boolean): Promise<void>;
}

/**
 * Order of new keys: `growing` if they only grow, so that later rows come after the watermark; `restarted` if their sequence
 * started over, so that the next key may be the watermark or less.
 */
export type KeyGrowth = 'growing' | 'restarted' | 'unknown';

/** Name of an engine, for messages. */
type Engine = 'SQLite' | 'PostgreSQL';

/** The key of a backfill, by its column. */
export interface KeyFacts {
  /** Kind of its values; undefined if the column cannot be a key. */
  readonly kind: KeyKind | undefined;
  /** SQL for the key of a row of the table `t`, to order and compare by. */
  readonly sql: string;
  /** SQL that converts it to the ledger's form. */
  readonly ledgerSql: string;
}

/** The part of the ledger that differs between engines. */
export interface LedgerDialect {
  /** Creates its missing tables, in the caller's transaction. */
  make(store: Store): Promise<void>;
  /** Drops its tables, in the caller's transaction. */
  drop(store: Store): Promise<void>;
  /**
   * Refuses a ledger table that differs from the one this program creates, or that has triggers or rules. Does
   * nothing on an engine where no other client can have changed it since the store was opened.
   *
   * @param tables tables to check. Default: all
   * @throws {BackfillError} `LEDGER_UNTRUSTED`
   */
  check(store: Store, tables?: readonly string[]): Promise<void>;
  /** Converts a key to a cell of the ledger. */
  toCell(key: Key | null): SqlValue;
  /** Converts such a cell to the key. */
  toKey(cell: SqlValue): Key | null;
  /** `ORDER BY` expression for its `key`. */
  readonly keyOrder: string;
  /** Shared access to a run, for several workers; undefined if the engine has one writer at a time. */
  readonly shared: SharedLedger | undefined;
  /** Tables that only this engine has, with rows per batch, whose number is in `batch`. */
  readonly batchTables: readonly string[];
}

/** Shared access to a run. */
interface SharedLedger {
  /** End of a SELECT that locks its row and skips rows that other transactions have locked. */
  readonly skipLocked: string;
  /** Returns the number of the next batch, unique across processes. */
  nextBatch(store: Store): Promise<number>;
  /** Returns the process that has held a claim on a part of a run for the longest time, if it is another one. */
  claimHolder(store: Store): Promise<LockHolder | undefined>;
}

/** Everything that differs between database engines. Methods that write run inside the caller's transaction, except where noted. */
export interface Dialect {
  readonly engine: Engine;
  /** Fragments for messages: an example of a guarded expression. */
  readonly words: { readonly guardExample: string };
  readonly ledger: LedgerDialect;
  /** SQL for a built-in operator, whatever the search path has of that name. Binds as `||` does: parenthesize its operands. */
  operator(sign: string): string;
  /** SQL for the name of a built-in function, whatever function of that name the search path has. */
  builtIn(name: string): string;
  /** SQL for a table as `t`, in a statement that reads most of its rows. */
  wholeTable(name: string): string;

  // Schema
  hasTable(store: Store, name: string): Promise<boolean>;
  /** Checks whether the store has an index of this name; `unfinished` if a killed run left one of this table incomplete. */
  hasIndex(store: Store, table: string, name: string): Promise<boolean | 'unfinished'>;
  /** All columns of a table, including generated and hidden ones; empty if the table does not exist. */
  tableColumns(store: Store, table: string): Promise<ColumnInfo[]>;
  /** Triggers of a table that an UPDATE of one of `columns` fires. */
  updateTriggers(store: Store, table: string, columns: readonly string[]): Promise<string[]>;
  /** Name of an index with this table and definition, or undefined. The declared name need not match. */
  findIndex(store: Store, step: SchemaStepDefinition, index: IndexDefinition): Promise<string | undefined>;
  /** Text that changes when the table is recreated, and may change with a VACUUM or DDL; empty if the table does not exist. */
  tableIdentity(store: Store, table: string): Promise<string>;
  /** Estimates the cost of work on a table. */
  estimate(store: Store, table: string, work: TableWork): Promise<Estimate>;
  /**
   * Refuses a step that cannot run here whatever the store contains: a right that this user or this server lacks, or SQL that does
   * not compile. Only reads. Throws a `STORE_…` code, or `STEP_INVALID`.
   */
  checkStep(store: Store, step: Step): Promise<void>;
  /**
   * Checks that a schema step can be applied, its columns updated and the step reverted. Changes nothing.
   *
   * @param made objects that the step has already created, if it resumes
   * @returns warnings: names of objects that will block `down`
   * @throws {BackfillError} `SCHEMA_BLOCKED` naming the blocking object
   */
  preflightUp(
    store: Store,
    step: SchemaStepDefinition,
    plan: SchemaPlan,
    made: readonly CreatedObject[],
  ): Promise<Message[]>;
  /** Checks that a schema step can be reverted. Changes nothing. Throws `SCHEMA_BLOCKED` naming the blocking object. */
  preflightDown(store: Store, step: SchemaStepDefinition, objects: readonly CreatedObject[]): Promise<void>;
  /** Returns why columns of a table cannot be updated, or undefined. Throws `SCHEMA_BLOCKED` if it can name the blocking object. */
  updateError(store: Store, table: string, columns: readonly string[]): Promise<Error | undefined>;
  /** Creates an index. Call it outside a transaction. */
  createIndex(store: Connection, index: IndexCreation): Promise<void>;
  /** Drops an index and deletes its ledger row. Call it outside a transaction. */
  dropIndex(
    store: Connection,
    index: IndexStatement,
    deleteRecord: (tx: Transaction) => Promise<void>,
  ): Promise<void>;
  /** Returns how a query uses an index. */
  explainIndex(store: Store, query: string, table: string, index: string): Promise<IndexPlan>;

  // Keys
  /** Returns the key of a backfill. */
  keyOf(store: Store, backfill: Pick<Backfill, 'table' | 'key'>): Promise<KeyFacts>;
  /** Refuses a key that batches cannot use; throws `KEY_UNSUITABLE` with the reason. */
  checkKey(store: Store, backfill: Backfill): Promise<void>;
  /** Refuses a table with a row whose key is neither an integer nor a text; throws `KEY_UNSUITABLE`. */
  checkKeyValues(store: Store, backfill: Backfill): Promise<void>;
  /** Returns how the table's keys continue after `watermark`, which is null before the first run. */
  keyGrowth(store: Store, backfill: Backfill, watermark: Key | null): Promise<KeyGrowth>;
  /** First and last key of the table, or undefined if it is empty. */
  keyRange(store: Store, backfill: Backfill): Promise<KeyRange | undefined>;
  /**
   * Last keys of the ranges into which the keys after `start` are split for several workers; the last one is the table's. Empty if
   * the table is.
   */
  rangeEnds(store: Store, backfill: Backfill, start: Key | null): Promise<readonly Key[]>;
  /**
   * Splits the keys after `after`, up to `upTo`, into slices that are each read in milliseconds, on an engine whose
   * statements block the event loop. It yields their last keys, or null for a slice that reaches the end, and lets
   * the event loop turn between two.
   *
   * @param isPaged whether the rows are returned in pages. Default: they are counted, or searched
   */
  sliceEnds(
    store: Store,
    backfill: Backfill,
    after: Key | null,
    upTo: Key | null,
    isPaged?: boolean,
  ): AsyncIterable<Key | null>;

  // Rows
  /** Returns how the rows of a backfill are derived, after reading the facts that this depends on. */
  derive(store: Store, backfill: Backfill): Promise<Derivation>;
  /**
   * Finds the next rows to fill, after `after` and up to `upTo`, if reading up to them within a batch would block
   * other writers. The window has few enough rows for one statement. Call it outside a transaction.
   *
   * @param excludeSkips whether to exclude rows that are recorded as skips
   * @returns undefined on an engine where reading blocks no writer
   */
  fillWindow(
    store: Store,
    backfill: Backfill,
    after: Key | null,
    upTo: Key,
    excludeSkips: boolean,
  ): Promise<FillWindow | undefined>;
  /**
   * Fills the next rows after the cursor.
   *
   * @returns the result, or undefined if no row was left
   * @throws {RejectedUpdate} if the store rejects the update of a row
   */
  fillBatch(store: Store, backfill: Backfill, take: FillOptions): Promise<BatchResult | undefined>;
  /**
   * Sets cells to NULL if they hold the derived value.
   *
   * @param rows SELECT of the rows: `k`, and for each of `columns`, by its number, `c<i>` and `v<i>`
   * @param runs their keys, if their columns all exist
   */
  revertRows(
    store: Store,
    derivation: Derivation,
    columns: readonly number[],
    rows: Given,
    runs?: readonly KeySpan[],
  ): Promise<RevertedRows | undefined>;
  /**
   * Makes a pass over the table on its own snapshot, then runs `act` on the same snapshot.
   *
   * @param parallelMinBytes size of the store, or on a server of the table, from which a second thread helps. Default 64 MiB
   */
  passOver<Found, Result>(
    store: Connection,
    backfill: Backfill,
    pass: Pass<Found>,
    act: AfterPass<Found, Result>,
    parallelMinBytes?: number,
  ): Promise<Result>;
  /** Returns the positions of `cells` whose rows were written by another client since a batch filled them, as far as known. */
  rewrittenSince(
    store: Store,
    backfill: Backfill,
    cells: readonly FilledCell[],
  ): Promise<ReadonlySet<number>>;

  // Throttling
  /** The resource that a batch makes other clients wait for. */
  readonly bottleneck: PaceSettings['bottleneck'];
  /** Returns whether another process has the store open; undefined if that is unknown. */
  isOpenElsewhere(store: Store, options: Pick<RunOptions, 'ownsProcess'>): boolean | undefined;
  /** Tables that this one is a partition of, at any depth: columns added to one of them are also added to it. */
  parentTables(store: Store, table: string): Promise<string[]>;
  /**
   * Returns why a retry may succeed: `busy` if another process held a lock for longer than the timeout, `conflict` if another
   * transaction wrote the same rows; undefined for any other error.
   */
  retryReason(error: unknown): 'busy' | 'conflict' | undefined;
  /** Creates the load monitor of a loop of batches. `follow` is set if a second thread can read each batch again. */
  loadMonitor(
    store: Connection,
    backfill: Backfill,
    options: RunOptions,
    follow?: Follow,
  ): Promise<LoadMonitor>;
}

/** An index to create, with its part in the ledger. */
export interface IndexCreation extends IndexStatement {
  /** Runs in the transaction that records the index: another process may have created it. */
  isStillNeeded(tx: Transaction): Promise<boolean>;
  /** Records it in the ledger. */
  recordIntent(tx: Transaction): Promise<void>;
  /** Runs in the transaction after it. */
  recordDone(tx: Transaction): Promise<void>;
}

/** An index to create or drop. */
export interface IndexStatement {
  readonly name: string;
  readonly table: string;
  /** `CREATE INDEX …` or `DROP INDEX …`, without the engine's own additions. */
  readonly sql: string;
}
