import { expect } from 'chai';
import { before, describe, it } from 'mocha';
import { defineSchemaStep } from '../src/index.js';
import { dumpPgStore } from './support/postgres-dump.js';
import { errorOf, migratorOn, TABLE, told } from './support/postgres-events.js';
import {
  column,
  needServer,
  sharedServer,
  type TestDatabase,
  withDatabase,
} from './support/postgres-server.js';

// What a server refuses to a program, before the first change of a store, and of its ledger.

describe('a server that takes no writes', () => {
  before(function () {
    needServer(this);
  });

  const steps = {
    '001-column': defineSchemaStep({
      table: 'events',
      columns: { seen: 'text' },
      indexes: { events_seen: { columns: ['seen'] } },
    }),
    '002-told': told,
  };

  it('is refused before the first change, by `up`, `down` and `backfill`, and only read', () =>
    withDatabase(async ({ name, url, client, connect }) => {
      await client.query(TABLE);
      const all = migratorOn(url, steps);
      const set = (value: string) =>
        client.query(`ALTER DATABASE ${name} SET default_transaction_read_only = ${value}`);
      const whole = async () => {
        const { schema, tables } = await dumpPgStore(await connect());
        return { schema, tables };
      };
      const fresh = await whole();
      await set('on');
      const { code, message } = await errorOf(all.up());
      expect([code, message]).to.deep.equal([
        'STORE_READONLY',
        'The server is read-only: default_transaction_read_only is on',
      ]);
      expect(await whole()).to.deep.equal(fresh);
      expect((await all.status()).isPending).to.equal(true);
      await set('off');
      await migratorOn(url, steps).up();
      const filled = await whole();
      await client.query(`INSERT INTO events (id, body) VALUES (1000, 'x')`);
      const later = await whole();
      await set('on');
      for (const act of [() => all.up(), () => all.down(), () => all.backfill()])
        expect((await errorOf(act())).code).to.equal('STORE_READONLY');
      expect(await whole()).to.deep.equal(later);
      expect((await all.verify()).map(({ backfill }) => backfill)).to.deep.equal(['002-told']);
      await set('off');
      await client.query('DELETE FROM events WHERE id = 1000');
      expect(await whole()).to.deep.equal(filled);
    }));

  it('is refused before the first change where the role may make no temporary function that it needs', async function () {
    if ((await sharedServer()).version >= 160_000) return this.skip(); // a newer one needs none
    await withDatabase(async ({ name, url, client }) => {
      const role = `owner_${name}`;
      await client.query(`${TABLE}; CREATE ROLE ${role} LOGIN; ALTER TABLE events OWNER TO ${role};
        GRANT CREATE ON SCHEMA public TO ${role}; REVOKE TEMPORARY ON DATABASE ${name} FROM PUBLIC`);
      try {
        const fresh = await dumpPgStore(client);
        const migrator = migratorOn(url.replace('postgres@', `${role}@`), steps);
        const { code, hint } = await errorOf(migrator.up());
        expect(code).to.equal('STATEMENT_REJECTED');
        expect(hint).to.include('GRANT TEMPORARY');
        expect(await dumpPgStore(client)).to.deep.equal(fresh);
        await client.query(`GRANT TEMPORARY ON DATABASE ${name} TO ${role}`);
        await migrator.up();
        expect(await column(client, 'SELECT count(told) FROM events')).to.deep.equal(['200']);
      } finally {
        await client.query(`DROP OWNED BY ${role} CASCADE; DROP ROLE ${role}`);
      }
    });
  });
});

describe('what a program is told of a ledger that can not be read, or not be written', () => {
  before(function () {
    needServer(this);
  });

  type Command = 'up' | 'down' | 'pending' | 'executed' | 'status' | 'verify' | 'skips' | 'backfill';
  const ALL: readonly Command[] = [
    ...(['up', 'down', 'pending', 'executed'] as const),
    ...(['status', 'verify', 'skips', 'backfill'] as const),
  ];
  const steps = { '001-told': told };
  const filled = (act: (database: TestDatabase) => Promise<void>): Promise<void> =>
    withDatabase(async (database) => {
      await database.client.query(TABLE);
      await migratorOn(database.url, steps).up();
      await act(database);
    });
  /** Every command must be rejected with this code, and a hint for a server. */
  async function expectAll(url: string, code: string, commands = ALL): Promise<void> {
    const migrator = migratorOn(url, steps);
    for (const command of commands) {
      const error = await errorOf(migrator[command]());
      expect(error.code, command).to.equal(code);
      expect(error.hint, command).not.to.match(/sqlite3|--db-path/);
      expect(error.hint, command).not.to.equal('');
    }
  }

  it('is one of our errors where a right is missing: 42501', () =>
    filled(async ({ name, url, client }) => {
      const role = `other_${name}`;
      await client.query(`CREATE ROLE ${role} LOGIN`);
      try {
        await expectAll(url.replace('postgres@', `${role}@`), 'STORE_READONLY');
      } finally {
        await client.query(`DROP OWNED BY ${role}; DROP ROLE ${role}`);
      }
    }));

  it('is one of our errors where a column of it is missing: 42703', () =>
    filled(async ({ url, client }) => {
      await client.query('ALTER TABLE umzug_backfill_steps RENAME COLUMN status TO state');
      const commands = ALL.filter((command) => command !== 'skips'); // those have a table of their own
      await expectAll(url, 'STATEMENT_REJECTED', commands);
    }));

  it('is one of our errors where another program keeps it locked: 55P03', () =>
    filled(async ({ url, client }) => {
      await client.query('BEGIN; LOCK umzug_backfill_steps');
      await expectAll(url, 'STORE_BUSY', ['status']);
      await client.query('ROLLBACK');
    }));

  it('has hints for a server also where the schema is not what the steps expect', () =>
    withDatabase(async ({ url, client }) => {
      await expectAll(url, 'TABLE_MISSING', ['up']);
      await client.query(`${TABLE}; CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
        CREATE TRIGGER before BEFORE UPDATE ON events FOR EACH ROW EXECUTE FUNCTION nothing()`);
      await expectAll(url, 'TRIGGERS_WOULD_FIRE', ['up']);
      await client.query('DROP TRIGGER before ON events; ALTER TABLE events DROP COLUMN told');
      await client.query(`ALTER TABLE events ADD COLUMN told text GENERATED ALWAYS AS ('x' || body) STORED`);
      await expectAll(url, 'SCHEMA_BLOCKED', ['up']);
    }));
});
