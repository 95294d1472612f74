import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import type pg from 'pg';
import { OURS, until } from './postgres-runs.js';
import { column, type PostgresServer } from './postgres-server.js';

// Statements of ours that wait in the server for a lock of another session, and what becomes of them.

/** Settings of a server whose log says which session's statement failed, and why. */
export const TELLING = { log_min_messages: 'error', log_line_prefix: '%a|' } as const;

/** Each statement of ours that waits for a lock: the same text as long as it is the same statement. */
export const lockWaits = (client: pg.ClientBase): Promise<string[]> =>
  column(client, `SELECT pid || ' since ' || query_start ${OURS} AND wait_event_type = 'Lock'`);

/** Waits until a statement of ours waits for a lock. */
export const untilLockWait = (client: pg.ClientBase): Promise<void> =>
  until('a statement of ours to wait for a lock', async () => (await lockWaits(client)).length > 0);

/** Waits until the server has no session of this process any more. */
export const untilGone = (client: pg.ClientBase, pid: number): Promise<void> =>
  until(
    `the sessions of process ${pid} to be gone`,
    async () =>
      (
        await column(
          client,
          `SELECT pid FROM pg_stat_activity WHERE application_name LIKE '%umzug-backfill ${pid}@%'`,
        )
      ).length === 0,
  );

/** What a server of {@link TELLING} settings has logged. */
export const logOf = ({ dataFolder }: PostgresServer): string =>
  readFileSync(join(dataFolder, '../log'), 'utf8');

const linesOf = (log: string, pid: number): string[] =>
  log.split('\n').filter((line) => line.includes(`umzug-backfill ${pid}@`));

/** Statements of a process that have given up waiting by themselves, in a piece of the log. */
export const timedOut = (log: string, pid: number): string[] =>
  linesOf(log, pid).filter((line) => /due to (?:lock|statement) timeout/.test(line));

/**
 * Insists that no statement of a process that has just ended is left in the server to wait on, blocking whoever comes behind it: that
 * its time was up, or that the server found its client gone, would be in the log behind what stood there when the process ended. The
 * latter may also follow the cancelling, where its answer was not waited for.
 */
export async function expectNoneLeft(
  { server, client }: { readonly server: PostgresServer; readonly client: pg.ClientBase },
  pid: number,
  logAtEnd: string,
): Promise<void> {
  await untilGone(client, pid);
  const log = logOf(server);
  const behind = log.slice(logAtEnd.length);
  const isCancelled = linesOf(log, pid).some((line) => line.includes('due to user request'));
  const lost = linesOf(behind, pid).filter((line) => line.includes('connection to client lost'));
  const outlived = [...timedOut(behind, pid), ...(isCancelled ? [] : lost)];
  expect(outlived, 'statements that went on waiting when their process had ended').to.deep.equal([]);
}
