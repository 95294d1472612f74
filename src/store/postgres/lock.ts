import { setTimeout as sleep } from 'node:timers/promises';
import { BackfillError, isPostgresError } from '../../errors.js';
import { failpoint } from '../../failpoint.js';
import type { LockHolder, LockState } from '../../ledger/run-lock.js';
import { holderText } from '../../ledger/run-lock.js';
import type { HeldLock, SiteLockOptions } from '../site.js';
import type { PostgresAddress } from './address.js';
import { type Connection, connect, disconnect, type LockKey } from './connection.js';

/** Pause between two tries, in milliseconds: by chance, so that rivals do not meet again and again. */
const POLL_MS = { least: 30, most: 120 };

const call = ({ client }: Connection, name: string, key: LockKey): boolean =>
  client.query(`SELECT ${name}(${key.join(', ')})`).rows[0]?.[0] === 1n;

const tryExclusive = (connection: Connection, key = connection.lockKey): boolean =>
  call(connection, 'pg_try_advisory_lock', key);
const tryShared = (connection: Connection, key = connection.lockKey): boolean =>
  call(connection, 'pg_try_advisory_lock_shared', key);
const unlockExclusive = (connection: Connection, key = connection.lockKey): boolean =>
  call(connection, 'pg_advisory_unlock', key);
const unlockShared = (connection: Connection, key = connection.lockKey): boolean =>
  call(connection, 'pg_advisory_unlock_shared', key);

const pollPause = (): Promise<void> => sleep(POLL_MS.least + Math.random() * (POLL_MS.most - POLL_MS.least));

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
  address: PostgresAddress,
  { timeoutMs, onWait, join, isAlone = false }: SiteLockOptions,
): Promise<HeldLock> {
  const connection = connect(address);
  const { lockKey, turnKey } = connection;
  let hasTurn = false;
  const leaveTurn = (): void => {
    try {
      if (hasTurn) (isAlone ? unlockExclusive : unlockShared)(connection, turnKey);
    } catch (error) {
      if (!isPostgresError(error)) throw error; // a session that fails here is lost, and its turn with it
    }
    hasTurn = false;
  };
  const tryBoth = (): boolean => {
    hasTurn ||= !isUsed(connection) && (isAlone ? tryExclusive : tryShared)(connection, turnKey);
    if (hasTurn && tryExclusive(connection)) return true;
    if (isAlone) leaveTurn(); // a worker may be left of a run whose leader is gone, and others may go on with that
    return false;
  };
  // With a turn, it waits for the run lock alone: others that have a turn may be waiting like it.
  const whoHasIt = (): LockHolder | undefined => holderOf(connection, hasTurn ? [lockKey] : undefined);
  try {
    let giveUpAt = performance.now() + timeoutMs;
    let hasTold = false;
    while (!tryBoth()) {
      if (join && hasTurn && (await joined(connection, join))) giveUpAt = performance.now() + timeoutMs;
      else {
        if (performance.now() >= giveUpAt) throw runLocked(whoHasIt());
        if (!hasTold) onWait?.(whoHasIt());
        hasTold = true;
      }
      await pollPause();
    }
    connection.lock = 'exclusive';
    failpoint('lock', 'taken');
    return {
      release: () => {
        if (connection.lock === 'exclusive') unlockExclusive(connection);
        connection.lock = 'none';
        leaveTurn();
        disconnect(connection);
        failpoint('lock', 'released');
      },
    };
  } catch (error) {
    leaveTurn();
    disconnect(connection);
    throw error;
  }
}

/** Whether another command of this process has its turn by the same session, which the server would give every lock again. */
const isUsed = ({ client, turnKey: [lockClass, schemaKey] }: Connection): boolean =>
  client.query(
    `SELECT 1 FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'advisory'
      AND classid = ${lockClass} AND objid = (${schemaKey}::int8 & 4294967295)::oid AND objsubid = 2`,
  ).rows.length > 0;

/**
 * Acts with a share of the lock, if whoever holds it shares it.
 *
 * @returns whether there was anything to do
 */
export async function withShare(address: PostgresAddress, act: () => Promise<boolean>): Promise<boolean> {
  const connection = connect(address);
  try {
    return await joined(connection, act);
  } finally {
    disconnect(connection);
  }
}

/** Takes part in what others do, if they let others; returns whether there was anything to do. */
async function joined(connection: Connection, join: () => Promise<boolean>): Promise<boolean> {
  if (!tryShared(connection)) return false;
  connection.lock = 'shared';
  try {
    return await join();
  } finally {
    connection.lock = 'none';
    unlockShared(connection);
  }
}

/**
 * Acts with the lock shared, and holds it alone again behind it, if it was so before: whoever else takes part has then come to an end,
 * or died. Its turn keeps out whoever would not go on with its work meanwhile. After a failure, as a signal is one, nobody is waited for, and the lock is not held any more.
 */
export async function shareLock<Result>(connection: Connection, act: () => Promise<Result>): Promise<Result> {
  if (connection.lock !== 'exclusive') return await act();
  while (!tryShared(connection)) await pollPause(); // at once: this session may hold both
  unlockExclusive(connection);
  connection.lock = 'shared';
  failpoint('lock', 'shared');
  let result: Result;
  try {
    result = await act();
  } finally {
    connection.lock = 'none';
    unlockShared(connection);
  }
  failpoint('lock', 'left');
  while (!tryExclusive(connection)) await pollPause();
  connection.lock = 'exclusive';
  failpoint('lock', 'taken again');
  return result;
}

/** Who holds the lock, else whoever has its turn, or undefined when it is free by now. */
function holderOf(
  { client, lockKey, turnKey }: Connection,
  keys: readonly LockKey[] = [lockKey, turnKey],
): LockHolder | undefined {
  const [[name, since] = []] = client.query(
    `SELECT a.application_name, to_char(a.backend_start AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')
    FROM pg_locks AS l JOIN pg_stat_activity AS a ON a.pid = l.pid
    WHERE l.locktype = 'advisory' AND l.granted AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
      AND l.classid IN (${keys.map(([lockClass]) => lockClass).join(', ')})
      AND l.objid = (${lockKey[1]}::int8 & 4294967295)::oid AND l.objsubid = 2
    ORDER BY l.classid, a.backend_start LIMIT 1`,
  ).rows;
  const [, pid = '0', host = ''] = /(\d+)@(.*)$/.exec(String(name ?? '')) ?? [];
  if (since === undefined) return undefined;
  return { pid: Number(pid), host, ...(since === null ? {} : { since: String(since) }) }; // null: to another role
}

/** Looks whether a run is under way. */
export function lookAtLock(address: PostgresAddress): LockState {
  const connection = connect(address);
  try {
    const holder = holderOf(connection);
    return holder ? { state: 'held', holder } : { state: 'free' };
  } finally {
    disconnect(connection);
  }
}

function runLocked(holder: LockHolder | undefined): BackfillError {
  const who = holder ? holderText(holder) : 'a process that has just begun';
  return new BackfillError(
    'RUN_LOCKED',
    `Another run holds the lock of this store: ${who}`,
    'Wait until it has ended and run the same command again, or let it wait for longer: --lock-timeout 600',
  );
}
