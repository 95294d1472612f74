import { pauseFor, throwIfAborted } from '../../abort.js';
import { BackfillError } from '../../errors.js';
import { failpoint } from '../../failpoint.js';
import { msg } from '../../messages/message.js';
import { isPostgresError } from '../../store-errors.js';
import {
  type AcquireOptions,
  type HeldLock,
  type LockHolder,
  type LockState,
  POLL_MS,
  runLocked,
} from '../connector.js';
import { holderNamed, type PostgresSession, type Sessions } from './session.js';
import { instantSql } from './texts.js';

/** How often it is told who still takes part in a run that is over for this process, in milliseconds. */
const TELL_WAIT_MS = 5000;

/** First halves of the keys of our advisory locks, `umzg` in ASCII and one more: the turn comes second where both are listed. */
const RUN = 0x756d7a67;
const TURN = RUN + 1;

/** How an advisory lock is held: alone, or with others that share it. */
type Mode = 'exclusive' | 'shared';

const call = async ({ client, schemaKey }: PostgresSession, name: string, mode: Mode, key: number) =>
  (await client.query(`SELECT ${name}${mode === 'shared' ? '_shared' : ''}(${key}, ${schemaKey})`))
    .rows[0]?.[0];

const tryLock = async (session: PostgresSession, mode: Mode, key = RUN): Promise<boolean> =>
  (await call(session, 'pg_try_advisory_lock', mode, key)) === 1n;

/** Releases a lock, also after a failure, which stays the one that is told. A session that cannot is ended, and its locks with it. */
async function unlock(session: PostgresSession, mode: Mode, key = RUN): Promise<void> {
  try {
    await call(session, 'pg_advisory_unlock', mode, key);
  } catch (error) {
    if (!isPostgresError(error) && !(error instanceof BackfillError)) throw error;
    await session.client.close();
  }
}

/** Waits between two tries; a stop ends the wait. */
async function pollPause({ client }: PostgresSession): Promise<void> {
  await pauseFor(POLL_MS.min + Math.random() * (POLL_MS.max - POLL_MS.min), client.signal);
  throwIfAborted(client.signal, msg('while waiting for the run lock'));
}

/**
 * Takes the run lock: an advisory lock of the session, which the server drops with it. Alone for DDL and verification; where whoever
 * holds it shares it while ranges are filled, `join` takes part in that.
 *
 * Before it a command takes a second lock, its turn, and keeps that to its end: whoever leads a fill is without the run lock for a moment
 * behind it. Commands that go on with each other's work share the turn, and a command that wants to be alone has it alone.
 *
 * @see https://www.postgresql.org/docs/current/explicit-locking.html#ADVISORY-LOCKS
 * @throws {BackfillError} `RUN_LOCKED`, `POOLER_UNSUPPORTED`, a `STORE_…` code
 */
export async function acquireLock(
  sessions: Sessions,
  { timeoutMs, onWait, join, isAlone = false }: AcquireOptions,
): Promise<HeldLock> {
  const session = await sessions.enter();
  const turn: Mode = isAlone ? 'exclusive' : 'shared';
  let hasTurn = false;
  const leaveTurn = async (): Promise<void> => {
    if (hasTurn) await unlock(session, turn, TURN);
    hasTurn = false;
  };
  const tryBoth = async (): Promise<boolean> => {
    hasTurn ||= await tryLock(session, turn, TURN);
    if (hasTurn && (await tryLock(session, 'exclusive'))) return true;
    if (isAlone) await leaveTurn(); // a worker may be left of a run whose leader is gone, and others may go on with that
    return false;
  };
  // With a turn, it waits for the run lock alone: others that have a turn may be waiting like it.
  const whoHasIt = async (): Promise<LockHolder | undefined> =>
    await holderOf(session, hasTurn ? [RUN] : [RUN, TURN]);
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
        if (isHeld) await unlock(session, 'exclusive');
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
export const withSharedLock = async (sessions: Sessions, act: () => Promise<boolean>): Promise<boolean> =>
  await sessions.using((session) => joined(session, act));

/** Takes part in what others do, if they let others; returns whether there was anything to do. */
async function joined(session: PostgresSession, join: () => Promise<boolean>): Promise<boolean> {
  if (!(await tryLock(session, 'shared'))) return false;
  session.lock = 'shared';
  try {
    return await join();
  } finally {
    session.lock = 'none';
    await unlock(session, 'shared');
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
  while (!(await tryLock(session, 'shared'))) await pollPause(session); // at once: this session may hold both
  await unlock(session, 'exclusive');
  session.lock = 'shared';
  failpoint('lock', 'shared');
  let result: Result;
  try {
    result = await act();
  } finally {
    session.lock = 'none';
    await unlock(session, 'shared');
  }
  failpoint('lock', 'left');
  let tellAt = performance.now() + TELL_WAIT_MS;
  while (!(await tryLock(session, 'exclusive'))) {
    await pollPause(session);
    if (performance.now() < tellAt) continue;
    onWait(await holderOf(session, [RUN]));
    tellAt = performance.now() + TELL_WAIT_MS;
  }
  session.lock = 'exclusive';
  failpoint('lock', 'taken again');
  return result;
}

/** SQL of the sessions that hold one of these locks, in `pg_locks` as `l` and `pg_stat_activity` as `a`. */
const holdersSql = (
  { schemaKey }: PostgresSession,
  keys: readonly number[],
): string => `FROM pg_locks AS l JOIN pg_stat_activity AS a ON a.pid = l.pid
  WHERE l.locktype = 'advisory' AND l.granted AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND l.classid IN (${keys.join(', ')}) AND l.objid = (${schemaKey}::int8 & 4294967295)::oid AND l.objsubid = 2`;

/** Whether a session holds one of these locks, and which process has it, where its name says so. */
async function stateOf(session: PostgresSession, keys: readonly number[]): Promise<LockState> {
  const { rows } = await session.client.query(
    `SELECT a.application_name, ${instantSql('a.backend_start')} ${holdersSql(session, keys)}
    ORDER BY l.classid, a.backend_start LIMIT 1`,
  );
  const [found] = rows;
  if (!found) return { state: 'free' };
  const holder = holderNamed(...(found as [unknown, unknown]));
  return { state: 'held', ...(holder ? { holder } : {}) };
}

/** Returns the lock holder, or undefined if the lock has since been released. */
const holderOf = async (session: PostgresSession, keys: readonly number[]): Promise<LockHolder | undefined> =>
  (await stateOf(session, keys)).holder;

/**
 * Refuses to go on without the run lock that this session took: a statement of a step may have released it.
 *
 * @throws {BackfillError} `STEP_INVALID`
 */
export async function requireHeld(session: PostgresSession): Promise<void> {
  if (session.lock === 'none') return;
  const held = `SELECT 1 ${holdersSql(session, [RUN])} AND l.pid = pg_backend_pid()`;
  if ((await session.client.query(held)).count > 0) return;
  throw new BackfillError(
    'STEP_INVALID',
    msg('A statement of the step has released the run lock of the store'),
    msg('Remove pg_advisory_unlock_all() and its kind from the step; nothing of it was kept'),
  );
}

/** Looks whether a run is under way. */
export const readLockState = async (sessions: Sessions): Promise<LockState> =>
  await sessions.using((session) => stateOf(session, [RUN, TURN]));
