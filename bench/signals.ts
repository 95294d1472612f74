import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import { connect, type PostgresServer } from '../demo/postgres-server.js';
import { startProxy } from '../demo/silent-proxy.js';
import { commandLine, run } from './logged.js';
import { root } from './measure.js';
import { copyDatabase, makeDatabase, onCopy } from './postgres-store.js';
import type { Row } from './report.js';

/** How long after SIGTERM a command has ended that waits for somebody else, and how long the server still has a session of it. */

const TARGET_MS = 100;
/** By then a command is given up, and ended. */
const GIVE_UP_MS = 20_000;

interface Wait {
  readonly on: 'audits' | 'columns' | 'filled';
  readonly args: readonly string[];
  /** What the transaction of another session begins with, and holds. */
  readonly begin?: string;
  readonly holds: string;
  /** Whether nothing comes from the server any more when the signal does. */
  readonly isSilent?: boolean;
}

const TABLE = 'LOCK TABLE task_audits';
const USE = 'LOCK TABLE task_audits IN ACCESS SHARE MODE';
const ROWS = 'SELECT FROM task_audits FOR UPDATE';

const waits: Readonly<Record<string, Wait>> = {
  '`up` waits to make columns': { on: 'audits', args: ['up'], holds: USE },
  '`up` waits to make an index': {
    on: 'audits',
    args: ['up'],
    begin: 'BEGIN ISOLATION LEVEL REPEATABLE READ',
    holds: 'SELECT 1',
  },
  'a batch of `up` waits for rows': { on: 'columns', args: ['up'], holds: ROWS },
  'batches of two workers wait for rows': { on: 'columns', args: ['up', '--workers', '2'], holds: ROWS },
  'a batch of `down` waits for rows': { on: 'filled', args: ['down'], holds: ROWS },
  '`verify` waits for the table': { on: 'filled', args: ['verify'], holds: TABLE },
  '`status` waits for the table': { on: 'filled', args: ['status'], holds: TABLE },
  'a batch of `up` waits for a server that is silent': {
    on: 'columns',
    args: ['up'],
    holds: ROWS,
    isSilent: true,
  },
  '`status` waits for a server that is silent': {
    on: 'filled',
    args: ['status'],
    holds: TABLE,
    isSilent: true,
  },
};

const OURS = `FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE '%umzug-backfill %'`;

/** Waits until a query finds so much; false when it is given up. */
async function until(client: pg.ClientBase, sql: string, finds: (rows: number) => boolean): Promise<boolean> {
  const giveUpAt = performance.now() + GIVE_UP_MS;
  while (performance.now() < giveUpAt) {
    if (finds((await client.query(sql)).rowCount ?? 0)) return true;
    await sleep(1);
  }
  return false;
}

/** Starts a command; when it waits for what `isThere` tells, sends the signal, and returns when it has ended. */
async function signalled(args: readonly string[], isThere: () => Promise<void>) {
  const child = spawn(process.execPath, args, { cwd: root, stdio: 'ignore' });
  const exited = once(child, 'exit');
  await isThere();
  const sentAt = performance.now();
  child.kill('SIGTERM');
  const giveUp = setTimeout(() => child.kill('SIGKILL'), GIVE_UP_MS);
  const [code, signal] = await exited;
  clearTimeout(giveUp);
  return { sentAt, endedMs: performance.now() - sentAt, how: String(code ?? signal) };
}

