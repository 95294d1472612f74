import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { expect } from 'chai';
import { before, describe, it } from 'mocha';
import { type BackfillError, defineSchemaStep } from '../src/index.js';
import { expectRefusal, runCli } from './support/cli.js';
import { runSqlNow } from './support/engine-postgres.js';
import { backfillErrorOf, errorOf, migratorOn, TABLE, told } from './support/postgres-events.js';
import { column, needServer, withDatabase } from './support/postgres-server.js';

// A session that is lost, one that is never made, and one that others wait for.

const END = `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'umzug-backfill %'`;

describe('a session that is lost in the middle of a command of a program', () => {
  before(function () {
    needServer(this);
  });

  const steps = {
    '001-column': defineSchemaStep({ table: 'events', columns: { seen: 'text' }, indexes: {} }),
    '002-told': told,
  };
  const COMMANDS = ['up', 'down'] as const;
  /** Where it is lost: at an event of umzug's, whose listeners are waited for, or at one of ours. */
  const places = [
    ['up', 'migrating'],
    ['up', 'batch_committed'],
    ['up', 'verified'],
    ['down', 'reverting'],
    ['down', 'batch_reverted'],
  ] as const satisfies readonly (readonly [(typeof COMMANDS)[number], string])[];

  // On a socket the next statement fails while it is sent (EPIPE); on TCP it finds the server's farewell.
  const runs = places.flatMap((place) => [[...place, 'TCP'] as const, [...place, 'a socket'] as const]);
  for (const [command, place, over] of runs)
    it(`is told, and the same program goes on: \`${command}\` at ${place}, over ${over}`, () =>
      withDatabase(async ({ server: { socketFolder, port }, name, url, client }) => {
        await client.query(TABLE);
        const socket = `postgres://postgres@/${name}?host=${encodeURIComponent(socketFolder)}&port=${port}`;
        let isArmed = false;
        const cutAt = (event: string): void => {
          if (!isArmed || event !== place) return;
          isArmed = false;
          runSqlNow(url, END);
        };
        const migrator = migratorOn(over === 'TCP' ? url : socket, steps, {
          onEvent: ({ event }: { readonly event: string }) => cutAt(event),
        });
        for (const event of ['migrating', 'reverting'] as const) migrator.on(event, () => cutAt(event));
        if (command === 'down') await migrator.up();
        isArmed = true;
        const outcome = await migrator[command]().catch((error: unknown) => error);
        if (outcome instanceof Error) {
          expect(backfillErrorOf(outcome)).to.have.property('code', 'STORE_UNREACHABLE');
        }
        expect(isArmed, 'whether it came to that place').to.equal(false);
        await migrator.up();
        expect(await column(client, 'SELECT count(told) FROM events')).to.deep.equal(['200']);
        expect((await migrator.status()).isPending).to.equal(false);
        await migrator.down({ to: 0 });
        expect(await column(client, 'SELECT count(told) FROM events')).to.deep.equal(['0']);
        expect(
          await column(client, `SELECT relname FROM pg_class WHERE relname LIKE 'umzug%'`),
        ).to.deep.equal([]);
      }));
});

describe('a server that accepts a connection and stays silent', () => {
  it('is waited for as long as `connect_timeout` or PGCONNECT_TIMEOUT says, and told with a hint', async () => {
    const sockets = new Set<Socket>();
    const silent = createServer((socket) => sockets.add(socket)).listen(0, '127.0.0.1');
    await once(silent, 'listening');
    const { port } = silent.address() as AddressInfo;
    const url = `postgres://nobody@127.0.0.1:${port}/nothing`;
    const expectTold = (error: BackfillError): void => {
      expect(error.code).to.equal('STORE_UNREACHABLE');
      expect(error.message).to.include('CONNECT_TIMEOUT');
      expect(error.hint).to.match(/run the same command again.*PGCONNECT_TIMEOUT=/);
    };
    try {
      expectTold(await errorOf(migratorOn(`${url}?connect_timeout=1`, { '001-told': told }).status()));
      process.env.PGCONNECT_TIMEOUT = '1';
      const result = await runCli(['up', '--database-url', url]);
      expectTold(expectRefusal(result, 'STORE_UNREACHABLE', 1) as BackfillError);
    } finally {
      delete process.env.PGCONNECT_TIMEOUT;
      for (const socket of sockets) socket.destroy();
      silent.close();
    }
  });
});

