import { expect } from 'chai';
import { before, describe, it } from 'mocha';
import type pg from 'pg';
import { BackfillError } from '../src/errors.js';
import { dropIndex, makeIndex } from '../src/store/postgres/index-work.js';
import { hasIndex } from '../src/store/postgres/inspect.js';
import { openPostgresStore } from '../src/store/postgres/site.js';
import type { PostgresStore } from '../src/store/postgres/store.js';
import { type TestDatabase, whyNoServer, withDatabase } from './support/postgres-server.js';

const INDEX = {
  name: 'ours',
  table: 'events',
  sql: 'CREATE INDEX "ours" ON "events" ("a") WHERE a IS NOT NULL',
};

const TABLE = `CREATE TABLE events (id serial PRIMARY KEY, a text, b text); INSERT INTO events (a) SELECT i FROM generate_series(1, 999) AS i;
  CREATE TABLE noted (name text PRIMARY KEY)`;

interface Scene extends TestDatabase {
  readonly store: PostgresStore;
  /** What was called, in order. */
  readonly calls: string[];
  readonly make: (waitMs?: number) => void;
  readonly drop: (waitMs?: number) => void;
  /** Names in a table that stands for the ledger. */
  readonly noted: () => string[];
}

const scene = (ddl: string, act: (scene: Scene) => Promise<void> | void): Promise<void> =>
  withDatabase(async (database) => {
    await database.client.query(ddl);
    const store = openPostgresStore({ url: database.url }, { access: 'write' });
    const calls: string[] = [];
    const isDue = (): boolean => {
      calls.push('isDue');
      return !hasIndex(store, 'ours');
    };
    const note = (): void => {
      calls.push('note');
      store.run('INSERT INTO noted VALUES (?) ON CONFLICT DO NOTHING', 'ours');
    };
    const forget = (): void => void store.run('DELETE FROM noted');
    const noted = (): string[] => store.pluck('SELECT name FROM noted');
    const done = (): void => void calls.push(`done: noted ${noted()}, there ${hasIndex(store, 'ours')}`);
    try {
      await act({
        ...database,
        store,
        calls,
        noted,
        make: (waitMs) => makeIndex(store, INDEX, isDue, note, done, waitMs),
        drop: (waitMs) => dropIndex(store, { ...INDEX, sql: 'DROP INDEX "ours"' }, forget, waitMs),
      });
    } finally {
      store.close();
    }
  });

/** Of the indexes called `ours`: schema, and whether it is complete. */
const standing = (store: PostgresStore): { schema: string; valid: number }[] =>
  store.all(`SELECT n.nspname AS schema, i.indisvalid AS valid FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid
    JOIN pg_namespace AS n ON n.oid = c.relnamespace WHERE c.relname = 'ours' ORDER BY 1`);

const isWaiting = `SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE 'CREATE INDEX CONCURRENTLY%'`;

async function until(client: pg.Client, sql: string): Promise<void> {
  while ((await client.query(sql)).rowCount === 0) await new Promise((resolve) => setTimeout(resolve, 5));
}

/** Keeps a table for itself for a while, in a script that the server runs to its end while this thread waits. */
async function holdFor(
  seconds: number,
  { client, connect }: TestDatabase,
): Promise<{ ended: Promise<unknown> }> {
  const holder = await connect();
  const ended = holder.query(
    `BEGIN; LOCK TABLE events IN ROW EXCLUSIVE MODE; SELECT pg_sleep(${seconds}); COMMIT`,
  );
  await until(
    client,
    `SELECT 1 FROM pg_locks WHERE relation = 'events'::regclass AND mode = 'RowExclusiveLock' AND granted`,
  );
  return { ended };
}

/** Leaves what a run leaves that was killed while it made the index. */
async function leaveInvalid({ client, connect }: TestDatabase): Promise<void> {
  const [holder, killed] = [await connect(), await connect()];
  await holder.query('BEGIN; LOCK TABLE events IN ROW EXCLUSIVE MODE');
  const building = killed
    .query(INDEX.sql.replace('INDEX', 'INDEX CONCURRENTLY'))
    .catch((error) => error.code);
  await until(client, isWaiting);
  await client.query(
    `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'CREATE INDEX CONC%' AND pid <> pg_backend_pid()`,
  );
  expect(await building).to.equal('57P01');
  await holder.query('COMMIT');
}

