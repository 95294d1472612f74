import type { Backfill } from '../backfill/define.js';
import type { PaceSettings } from '../backfill/pace.js';
import type { Derived } from '../backfill/process.js';
import type { RunOptions } from '../backfill/run-options.js';
import { BackfillError } from '../errors.js';
import type { Key, KeyRun } from '../ledger/keys.js';
import type { BatchRecord, CellsRecord, CreatedObject } from '../ledger/records.js';
import type { LockHolder } from '../ledger/run-lock.js';
import type { SchemaPlan } from '../schema/plan.js';
import type { IndexDefinition, SchemaStepDefinition } from '../steps/schema-step.js';
import type { Step } from '../steps/step.js';
import type { FillOptions } from './batch.js';
import type { KeyKind } from './keys.js';
import type { BehindPass, Pass } from './pass.js';
import type { StoreFiles } from './path.js';

/** A value as a store holds it. */
export type SqlValue = string | number | bigint | Buffer | null;

/** Size of a store, and what of it is free, in bytes. */
export interface StoreSize {
  readonly bytes: number;
  readonly freeBytes: number;
  /** Of one page of a file; 0 of a database of a server, whose free space is its own affair. */
  readonly pageBytes: number;
}

/** Statements of one store. */
export interface Statements {
  /** First row as an object, or undefined. Integers are numbers. */
  get<Row>(sql: string, ...parameters: readonly SqlValue[]): Promise<Row | undefined>;
  /** All rows as objects. Integers are numbers. */
  all<Row>(sql: string, ...parameters: readonly SqlValue[]): Promise<Row[]>;
  /** All rows as objects, integers as bigint: for keys, which may exceed 2^53. */
  allExact<Row>(sql: string, ...parameters: readonly SqlValue[]): Promise<Row[]>;
  /** First row as an object, integers as bigint. */
  getExact<Row>(sql: string, ...parameters: readonly SqlValue[]): Promise<Row | undefined>;
  /** First column of every row. Integers are numbers. */
  pluck<Value>(sql: string, ...parameters: readonly SqlValue[]): Promise<Value[]>;
  /**
   * Rows in pages, as arrays, integers as bigint: for results that do not fit in memory. In a snapshot. The event loop turns between two
   * pages.
   */
  pages<Row extends readonly unknown[]>(
    sql: string,
    ...parameters: readonly SqlValue[]
  ): AsyncIterableIterator<Row[]>;
  /** Runs one statement and returns how many rows it changed. */
  run(sql: string, ...parameters: readonly SqlValue[]): Promise<number>;
  /** Runs a script of statements without parameters: DDL. */
  exec(sql: string): Promise<void>;
}

/**
 * A store that is open: where statements run, and by its dialect what differs from engine to engine. Either its connection, while none of
 * its transactions is open, or one of these: a statement on the other of the two throws.
 *
 * Placeholders are `?`. A statement that holds SQL of a project's, as a scope, has none: its operators may look the same.
 */
export interface Store extends Statements {
  /** What a person knows it by: the path of its file, or a URL without its password. */
  readonly name: string;
  readonly dialect: Dialect;
  /** Its files; undefined where a server keeps them. */
  readonly files: StoreFiles | undefined;
  /** How large it is. */
  size(): Promise<StoreSize>;
  /**
   * The same for statements that name what is the project's: its tables, its expressions and queries, its DDL. They see the search path
   * that the project's user has, as triggers and functions do that they fire; all others see none but the engine's own names.
   */
  readonly project: Statements;
  /** Whether this is one statement without parameters that compiles here, returns rows, and only reads. */
  isReading(sql: string): Promise<boolean>;
  /** Why this is no statement without parameters that compiles here, or undefined when it is one. */
  compileError(sql: string): Promise<Error | undefined>;
  /** Runs `act`, which may fail on what a row holds: returns false then, and leaves what the transaction has done before as it is. */
  attempt(act: () => Promise<void>): Promise<boolean>;
  /** Lets the event loop turn between two pieces of work, unless somebody in this thread could then wait for what is held here. */
  turn(): Promise<void>;
  /** Runs `act` on one snapshot of the store: on this transaction, if it is one. */
  snapshot<Result>(act: (tx: Transaction) => Promise<Result>): Promise<Result>;
}

