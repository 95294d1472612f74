import { randomBytes } from 'node:crypto';
import pg from 'pg';
import {
  connect,
  type PostgresServer,
  startServer,
  urlsOf,
  whyNoServer,
  withClient,
} from '../../demo/postgres-server.js';

export * from '../../demo/postgres-server.js';

// What tests do with a server: one for all of them, with a database of its own for each.

/** Skips a test, or with `before` a whole `describe`, where no server can be started; the end of the run says why (fixtures.ts). */
export function needServer(test: Mocha.Context): void {
  if (whyNoServer() !== undefined) test.skip();
}

let shared: Promise<PostgresServer> | undefined;

/** The one server of this run of tests (fixtures.ts), or of this process, started when it is first asked for. Nobody stops it. */
export function sharedServer(): Promise<PostgresServer> {
  shared ??= serverOfRun() ?? startServer();
  return shared;
}

function serverOfRun(): Promise<PostgresServer> | undefined {
  const facts = process.env.UMZUG_BACKFILL_TEST_SERVER;
  if (!facts) return undefined;
  const server = JSON.parse(facts) as Omit<PostgresServer, 'url' | 'stop'>;
  const stop = (): never => {
    throw new Error('Expected a test to leave the server of all tests running');
  };
  return Promise.resolve({ ...server, url: urlsOf(server.port), stop });
}

export interface DatabaseOptions {
  /** Default: the shared one. */
  readonly server?: PostgresServer;
  /** The database that it is a copy of. */
  readonly template?: string;
  /** What it has otherwise than `template0`, as CREATE DATABASE names it: `{ LC_COLLATE: 'C' }`. */
  readonly template0?: Readonly<Record<string, string>>;
}

/** A database of its own. */
export interface TestDatabase {
  readonly server: PostgresServer;
  readonly name: string;
  readonly url: string;
  /** A connection of another program. */
  readonly client: pg.Client;
  /** Another such connection, ended with the first. */
  connect(): Promise<pg.Client>;
}

/** Runs `act` with a new database, and drops it whatever happens. */
export async function withDatabase<Result>(
  act: (database: TestDatabase) => Promise<Result> | Result,
  { server: given, template0, template = template0 ? 'template0' : 'template1' }: DatabaseOptions = {},
): Promise<Result> {
  const server = given ?? (await sharedServer());
  const name = `test_${randomBytes(6).toString('hex')}`;
  const differing = Object.entries(template0 ?? {}).map(
    ([key, value]) => ` ${key} ${pg.escapeLiteral(value)}`,
  );
  const administer = (sql: string) => withClient(server.url('postgres'), (client) => client.query(sql));
  await administer(`CREATE DATABASE ${name} TEMPLATE ${template}${differing.join('')}`);
  const clients: pg.Client[] = [];
  const url = server.url(name);
  const another = async () => {
    const client = await connect(url);
    clients.push(client);
    return client;
  };
  try {
    return await act({ server, name, url, client: await another(), connect: another });
  } finally {
    await Promise.allSettled(clients.map((client) => client.end()));
    await administer(`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`);
  }
}

/** The first column of a query, as text. */
export async function column(client: pg.ClientBase, sql: string, values: unknown[] = []): Promise<string[]> {
  const { rows } = await client.query<unknown[]>({ text: sql, values, rowMode: 'array' });
  return rows.map(([value]) => String(value));
}
