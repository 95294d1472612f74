import { hostname } from 'node:os';
import { expect } from 'chai';
import { before, describe, it } from 'mocha';
import { defineBackfill, defineSqlStep } from '../src/index.js';
import { dumpPgStore } from './support/postgres-dump.js';
import { errorOf, migratorOn, TABLE, told } from './support/postgres-events.js';
import { column, needServer, withDatabase } from './support/postgres-server.js';
import { useSilentProxies } from './support/silent-proxy.js';

// What a session is called, what a command and the database set of it, and what a SQL step leaves of that.

/** Statements that leave a session otherwise than it was. */
const LEAVING: Readonly<Record<string, readonly string[]>> = {
  'how texts are read and written': [
    `SET TimeZone = 'Asia/Kathmandu'`,
    `SET DateStyle = 'German, DMY'`,
    'SET extra_float_digits = -10',
    `SET bytea_output = 'escape'`,
    'SET standard_conforming_strings = off',
    `SET client_encoding = 'LATIN1'`,
  ],
  'the search path, as each dump does': [`SELECT pg_catalog.set_config('search_path', '', false)`],
  'the role and the user': ['SET SESSION AUTHORIZATION pg_monitor', 'SET ROLE pg_monitor'],
  'times to wait, what writes do, and settings of its own': [
    `SET lock_timeout = '30s'`,
    `SET idle_in_transaction_session_timeout = '30s'`,
    `SET statement_timeout = '30s'`,
    'SET default_transaction_read_only = on',
    `SET session_replication_role = 'replica'`,
    'SET row_security = on',
    `SET own.setting = 'x'`,
    `SET application_name = 'its own'`,
  ],
  'nothing of what was set, and of what is temporary': ['RESET ALL', 'DISCARD TEMP', 'DISCARD PLANS'],
};

describe('what a SQL step sets of the session', () => {
  /** What is set once the step has run, or been taken back, and what a backfill behind it has filled. */
  const settings = (name: string): string =>
    `CREATE TABLE ${name} AS SELECT name, setting FROM pg_catalog.pg_settings
    UNION ALL SELECT 'role', current_user UNION ALL SELECT 'user', session_user
    UNION ALL SELECT 'own', nullif(current_setting('own.setting', true), '')`;
  const run = (statements: readonly string[]) =>
    withDatabase(async ({ url, client }) => {
      await client.query(TABLE);
      const migrator = migratorOn(url, {
        '001-up': defineSqlStep({ up: statements }),
        '002-seen': defineSqlStep({ up: [settings('public.seen')], down: [settings('public.seen_down')] }),
        '003-told': told,
        '004-down': defineSqlStep({ up: ['SELECT 1'], down: statements }),
      });
      await migrator.up();
      expect((await migrator.verify()).map(({ verdict }) => verdict)).to.deep.equal(['pass']);
      const cells = await column(client, 'SELECT told FROM events ORDER BY id');
      await migrator.down({ to: '002-seen' });
      const rows = (name: string) =>
        column(client, `SELECT concat_ws(' = ', name, setting) FROM ${name} ORDER BY name`);
      return { cells, up: await rows('seen'), down: await rows('seen_down') };
    });
  let plain: Awaited<ReturnType<typeof run>>;
  before(async function () {
    needServer(this);
    plain = await run(['SELECT 1']);
  });

  for (const [what, statements] of Object.entries(LEAVING))
    it(`ends with it, up and down: ${what}`, async () => {
      const found = await run(statements);
      for (const part of ['up', 'down', 'cells'] as const)
        expect(
          found[part].filter((line) => !plain[part].includes(line)),
          part,
        ).to.deep.equal([]);
    });

  it('is rolled back with a step that fails', () =>
    withDatabase(async ({ url, client }) => {
      await client.query(TABLE);
      const failing = defineSqlStep({ up: [`SET TimeZone = 'Asia/Kathmandu'`, 'SELECT 1 / 0'] });
      expect((await errorOf(migratorOn(url, { '001-failing': failing }).up())).code).to.equal(
        'STATEMENT_REJECTED',
      );
      await migratorOn(url, { '003-told': told }).up();
      expect(await column(client, 'SELECT told FROM events ORDER BY id')).to.deep.equal(plain.cells);
    }));

  it('is no release of the run lock: such a step is refused, and nothing of it kept', () =>
    withDatabase(async ({ url, client }) => {
      const fresh = await dumpPgStore(client);
      const step = defineSqlStep({ up: ['CREATE TABLE made (id int)', 'SELECT pg_advisory_unlock_all()'] });
      const { code, hint } = await errorOf(migratorOn(url, { '001-unlocks': step }).up());
      expect(code).to.equal('STEP_INVALID');
      expect(hint).to.include('pg_advisory_unlock_all()');
      expect(await column(client, `SELECT 1 FROM pg_tables WHERE tablename = 'made'`)).to.deep.equal([]);
      expect(fresh.tables).not.to.have.property('made');
    }));
});

