import { hostname } from 'node:os';
import type { LockHolder } from '../locks.js';
import { type PostgresAddress, urlParameter } from './address.js';

// What a server calls our sessions, so that others can tell which process on which machine has one.

/** Longest name of a session, in bytes: of a longer one PostgreSQL drops the rest. */
const LONGEST_NAME = 63;

/** The name of a session of this process: `umzug-backfill PID@HOST`, after the `application_name` that the URL gives. */
export function sessionName({ url }: PostgresAddress): string {
  const ours = `umzug-backfill ${process.pid}@${hostname()}`.slice(0, LONGEST_NAME);
  const room = Math.max(0, LONGEST_NAME - ours.length - 1);
  // In ASCII: the server replaces what is not, from 16 on by something longer, and cuts the end off.
  const given = (urlParameter(url, 'application_name') ?? '').replace(/[^ -~]/g, '?').slice(0, room);
  return given === '' ? ours : `${given} ${ours}`;
}

/** SQL that is true for the name of a session of ours. */
export const isOurs = (name: string): string => `${name} ~ '(^| )umzug-backfill [0-9]+@'`;

/** SQL that makes ISO-8601 in UTC of an instant. */
export const instantSql = (instant: string): string =>
  `to_char(${instant} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')`;

/** Returns the process that has a session of this name, or undefined if the name is not one of ours. */
export function holderNamed(name: unknown, since: unknown): LockHolder | undefined {
  const [, pid, host] = /(?:^| )umzug-backfill (\d+)@(\S*)/.exec(String(name ?? '')) ?? [];
  if (pid === undefined || host === undefined) return undefined;
  return { pid: Number(pid), host, ...(since === null ? {} : { since: String(since) }) }; // null: to another role
}