async function measure(server: PostgresServer, what: string, wait: Wait): Promise<Row> {
  return await onCopy(server, wait.on, async (url) => {
    const [client, other, way] = [await connect(url), await connect(url), await startProxy(server)];
    try {
      await other.query(wait.begin ?? 'BEGIN');
      await other.query(wait.holds);
      const args = commandLine(wait.isSilent ? way.through(url) : url, wait.args);
      const { sentAt, endedMs, how } = await signalled(args, async () => {
        if (!(await until(client, `SELECT 1 ${OURS} AND wait_event_type = 'Lock'`, (rows) => rows > 0)))
          throw new Error(`Expected it to be so: ${what}`);
        if (wait.isSilent) way.silence();
      });
      const isGone = !wait.isSilent && (await until(client, `SELECT 1 ${OURS}`, (rows) => rows === 0));
      const goneMs = performance.now() - sentAt;
      const session = wait.isSilent
        ? ''
        : `; no session after ${isGone ? `${goneMs.toFixed(0)} ms` : 'the wait'}`;
      return {
        what: `SIGTERM where ${what}`,
        ours: `ended after ${endedMs.toFixed(0)} ms (${how})${session}`,
        rival: '',
        target: `≤ ${TARGET_MS} ms`,
        isMet: how !== 'SIGKILL' && endedMs <= TARGET_MS && (wait.isSilent === true || goneMs <= TARGET_MS),
      };
    } finally {
      await Promise.allSettled([client.end(), other.end(), way.end()]);
    }
  });
}

/** A server that takes the connection and never says a word. */
async function silentFromTheStart(): Promise<Row> {
  const silent = createServer(() => undefined).listen(0, '127.0.0.1');
  await once(silent, 'listening');
  const { port } = silent.address() as { readonly port: number };
  const url = `postgres://nobody@127.0.0.1:${port}/nothing`;
  const { endedMs, how } = await signalled(commandLine(url, ['up']), async () => {
    await once(silent, 'connection');
  });
  silent.close();
  return {
    what: 'SIGTERM where `up` waits for a silent server to let it in',
    ours: `ended after ${endedMs.toFixed(0)} ms (${how})`,
    rival: '',
    target: `≤ ${TARGET_MS} ms`,
    isMet: how !== 'SIGKILL' && endedMs <= TARGET_MS,
  };
}

/** Two commands, of which one holds the run lock for a statement that waits. */
async function runLocked(server: PostgresServer): Promise<Row> {
  return await onCopy(server, 'audits', async (url) => {
    const other = await connect(url);
    const client = await connect(url);
    await other.query(`BEGIN; ${USE}`);
    const holder = spawn(process.execPath, commandLine(url, ['up']), { cwd: root, stdio: 'ignore' });
    const held = once(holder, 'exit');
    try {
      await until(client, `SELECT 1 ${OURS} AND wait_event_type = 'Lock'`, (rows) => rows > 0);
      const child = spawn(process.execPath, commandLine(url, ['up']), {
        cwd: root,
        stdio: ['ignore', 'ignore', 'pipe'],
      });
      const exited = once(child, 'exit');
      for await (const text of child.stderr.setEncoding('utf8'))
        if (String(text).includes('"event":"lock_waiting"')) break;
      const sentAt = performance.now();
      child.kill('SIGTERM');
      const [code, signal] = await exited;
      const endedMs = performance.now() - sentAt;
      return {
        what: 'SIGTERM where `up` waits for another run',
        ours: `ended after ${endedMs.toFixed(0)} ms (${String(code ?? signal)})`,
        rival: '',
        target: `≤ ${TARGET_MS} ms`,
        isMet: endedMs <= TARGET_MS,
      };
    } finally {
      holder.kill('SIGKILL');
      await held;
      await Promise.allSettled([client.end(), other.end()]);
    }
  });
}

/** Measures a signal in each wait, on small databases. */
export async function signalRows(server: PostgresServer): Promise<Row[]> {
  await makeDatabase(server, 'audits', { audits: 1000 });
  await copyDatabase(server, 'audits', 'columns');
  await run(server.url('columns'), 'up', '--step', '1');
  await copyDatabase(server, 'columns', 'filled');
  await run(server.url('filled'), 'up');
  const rows: Row[] = [];
  for (const [what, wait] of Object.entries(waits)) rows.push(await measure(server, what, wait));
  return [...rows, await runLocked(server), await silentFromTheStart()];
}
