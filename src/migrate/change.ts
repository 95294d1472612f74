import { type AcquireOptions, type LockHolder, RETRY_TIMEOUT_MS, type StoreSize } from '../db/connection.js';
import { CHECKPOINT_PAGES } from '../db/sqlite/store.js';
import { refuseWorkers, warning } from '../engine/run-options.js';
import { sqliteConnector } from '../engine/sqlite/dialect.js';
import { BackfillError, rootBackfillError } from '../errors.js';
import { type Drift, upgradeLedger, type WriteCommand } from '../ledger/ledger.js';
import { english, type Message, msg } from '../messages/message.js';
import { RUN_OPTIONS } from '../option-table.js';
import type { Backup } from '../safety/backup.js';
import { type DiskNeed, requireDiskSpace } from '../safety/disk.js';
import type { Verification } from '../verify/verify.js';
import { type PlannedCommand, planCommand, pruneBackups, startCommand } from './backups.js';
import { type EmptyProbe, type FillContext, joinRun, recordEmptyProbes, workersOf } from './fill.js';
import type { MigratorOptions } from './options.js';
import { connectorFor, inSnapshot, type Session, withSession } from './session.js';
import { type RunSteps, stepUmzugClass, withoutUmzug } from './umzug.js';

/** Growth of a store, relative to its size, when two columns of timestamps and three indexes on them are filled. */
const GROWTH_RATIO = 0.3;

/** Size of the store before and after a command. */
export interface SizeChange {
  readonly before: StoreSize;
  readonly after: StoreSize;
}

/** Result of `up`, `down` and `backfill`. */
export interface RunResult {
  /** Verifications of the command, in order. */
  readonly verifications: readonly Verification[];
  readonly drifts: readonly Drift[];
  readonly warnings: readonly Message[];
  /** Absent if nothing was written. */
  readonly size?: SizeChange;
  /** Absent if none was created: the command continues one that has a backup, or backups are off. */
  readonly backup?: Backup;
  /** Paths of older backups that were removed; absent if none was. */
  readonly removedBackups?: readonly string[];
  /** The error that ended the command early. Part of its work may have been done. */
  readonly error?: BackfillError;
}

/** A result as a program gets it: its warnings in English, without its error, which is thrown. */
export type PublicResult<Result extends RunResult> = Omit<Result, 'error' | 'warnings'> & {
  readonly warnings: readonly string[];
};

/** Returns a result as a program gets it; throws its error. */
export function publicResult<Result extends RunResult>(result: Result): PublicResult<Result> {
  const { error, warnings, ...rest } = result;
  if (error) throw error;
  return { ...rest, warnings: warnings.map(english) };
}

/** The work of a command. */
export interface Work {
  /** Names of the steps that the command changes; empty if there is nothing to do. */
  readonly names: readonly string[];
  readonly drifts: readonly Drift[];
  readonly warnings: readonly Message[];
  /** Probes that found no rows to catch up, to be recorded. */
  readonly probes?: readonly EmptyProbe[];
  /** Whether the store may grow considerably. */
  readonly grows?: boolean;
  /** Size of the largest transaction, in bytes, if it is larger than a batch. */
  readonly transactionBytes?: number;
}

/** A command that changes the store. */
interface Change<Found extends Work> {
  readonly command: WriteCommand;
  /** Finds the work and refuses what cannot be done. Called again under the run lock, and only then with `onEvent` in its options. */
  readonly plan: (session: Session, options: MigratorOptions) => Promise<Found>;
  /** Does it. `runSteps` runs steps as migrations of umzug. */
  readonly act: (context: FillContext, work: Found, runSteps: RunSteps) => Promise<void>;
  /** Whether to join runs of the same backfills that another process shares. Default false: the command waits for their end. */
  readonly joinable?: boolean;
}

/** Result of a change, with its work. */
interface ChangeResult<Found> extends RunResult {
  readonly work: Found;
  /** Backfills of another process's run that this command joined. */
  readonly joined: readonly string[];
}

/**
 * Finds the work. If there is any, takes the run lock, finds it again, backs up the store and does it. Otherwise writes
 * nothing, not even the file of the lock.
 *
 * @throws {BackfillError} if the change is refused before anything is written: `RUN_LOCKED`, `DISK_SPACE_LOW`, and the codes of `plan`
 */
export async function changeStore<Found extends Work>(
  given: MigratorOptions,
  change: Change<Found>,
): Promise<ChangeResult<Found>> {
  refuseWorkers(given.workers, given.postgres !== undefined);
  // One session holds the lock and opens the store, so that the work ends as well if the lock is lost.
  const connector = await connectorFor(given);
  const options = { ...given, connector, withWorkers: workersOf(given) };
  return await connector.within(async () => await changeAt(options, change));
}

async function changeAt<Found extends Work>(options: MigratorOptions, change: Change<Found>) {
  const { command, joinable } = change;
  const joined: string[] = [];
  const umzug = command === 'up' || command === 'down' ? options.umzug : withoutUmzug;
  const early = umzug ? undefined : await findEarly(options, change);
  if (typeof early === 'object' && isIdle(early)) return resultOf(early, joined); // without umzug, which takes 150 ms to load
  let result!: ChangeResult<Found>;
  const { steps } = options.project;
  const runner = umzug ?? new (stepUmzugClass())(async () => steps);
  await runner.command(command === 'down' ? 'down' : 'up', async (runSteps) => {
    const work = early ?? (await findEarly(options, change));
    const locked = async (): Promise<ChangeResult<Found>> => {
      if (work === 'unknown') await rollBackJournal(options);
      return await changeLocked(options, change, joined, runSteps);
    };
    const join = joinable ? async () => await joinRun(options, joined) : undefined;
    result =
      work !== 'unknown' && isIdle(work)
        ? resultOf(work, joined)
        : await withLock(options, locked, { isAlone: command === 'down', join });
  });
  return result;
}

