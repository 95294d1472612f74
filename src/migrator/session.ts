import type { Project } from '../config.js';
import type { Connection, Store, StoreSize, Transaction } from '../db/connection.js';
import type { LockHolder, StoreConnector } from '../db/connector.js';
import type { PostgresAddress } from '../db/postgres/address.js';
import type { RunEvent } from '../engine/run-options.js';
import { sqliteConnector } from '../engine/sqlite/dialect.js';
import { BackfillError, type ErrorCode, rootBackfillError, toBackfillError } from '../errors.js';
import { type Ledger, openLedger, requireKnownFormat, upgradeLedger } from '../ledger/ledger.js';
import type { StepRecord } from '../ledger/records.js';
import { type Drift, findDrift, refuseDrift } from '../ledger/steps.js';
import { msg } from '../messages/message.js';
import type { RunSettings } from '../option-table.js';
import type { WithWorkers } from '../run/runner.js';
import { checkRequirements } from '../run/schema.js';
import type { Backup } from '../safety/backup.js';
import type { Backfill, BackfillDefinition } from '../steps/define.js';
import type { Step } from '../steps/step.js';
import { isStoreError } from '../store-errors.js';
import type { Verification } from '../verify/verify.js';

/** What a migrator tells while it works. */
export type MigratorEvent =
  | RunEvent
  | {
      readonly event: 'step_started' | 'step_finished';
      readonly step: string;
      readonly direction: 'up' | 'down';
    }
  | {
      readonly event: 'verified';
      readonly backfill: string;
      readonly verdict: string;
      /** How many threads have read the rows. */
      readonly threads: number;
      readonly durationMs: number;
    }
  | {
      readonly event: 'lock_estimated';
      readonly step: string;
      /** How long the write lock will be held, in milliseconds. */
      readonly lockMs: number;
      /** Disk needed while it is held, in bytes. */
      readonly diskBytes: number;
    }
  | ({ readonly event: 'backup_created' } & Backup)
  | { readonly event: 'backup_removed' | 'store_copied'; readonly path: string }
  /** Another run is waited for; its holder is not known in the moment in which it begins. */
  | ({ readonly event: 'lock_waiting' } & Partial<LockHolder>)
  | { readonly event: 'warning'; readonly text: string }
  /** Backfills in the background have ended before their end; `TERMINATED` where they were stopped. */
  | {
      readonly event: 'background_failed';
      readonly code: ErrorCode;
      readonly message: string;
      readonly hint: string;
    };

/** Options of every command. */
export interface MigratorOptions extends RunSettings {
  readonly project: Project;
  /** Path of the store, or the display name of a PostgreSQL database. */
  readonly path: string;
  /** The database, if the store is one of PostgreSQL. */
  readonly postgres?: PostgresAddress | undefined;
  /** Connector of the store. Default: made from `path` and `postgres`. */
  readonly connector?: StoreConnector | undefined;
  /** Lets further workers join what is filled. Default: none. */
  readonly withWorkers?: WithWorkers | undefined;
  /** Whether warnings may contain messages of errors, which may quote rows. Default false. */
  readonly showValues?: boolean | undefined;
  /** Clock for the times in the ledger. Default: the system's. */
  readonly now?: (() => Date) | undefined;
  /** Called with each event that umzug has for a step, and awaited. What it throws ends the command, as in umzug. */
  readonly onUmzugEvent?: ((event: StepEvent, step: string) => Promise<void>) | undefined;
}

/** Names of umzug's events about a step. */
export type StepEvent = 'migrating' | 'migrated' | 'reverting' | 'reverted';

/** A store with its ledger, on its connection or in one transaction. */
export interface Session {
  readonly store: Store;
  readonly ledger: Ledger;
}

/** An open store with its ledger, on its connection. */
export interface OpenSession extends Session {
  readonly store: Connection;
}

/** The same session in a transaction of its store's. */
export const inTransaction = ({ ledger }: Session, tx: Transaction): Session => ({
  store: tx,
  ledger: ledger.in(tx),
});

/** A step that fills. */
export type BackfillStep = Step & BackfillDefinition;

/**
 * Opens the store for writing, checks it against the project's requirements, acts, and closes it whatever happens.
 *
 * @throws {BackfillError} `PACKAGE_TOO_OLD`, a `STORE_…` code
 */
export async function withSession<Result>(
  options: MigratorOptions,
  act: (session: OpenSession) => Promise<Result>,
): Promise<Result> {
  return await withStore(options, 'write', async (session) => {
    await checkRequirements(session.store, options.project.config.requires);
    return await act(session);
  });
}

/**
 * Acts as {@link withSession}, reading only, on one snapshot: another run may be making columns and indexes meanwhile, and what stands
 * half before and half after its commit would be taken for somebody else's.
 *
 * @param busyTimeoutMs how long to wait for another writer, in milliseconds. Default 5,000
 */
