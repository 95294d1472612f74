import { fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { Agent, request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import Database from 'better-sqlite3';
import { connect, type PostgresServer, withClient } from '../demo/postgres-server.js';
import type { Measured, Order } from './event-loop-app.js';
import { median, root } from './measure.js';
import { administer, onCopy, onServer } from './postgres-store.js';
import type { Row } from './report.js';
import { signalRows } from './signals.js';

/** How late the event loop of an application is that serves HTTP while it migrates its store in the same thread. */

const ROWS = 200_000;
/** Between two requests, in milliseconds: however late the answers come, they go on at this rate. */
const EVERY_MS = 5;
const ALONE_MS = 5000;
const LOCKED_MS = 3000;
const TARGET_BATCH_MS = 40;

const BODY = `'{"kind": "sale", "ts": "2026-01-20T10:00:00.' || n || '", "text": "' || 'xxxxxxxxxxxxxxxxxxxxxxxx' || '", "items": [1, 2, 3]}'`;

/** Sends requests at the rate until it is stopped; at most so many are under way, as with any client's pool. */
function startLoad(port: number): { stop(): void } {
  const agent = new Agent({ keepAlive: true, maxSockets: 100 });
  const startedAt = performance.now();
  let sent = 0;
  const timer = setInterval(() => {
    for (; sent < (performance.now() - startedAt) / EVERY_MS; sent += 1)
      request({ port, agent }, (response) => response.resume())
        .on('error', () => undefined) // those under way at the end
        .end();
  }, EVERY_MS);
  return {
    stop() {
      clearInterval(timer);
      agent.destroy();
    },
  };
}

/** Runs `act` with the application under load; what it is given has one order carried out. */
async function underLoad<Result>(
  args: readonly string[],
  act: (measure: (order: Order) => Promise<Measured>) => Promise<Result>,
): Promise<Result> {
  const app = fork(join(root, 'dist/bench/event-loop-app.js'), args, { cwd: root });
  const closed = once(app, 'close').then(([code]) => {
    throw new Error(`The application has ended with ${code}`);
  });
  closed.catch(() => undefined); // it ends here, too
  const told = async (): Promise<unknown> => (await Promise.race([once(app, 'message'), closed]))[0];
  const load = startLoad(Number(await told()));
  try {
    return await act(async (order) => {
      const answer = told();
      app.send(order);
      return (await answer) as Measured;
    });
  } finally {
    load.stop();
    app.kill('SIGKILL');
    await closed.catch(() => undefined);
  }
}

const perSecond = ({ served, seconds }: Measured): number => served / seconds;

const text = (measured: Measured): string =>
  `p50 ${measured.p50Ms.toFixed(1)}, p99 ${measured.p99Ms.toFixed(1)}, max ${measured.maxMs.toFixed(1)} ms; ${perSecond(measured).toFixed(0)} requests a second in ${measured.seconds.toFixed(1)} s${measured.code === undefined ? '' : `; ${measured.code}`}`;

/** A command beside the same server alone: the middle of the rounds by what was latest. */
function row(what: string, runs: readonly { readonly alone: Measured; readonly ours: Measured }[]): Row {
  const byLatest = [...runs].sort((a, b) => a.ours.maxMs - b.ours.maxMs);
  const { alone, ours } = byLatest[Math.floor(runs.length / 2)] ?? {};
  if (!alone || !ours) throw new Error('Expected a round');
  return {
    what,
    ours: text(ours),
    rival: `${text(alone)} alone`,
    ratio: median(runs.map((run) => perSecond(run.ours) / perSecond(run.alone))),
    target: 'p99 ≤ 20 ms, max ≤ 100 ms',
    isMet: ours.p99Ms <= 20 && ours.maxMs <= 100 && ours.code === undefined,
  };
}

async function makeEvents(server: PostgresServer): Promise<void> {
  await administer(server, 'CREATE DATABASE events');
  await withClient(server.url('events'), async (client) => {
    await client.query(`CREATE TABLE events (id bigint PRIMARY KEY, made text, body text)`);
    await client.query(
      `INSERT INTO events SELECT n, '2026-01-20 10:00:00', ${BODY} FROM generate_series(1, ${ROWS}) AS n`,
    );
    await client.query('VACUUM (ANALYZE)');
  });
}

/** `up`, and then `status` while another session holds the table for a while. */
const round = (server: PostgresServer) =>
  onCopy(server, 'events', (url) =>
    underLoad([url], async (measure) => {
      const alone = await measure({ aloneMs: ALONE_MS });
      const up = await measure({ run: 'up' });
      const other = await connect(url);
      await other.query('BEGIN; LOCK TABLE events');
      const released = sleep(LOCKED_MS).then(() => other.end());
      const status = await measure({ run: 'status' });
      await released;
      return { up: { alone, ours: up }, status: { alone, ours: status } };
    }),
  );

async function postgresLoopRows(server: PostgresServer, rounds: number): Promise<Row[]> {
  await makeEvents(server);
  const runs: Awaited<ReturnType<typeof round>>[] = [];
  for (let i = 0; i < rounds; i += 1) runs.push(await round(server));
  const size = ROWS.toLocaleString('en-US');
  return [
    row(
      `createMigrator().up(), ${size} rows of PostgreSQL: delay of the event loop`,
      runs.map(({ up }) => up),
    ),
    row(
      `status() beside a table lock of ${LOCKED_MS / 1000} s: delay of the event loop`,
      runs.map(({ status }) => status),
    ),
  ];
}

async function sqliteLoopRow(): Promise<Row> {
  const folder = mkdtempSync(join(tmpdir(), 'umzug-backfill-'));
  try {
    const path = join(folder, 'events.db');
    const db = new Database(path);
    db.pragma('journal_mode = WAL');
    db.exec(`CREATE TABLE events (id INTEGER PRIMARY KEY, made TEXT, body TEXT);
      WITH RECURSIVE numbers (n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM numbers WHERE n < ${ROWS})
      INSERT INTO events SELECT n, '2026-01-20 10:00:00', ${BODY} FROM numbers`);
    db.close();
    const { alone, ours } = await underLoad([path, String(TARGET_BATCH_MS)], async (measure) => ({
      alone: await measure({ aloneMs: ALONE_MS }),
      ours: await measure({ run: 'up' }),
    }));
    const { before, batches, behind } = ours.longestMs;
    const longest = `longest pause ${batches.toFixed(0)} ms in batches, ${before.toFixed(0)} before them (checks and DDL), ${behind.toFixed(0)} behind them (verification)`;
    return {
      what: `createMigrator().up(), ${ROWS.toLocaleString('en-US')} rows of SQLite: delay of the event loop`,
      ours: `${longest}; ${text(ours)}`,
      rival: `${text(alone)} alone`,
      ratio: perSecond(ours) / perSecond(alone),
      target: `≤ ${TARGET_BATCH_MS} ms but for DDL`,
      isMet: Math.max(batches, behind) <= TARGET_BATCH_MS,
    };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Measures an application on either engine, and signals to the command line; what needs a server, where one can be started. */
export async function eventLoopRows(rounds: number): Promise<Row[]> {
  const rows = [await sqliteLoopRow()];
  return await onServer(async (server) => [
    ...rows,
    ...(await postgresLoopRows(server, rounds)),
    ...(await signalRows(server)),
  ]);
}