const isIdle = ({ names, probes = [] }: Work): boolean => names.length + probes.length === 0;

const resultOf = <Found extends Work>(
  work: Found,
  joined: readonly string[],
  done: Partial<RunResult> = {},
): ChangeResult<Found> => ({
  ...{ work, joined, verifications: [], drifts: work.drifts },
  ...done,
  warnings: [...work.warnings, ...(done.warnings ?? [])],
});

/** Finds the work, and plans the start of the command. Under the run lock, events are logged and disk space is checked. */
async function findWork<Found extends Work>(
  options: MigratorOptions,
  { command, plan }: Change<Found>,
  isLocked: boolean,
) {
  const read = async (session: Session) => {
    const work = await plan(session, isLocked ? options : { ...options, onEvent: undefined });
    const planned = await planCommand(options, session, command, work.names); // the folder of backups may be refused
    if (isLocked && work.names.length > 0) await requireSpaceToGrow(session, work, planned);
    return { work, planned };
  };
  return await inSnapshot(options, read, RETRY_TIMEOUT_MS);
}

/** Finds the work before the lock is held; `unknown` if a journal must be rolled back first. */
async function findEarly<Found extends Work>(options: MigratorOptions, change: Change<Found>) {
  try {
    return (await findWork(options, change, false)).work;
  } catch (error) {
    if (error instanceof BackfillError && error.code === 'STORE_HOT_JOURNAL') return 'unknown';
    throw error;
  }
}

async function changeLocked<Found extends Work>(
  options: MigratorOptions,
  change: Change<Found>,
  joined: readonly string[],
  runSteps: RunSteps,
): Promise<ChangeResult<Found>> {
  const { work, planned } = await findWork(options, change, true);
  if (isIdle(work)) return resultOf(work, joined);
  const done = await withSession(options, async (session): Promise<Partial<RunResult>> => {
    const { store } = session;
    if (work.names.length === 0) {
      await recordEmptyProbes(session, work.probes);
      return {};
    }
    const before = await store.size();
    const backup = await startCommand(options, session, planned);
    await upgradeLedger(store);
    const context: FillContext = { session, options, verifications: [], warnings: [], followed: new Map() };
    let error: BackfillError | undefined;
    const fail = (thrown: unknown): StoreSize => {
      error ??= rootBackfillError(thrown);
      return before;
    };
    try {
      await recordEmptyProbes(session, work.probes);
      await change.act(context, work, runSteps);
    } catch (thrown) {
      fail(thrown);
    }
    const { verifications, warnings } = context;
    const size = { before, after: await store.size().catch(fail) };
    return { verifications, warnings, size, ...(backup && { backup }), ...(error && { error }) };
  });
  if (!done.size || done.error || change.command === 'down') return resultOf(work, joined, done);
  const { removed, error } = await pruneBackups(options);
  return resultOf(work, joined, {
    ...done,
    ...(removed.length > 0 && { removedBackups: removed }),
    ...(error && { error }),
  });
}

/**
 * Runs `act` under the run lock of the store.
 *
 * @param how see {@link AcquireOptions}
 */
export async function withLock<Result>(
  options: MigratorOptions,
  act: () => Promise<Result>,
  how: Pick<AcquireOptions, 'join' | 'isAlone'> = {},
): Promise<Result> {
  const { lockTimeoutMs: timeoutMs = RUN_OPTIONS.lockTimeoutMs.default, onEvent, now } = options;
  const connector = await connectorFor(options);
  const onWait = (holder: LockHolder | undefined): void => onEvent?.({ event: 'lock_waiting', ...holder });
  const lock = await connector.lock({ timeoutMs, onWait, now, ...how });
  try {
    for (const text of connector.warnings()) onEvent?.(warning(text));
    return await act();
  } finally {
    await lock.release();
  }
}

/** Rolls back the transaction of a writer that died: SQLite does when the store is opened for writing. */
async function rollBackJournal({ path, onEvent }: MigratorOptions): Promise<void> {
  onEvent?.(warning(msg('A writer died in the middle of a transaction: it is rolled back')));
  await (await sqliteConnector(path).open({ access: 'write' })).close();
}

async function requireSpaceToGrow(
  { store }: Session,
  { grows, transactionBytes = 0 }: Work,
  { backup }: PlannedCommand,
): Promise<void> {
  if (!store.files) return; // disk space on a server is not checked
  const { folder } = store.files;
  const { bytes, pageBytes } = await store.size();
  const journal = Math.max(Math.min(bytes, CHECKPOINT_PAGES * pageBytes), transactionBytes);
  const growth = Math.ceil(bytes * GROWTH_RATIO);
  const needs: DiskNeed[] = [
    ...(backup ? [{ what: 'the backup' as const, ...backup }] : []),
    { what: 'the journal', bytes: journal, folder },
    ...(grows ? [{ what: 'what the store grows by' as const, bytes: growth, folder }] : []),
  ];
  requireDiskSpace(
    needs,
    backup
      ? msg(
          'Free disk space, back up to another disk with --backup-dir, or skip the backup with --no-backup, then run the same command again; nothing was changed',
        )
      : msg('Free disk space, then run the same command again; nothing was changed'),
  );
}
