import { after } from 'mocha';
import { createMigrator, defineSqlStep } from '../../src/index.js';
import { connect, sharedServer, withClient } from './postgres-server.js';

// One database for many stores in turn, each of which begins with an empty one: to make a database, and to connect a command to it,
// takes longer than most of what is done with a store.

let held: Awaited<ReturnType<typeof make>> | undefined;

async function close(): Promise<void> {
  await held?.end();
  await held?.client.end();
  held = undefined;
}

after(close); // at the end of all files; the server ends with this process

/** The database, a connection of another program, and the end of the command whose connection those of this process share. */
async function make() {
  const server = await sharedServer();
  const name = `test_emptied_${process.pid}_${Date.now()}`;
  await withClient(server.url('postgres'), (admin) => admin.query(`CREATE DATABASE ${name}`));
  const url = server.url(name);
  const client = await connect(url);
  return { url, client, end: await keepConnected(url) };
}

/** Releases the run lock at the end of the transaction: until then a step that has none is refused. */
const UNLOCKED = [
  'CREATE TABLE kept (id integer)',
  `CREATE FUNCTION unlock() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN PERFORM pg_advisory_unlock_all(); RETURN NULL; END $$`,
  'CREATE CONSTRAINT TRIGGER unlock AFTER INSERT ON kept INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION unlock()',
  'INSERT INTO kept VALUES (1)',
];

/** Leaves a command under way: what this process does with the database meanwhile needs no connection of its own. It has no lock. */
async function keepConnected(url: string): Promise<() => Promise<void>> {
  const migrator = createMigrator({
    database: url,
    steps: { keep: defineSqlStep({ up: UNLOCKED }) },
  });
  let end = (): void => undefined;
  const ended = new Promise<never>((_, reject) => {
    end = () => reject(new Error('The tests have ended'));
  });
  const begun = new Promise<void>((resolve) => {
    migrator.on('migrated', () => {
      resolve();
      return ended;
    });
  });
  const command = migrator.up();
  await Promise.race([begun, command]);
  return async () => {
    end();
    await command.catch(() => undefined);
  };
}

export type EmptiedDatabase = Pick<Awaited<ReturnType<typeof make>>, 'url' | 'client'>;

/** Runs `act` with an empty database. One in which it fails is not used again. */
export async function withEmptiedDatabase<Result>(act: (database: EmptiedDatabase) => Promise<Result>) {
  held ??= await make();
  await held.client.query('DROP SCHEMA public CASCADE; CREATE SCHEMA public');
  try {
    return await act(held);
  } catch (error) {
    await close();
    throw error;
  }
}
