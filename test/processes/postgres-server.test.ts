import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { expect } from 'chai';
import { before, describe, it } from 'mocha';
import type pg from 'pg';
import { root } from '../support/cli.js';
import { needPgbouncer, startPgbouncer } from '../support/pgbouncer.js';
import { needServer, sharedServer, withClient, withDatabase } from '../support/postgres-server.js';

// What the tests of the PostgreSQL backend stand on.

/** The first column of a query. */
async function query(client: pg.ClientBase, sql: string): Promise<unknown[]> {
  const { rows } = await client.query({ text: sql, rowMode: 'array' });
  return rows.map(([value]) => value);
}

const messageOf = (act: Promise<unknown>): Promise<string> =>
  act.then(
    () => 'it did not fail',
    (error: Error) => error.message,
  );

describe('a PostgreSQL server for tests', () => {
  before(function () {
    needServer(this);
  });

  it('answers on its port and on its socket, and is one', async () => {
    const server = await sharedServer();
    expect(await sharedServer()).to.equal(server);
    const socket = `postgres://postgres@/postgres?host=${server.socketFolder}&port=${server.port}`;
    for (const url of [server.url('postgres'), socket]) {
      const [version] = await withClient(url, (client) => query(client, 'SHOW server_version_num'));
      expect(version).to.equal(String(server.version));
    }
  });

  it('keeps two databases apart', async () => {
    const tables = `SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace`;
    await withDatabase(async (one) => {
      await withDatabase(async (other) => {
        await one.client.query('CREATE TABLE things (id integer)');
        expect(await query(other.client, tables)).to.deep.equal([]);
        expect(await query(await one.connect(), tables)).to.deep.equal(['things']);
      });
    });
  });

  it('drops a database when its test fails, with connections open and lost', async () => {
    const urls: string[] = [];
    const failed = withDatabase(async ({ url, client, connect }) => {
      urls.push(url);
      const other = await connect();
      await other.query('BEGIN');
      const ended = new Promise<void>((resolve) => other.once('end', resolve));
      await client.query(
        'SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()',
      );
      await ended;
      throw new Error('the test failed');
    });
    expect(await messageOf(failed)).to.equal('the test failed');
    expect(await messageOf(withClient(urls[0] ?? '', () => undefined))).to.match(/does not exist/);
  });

  it('makes databases that sort and encode in other ways', async () => {
    const order = `SELECT word FROM (VALUES ('b'), ('B'), ('a')) AS words (word) ORDER BY word`;
    const sorted = (template0: Record<string, string>) =>
      withDatabase(({ client }) => query(client, order), { template0 });
    expect(await sorted({ LOCALE: 'C', ENCODING: 'LATIN1' })).to.deep.equal(['B', 'a', 'b']);
    const icu = { LOCALE_PROVIDER: 'icu', ICU_LOCALE: 'en-US', LOCALE: 'C.UTF-8' };
    expect(await sorted(icu)).to.deep.equal(['a', 'b', 'B']);
  });

  it('ends, with its files, when the process that started it is killed', async () => {
    const program = `
      import('./dist/test/support/postgres-server.js').then(async ({ startServer }) => {
        console.log((await startServer()).dataFolder);
        setInterval(() => 0, 1e6);
      });`;
    const child = spawn(process.execPath, ['--input-type=module', '-e', program], {
      cwd: root,
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const [line] = await once(child.stdout.setEncoding('utf8'), 'data');
    const folder = String(line).trim();
    expect(existsSync(`${folder}/postmaster.pid`)).to.equal(true);
    child.kill('SIGKILL');
    while (existsSync(folder)) await nextTurn();
  });

  it('answers through PgBouncer, which shares connections by transaction or by session', async function () {
    needPgbouncer(this);
    const pidsThrough = (poolMode: 'transaction' | 'session') =>
      withDatabase(async ({ name }) => {
        const pooler = await startPgbouncer(poolMode);
        const pid = 'SELECT pg_backend_pid()';
        const pids = await withClient(pooler.url(name), (one) =>
          withClient(pooler.url(name), async (other) => [
            ...(await query(one, pid)),
            ...(await query(other, pid)),
          ]),
        );
        await pooler.stop();
        expect(await messageOf(withClient(pooler.url(name), () => undefined))).to.match(/ECONNREFUSED/);
        return new Set(pids).size;
      });
    expect(await pidsThrough('transaction')).to.equal(1);
    expect(await pidsThrough('session')).to.equal(2);
  });
});
