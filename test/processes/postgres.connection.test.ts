import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { after, before, describe, it } from 'mocha';
import {
  type CliResult,
  type ErrorJson,
  expectNoStack,
  expectRefusal,
  runCommand,
  spawnCli,
} from '../support/cli.js';
import { differences } from '../support/expect-same.js';
import { expectPgLedger, lasting } from '../support/postgres-ledger.js';
import {
  argsOn,
  holdBack,
  LEADING,
  MANY,
  OURS,
  runOn,
  start,
  untilAlone,
  untilFound,
  useCopies,
  V21,
} from '../support/postgres-runs.js';
import {
  column,
  needServer,
  type PostgresServer,
  startServer,
  type TestDatabase,
  withClient,
} from '../support/postgres-server.js';
import { actualPgCells } from '../support/postgres-stores.js';
import type { Cells } from '../support/reference.js';

// The way to the server, and its end in the middle of a run.

const SECRET = 's3cret p@ss';
const password = encodeURIComponent(SECRET);

/** Insists that nothing that a command has said holds the password. */
function expectNoSecret({ stdout, stderr }: CliResult): void {
  for (const secret of [SECRET, password]) expect(stdout + stderr).not.to.include(secret);
}

let server: PostgresServer | undefined;

/** A server of its own, for all that is done to it. */
async function own(): Promise<PostgresServer> {
  server ??= await startServer();
  return server;
}

describe('a server that goes away in the middle of a run', () => {
  const onCopy = useCopies({ ...MANY, ...V21, server: own });
  let whole: Awaited<ReturnType<typeof lasting>> = {};
  let cells: Map<string, Cells> = new Map();
  before(async function () {
    needServer(this);
    await onCopy(async ({ url, client }) => {
      cells = await actualPgCells(client);
      await runOn(url, 'up');
      whole = await lasting(client);
    });
  });

  const withPassword = (url: string): string => url.replace('postgres@', `postgres:${password}@`);
  const END_OURS = `SELECT pg_terminate_backend(pid) ${OURS}`;

  /** Starts a command and waits until it has done some of its work. */
  async function startSome({ url, client }: TestDatabase, command: string, ...more: readonly string[]) {
    // Batches so small that there are many, and none is the last by then.
    const running = start(argsOn(withPassword(url), command, ...more, '--batch-size', '4'));
    await running.told(command === 'down' ? '"event":"batch_reverted"' : '"event":"batch_committed"');
    if (command === 'up') await untilFound(client, 'SELECT 1 FROM umzug_backfill_batches OFFSET 10');
    return running;
  }

  function expectLost(result: CliResult): ErrorJson {
    expectNoSecret(result);
    const error = expectRefusal(result, 'STORE_UNREACHABLE', 1);
    expect(error.hint).to.match(/run the same command again/i);
    return error;
  }

  async function expectResumed({ url, client }: TestDatabase): Promise<void> {
    await expectPgLedger(client, cells);
    await runOn(url, 'up');
    expect(differences(await lasting(client), whole)).to.deep.equal([]);
    await expectPgLedger(client, cells);
  }

  it('is told in one sentence when it ends the connection, and `up` resumes', () =>
    onCopy(async (copy) => {
      const running = await startSome(copy, 'up');
      await copy.client.query(END_OURS);
      expectLost(await running.result);
      await expectResumed(copy);
    }));

  it('is told as JSON, too', () =>
    onCopy(async (copy) => {
      const running = await startSome(copy, 'up', '--json');
      await copy.client.query(END_OURS);
      const result = await running.result;
      expectNoSecret(result);
      expect(result.code).to.equal(1);
      expect(result.json().error).to.deep.include({ code: 'STORE_UNREACHABLE', exitCode: 1 });
    }));

  it('is told when it ends the connections of all workers, and `up` resumes', () =>
    onCopy(async (copy) => {
      const release = await holdBack(copy);
      const running = start(argsOn(withPassword(copy.url), 'up', '--workers', '3'));
      await release(3);
      await untilFound(copy.client, 'SELECT 1 FROM umzug_backfill_batches OFFSET 10');
      await copy.client.query(END_OURS);
      const result = await running.result;
      expectNoSecret(result);
      expect(result.code, result.stderr).to.equal(1);
      expect(result.stderr).to.match(/^STORE_UNREACHABLE: /m);
      expectNoStack(result);
      await untilAlone(copy.client);
      await expectResumed(copy);
    }));

  it('does no harm when only workers lose their connections that do not lead, each of which is told in one warning', () =>
    onCopy(async (copy) => {
      const release = await holdBack(copy);
      const running = start(argsOn(withPassword(copy.url), 'up', '--workers', '3'));
      await release(3);
      await copy.client.query(`${END_OURS} AND pid NOT IN (${LEADING})`);
      const result = await running.result;
      expectNoSecret(result);
      expect(result.code, result.stderr).to.equal(0);
      const told =
        /"text":"Worker (\d) of 3 has ended early, and the others do its part: STORE_UNREACHABLE: /g;
      const workers = [...result.stderr.matchAll(told)].map(([, worker]) => worker);
      expect(workers.sort(), result.stderr).to.deep.equal(['2', '3']);
      expect(differences(await lasting(copy.client), whole)).to.deep.equal([]);
      await expectPgLedger(copy.client, cells);
    }));

  it('is told when it ends the connection of a `down`, which resumes', () =>
    onCopy(async (copy) => {
      await runOn(copy.url, 'up');
      const running = await startSome(copy, 'down');
      await copy.client.query(END_OURS);
      expectLost(await running.result);
      await expectPgLedger(copy.client, cells);
      await runOn(copy.url, 'down');
      expect(await actualPgCells(copy.client)).to.deep.equal(cells);
      expect(await column(copy.client, 'SELECT name FROM umzug_backfill_steps')).to.have.length(1);
    }));

  it('is told while it is stopped, and `up` resumes when it is there again', () =>
    onCopy(async (copy) => {
      const running = await startSome(copy, 'up', '--workers', '2');
      controlServer(await own(), 'stop');
      try {
        const result = await running.result;
        expectNoSecret(result);
        expect(result.code, result.stderr).to.equal(1);
        expect(result.stderr).to.match(/^STORE_UNREACHABLE: .*\n {2}→ .*$/m);
        expectNoStack(result);
        expectLost(await spawnCli(argsOn(withPassword(copy.url), 'up')));
      } finally {
        controlServer(await own(), 'start');
      }
      await withClient(copy.url, (client) => expectResumed({ ...copy, client }));
    }));
});