/** A transaction of a store's connection. Its lifetime is that of the function that it is given to: a statement behind it throws. */
export interface Transaction extends Store {
  /**
   * Runs the statements of a SQL step. What they set of the session is undone behind them.
   *
   * @throws {BackfillError} `STEP_INVALID` when they have released the run lock
   */
  runStep(act: () => Promise<void>): Promise<void>;
}

/** The connection of a store, which has one transaction at a time. Its lifetime is a command's. */
export interface Connection extends Store {
  /**
   * Runs `act` in one transaction that writes. While another process keeps a lock it is tried again, for a bounded time.
   *
   * @param act may run several times
   */
  write<Result>(act: (tx: Transaction) => Promise<Result>): Promise<Result>;
  /** As {@link write}, but tried once: it fails when another process keeps a lock for longer than a second. */
  tryWrite<Result>(act: (tx: Transaction) => Promise<Result>): Promise<Result>;
  /** As {@link snapshot}, for what takes long and reads a table once; it is not tried again. */
  snapshotAcross<Result>(act: (tx: Transaction) => Promise<Result>): Promise<Result>;
  /**
   * Acts while other processes may take part in the same run, where the engine lets them; else simply acts. A run lock that is held
   * is shared meanwhile, and held alone again behind it.
   *
   * @param onWait told every five seconds while other processes that take part are waited for
   */
  share<Result>(
    act: () => Promise<Result>,
    onWait: (holder: LockHolder | undefined) => void,
  ): Promise<Result>;
  /** Closes the connection. */
  close(): Promise<void>;
}

/** Insists that a statement is given to what may run it: the transaction that is open, or the connection where none is. */
export function requireTurn(isItsTurn: boolean): void {
  if (isItsTurn) return;
  throw new BackfillError(
    'INTERNAL',
    'A statement was given to a connection while its transaction was open, or to a transaction that has ended',
    'Report it',
  );
}

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

/** What one batch did. */
export interface BatchResult extends Omit<BatchRecord, 'number' | 'run' | 'durationMs'> {
  readonly cells: readonly CellsRecord[];
  /** Whether no row was left to read behind this batch. */
  readonly isLast: boolean;
}

/** Keys from the first to the last. */
export type KeyRange = readonly [first: Key, last: Key];

/**
 * A row that is looked at: for each column two bits of `state`, what it holds against what its row derives (0 NULL without a value to
 * derive, 1 NULL though there is one, 2 the derived value, 3 another), and one bit of `fallbacks`, whether it holds what its fallback does.
 */
export type ScanRow = readonly [
  key: Key,
  state: number,
  group: unknown,
  fallbacks: number,
  ...values: unknown[],
];

/** A cell that a batch filled, by its row. */
export interface FilledCell {
  readonly key: Key;
  readonly batch: number;
}

/** What rows a fill would find. */
export interface PlannedRows {
  readonly rows: number;
  /** By column, in their order: cells to fill, cells without a value, and bytes of the values to fill. */
  readonly columns: readonly { readonly fill: number; readonly none: number; readonly bytes: number }[];
  /** Rows that can't be derived, by reason. */
  readonly failures: Readonly<Record<string, number>>;
}

/** Which rows a plan is about. */
export interface PlannedScope {
  /** Columns that the table does not have yet, in folded case. */
  readonly absent: ReadonlySet<string>;
  /** Behind this key; null for all. */
  readonly after: Key | null;
  readonly leavesSkips: boolean;
  /** Only rows with these keys. Default: all. */
  readonly keys?: readonly Key[];
}

/** Whether a query uses an index. */
export type IndexVerdict = 'used' | 'passed over' | 'unused';

/** A part of a table for batches to fill: keys behind `after`, up to `upTo`. */
export interface FillWindow {
  readonly after: Key | null;
  readonly upTo: Key;
}

