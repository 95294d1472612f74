import { setTimeout as sleep } from 'node:timers/promises';
import { BackfillError } from '../../errors.js';
import { failpoint } from '../../failpoint.js';
import { throwIfStopped } from '../../stop.js';
import { isPostgresError } from '../../store-errors.js';
import {
  type HeldLock,
  type LockHolder,
  type LockState,
  POLL_MS,
  runLocked,
  type SiteLockOptions,
} from '../site.js';
import type { LockKey, PostgresSession, Sessions } from './session.js';
import { holderNamed } from './session.js';
import { instantSql } from './texts.js';

/** How often it is told who still takes part in a run that is over for this process, in milliseconds. */
const TELL_WAIT_MS = 5000;

const call = async ({ client }: PostgresSession, name: string, key: LockKey): Promise<boolean> =>
  (await client.query(`SELECT ${name}(${key.join(', ')})`)).rows[0]?.[0] === 1n;

const tryExclusive = async (session: PostgresSession, key = session.lockKey): Promise<boolean> =>
  await call(session, 'pg_try_advisory_lock', key);
const tryShared = async (session: PostgresSession, key = session.lockKey): Promise<boolean> =>
  await call(session, 'pg_try_advisory_lock_shared', key);
const unlockExclusive = async (session: PostgresSession, key = session.lockKey): Promise<void> =>
  await unlock(session, 'pg_advisory_unlock', key);
const unlockShared = async (session: PostgresSession, key = session.lockKey): Promise<void> =>
  await unlock(session, 'pg_advisory_unlock_shared', key);

/** Releases a lock, also after a failure, which stays the one that is told. A session that cannot is ended, and its locks with it. */
async function unlock(session: PostgresSession, name: string, key: LockKey): Promise<void> {
  try {
    await call(session, name, key);
  } catch (error) {
    if (!isPostgresError(error) && !(error instanceof BackfillError)) throw error;
    await session.client.close();
  }
}

/** Waits between two tries; a stop is heard. */
async function pollPause({ client }: PostgresSession): Promise<void> {
  throwIfStopped(client.signal, 'while another run was waited for');
  await sleep(POLL_MS.least + Math.random() * (POLL_MS.most - POLL_MS.least));
}

/**
 * Takes the run lock: an advisory lock of the session, which the server drops with it. Alone for DDL and verification; where whoever
 * holds it shares it while ranges are filled, `join` takes part in that.
 *
 * Before it a command takes a second lock, its turn, and keeps that to its end: whoever leads a fill is without the run lock for a moment
 * behind it. Commands that go on with each other's work share the turn, and a command that wants to be alone has it alone.
 *
 * @see https://www.postgresql.org/docs/current/explicit-locking.html#ADVISORY-LOCKS
 * @throws {BackfillError} `RUN_LOCKED`, `POOLER_REFUSED`, a `STORE_…` code
 */
export async function acquireLock(
  sessions: Sessions,
  { timeoutMs, onWait, join, isAlone = false }: SiteLockOptions,
): Promise<HeldLock> {
  const session = await sessions.enter();
  const { lockKey, turnKey } = session;
  let hasTurn = false;
  const leaveTurn = async (): Promise<void> => {
    if (hasTurn) await (isAlone ? unlockExclusive : unlockShared)(session, turnKey);
    hasTurn = false;
  };
  const tryBoth = async (): Promise<boolean> => {
    hasTurn ||= await (isAlone ? tryExclusive : tryShared)(session, turnKey);
    if (hasTurn && (await tryExclusive(session))) return true;
    if (isAlone) await leaveTurn(); // a worker may be left of a run whose leader is gone, and others may go on with that
    return false;
  };
  // With a turn, it waits for the run lock alone: others that have a turn may be waiting like it.
  const whoHasIt = async (): Promise<LockHolder | undefined> =>
    await holderOf(session, hasTurn ? [lockKey] : undefined);
  try {
    let giveUpAt = performance.now() + timeoutMs;
    let hasTold = false;
    while (!(await tryBoth())) {
      if (join && hasTurn && (await joined(session, join))) giveUpAt = performance.now() + timeoutMs;
      else {
        if (performance.now() >= giveUpAt) throw runLocked(await whoHasIt());
        if (!hasTold) onWait?.(await whoHasIt());
        hasTold = true;
      }
      await pollPause(session);
    }
    session.lock = 'exclusive';
    failpoint('lock', 'taken');
    return {
      release: async () => {
        const isHeld = session.lock === 'exclusive';
        session.lock = 'none';
        if (isHeld) await unlockExclusive(session);
        await leaveTurn();
        await sessions.leave(session);
        failpoint('lock', 'released');
      },
    };
  } catch (error) {
    await leaveTurn();
    await sessions.leave(session);
    throw error;
  }
}