describe('a server that is set to take no writes in the middle of a run', () => {
  const onCopy = useCopies({ ...MANY, ...V21, server: own });
  before(function () {
    needServer(this);
  });

  it('is not written to any more, as its disk may be full, and `up` resumes when it takes them again', () =>
    onCopy(async ({ url, client }) => {
      const cells = await actualPgCells(client);
      const set = async (value: string): Promise<void> => {
        await client.query(`ALTER SYSTEM SET default_transaction_read_only = ${value}`);
        await client.query('SELECT pg_reload_conf()');
      };
      const running = start(argsOn(url, 'up', '--batch-size', '4'));
      await untilFound(client, 'SELECT 1 FROM umzug_backfill_batches OFFSET 10');
      await set('on');
      try {
        expectRefusal(await running.result, 'STORE_READONLY', 1);
        expectRefusal(await spawnCli(argsOn(url, 'up')), 'STORE_READONLY', 1);
      } finally {
        await set('off');
      }
      await untilFound(client, `SELECT 1 WHERE current_setting('default_transaction_read_only') = 'off'`);
      await expectPgLedger(client, cells);
      await runOn(url, 'up');
      await expectPgLedger(client, cells);
    }));
});

describe('an answer that is too large for the memory of the process', () => {
  const onCopy = useCopies({ audits: 10 });
  before(function () {
    needServer(this);
  });

  it('ends the command with an error, and is not waited for', function () {
    this.timeout(180_000); // a thread is taken for dead after half a minute
    return onCopy(async ({ url }) => {
      const program = `
        import { createMigrator, defineSqlStep } from './dist/src/index.js';
        const up = ['SELECT md5(n::text) FROM generate_series(1, 1500000) AS n'];
        await createMigrator({ database: process.argv[1], steps: { large: defineSqlStep({ up }) } }).up()
          .catch(({ code, hint }) => console.log(code, hint));`;
      const small = ['--max-old-space-size=64', '--input-type=module', '-e', program, url];
      const { stdout, stderr } = await runCommand([process.execPath, ...small]);
      // The engine of JavaScript ends the thread, or at once the process.
      if (!stderr.includes('heap out of memory')) expect(stdout).to.match(/^STORE_UNREACHABLE .*memory/);
    });
  });
});