describe('what is no server of PostgreSQL', () => {
  /** Answers that the driver throws at, in its listener of the socket: nobody could catch that. */
  const answers = {
    'an unknown kind of authentication': 'R\0\0\0\x08\0\0\0\x63',
    'an authentication without a kind': 'R\0\0\0\x04R\0\0\0\x04\0\0',
    'a challenge to an exchange that was not begun': 'R\0\0\0\x17\0\0\0\x0br=x,s=y,i=1',
    'a page of the web': 'HTTP/1.1 400 Bad Request\r\n\r\n',
  };
  for (const [what, answer] of Object.entries(answers))
    it(`is told as a server that can't be reached, and the program goes on: ${what}`, async () => {
      const server = createServer((socket) => {
        socket.on('error', () => undefined);
        socket.once('data', () => socket.end(answer, 'latin1'));
      }).listen(0, '127.0.0.1');
      await once(server, 'listening');
      const { port } = server.address() as AddressInfo;
      const migrator = migratorOn(`postgres://nobody@127.0.0.1:${port}/nothing`, { '001-told': told });
      expect(await errorOf(migrator.status())).to.have.property('code', 'STORE_UNREACHABLE');
      server.close();
    });
});

describe('a run that waits for what others have claimed', () => {
  before(function () {
    needServer(this);
  });

  const steps = { '001-told': told };
  const OTHER = `SET application_name = 'agentos umzug-backfill 4711@elsewhere'`;

  /** Runs `up` until it says for whom it waits, and then lets it go on. */
  async function expectTold(
    url: string,
    release: () => unknown,
    before: () => Promise<void> = async () => undefined,
  ): Promise<void> {
    const waits: object[] = [];
    const migrator = migratorOn(url, steps, {
      onEvent: (event: { readonly event: string }) => {
        if (event.event !== 'range_waiting') return;
        waits.push(event);
        release();
      },
    });
    migrator.on('migrating', before);
    await migrator.up();
    expect(waits).to.have.length(1);
    expect(waits[0]).to.include({ backfill: '001-told', pid: 4711, host: 'elsewhere' });
    expect(waits[0])
      .to.have.property('since')
      .that.matches(/^20\d\d-\d\d-\d\dT[\d:.]+Z$/);
  }

  it('says so, and which process has it since when', () =>
    withDatabase(async ({ url, client }) => {
      await client.query(TABLE);
      const stopper = new AbortController();
      const onEvent = ({ event }: { readonly event: string }): void => {
        if (event === 'batch_committed') stopper.abort('SIGTERM');
      };
      await errorOf(migratorOn(url, steps, { signal: stopper.signal, onEvent }).up());
      await client.query(`${OTHER}; BEGIN; SELECT FROM umzug_backfill_ranges FOR UPDATE`);
      await expectTold(url, () => client.query('ROLLBACK'));
    }));

  it('says so also of one that takes part in it still when nothing is left', () =>
    withDatabase(async ({ url, client, connect }) => {
      await client.query(TABLE);
      const other = await connect();
      await other.query(OTHER);
      // It waits for the lock while the command has it alone, and has its share as soon as that is shared.
      const key = `1970109031, ${createHash('sha256').update('public').digest().readInt32BE(0)}`;
      const takePart = async (): Promise<void> => {
        other.query(`SELECT pg_advisory_lock_shared(${key})`).catch(() => undefined); // it ends with the test
        const waiting = `SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted`;
        while ((await column(client, waiting)).length === 0);
      };
      await expectTold(url, () => other.query(`SELECT pg_advisory_unlock_shared(${key})`), takePart);
    }));
});