before(function () {
  const why = whyNoServer();
  if (!why) return;
  console.log(`    skipped: ${why}`);
  this.skip();
});

describe('makeIndex of PostgreSQL', () => {
  it('notes the index before it is there, and is done behind it', () =>
    scene(TABLE, ({ store, calls, make, noted }) => {
      make();
      expect(calls).to.deep.equal(['isDue', 'note', 'done: noted ours, there true']);
      expect(noted()).to.deep.equal(['ours']);
      expect(store.pluck('SHOW lock_timeout')).to.deep.equal(['15s']);
    }));

  it('makes and notes nothing where another has made it meanwhile', () =>
    scene(`${TABLE}; CREATE INDEX ours ON events (a)`, ({ calls, make, noted }) => {
      make();
      expect(calls).to.deep.equal(['isDue', 'done: noted , there true']);
      expect(noted()).to.deep.equal([]);
    }));

  it('makes anew what a killed run has left', () =>
    scene(TABLE, async (all) => {
      await leaveInvalid(all);
      expect(standing(all.store)).to.deep.equal([{ schema: 'public', valid: 0 }]);
      all.make();
      expect(standing(all.store)).to.deep.equal([{ schema: 'public', valid: 1 }]);
      expect(all.calls).to.deep.equal(['isDue', 'note', 'done: noted ours, there true']);
    }));

  it('lets others write meanwhile', () =>
    scene(TABLE, async ({ store, client, connect, make }) => {
      const [holder, writer] = [await connect(), await connect()];
      // The server runs this to its end while this thread waits: a writer begins while the index waits, and is not kept.
      const held = holder.query(
        `BEGIN; LOCK TABLE events IN ROW EXCLUSIVE MODE; SELECT pg_sleep(0.7); COMMIT`,
      );
      const wrote = writer.query(`SET lock_timeout = '200ms'; SELECT pg_sleep(0.3);
        INSERT INTO events (a, b) SELECT 'new', EXISTS (${isWaiting})::text`);
      await until(
        client,
        `SELECT 1 FROM pg_stat_activity WHERE query LIKE 'SET lock%' AND wait_event = 'PgSleep'`,
      );
      make();
      await Promise.all([held, wrote]);
      expect(store.pluck(`SELECT b FROM events WHERE a = 'new'`)).to.deep.equal(['true']);
    }));

  it('tries again while another keeps a lock for longer than it waits, and leaves nothing behind', () =>
    scene(TABLE, async (all) => {
      const held = await holdFor(1.2, all);
      const startedAt = performance.now();
      all.make(300);
      expect(performance.now() - startedAt).to.be.greaterThan(600); // two tries have failed
      await held.ended;
      expect(standing(all.store)).to.deep.equal([{ schema: 'public', valid: 1 }]);
      expect(all.calls, 'noted once').to.deep.equal(['isDue', 'note', 'done: noted ours, there true']);
      expect(all.store.pluck('SHOW lock_timeout')).to.deep.equal(['15s']);
    }));

  it('gives up after a bounded time, with the index known and not there', function () {
    this.timeout(60_000);
    return scene(TABLE, async ({ store, connect, make, noted, calls }) => {
      const holder = await connect();
      await holder.query('BEGIN; LOCK TABLE events IN ROW EXCLUSIVE MODE');
      const startedAt = performance.now();
      expect(() => make(1000))
        .to.throw()
        .that.has.property('code', 'POSTGRES_55P03');
      expect(performance.now() - startedAt).to.be.lessThan(45_000);
      expect(noted()).to.deep.equal(['ours']);
      expect(calls).to.deep.equal(['isDue', 'note']);
      await holder.query('COMMIT');
      make();
      expect(standing(store)).to.deep.equal([{ schema: 'public', valid: 1 }]);
    });
  });

  it('leaves nothing behind when the index can not be made', () =>
    scene(`${TABLE}; INSERT INTO events (a) VALUES ('no number')`, ({ store, calls }) => {
      const sql = 'CREATE INDEX "ours" ON "events" ((a::int))';
      const make = (): void =>
        makeIndex(
          store,
          { ...INDEX, sql },
          () => true,
          () => calls.push('note'),
          () => calls.push('done'),
        );
      expect(make).to.throw().that.has.property('code', 'POSTGRES_22P02');
      expect(standing(store)).to.deep.equal([]);
      expect(calls).to.deep.equal(['note']);
    }));

  it('refuses what PostgreSQL leaves incomplete', () =>
    scene(TABLE, ({ store, calls }) => {
      // A statement that succeeds and makes nothing of the name.
      const sql = 'CREATE INDEX "theirs" ON "events" ("a")';
      const make = (): void =>
        makeIndex(
          store,
          { ...INDEX, sql },
          () => true,
          () => undefined,
          () => calls.push('done'),
        );
      expect(make).to.throw(BackfillError).that.has.property('code', 'STORE_REFUSED');
      expect(calls).to.deep.equal([]);
    }));

  it('leaves an incomplete index of the name alone that belongs to another table', () =>
    scene(TABLE, async ({ client, store, make }) => {
      await client.query(`CREATE TABLE others (a int); INSERT INTO others VALUES (1), (1)`);
      await client.query('CREATE UNIQUE INDEX CONCURRENTLY ours ON others (a)').catch(() => undefined);
      expect(make).to.throw().that.has.property('code', 'POSTGRES_42P07');
      expect(standing(store)).to.deep.equal([{ schema: 'public', valid: 0 }]);
    }));

  it('makes the index of a table with partitions in one transaction', () =>
    scene(
      `CREATE TABLE events (id int, a text) PARTITION BY LIST (id); CREATE TABLE part PARTITION OF events DEFAULT;
      CREATE TABLE noted (name text PRIMARY KEY)`,
      ({ store, calls, make, drop, noted }) => {
        make();
        expect(calls).to.deep.equal(['isDue', 'note', 'done: noted ours, there true']);
        expect(store.pluck(`SELECT count(*) FROM pg_indexes WHERE tablename = 'part'`)).to.deep.equal([1]);
        drop();
        expect(
          store.pluck('SELECT count(*) FROM pg_indexes WHERE tablename IN (?, ?)', 'part', 'events'),
        ).to.deep.equal([0]);
        expect(noted()).to.deep.equal([]);
      },
    ));
});