/** Ends a server at once, as a crash would, or starts it again on its files. */
function controlServer({ bin, dataFolder }: PostgresServer, command: 'stop' | 'start'): void {
  const asPostgres = ['setpriv', '--reuid=postgres', '--regid=postgres', '--clear-groups'];
  const args = ['-w', '-D', dataFolder, '-l', join(dataFolder, '../log'), '-m', 'immediate', command];
  const [program = '', ...rest] = [
    ...(process.getuid?.() === 0 ? asPostgres : []),
    join(bin, 'pg_ctl'),
    ...args.filter((arg, i) => command === 'stop' || !(arg === '-m' || args[i - 1] === '-m')),
  ];
  expect(spawnSync(program, rest, { cwd: '/', stdio: 'ignore' }).status).to.equal(0);
}

describe('a server that lets nobody in', () => {
  const onCopy = useCopies({ audits: 10, server: own });
  after(async () => server?.stop());
  before(async function () {
    needServer(this);
    const { dataFolder, url } = await own();
    const rules = join(dataFolder, 'pg_hba.conf');
    writeFileSync(rules, `host all guarded 127.0.0.1/32 scram-sha-256\n${readFileSync(rules, 'utf8')}`);
    await withClient(url('postgres'), async (client) => {
      await client.query(`CREATE ROLE guarded LOGIN PASSWORD 'another'`);
      await client.query('SELECT pg_reload_conf()');
    });
  });

  const by = (url: URL, change: Partial<URL>): string => Object.assign(new URL(url), change).toString();

  /** What is wrong with a URL, and what is told of it. */
  const wrong: readonly (readonly [what: string, url: (right: URL) => string, code: string, hint: RegExp])[] =
    [
      [
        'nothing listens on the port',
        (url) => by(url, { port: '1' }),
        'STORE_UNREACHABLE',
        /Check the address/,
      ],
      [
        'there is no such host',
        (url) => by(url, { hostname: 'nowhere.invalid' }),
        'STORE_UNREACHABLE',
        /address/,
      ],
      [
        'there is no such database',
        (url) => by(url, { pathname: '/nothing' }),
        'STORE_MISSING',
        /--database-url/,
      ],
      ['it has no encryption', (url) => `${url}?sslmode=verify-full`, 'TLS_FAILED', /ssl = on/],
      ['the password is wrong', (url) => by(url, { username: 'guarded' }), 'STORE_UNREACHABLE', /password/],
      ['the user is unknown', (url) => by(url, { username: 'nobody' }), 'STORE_UNREACHABLE', /user/],
      [
        'it is of another engine',
        (url) => by(url, { href: `mysql${String(url).slice(8)}` }),
        'USAGE',
        /postgres:\/\//,
      ],
      ['it is no URL', (url) => String(url).replace(`:${url.port}/`, ':99999/'), 'USAGE', /postgres:\/\//],
    ];

  for (const [what, change, code, hint] of wrong)
    it(`is told with a hint and without the password: ${what}`, () =>
      onCopy(async ({ url }) => {
        const given = change(new URL(url.replace('postgres@', `postgres:${password}@`)));
        for (const command of [['up'], ['status', '--json']]) {
          const result = await spawnCli([...command, '--database-url', given]);
          expectNoSecret(result);
          const error = expectRefusal(result, code, code === 'USAGE' ? 2 : 1);
          expect(error.hint).to.match(hint);
        }
      }));
});