/**
 * Acts with a share of the lock, if whoever holds it shares it.
 *
 * @returns whether there was anything to do
 */
export async function withShare(sessions: Sessions, act: () => Promise<boolean>): Promise<boolean> {
  const session = await sessions.enter();
  try {
    return await joined(session, act);
  } finally {
    await sessions.leave(session);
  }
}

/** Takes part in what others do, if they let others; returns whether there was anything to do. */
async function joined(session: PostgresSession, join: () => Promise<boolean>): Promise<boolean> {
  if (!(await tryShared(session))) return false;
  session.lock = 'shared';
  try {
    return await join();
  } finally {
    session.lock = 'none';
    await unlockShared(session);
  }
}

/**
 * Acts with the lock shared, and holds it alone again behind it, if it was so before: whoever else takes part has then come to an end,
 * or died. Its turn keeps out whoever would not go on with its work meanwhile. After a failure, as a signal is one, nobody is waited for, and the lock is
 * not held any more.
 *
 * @param onWait told every five seconds while others are waited for
 */
export async function shareLock<Result>(
  session: PostgresSession,
  act: () => Promise<Result>,
  onWait: (holder: LockHolder | undefined) => void,
): Promise<Result> {
  if (session.lock !== 'exclusive') return await act();
  while (!(await tryShared(session))) await pollPause(session); // at once: this session may hold both
  await unlockExclusive(session);
  session.lock = 'shared';
  failpoint('lock', 'shared');
  let result: Result;
  try {
    result = await act();
  } finally {
    session.lock = 'none';
    await unlockShared(session);
  }
  failpoint('lock', 'left');
  let tellAt = performance.now() + TELL_WAIT_MS;
  while (!(await tryExclusive(session))) {
    await pollPause(session);
    if (performance.now() < tellAt) continue;
    onWait(await holderOf(session, [session.lockKey]));
    tellAt = performance.now() + TELL_WAIT_MS;
  }
  session.lock = 'exclusive';
  failpoint('lock', 'taken again');
  return result;
}

/** SQL of the sessions that hold one of these locks, in `pg_locks` as `l` and `pg_stat_activity` as `a`. */
const holdersSql = (
  [, schemaKey]: LockKey,
  keys: readonly LockKey[],
): string => `FROM pg_locks AS l JOIN pg_stat_activity AS a ON a.pid = l.pid
  WHERE l.locktype = 'advisory' AND l.granted AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND l.classid IN (${keys.map(([lockClass]) => lockClass).join(', ')})
    AND l.objid = (${schemaKey}::int8 & 4294967295)::oid AND l.objsubid = 2`;

/** Whether a session holds the lock, else has its turn, and which process has it, where its name says so. */
async function stateOf(
  { client, lockKey, turnKey }: PostgresSession,
  keys: readonly LockKey[] = [lockKey, turnKey],
): Promise<LockState> {
  const [found] = (
    await client.query(
      `SELECT a.application_name, ${instantSql('a.backend_start')} ${holdersSql(lockKey, keys)}
    ORDER BY l.classid, a.backend_start LIMIT 1`,
    )
  ).rows;
  if (!found) return { state: 'free' };
  const holder = holderNamed(...(found as [unknown, unknown]));
  return { state: 'held', ...(holder ? { holder } : {}) };
}

/** Returns the lock holder, or undefined if the lock has since been released. */
const holderOf = async (
  session: PostgresSession,
  keys?: readonly LockKey[],
): Promise<LockHolder | undefined> => (await stateOf(session, keys)).holder;

/**
 * Refuses to go on without the run lock that this session took: a statement of a step may have released it.
 *
 * @throws {BackfillError} `STEP_INVALID`
 */
export async function requireHeld(session: PostgresSession): Promise<void> {
  if (session.lock === 'none') return;
  const { client, lockKey } = session;
  const held = await client.query(`SELECT 1 ${holdersSql(lockKey, [lockKey])} AND l.pid = pg_backend_pid()`);
  if (held.count > 0) return;
  throw new BackfillError(
    'STEP_INVALID',
    'A statement of the step has released the run lock of the store',
    'Remove pg_advisory_unlock_all() and its kind from the step; nothing of it was kept',
  );
}

/** Looks whether a run is under way. */
export async function lookAtLock(sessions: Sessions): Promise<LockState> {
  const session = await sessions.enter();
  try {
    return await stateOf(session);
  } finally {
    await sessions.leave(session);
  }
}
