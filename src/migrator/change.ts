import { type AcquireOptions, type LockHolder, RETRY_TIMEOUT_MS } from '../db/connector.js';
import { CHECKPOINT_PAGES } from '../db/sqlite/store.js';
import { isFilledBy } from '../engine/filled-by.js';
import { refuseWorkers } from '../engine/run-options.js';
import { sqliteConnector } from '../engine/sqlite/dialect.js';
import { BackfillError } from '../errors.js';
import type { WriteCommand } from '../ledger/ledger.js';
import { RUN_OPTIONS } from '../option-table.js';
import { joinRuns } from '../run/runner.js';
import { needsCatchUp } from '../run/waiting.js';
import { type DiskNeed, requireDiskSpace } from '../safety/disk.js';
import { inStep } from '../steps/step.js';
import type { Verification } from '../verify/verify.js';
import { planBackup, pruneBackups, startCommand } from './backup-policy.js';
import { type EmptyProbe, recordProbes } from './catching-up.js';
import { missingColumns } from './preflight.js';
import {
  type BackfillStep,
  backfillsOf,
  connectorFor,
  inSnapshot,
  type MigratorOptions,
  type OpenSession,
  type RunResult,
  type Session,
  withSession,
  writeToStore,
} from './session.js';
import { agreeToTriggers } from './triggers.js';

/** A store grows by about this share of itself when two columns of timestamps and three indexes on them are filled. */
const GROWTH_RATIO = 0.3;

/** A command that changes the store. */
export interface Change<Work> {
  readonly command: WriteCommand;
  /**
   * Looks for what there is to do; refuses what can't be done. Called again once the lock is held: only what it tells
   * then is passed on.
   */
  readonly plan: (session: Session, onEvent: MigratorOptions['onEvent']) => Promise<Work>;
  /** Names of the steps that it is to work on; none when there is nothing to do. */
  readonly stepsOf: (found: Work) => readonly string[];
  /** Looks at tables that have found nothing, to be recorded. Default: none. */
  readonly probesOf?: (found: Work) => readonly EmptyProbe[];
  /** Whether it may make the store a good deal larger. Default: it doesn't. */
  readonly grows?: (found: Work) => boolean;
  /** Bytes of the largest transaction, if it is larger than a batch. Default: none is. */
  readonly largestTransaction?: (session: Session, found: Work) => Promise<number>;
  readonly act: (session: OpenSession, found: Work, verifications: Verification[]) => Promise<void>;
  /** Whether to take part in a run of the same backfills that another process lets others share. Default: it waits for its end. */
  readonly joinable?: boolean;
}

/** What was found, and what was done about it: nothing when there was nothing to do. */
export interface ChangeResult<Work> {
  readonly found: Work;
  readonly outcome?: Pick<RunResult, 'verifications' | 'size' | 'error' | 'backup' | 'removedBackups'>;
  /** Backfills of another process's run that this one took part in. */
  readonly joined: readonly string[];
}

/**
 * Looks; where there is something to do takes the run lock, looks again, backs the store up and does it. Without anything
 * to do not even the lock's file is made.
 *
 * @throws {BackfillError} when it is refused before anything is changed: `RUN_LOCKED`, `DISK_SPACE_LOW` and what `find` throws
 */
export async function changeStore<Work>(
  given: MigratorOptions,
  change: Change<Work>,
): Promise<ChangeResult<Work>> {
  refuseWorkers(given.workers, given.postgres !== undefined);
  // With one session for the lock and the stores that are opened under it the work ends as well where the lock is lost.
  const connector = await connectorFor(given);
  return await connector.within(async () => await changeAt({ ...given, connector }, change));
}

async function changeAt<Work>(options: MigratorOptions, change: Change<Work>): Promise<ChangeResult<Work>> {
  const { plan, stepsOf, probesOf = () => [] } = change;
  const lookWith = (read: (session: Session) => Promise<Work>): Promise<Work> =>
    inSnapshot(options, read, RETRY_TIMEOUT_MS);
  const lookFirst = async (session: Session): Promise<Work> => {
    const found = await plan(session, undefined);
    await planBackup(options, session, { command: change.command, steps: stepsOf(found) }); // its folder may be refused
    return found;
  };
  const first = await lookWith(lookFirst).catch((error: unknown) => {
    if (error instanceof BackfillError && error.code === 'STORE_HOT_JOURNAL') return undefined;
    throw error;
  });
  const joined: string[] = [];
  const isIdle = (found: Work): boolean => stepsOf(found).length + probesOf(found).length === 0;
  if (first !== undefined && isIdle(first)) return { found: first, joined };
  const act = async (): Promise<ChangeResult<Work>> => {
    if (first === undefined) await rollBackJournal(options);
    const found = await lookWith(async (session) => {
      const again = await plan(session, options.onEvent);
      if (stepsOf(again).length > 0) await requireSpaceToGrow(options, session, change, again);
      return again;
    });
    if (isIdle(found)) return { found, joined };
    const note = async (session: OpenSession): Promise<void> => await recordProbes(session, probesOf(found));
    if (stepsOf(found).length === 0) {
      await withSession(options, note);
      return { found, joined };
    }
    const outcome = await writeToStore(
      options,
      (session) => startCommand(options, session, { command: change.command, steps: stepsOf(found) }),
      async (session, verifications) => {
        await note(session);
        await change.act(session, found, verifications);
      },
    );
    if (outcome.error || change.command === 'down') return { found, outcome, joined };
    const { removed, error } = await pruneBackups(options);
    const removedBackups = removed.length > 0 ? { removedBackups: removed } : {};
    return { found, outcome: { ...outcome, ...removedBackups, ...(error ? { error } : {}) }, joined };
  };
  return await withLock(options, act, {
    isAlone: change.command === 'down',
    ...(change.joinable ? { join: () => joinRun(options, joined) } : {}),
  });
}

