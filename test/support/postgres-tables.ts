import { expect } from 'chai';
import type pg from 'pg';
import { BackfillError } from '../../src/index.js';
import { withEmptiedDatabase } from './emptied-database.js';
import { readPgLedger } from './ledger.js';
import { type DatabaseOptions, sharedServer, withDatabase } from './postgres-server.js';
import { commandsOf, type Extra, type Outcome, type PlanJson, projectOf, type Step } from './project.js';

// Tables of a test's own on PostgreSQL, made by SQL, and the commands of a project on them.

const tablesOf = (url: string, client: pg.Client) => ({
  url,
  client,
  /** Runs SQL, as the application would. */
  exec: (sql: string): Promise<unknown> => client.query(sql),
  /** The rows of a query, as arrays. */
  rows: async (text: string, parameters: readonly unknown[] = []): Promise<unknown[][]> =>
    (await client.query({ text, values: [...parameters], rowMode: 'array' })).rows,
  ledger: () => readPgLedger(client),
  /** The commands of a project of these steps; `to` leads to the database by another way. */
  of: (steps: readonly Step[], to = url, extra?: Extra) =>
    commandsOf(projectOf(steps), { path: to, postgres: { url: to } }, extra),
});

/** A database that holds them. */
export type Tables = ReturnType<typeof tablesOf>;

/** Runs `act` with tables in a database that is empty else; with options, in one of its own. */
export async function withPgTables(
  ddl: string,
  act: (tables: Tables) => Promise<void>,
  options?: DatabaseOptions,
): Promise<void> {
  const on = async ({ url, client }: Pick<Tables, 'url' | 'client'>): Promise<void> => {
    await client.query(ddl);
    await act(tablesOf(url, client));
  };
  await (options ? withDatabase(on, options) : withEmptiedDatabase(on));
}

/** The error by which a command ended, before it had begun or behind that. */
export async function refusalOf(code: string, command: Promise<Outcome | PlanJson>): Promise<BackfillError> {
  const error: unknown = await command.then(
    ({ error }) => error,
    (error) => error,
  );
  if (error instanceof BackfillError && error.code === code) return error;
  throw error ?? new Error(`Expected ${code}, and nothing was refused`);
}

/** Insists that a command ends well. */
export async function succeed<Result extends Outcome>(command: Promise<Result>): Promise<Result> {
  const outcome = await command;
  expect(outcome.error?.message).to.equal(undefined);
  return outcome;
}

/** The code of an error that PostgreSQL itself answers with; undefined where it does as it is told. */
export const sqlState = (client: pg.ClientBase, sql: string): Promise<string | undefined> =>
  client.query(sql).then(
    () => undefined,
    (error: { readonly code?: string }) => error.code ?? String(error),
  );

/** Skips a test where the server is older, by `server_version_num`. */
export async function needVersion(test: Mocha.Context, since: number): Promise<void> {
  const { version } = await sharedServer();
  if (version >= since) return;
  console.log(`    skipped: the server is ${version}, and ${since} is needed`);
  test.skip();
}