describe('the sessions of a command', () => {
  const proxy = useSilentProxies();

  before(function () {
    needServer(this);
  });

  it('are one, from its first look to its end, beside the one that tells a pooler', () =>
    withDatabase(async ({ server, url, client }) => {
      await client.query(TABLE);
      const way = await proxy(server);
      const sessions = async (act: (migrator: ReturnType<typeof migratorOn>) => Promise<unknown>) => {
        const before = way.taken();
        await act(migratorOn(way.through(url), { '003-told': told }));
        return way.taken() - before;
      };
      expect({
        up: await sessions((migrator) => migrator.up()),
        'up that finds nothing to do': await sessions((migrator) => migrator.up()),
        verify: await sessions((migrator) => migrator.verify()),
        status: await sessions((migrator) => migrator.status()),
        down: await sessions((migrator) => migrator.down()),
      }).to.deep.equal({ up: 2, 'up that finds nothing to do': 2, verify: 2, status: 2, down: 2 });
    }));
});

describe('the settings of a session', () => {
  before(function () {
    needServer(this);
  });

  it('are what ends it soon when its client is gone, and not before, whatever the database says', () =>
    withDatabase(async ({ name, url, client }) => {
      const known = await column(
        client,
        `SELECT name FROM pg_settings WHERE name IN ('idle_session_timeout', 'transaction_timeout')`,
      );
      for (const setting of ['statement_timeout', 'idle_in_transaction_session_timeout', ...known])
        await client.query(`ALTER DATABASE ${name} SET ${setting} = '5s'`);
      const names = [
        ...['idle_in_transaction_session_timeout', 'statement_timeout', 'tcp_keepalives_count'],
        ...['tcp_keepalives_idle', 'tcp_keepalives_interval', 'tcp_user_timeout', ...known],
      ];
      const list = names.map((setting) => `'${setting}'`).join();
      const up = [`CREATE TABLE seen AS SELECT name, setting FROM pg_settings WHERE name IN (${list})`];
      await migratorOn(url, { '001-seen': defineSqlStep({ up }) }).up();
      expect(await column(client, `SELECT name || ' = ' || setting FROM seen ORDER BY name`)).to.deep.equal(
        [
          'idle_in_transaction_session_timeout = 60000',
          'statement_timeout = 0',
          'tcp_keepalives_count = 4',
          'tcp_keepalives_idle = 10',
          'tcp_keepalives_interval = 5',
          'tcp_user_timeout = 30000',
          ...known.map((setting) => `${setting} = 0`),
        ].sort(),
      );
    }));

  it('do not end a batch whose function takes longer than a transaction may be idle', () =>
    withDatabase(async ({ url, client }) => {
      await client.query(TABLE);
      let calls = 0;
      const slow = defineBackfill({
        table: 'events',
        key: 'id',
        scope: `set_config('idle_in_transaction_session_timeout', '1000', true) IS NOT NULL`,
        reads: ['body'],
        columns: ['told'],
        process: (rows) => {
          calls += 1;
          // Twice as long as this server lets it be, and without a turn of the event loop.
          if (calls === 1) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 2000);
          return rows.map(({ body }) => ({ told: String(body) }));
        },
      });
      await migratorOn(url, { '001-slow': slow }).up();
      expect(await column(client, 'SELECT count(*) FROM events WHERE told = body')).to.deep.equal(['200']);
    }));
});

describe('the name that a server knows our sessions by', () => {
  before(function () {
    needServer(this);
  });

  const nameOn = (url: string): Promise<string> =>
    withDatabase(async (database) => {
      const up = [`CREATE TABLE seen AS SELECT current_setting('application_name') AS name`];
      await migratorOn(`${database.url}${url}`, { '001-seen': defineSqlStep({ up }) }).up();
      const [name = ''] = await column(database.client, 'SELECT name FROM seen');
      return name;
    });
  const ours = `umzug-backfill ${process.pid}@${hostname()}`.slice(0, 63);

  it('follows the `application_name` of the URL, as much of it as there is room for', async () => {
    expect(await nameOn('')).to.equal(ours);
    expect(await nameOn('?application_name=agentos&options=-csearch_path%3Dpublic')).to.equal(
      `agentos ${ours}`.slice(0, 63),
    );
    const long = await nameOn(`?application_name=${encodeURIComponent('Zoë '.repeat(40))}`);
    expect(long).to.match(/^Zo\? Zo\?/);
    expect(long).to.have.length(63);
    expect(long.endsWith(` ${ours}`)).to.equal(true);
  });

  it('tells our processes from others at work: only for those a run makes room', () =>
    withDatabase(async ({ url, client, connect }) => {
      const pausesBeside = async (name: string): Promise<number[]> => {
        await client.query(`DROP SCHEMA public CASCADE; CREATE SCHEMA public; ${TABLE}`);
        const other = await connect();
        await other.query(`SET application_name = '${name}'`);
        const busy = other.query('SELECT pg_sleep(60)').catch(() => undefined); // ended below
        const pauses: number[] = [];
        await migratorOn(
          `${url}?application_name=agentos`,
          { '001-told': told },
          {
            batchRows: 1, // so many batches that it pauses again and again
            pace: 'courteous',
            onEvent: (event: { readonly event: string; readonly pauseMs?: number }) => {
              if (event.event === 'throttled') pauses.push(event.pauseMs ?? 0);
            },
          },
        ).up();
        await client.query(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(60)' AND state = 'active'
          AND pid <> pg_backend_pid() AND datname = current_database()`);
        await busy;
        return pauses;
      };
      // The longest pause is the one for others that are there again and again.
      expect(await pausesBeside('agentos')).to.include(180);
      expect(await pausesBeside('agentos umzug-backfill 4711@elsewhere')).not.to.include(180);
    }));
});