/** What a loop of batches goes by: see the `Pacer`. */
export interface Surroundings {
  /** Whether others have been at work since it was asked last. Called first thing in a batch's transaction. */
  hasCompany(tx: Transaction): Promise<boolean>;
  /** Called between two batches; may wait, and throw when it has waited for too long. */
  settle(): Promise<void>;
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

/** Which rows are derived. */
export interface SelectOptions {
  /** FROM clause, with the table under the alias `t`. Default: the table alone. */
  readonly from?: string;
  /** Condition on `t`. */
  readonly where: string;
  /** How many rows at most, by the order of their keys; `?` for a parameter. Default: all of them, in any order. */
  readonly limit?: number | '?';
  /** Further columns, by alias: SQL on `t`. */
  readonly extra?: Readonly<Record<string, string>>;
  /** Columns of the backfill that the table does not have yet, in folded case: they count as NULL. */
  readonly absent?: ReadonlySet<string>;
}

/** SQL with its parameters. */
export interface Given {
  readonly sql: string;
  readonly parameters: readonly SqlValue[];
}

/** How the rows of a backfill are derived: by the store, and where it can't, here. */
export interface Derivation {
  readonly backfill: Backfill;
  /**
   * A SELECT that yields, for each row: `k` the key; for the i-th column `c<i>` its present value and `v<i>` the value derived for it,
   * NULL when there is none; `failure`, the reason where the row can't be derived at all, else NULL; the columns of `raw`; and the extra ones.
   */
  select(options: SelectOptions): string;
  /** Columns with what this program needs to derive a row that is left to it; the first is NULL in any other row. Empty where none is. */
  readonly raw: readonly string[];
  /** Whether every row is left to this program. */
  readonly isAlwaysLeft: boolean;
  /** Derives rows, of the cells of `raw`. */
  derive(rows: readonly (readonly unknown[])[]): readonly Derived[];
  /** Values that were derived here as a table of SQL, `given`, with the columns `k` and `v<i>`, each NULL where its column can't hold it. */
  given(rows: readonly { readonly key: Key; readonly values: Derived['values'] }[]): Given;
  /** FROM and WHERE of the rows of some keys. */
  ofKeys(
    runs: readonly KeyRun[],
  ): { readonly from: string; readonly where: string } & Pick<Given, 'parameters'>;
  /** SQL condition for a cell that is not NULL and holds a value. */
  isSame(cell: string, value: string): string;
  /** SQL for a value as it is told. */
  text(value: string): string;
  /** SQL for what the i-th column holds where it falls back to another column, on `t`. */
  fallback(i: number, column: string): string;
}

/** What was set to NULL. */
export interface Undone {
  /** Rows that are there. */
  readonly rows: number;
  /** Cells, as in {@link FoundCells}. */
  readonly reverted: number;
  readonly others: number;
}

/** What of the ledger differs from engine to engine. */
export interface LedgerDialect {
  /** Makes its tables where they are missing, in a transaction of its caller's. */
  make(store: Store): Promise<void>;
  /** Drops them, likewise. */
  drop(store: Store): Promise<void>;
  /** What to order its `key` by. */
  readonly keyOrder: string;
  /** Whether several processes may work on one run. */
  readonly isShared: boolean;
  /** End of a SELECT that locks its row, and passes over rows that others have locked; empty where one process writes at a time. */
  readonly skipLocked: string;
  /** Tables of this engine alone that have rows of a batch, by its number in `batch`. */
  readonly batchTables: readonly string[];
  /** Returns the number of the next batch. `behindLast` reads the number behind the last that is recorded. */
  nextBatch(store: Store, behindLast: () => Promise<number>): Promise<number>;
  /** Returns the process that has claimed a part of a run for the longest time, if another one has. */
  claimHolder(store: Store): Promise<LockHolder | undefined>;
}

/** What differs from engine to engine. Functions that change anything run inside their caller's transaction. */
export interface Dialect {
  /** What people call the engine. */
  readonly engine: Engine;
  /** What it prefers to an index that it passes over. */
  readonly otherWay: string;
  /** An expression of the engine's own that is guarded against what it fails on. */
  readonly guardExample: string;
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
  /** Bytes of a table, without its indexes. */
  tableBytes(store: Store, table: string): Promise<number>;
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
   * Refuses a ledger of which a table is another object than this program makes, or one that acts when it is read or written; throws
   * `LEDGER_UNTRUSTED`.
   *
   * @param tables those to look at. Default: all
   */
  checkLedger(store: Store, tables?: readonly string[]): Promise<void>;
  /**
   * Tries a schema step: forward, an UPDATE that changes nothing, and back. Nothing stays of it.
   *
   * @param made what it has made already, when it resumes
   * @returns warnings: names of objects that will block `down`
   * @throws {BackfillError} `SCHEMA_BLOCKED` naming the object that stands in the way
   */
  rehearseUp(
    store: Store,
    step: SchemaStepDefinition,
    plan: SchemaPlan,
    made: readonly CreatedObject[],
  ): Promise<string[]>;
  /** Tries the way back; throws `SCHEMA_BLOCKED` naming the object that stands in the way. */
  rehearseDown(store: Store, step: SchemaStepDefinition, objects: readonly CreatedObject[]): Promise<void>;
  /** Returns why columns of a table can not be updated, or undefined. Throws `SCHEMA_BLOCKED` where it can name what stands in the way. */
  updateError(store: Store, table: string, columns: readonly string[]): Promise<Error | undefined>;
  /**
   * Makes an index. Not inside a transaction.
   *
   * @param isDue asked in the transaction in which the index is noted: another process may have made it meanwhile
   * @param note notes it in the ledger
   * @param done called in the transaction behind it
   */
  makeIndex(
    store: Connection,
    index: IndexWork,
    isDue: (tx: Transaction) => Promise<boolean>,
    note: (tx: Transaction) => Promise<void>,
    done: (tx: Transaction) => Promise<void>,
  ): Promise<void>;
  /** Drops an index, and forgets it in the ledger. Not inside a transaction. */
  dropIndex(store: Connection, index: IndexWork, forget: (tx: Transaction) => Promise<void>): Promise<void>;
  /** Whether a query uses an index. */
  indexVerdict(store: Store, query: string, table: string, index: string): Promise<IndexVerdict>;

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
  /** A key as the ledger has it. */
  toLedger(key: Key | null): SqlValue;
  /** A key of the ledger's. */
  fromLedger(cell: SqlValue): Key | null;

