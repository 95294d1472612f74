import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from 'chai';
import { before, describe, it } from 'mocha';
import type pg from 'pg';
import { defineBackfill, sql, type Verification } from '../src/index.js';
import { column, needServer, sharedServer, withDatabase } from './support/postgres-server.js';
import { commandsOf, named, projectOf } from './support/project.js';

// A verification by two sessions on one snapshot, of which the first does all where there is no second.

const now = (): Date => new Date('2026-06-01T00:00:00Z');
const alone = { now, parallelMinBytes: Number.POSITIVE_INFINITY };
const helped = { now, parallelMinBytes: 0 };

/** Some of everything that a check counts. Each row takes a while to read, by its scope. */
const TABLE = `CREATE TABLE items (id bigint PRIMARY KEY, kind text, a text, b text, c text);
  CREATE FUNCTION in_scope(id bigint) RETURNS boolean LANGUAGE sql AS 'SELECT true';
  INSERT INTO items SELECT n, 'kind ' || n % 3, CASE n % 5 WHEN 0 THEN NULL WHEN 1 THEN 'soon' WHEN 2 THEN '2090-01-01T00:00:00Z'
      WHEN 3 THEN '2026-01-20 10:00:00' ELSE '2026-01-20T10:00:0' || n % 10 || 'Z' END,
    CASE WHEN n % 7 = 0 THEN '2026-01-20T09:00:00Z' END
  FROM generate_series(1, 700) AS n`;

const LIFE = `UPDATE items SET b = 'mine' WHERE id % 11 = 0; UPDATE items SET c = NULL WHERE id % 13 = 0; DELETE FROM items WHERE id % 17 = 0;
  UPDATE items SET c = '2026-01-21T10:00:00+02:00' WHERE id % 19 = 0; INSERT INTO items (id, kind, a) SELECT n, 'new', '2026-01-20T10:00:00Z' FROM generate_series(701, 720) AS n`;

/** From now on each row takes a millisecond, and the session that reads the first one waits there once for another that reads. */
const SLOW = `CREATE OR REPLACE FUNCTION in_scope(id bigint) RETURNS boolean LANGUAGE plpgsql AS $$
  BEGIN
    PERFORM pg_sleep(0.001);
    IF id <> 1 OR current_setting('own.waited', true) = 'yes' THEN RETURN true; END IF;
    PERFORM set_config('own.waited', 'yes', false);
    FOR i IN 1..500 LOOP
      PERFORM pg_stat_clear_snapshot();
      EXIT WHEN EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() AND query LIKE '%FETCH%cursor%'
        AND application_name LIKE 'umzug-backfill %');
      PERFORM pg_sleep(0.01);
    END LOOP;
    RETURN true;
  END $$`;

const READERS = `SELECT pid::text FROM pg_stat_activity WHERE datname = current_database() AND query LIKE '%FETCH%cursor%'
  AND application_name LIKE 'umzug-backfill %' ORDER BY backend_start`;

const items = defineBackfill({
  table: 'items',
  key: 'id',
  scope: 'in_scope(id)',
  columns: { b: sql('a'), c: sql('a') },
  checks: { groupBy: 'kind', timestamps: true, lag: { from: 'b', to: 'c' } },
});

/** What a verification has found, whoever has read what and in which time. */
const found = ({ durationMs: _, threads: __, checks, ...rest }: Verification): object => ({
  ...rest,
  checks: checks.map(({ hint: ___, ...check }) => check), // a hint names the address
});

/** Runs `act` on a filled table that has been changed since. */
const withItems = (
  act: (of: {
    readonly client: pg.Client;
    readonly url: string;
    verify(extra: object, to?: string): Promise<Verification>;
  }) => Promise<void>,
): Promise<void> =>
  withDatabase(async ({ client, url }) => {
    await client.query(TABLE);
    const commands = (to: string) =>
      commandsOf(projectOf([named('001-items', items)]), { path: to, postgres: { url: to } });
    const { error } = await commands(url).up();
    expect(error).to.equal(undefined);
    await client.query(LIFE);
    const verify = async (extra: object, to = url): Promise<Verification> => {
      const [verification] = await commands(to).verify(undefined, extra);
      return verification ?? expect.fail('nothing was verified');
    };
    await act({ client, url, verify });
  });

/** Waits until so many sessions read the table. Returns their process IDs, the first to begin first. */
async function readers(client: pg.Client, count: number): Promise<(string | null)[]> {
  for (;;) {
    const pids = await column(client, READERS);
    if (pids.length >= count) return pids;
    await sleep(2);
  }
}