describe('dropIndex of PostgreSQL', () => {
  it('drops the index and forgets it, complete or not, there or not', () =>
    scene(TABLE, async (all) => {
      all.make();
      all.drop();
      expect([standing(all.store), all.noted()]).to.deep.equal([[], []]);
      await leaveInvalid(all);
      all.store.run('INSERT INTO noted VALUES (?)', 'ours');
      all.drop();
      expect([standing(all.store), all.noted()]).to.deep.equal([[], []]);
      all.store.run('INSERT INTO noted VALUES (?)', 'ours');
      all.drop();
      expect(all.noted()).to.deep.equal([]);
    }));

  it('drops that of the table, where the search path finds another of the name first', () =>
    scene(
      `CREATE SCHEMA ahead; CREATE TABLE ahead.others (a text); CREATE INDEX ours ON ahead.others (a); ${TABLE}`,
      ({ store, make, drop }) => {
        make();
        store.exec('SET search_path = ahead, public');
        drop();
        expect(standing(store)).to.deep.equal([{ schema: 'ahead', valid: 1 }]);
      },
    ));

  it('tries again while another keeps a lock for longer than it waits', () =>
    scene(TABLE, async (all) => {
      all.make();
      const held = await holdFor(1, all);
      all.drop(300);
      await held.ended;
      expect([standing(all.store), all.noted()]).to.deep.equal([[], []]);
    }));
});