  // Its rows
  /** How a backfill's rows are derived, having asked what that hangs on. */
  derive(store: Store, backfill: Backfill): Promise<Derivation>;
  /**
   * Finds the next rows to fill, behind `after` and up to `upTo`, where reading up to them in a batch would keep others out of the table:
   * few enough rows of the table for one statement. Not inside a transaction. Undefined where it keeps nobody out.
   *
   * @param leavesSkips whether rows that are recorded as skips are left alone
   */
  fillWindow(
    store: Store,
    backfill: Backfill,
    after: Key | null,
    upTo: Key,
    leavesSkips: boolean,
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
   * @param threadFromBytes size of the store from which on a second thread helps, where the engine reads in the caller's. Default 64 MiB
   */
  passOver<Found, Result>(
    store: Connection,
    backfill: Backfill,
    pass: Pass<Found>,
    act: BehindPass<Found, Result>,
    threadFromBytes?: number,
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
  readonly pacing: Pick<PaceSettings, 'targetBatchMs' | 'rhythm'>;
  /** Tables that a table is a partition of, at any remove: columns that are added to one of them are its own, too. */
  parentTables(store: Store, table: string): Promise<string[]>;
  /**
   * Why trying again may do: `busy` where another process kept a lock for longer than was waited, `conflict` where another transaction
   * wrote the same rows meanwhile; undefined for any other error.
   */
  retryReason(error: unknown): 'busy' | 'conflict' | undefined;
  /** Looks after what surrounds a loop of batches. */
  surroundings(store: Connection, backfill: Backfill, options: RunOptions): Promise<Surroundings>;
}

/** An index to be made or dropped. */
export interface IndexWork {
  readonly name: string;
  readonly table: string;
  /** `CREATE INDEX …` or `DROP INDEX …`, without the engine's own additions. */
  readonly sql: string;
}

/** A row that a fill would find. */
export interface SampleRow {
  readonly key: Key;
  readonly values: readonly unknown[];
}