/** Opens a way to a database on which the third connection, that of the second session, is treated by `third`. */
async function withWay(
  url: string,
  third: (from: Socket, pass: () => void) => void,
  act: (to: string) => Promise<void>,
) {
  const { hostname, port } = new URL(url);
  const sockets = new Set<Socket>();
  let connections = 0;
  const way = createServer((from) => {
    connections += 1;
    sockets.add(from.on('error', () => undefined));
    const pass = (): void => {
      const to = connect(Number(port), hostname).on('error', () => from.destroy());
      sockets.add(to.on('close', () => from.destroy()));
      from.on('close', () => to.destroy());
      from.pipe(to).pipe(from);
    };
    if (connections > 2) third(from, pass);
    else pass();
  }).listen(0, '127.0.0.1');
  await once(way, 'listening');
  const to = new URL(url);
  to.host = `127.0.0.1:${(way.address() as AddressInfo).port}`;
  try {
    await act(to.href);
    expect(connections, 'connections').to.be.greaterThan(2);
  } finally {
    for (const socket of sockets) socket.destroy();
    way.close();
  }
}

describe('verification by two sessions', () => {
  before(function () {
    needServer(this);
  });

  it('finds what one session finds, whoever reads what', () =>
    withItems(async ({ client, verify }) => {
      const one = await verify(alone);
      expect(one.threads).to.equal(1);
      await client.query(SLOW);
      for (let i = 0; i < 3; i += 1) {
        const two = await verify(helped);
        expect(two.threads).to.equal(2);
        expect(found(two)).to.deep.equal(found(one));
      }
    }));

  it('reads one snapshot: what is committed before the second session comes is in none', () =>
    withItems(async ({ client, url, verify }) => {
      const one = await verify(alone);
      await client.query(SLOW);
      const commit = async (): Promise<void> => {
        await readers(client, 1);
        await client.query(
          `UPDATE items SET b = 'later', c = NULL; DELETE FROM items WHERE id % 2 = 0; INSERT INTO items (id) VALUES (721)`,
        );
      };
      let isCommitted: Promise<void> | undefined;
      const third = (_: Socket, pass: () => void): void => {
        isCommitted ??= commit();
        void isCommitted.then(pass);
      };
      await withWay(url, third, async (to) => {
        const two = await verify(helped, to);
        expect(two.threads).to.equal(2);
        expect(found(two)).to.deep.equal(found(one));
      });
      expect(found(await verify(alone))).not.to.deep.equal(found(one));
    }));

  it('reads all by one session where the second is refused', () =>
    withItems(async ({ client, url, verify }) => {
      const one = await verify(alone);
      await client.query(SLOW.replace('1..500', '1..50'));
      const third = (from: Socket): void => void from.destroy();
      await withWay(url, third, async (to) => {
        const refused = await verify(helped, to);
        expect(refused.threads).to.equal(1);
        expect(found(refused)).to.deep.equal(found(one));
      });
    }));

  it('does not wait for a second session that is not answered', () =>
    withItems(async ({ client, url, verify }) => {
      const one = await verify(alone);
      await client.query(SLOW.replace('1..500', '1..50'));
      await withWay(
        url,
        () => undefined,
        async (to) => {
          const unanswered = await verify(helped, `${to}?connect_timeout=0`); // that is, for ever
          expect(unanswered.threads).to.equal(1);
          expect(found(unanswered)).to.deep.equal(found(one));
        },
      );
    }));

  it('reads all by one session where the second is sent to another server', () =>
    withItems(async ({ client, url, verify }) => {
      // Another database stands for another host: the snapshot's name is as unknown to it.
      const one = await verify(alone);
      await client.query(SLOW.replace('1..500', '1..50'));
      await withDatabase(async (other) => {
        const server = await sharedServer();
        await other.client.query(
          'CREATE TABLE items (id bigint PRIMARY KEY, kind text, a text, b text, c text)',
        );
        const asked = Buffer.from(`\0${new URL(url).pathname.slice(1)}\0`);
        const sent = Buffer.from(`\0${new URL(other.url).pathname.slice(1)}\0`);
        expect(asked.length).to.equal(sent.length);
        const third = (from: Socket): void => {
          const to = connect(server.port, server.host).on('error', () => from.destroy());
          to.on('close', () => from.destroy());
          from.on('close', () => to.destroy());
          from.once('data', (start: Buffer) => {
            const at = start.indexOf(asked);
            if (at >= 0) sent.copy(start, at);
            to.write(start);
            from.pipe(to).pipe(from);
          });
        };
        await withWay(url, third, async (to) => {
          const elsewhere = await verify(helped, to);
          expect(elsewhere.threads).to.equal(1);
          expect(found(elsewhere)).to.deep.equal(found(one));
        });
      });
    }));

  it('reads again what a second session has claimed that is killed', () =>
    withItems(async ({ client, verify }) => {
      const one = await verify(alone);
      await client.query(SLOW);
      const verifying = verify(helped);
      const [, second] = await readers(client, 2);
      await client.query('SELECT pg_terminate_backend($1)', [second]);
      const killed = await verifying;
      expect(killed.threads).to.equal(1);
      expect(found(killed)).to.deep.equal(found(one));
    }));
});
