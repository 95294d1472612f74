import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from 'chai';
import { before } from 'mocha';
import type pg from 'pg';
import { type CliResult, type SpawnOptions, spawnCli } from './cli.js';
import {
  column,
  type PostgresServer,
  sharedServer,
  type TestDatabase,
  whyNoServer,
  withClient,
  withDatabase,
} from './postgres-server.js';
import { loadFromSqlite } from './postgres-stores.js';
import { schemaStep, withGeneratedStore } from './stores.js';

// Runs of the command line on copies of one database of PostgreSQL.

export interface CopyOptions {
  readonly audits: number;
  /** Rows of other events around each row of the store; from 20,000 on a run is cut into ranges. Default 0. */
  readonly others?: number;
  readonly smallSchema?: boolean;
  /** SQL that changes it before it is copied. */
  readonly prepare?: string;
  /** A command that is run on it before it is copied. */
  readonly run?: readonly [command: string, ...more: string[]];
  /** Default: the shared one. */
  readonly server?: () => Promise<PostgresServer>;
}

/** The database of the enclosing `describe`, and what acts on a copy of it. Without a server its tests are to be skipped. */
export function useCopies({ server = sharedServer, ...options }: CopyOptions) {
  let template = '';
  before(async () => {
    if (whyNoServer() === undefined) template = await templateOn(await server(), options);
  });
  return async <Result>(act: (copy: TestDatabase) => Promise<Result> | Result): Promise<Result> =>
    withDatabase(act, { server: await server(), template });
}

const templates = new Map<string, Promise<string>>();

/** Name of a database that copies are made of; it ends with its server, and whoever wants the same before gets the same. */
function templateOn(server: PostgresServer, options: CopyOptions): Promise<string> {
  const key = JSON.stringify([server.port, options]);
  const make = async (): Promise<string> => {
    const name = `template_${randomBytes(6).toString('hex')}`;
    await withClient(server.url('postgres'), (client) => client.query(`CREATE DATABASE ${name}`));
    await withClient(server.url(name), (client) => load(client, options));
    if (options.run) await runOn(server.url(name), ...options.run);
    return name;
  };
  const made = templates.get(key) ?? make();
  templates.set(key, made);
  return made;
}

async function load(
  client: pg.Client,
  { audits, others = 0, smallSchema = true, prepare = '' }: CopyOptions,
): Promise<void> {
  await withGeneratedStore({ audits, rareShare: 0.1, smallSchema }, (path) => loadFromSqlite(path, client));
  if (others > 0) {
    const every = others + 1;
    // In two steps: a key must not meet one that stands.
    await client.query(`UPDATE task_audits SET audit_id = -${every} * audit_id`);
    await client.query('UPDATE task_audits SET audit_id = -audit_id');
    await client.query(
      `INSERT INTO task_audits (audit_id, event_type, payload, created_at)
      SELECT n, 'TASK_STARTED', '{}', '2026-01-20 10:00:00' FROM generate_series(1, ${every * audits}) AS n WHERE n % ${every} <> 0`,
    );
  }
  if (prepare !== '') await client.query(prepare);
  await client.query('VACUUM ANALYZE');
}

/** Enough rows for a run to be cut into ranges: some 1,050 in scope, and some 130 batches of 10. */
export const MANY = { audits: 1500, others: 13 } as const;

/** The columns are there, and the fill is all that is left. */
export const V21 = { run: ['up', '--to', schemaStep.name] } as const;

/** Arguments of a command on a database, in batches of 10 rows, without pauses. */
export const argsOn = (url: string, command: string, ...more: readonly string[]): string[] => [
  command,
  ...['--database-url', url, '--batch-size', '10', '--pace', 'full'],
  ...more,
];

/** Runs a command as {@link argsOn} gives it; it must end with 0. */
export async function runOn(url: string, command: string, ...more: readonly string[]): Promise<CliResult> {
  const result = await spawnCli(argsOn(url, command, ...more));
  expect(result.code, `${command} ${more.join(' ')}\n${result.stdout}${result.stderr}`).to.equal(0);
  return result;
}

/** Takes everything back. */
export const downOn = (url: string): Promise<CliResult> => runOn(url, 'down', '--to', '0', '--yes');

/** Starts a command that tells all that it does. */
export function start(args: readonly string[], options: SpawnOptions = {}) {
  let [stderr, pid, hasEnded] = ['', 0, false];
  const onStderr: SpawnOptions['onStderr'] = (text, child) => {
    [stderr, pid] = [text, child.pid ?? 0];
    options.onStderr?.(text, child);
  };
  const result = spawnCli([...args, '--log-level', 'debug'], { ...options, onStderr }).finally(() => {
    hasEnded = true;
  });
  result.catch(() => undefined); // whoever waits for it is told
  /** Waits until the log holds a text; fails when it has ended before. */
  const told = (text: string): Promise<void> =>
    until(`the log to hold ${text}`, () => {
      if (!stderr.includes(text) && hasEnded) throw new Error(`Expected ${text} in the log:\n${stderr}`);
      return stderr.includes(text);
    });
  return { result, told, pid: async (): Promise<number> => told('"').then(() => pid) };
}

/** A command under way. */
export type Running = ReturnType<typeof start>;

/** Waits until a condition holds; not for ever. */
export async function until(what: string, holds: () => Promise<boolean> | boolean): Promise<void> {
  const giveUpAt = performance.now() + 60_000;
  while (!(await holds())) {
    if (performance.now() > giveUpAt) throw new Error(`Waited for ${what}, and it did not come`);
    await sleep(5);
  }
}

/** Waits until a query gives a row. */
export const untilFound = (client: pg.ClientBase, sql: string): Promise<void> =>
  until(sql, async () => ((await client.query(sql)).rowCount ?? 0) > 0);

/** Connections of ours to the database of `client`. */
export const OURS = `FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'umzug-backfill %'`;

/** Sessions that a command has for its whole work: of several workers the one that leads. They have their turn, as src/db/postgres/lock.ts has it. */
export const LEADING = `SELECT l.pid FROM pg_locks AS l JOIN pg_database AS d ON d.oid = l.database
  WHERE d.datname = current_database() AND l.locktype = 'advisory' AND l.classid = 1970109032`;

/** Waits until no process of ours is connected any more: the server has rolled back what a killed one had begun. */
export const untilAlone = (client: pg.ClientBase): Promise<void> =>
  until('all connections to be gone', async () => (await column(client, `SELECT pid ${OURS}`)).length === 0);

/** Whether a process is there. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false;
    throw error;
  }
}

/**
 * Lets no session of ours fill anything, be there columns already, until so many wait for it: so all of them take part in one run.
 *
 * @returns what waits for them, lets them go on, and gives their processes, each once
 */
export async function holdBack({
  client,
  connect,
}: TestDatabase): Promise<(count: number) => Promise<number[]>> {
  const holder = await connect();
  await holder.query('BEGIN; SELECT FROM task_audits FOR UPDATE');
  return async (count) => {
    const seen = new Map<string, number>(); // by session
    await until(`${count} sessions to wait`, async () => {
      const waiting = await column(
        client, // a transaction sees one state of the activity
        `SELECT pid || ' ' || substring(application_name FROM '(\\d+)@') ${OURS} AND wait_event_type = 'Lock' AND query LIKE 'WITH read_rows%'`,
      );
      for (const found of waiting) seen.set(found, Number(found.split(' ')[1]));
      return seen.size >= count;
    });
    await holder.query('ROLLBACK');
    return [...new Set(seen.values())];
  };
}
