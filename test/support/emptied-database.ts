import { after } from 'mocha';
import pg from 'pg';
import { openPostgresStore } from '../../src/store/postgres/site.js';
import type { PostgresStore } from '../../src/store/postgres/store.js';
import { type PostgresServer, sharedServer } from './postgres-server.js';

// One database for many stores in turn, each of which begins with an empty one: to make a database, and to open a connection in
// TypeScript, takes longer than most of what is done with a store.

/** A database that is empty. */
export interface EmptiedDatabase {
  readonly server: PostgresServer;
  readonly url: string;
  /** A connection of another program. */
  readonly client: pg.Client;
}

interface Held extends EmptiedDatabase {
  /** Keeps a connection of ours open, which those that are opened meanwhile share. */
  readonly kept: PostgresStore;
}

let held: Held | undefined;

async function close(): Promise<void> {
  held?.kept.close();
  await held?.client.end();
  held = undefined;
}

after(close); // at the end of all files; the server ends with this process

async function make(): Promise<Held> {
  const server = await sharedServer();
  const name = `test_emptied_${process.pid}_${Date.now()}`;
  const admin = new pg.Client({ connectionString: server.url('postgres') });
  await admin.connect();
  await admin.query(`CREATE DATABASE ${name}`);
  await admin.end();
  const url = server.url(name);
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  return { server, url, client, kept: openPostgresStore({ url }, { access: 'look' }) };
}

/** Runs `act` with an empty database. One in which it fails is not used again. */
export async function withEmptiedDatabase<Result>(
  act: (database: EmptiedDatabase) => Promise<Result>,
): Promise<Result> {
  held ??= await make();
  await held.client.query('DROP SCHEMA public CASCADE; CREATE SCHEMA public');
  try {
    return await act(held);
  } catch (error) {
    await close();
    throw error;
  }
}
