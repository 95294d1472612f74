import { BackfillError } from '../../errors.js';
import { failpoint } from '../../failpoint.js';
import { msg } from '../../messages/message.js';
import {
  type AcquireOptions,
  type HeldLock,
  type LockHolder,
  type LockState,
  pollPause,
  runLocked,
} from '../connection.js';
import { holderNamed, type PostgresSession, type Sessions } from './session.js';
import { instantSql } from './texts.js';

/** Interval of reports while waiting for workers to leave the run, in milliseconds. */
const TELL_WAIT_MS = 5000;

/** First halves of the keys of our advisory locks: `umzg` in ASCII, and one more; another one is the ledger's. `TURN` sorts after `RUN`. */
const RUN = 0x756d7a67;
const TURN = RUN + 1;

/** Returns SQL that locks the existence of the ledger until the end of the transaction. */
export const ledgerLockSql = ({ schemaKey }: PostgresSession): string =>
  `SELECT pg_advisory_xact_lock(${RUN + 2}, ${schemaKey})`;

type Mode = 'exclusive' | 'shared';

const call = async ({ client, schemaKey }: PostgresSession, name: string, mode: Mode, key: number) =>
  (await client.query(`SELECT ${name}${mode === 'shared' ? '_shared' : ''}(${key}, ${schemaKey})`))
    .rows[0]?.[0];

const tryLock = async (session: PostgresSession, mode: Mode, key = RUN): Promise<boolean> =>
  (await call(session, 'pg_try_advisory_lock', mode, key)) === 1n;

const unlock = async (session: PostgresSession, mode: Mode, key = RUN): Promise<void> =>
  await session.client.orClose(() => call(session, 'pg_advisory_unlock', mode, key));

/**
 * Acquires the run lock: an advisory lock of the session, which the server releases when the session ends. DDL and verification
 * hold it exclusively; while the leader of a fill shares it, `join` joins the fill.
 *
 * A command first acquires a second lock, its turn, and keeps that to its end, because the leader of a fill does not hold the run
 * lock for a moment after it. Commands that can continue each other's work share the turn; a command that must be alone holds it
 * exclusively.
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
    if (isAlone) await leaveTurn(); // a run without a leader may still have a worker, and other commands must be able to continue it
    return false;
  };
  // With a turn, only holders of the run lock block this command: other holders of a turn may be waiting too.
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
      await pollPause(session.client.signal);
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
 * Runs `act` with the lock shared, if its holder shares it.
 *
 * @returns whether there was anything to do
 */
export const withSharedLock = async (sessions: Sessions, act: () => Promise<boolean>): Promise<boolean> =>
  await sessions.using((session) => joined(session, act));

/** Joins the run of another process, if that shares its lock; returns whether there was anything to do. */
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
 * Runs `act` with the lock shared, then reacquires it exclusively, if it was held so before: all workers have then finished or
 * died. The turn keeps out commands that would not continue this work. After a failure or a signal it does not wait for the
 * workers, and no longer holds the lock.
 *
 * @param onWait called every five seconds while waiting for workers
 */
export async function shareLock<Result>(
  session: PostgresSession,
  act: () => Promise<Result>,
  onWait: (holder: LockHolder | undefined) => void,
): Promise<Result> {
  if (session.lock !== 'exclusive') return await act();
  while (!(await tryLock(session, 'shared'))) await pollPause(session.client.signal); // succeeds at once: one session may hold both modes
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
    await pollPause(session.client.signal);
    if (performance.now() < tellAt) continue;
    onWait(await holderOf(session, [RUN]));
    tellAt = performance.now() + TELL_WAIT_MS;
  }
  session.lock = 'exclusive';
  failpoint('lock', 'taken again');
  return result;
}

/** Returns SQL for the sessions that hold one of these locks: `pg_locks` as `l`, `pg_stat_activity` as `a`. */
const holdersSql = (
  { schemaKey }: PostgresSession,
  keys: readonly number[],
): string => `FROM pg_locks AS l JOIN pg_stat_activity AS a ON a.pid = l.pid
  WHERE l.locktype = 'advisory' AND l.granted AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND l.classid IN (${keys.join(', ')}) AND l.objid = (${schemaKey}::int8 & 4294967295)::oid AND l.objsubid = 2`;

/** Returns whether a session holds one of these locks, and its process if the session's name contains it. */
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
 * Checks that this session still holds the run lock, which a statement of a step may have released.
 *
 * @throws {BackfillError} `STEP_INVALID`
 */
export async function requireHeld(session: PostgresSession): Promise<void> {
  if (session.lock === 'none') return;
  const held = `SELECT 1 ${holdersSql(session, [RUN])} AND l.pid = pg_backend_pid()`;
  if ((await session.client.query(held)).count > 0) return;
  throw new BackfillError(
    'STEP_INVALID',
    msg('A statement of the step released the run lock of the store'),
    msg('Remove pg_advisory_unlock_all() and similar calls from the step; it was rolled back'),
  );
}

/** Returns the state of the run lock. */
export const readLockState = async (sessions: Sessions): Promise<LockState> =>
  await sessions.using((session) => stateOf(session, [RUN, TURN]));