export async function inSnapshot<Result>(
  options: MigratorOptions,
  act: (session: Session) => Promise<Result> | Result,
  busyTimeoutMs?: number,
): Promise<Result> {
  const read = async (session: OpenSession): Promise<Result> =>
    await session.store.snapshot(async (tx) => {
      await tx.dialect.ledger.check(tx); // on the snapshot that is read
      await checkRequirements(tx, options.project.config.requires);
      return await act(inTransaction(session, tx));
    });
  return await withStore(options, 'read', read, busyTimeoutMs);
}

/**
 * Opens the store, acts, and closes it whatever happens. Checks nothing but the ledger's format.
 *
 * @throws {BackfillError} `PACKAGE_TOO_OLD`, `LEDGER_TOO_OLD`, a `STORE_…` code
 */
export async function withStore<Result>(
  options: MigratorOptions,
  access: 'read' | 'write',
  act: (session: OpenSession) => Promise<Result> | Result,
  busyTimeoutMs?: number,
): Promise<Result> {
  const connector = await connectorFor(options);
  const tables = options.project.steps.flatMap((step) => ('table' in step ? [step.table] : []));
  const { confirmed } = options;
  const store = await connector.open({
    access,
    confirmed,
    tables,
    ...(busyTimeoutMs === undefined ? {} : { busyTimeoutMs }),
  });
  try {
    await store.snapshot(requireKnownFormat); // a `down` may be dropping it
    return await act({ store, ledger: openLedger(store, options.now) });
  } catch (error) {
    throw isStoreError(error) ? toBackfillError(error) : error;
  } finally {
    await store.close();
  }
}

/** Where the store is. The driver of PostgreSQL is loaded only where it is one of its databases. */
export async function connectorFor({
  path,
  postgres,
  connector,
  signal,
}: Pick<MigratorOptions, 'path' | 'postgres' | 'connector' | 'signal'>): Promise<StoreConnector> {
  if (connector) return connector;
  if (!postgres) return sqliteConnector(path, { signal });
  const { postgresConnector } = await import('../engine/postgres/dialect.js');
  return postgresConnector(postgres, signal);
}

/** Whether a step fills. */
export const isBackfill = (step: Step): step is BackfillStep => step.kind === 'backfill';

/** The project's backfills, or the one of this name. */
export function backfillsOf(project: Project, name?: string): BackfillStep[] {
  const all = project.steps.filter(isBackfill);
  if (name === undefined) return all;
  const wanted = all.filter((step) => step.name === name);
  if (wanted.length > 0) return wanted;
  throw new BackfillError(
    'BACKFILL_UNKNOWN',
    msg('There is no backfill named {name}', { name }),
    all.length > 0
      ? msg('The project has: {names}', { names: all.map((step) => step.name).join(', ') })
      : msg('The project has none'),
  );
}

/** Finds drift; refuses it when asked to. */
export function checkDrift({ project, strict }: MigratorOptions, records: readonly StepRecord[]): Drift[] {
  const { steps, isPart } = project;
  const known = isPart ? records.filter(({ name }) => steps.some((step) => step.name === name)) : records;
  const drifts = findDrift(steps, known);
  if (strict) refuseDrift(drifts);
  return drifts;
}

/** How a command changed the size of the store's file. */
export interface SizeChange {
  readonly before: StoreSize;
  readonly after: StoreSize;
}

/** What `up`, `down` and `backfill` did to the store. */
export interface RunResult {
  /** Verdicts that were reached, in order. */
  readonly verifications: readonly Verification[];
  readonly drifts: readonly Drift[];
  readonly warnings: readonly string[];
  /** Absent when nothing was written. */
  readonly size?: SizeChange;
  /** Absent when none was made: the command went on with an earlier one, or none was wanted. */
  readonly backup?: Backup;
  /** Paths of older backups that were removed; absent when none was. */
  readonly removedBackups?: readonly string[];
  /** What ended the command early, after something may have been done already. */
  readonly error?: BackfillError;
}

/**
 * Opens the store for writing and acts. What goes wrong then is part of the outcome, as something may have been done.
 *
 * @param prepare comes first, and is outside of that: what it throws is thrown
 * @param act may add verdicts to `verifications`
 */
export async function writeToStore(
  options: MigratorOptions,
  prepare: (session: OpenSession) => Promise<Backup | undefined>,
  act: (session: OpenSession, verifications: Verification[]) => Promise<void>,
): Promise<Pick<RunResult, 'verifications' | 'size' | 'error' | 'backup'>> {
  return await withSession(options, async (session) => {
    const verifications: Verification[] = [];
    const before = await session.store.size();
    const backup = await prepare(session);
    await upgradeLedger(session.store);
    let error: BackfillError | undefined;
    let after = before;
    try {
      await act(session, verifications);
    } catch (thrown) {
      error = rootBackfillError(thrown);
    }
    try {
      after = await session.store.size();
    } catch (thrown) {
      error ??= rootBackfillError(thrown); // what was done is told all the same
    }
    const size = { before, after };
    return { verifications, size, ...(backup ? { backup } : {}), ...(error ? { error } : {}) };
  });
}

/** Whether a backfill must be verified. */
export const needsVerification = async (
  { ledger }: Pick<Session, 'ledger'>,
  { name }: Pick<Backfill, 'name'>,
): Promise<boolean> => await ledger.isUnverified(name);
