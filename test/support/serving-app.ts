import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setImmediate as turn } from 'node:timers/promises';
import pg from 'pg';
import {
  BackfillError,
  createMigrator,
  defineBackfill,
  defineSchemaStep,
  firstOf,
  sql,
} from '../../src/index.js';
import type { Answer, Order, Serving, Settled, Way } from './serving.js';

// An application that serves HTTP while it migrates its database of PostgreSQL in the same thread. A process of its own: serving.ts.

const { url, way } = JSON.parse(process.argv[2] ?? '') as Serving;

/** The same values, derived in each of the ways. */
const backfills: Record<Way, () => ReturnType<typeof defineBackfill>> = {
  firstOf: () =>
    defineBackfill({ table: 'events', key: 'id', columns: { at: firstOf('body', ['ts'], 'made') } }),
  sql: () => defineBackfill({ table: 'events', key: 'id', columns: { at: sql(`body::json ->> 'ts'`) } }),
  process: () =>
    defineBackfill({
      table: 'events',
      key: 'id',
      columns: ['at'],
      reads: ['body'],
      process: (rows) => rows.map(({ body }) => ({ at: JSON.parse(String(body)).ts })),
    }),
};

const stopper = new AbortController();
const migrator = createMigrator({
  database: url,
  batchRows: 20,
  pace: 'full',
  signal: stopper.signal,
  steps: {
    '001-columns': defineSchemaStep({ table: 'events', columns: { at: 'text' } }),
    '002-at': backfills[way](),
  },
});

let isPending = false;

/** Runs a command, and keeps in mind whether it is under way. */
async function run(command: Order['run']): Promise<Settled> {
  isPending = true;
  try {
    await migrator[command]();
    return {};
  } catch (error) {
    // umzug wraps the error of a step; its code is on both.
    const known = error instanceof Error && error.name === 'MigrationError' ? error.cause : error;
    if (!(known instanceof BackfillError)) throw error;
    return { code: known.code, message: known.message };
  } finally {
    isPending = false;
  }
}

/**
 * Runs a command while a transaction of the application's own pool is open, and goes on with that as soon as the command waits for it.
 * The application finds that out as it would serve a request, so that a command that stops it is never seen to wait.
 */
async function runBeside(
  command: Order['run'],
  [first, second]: readonly [string, string],
): Promise<Settled> {
  const pool = new pg.Pool({ connectionString: url, max: 2 });
  const client = await pool.connect();
  try {
    await client.query('BEGIN');
    await client.query(first);
    const { rows } = await client.query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
    const running = run(command);
    let isBlocking = false;
    while (isPending && !isBlocking) {
      const blocked = await pool.query(
        'SELECT 1 FROM pg_stat_activity WHERE $1 = ANY (pg_blocking_pids(pid))',
        [rows[0]?.pid],
      );
      isBlocking = (blocked.rowCount ?? 0) > 0;
      await turn();
    }
    await client.query(second);
    await client.query('COMMIT');
    const hasCommittedMeanwhile = isBlocking && isPending;
    return { ...(await running), hasCommittedMeanwhile };
  } finally {
    client.release();
    await pool.end();
  }
}

const server = createServer((_, response) => {
  response.end(JSON.stringify({ isPending } satisfies Answer));
}).listen(0, '127.0.0.1');
await once(server, 'listening');
process.on('message', async (order: Order | 'stop') => {
  if (order === 'stop') return stopper.abort('SIGTERM');
  const { run: command, beside } = order;
  process.send?.(await (beside ? runBeside(command, beside) : run(command)));
});
process.send?.((server.address() as AddressInfo).port);