/**
 * Takes part in the runs that another process shares, of backfills that are declared as they are there.
 *
 * @param joined names are added here
 * @returns whether there was any
 */
export async function joinRun(options: MigratorOptions, joined: string[]): Promise<boolean> {
  return await withSession(options, async (session) => {
    const { store, ledger } = session;
    let hasJoined = false;
    for (const step of backfillsOf(options.project)) {
      if (!(await isFilledBy(store, ledger, step))) continue;
      if (!(await ledger.runs(step.name)).some(({ status, share = 0 }) => status === 'running' && share < 1))
        continue;
      await refuseTriggers(session, [step], options);
      if (!(await inStep(step, async () => joinRuns(store, ledger, step, options)))) continue;
      hasJoined = true;
      if (!joined.includes(step.name)) joined.push(step.name);
    }
    return hasJoined;
  });
}

/**
 * Acts under the run lock of the store.
 *
 * @param how see {@link AcquireOptions}
 */
export async function withLock<Result>(
  options: MigratorOptions,
  act: () => Promise<Result>,
  how: Pick<AcquireOptions, 'join' | 'isAlone'> = {},
): Promise<Result> {
  const { lockTimeoutMs = RUN_OPTIONS.lockTimeoutMs.default, onEvent } = options;
  const connector = await connectorFor(options);
  const onWait = (holder: LockHolder | undefined): void => onEvent?.({ event: 'lock_waiting', ...holder });
  const { join, isAlone } = how;
  const lock = await connector.lock({ timeoutMs: lockTimeoutMs, onWait, join, isAlone, now: options.now });
  try {
    for (const text of connector.warnings()) onEvent?.({ event: 'warning', text });
    return await act();
  } finally {
    await lock.release();
  }
}

/** A writer has died in the middle of a transaction: the first that opens the store for writing rolls it back. */
async function rollBackJournal({ path, onEvent }: MigratorOptions): Promise<void> {
  onEvent?.({ event: 'warning', text: 'A writer died in the middle of a transaction: it is rolled back' });
  await (await sqliteConnector(path).open({ access: 'write' })).close();
}

async function requireSpaceToGrow<Work>(
  options: MigratorOptions,
  session: Session,
  { command, stepsOf, grows, largestTransaction }: Change<Work>,
  found: Work,
): Promise<void> {
  const { store } = session;
  if (!store.files) return; // a server's disk is its keeper's affair
  const { bytes, pageBytes } = await store.size();
  const { folder } = store.files;
  const batch = Math.min(bytes, CHECKPOINT_PAGES * pageBytes);
  const journal = Math.max(batch, (await largestTransaction?.(session, found)) ?? 0);
  const needs: DiskNeed[] = [{ what: 'the journal', bytes: journal, folder }];
  if (grows?.(found)) {
    needs.push({ what: 'what the store grows by', bytes: Math.ceil(bytes * GROWTH_RATIO), folder });
  }
  const backup = await planBackup(options, session, { command, steps: stepsOf(found) });
  if (backup) needs.unshift({ what: 'the backup', ...backup });
  requireDiskSpace(
    needs,
    `Make room${backup ? ', back up to another disk with --backup-dir, or do without a backup with --no-backup' : ''}, then run the same command again; nothing was changed`,
  );
}

/**
 * Whether an applied backfill has something to fill before it is verified: a run that was stopped, rows that wait, or a
 * column that is made again first.
 */
export async function hasRowsToFill({ store, ledger }: Session, step: BackfillStep): Promise<boolean> {
  return (
    (await ledger.runs(step.name)).some(({ status }) => status === 'running') ||
    (await missingColumns(store, step)).size > 0 ||
    (await inStep(step, async () => await needsCatchUp(store, ledger, step)))
  );
}

/**
 * Refuses backfills whose updates would fire triggers that nobody has agreed to.
 *
 * @throws {BackfillError} `TRIGGERS_WOULD_FIRE` listing them
 */
export async function refuseTriggers(
  { store }: Session,
  backfills: readonly BackfillStep[],
  { allowTriggers = false, onEvent }: Pick<MigratorOptions, 'allowTriggers' | 'onEvent'>,
): Promise<void> {
  for (const { table, columns } of backfills) {
    const triggers = await store.dialect.updateTriggers(
      store,
      table,
      columns.map(({ name }) => name),
    );
    if (triggers.length === 0) continue;
    const text = `Each update of ${table} fires ${triggers.length > 1 ? 'the triggers' : 'the trigger'} ${triggers.join(', ')}`;
    agreeToTriggers(text, table, { allowTriggers, onEvent });
  }
}
