import { existsSync, readFileSync } from 'node:fs';
import { expect } from 'chai';
import { before, describe, it } from 'mocha';
import { type CliResult, runCli, spawnCli, useFolder } from '../support/cli.js';
import { dumpPgStore } from '../support/postgres-dump.js';
import { needServer, type TestDatabase, withDatabase } from '../support/postgres-server.js';
import { insertPgAudits, loadFromSqlite } from '../support/postgres-stores.js';
import { withGeneratedStore } from '../support/stores.js';

/** Stands in every URL here, and must stand in nothing that is told. */
const PASSWORD = 'hunter2-of-the-server';

const BOTH = ['v021-1-decision-columns', 'v021-2-decision-fields'];

type Act = (at: TestDatabase & { readonly secret: string }) => Promise<void>;

/** Runs `act` with a database that holds a store of some audits, and a URL with a password. */
const withAudits = (audits: number, act: Act): Promise<void> =>
  withGeneratedStore({ audits }, (path) =>
    withDatabase(async (at) => {
      await loadFromSqlite(path, at.client, { payload: 'text' });
      await act({ ...at, secret: withPassword(at.url) });
    }),
  );

function withPassword(url: string): string {
  const changed = new URL(url);
  changed.password = PASSWORD;
  return changed.toString();
}

async function run(url: string, ...args: readonly string[]): Promise<CliResult> {
  const result = await runCli([...args, '--database-url', url]);
  expect(result.stdout + result.stderr, args.join(' ')).not.to.include(PASSWORD);
  return result;
}

/** The variables with which AgentOS says where its database is. */
function variables(url: string): NodeJS.ProcessEnv {
  const { hostname, port, pathname, username } = new URL(url);
  return {
    DATABASE_TYPE: 'postgresql',
    DATABASE_HOST: hostname,
    DATABASE_PORT: port,
    DATABASE_NAME: pathname.slice(1),
    DATABASE_USER: username,
    DATABASE_PASSWORD: PASSWORD,
  };
}

describe('the command line on a database of PostgreSQL', () => {
  const folder = useFolder();

  before(function () {
    needServer(this);
  });

  it('applies, tells, verifies, reports and takes back, and tells no password', () =>
    withAudits(300, async ({ secret, client }) => {
      const fresh = await dumpPgStore(client);
      expect((await run(secret, 'status', '--check')).code).to.equal(3);
      const plan = await run(secret, 'up', '--dry-run', '--json');
      expect(plan.json().steps.map(({ step }: { step: string }) => step)).to.deep.equal(BOTH);
      expect(plan.json().backup).to.equal(null);
      expect(await dumpPgStore(client)).to.deep.equal(fresh);

      const up = await run(secret, 'up', '--json', '--log-level', 'trace');
      expect(up.code, up.stderr).to.equal(0);
      expect(up.json().applied).to.deep.equal(BOTH);
      expect(up.stderr).to.include('No backup is made of a PostgreSQL database');
      expect((await run(secret, 'status', '--check')).code).to.equal(0);
      expect((await run(secret, 'verify', '--json')).json().verifications[0].verdict).to.equal('warn');
      expect((await run(secret, 'skips')).stdout).to.include('DOCUMENT_UNREADABLE');
      expect((await run(secret, 'executed')).stdout.trim().split('\n')).to.deep.equal(BOTH);
      const report = folder.file('report.html');
      expect((await run(secret, 'report', '--out', report)).code).to.equal(0);
      expect(readFileSync(report, 'utf8')).to.include('v021-2-decision-fields').and.not.to.include(PASSWORD);

      const down = await run(secret, 'down', '--to', '0', '--yes');
      expect(down.code, down.stderr).to.equal(0);
      expect(await dumpPgStore(client)).to.deep.equal(fresh);
    }));

  it('writes nothing when there is nothing to do, and catches up rows behind the watermark or before it', () =>
    withAudits(50, async ({ url, client }) => {
      await run(url, 'up');
      const done = await dumpPgStore(client);
      expect((await run(url, 'up')).stdout).to.include('Nothing to do');
      expect(await dumpPgStore(client)).to.deep.equal(done);
      const payload = '{"source_ts":"2026-01-20T10:00:00Z","timestamp":"2026-01-20T10:00:01Z"}';
      await insertPgAudits(client, [
        { key: -5, payload },
        { key: 5000, payload },
      ]);
      const again = await run(url, 'up', '--json');
      expect(again.json().caughtUp).to.deep.equal(['v021-2-decision-fields']);
      const { rows } = await client.query(
        'SELECT source_event_ts AS ts FROM task_audits WHERE audit_id IN (-5, 5000)',
      );
      expect(rows).to.deep.equal([{ ts: '2026-01-20T10:00:00Z' }, { ts: '2026-01-20T10:00:00Z' }]);
    }));

  it('takes the database from the variables that the config names, and from DATABASE_URL where it is told to', () =>
    withAudits(5, async ({ url, secret }) => {
      const byName = await runCli(['pending'], { env: variables(url) });
      expect(byName.stdout.trim().split('\n')).to.deep.equal(BOTH);
      const byUrl = await runCli(['pending', '--postgres'], { env: { DATABASE_URL: secret } });
      expect(byUrl.stdout.trim().split('\n')).to.deep.equal(BOTH);
      // Without being told: many an environment has one, for another program.
      const bare = await runCli(['pending'], { env: { DATABASE_URL: secret } });
      expect(bare.stderr).to.include('STORE_MISSING').and.to.include('.agentos');
    }));

  it('names in its hints what its own shell takes', () =>
    withAudits(5, async ({ url, client }) => {
      await client.query(`CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
        CREATE TRIGGER told BEFORE UPDATE ON task_audits FOR EACH ROW EXECUTE FUNCTION tell()`);
      const { stderr } = await run(url, 'up');
      expect(stderr).to.include('TRIGGERS_WOULD_FIRE').and.to.include(`psql ${url} -c '\\d task_audits'`);
    }));

  it('names in its hints the database that it was called with, without the password', () =>
    withAudits(5, async ({ server: { socketFolder, port }, url, name, secret }) => {
      const folder = encodeURIComponent(socketFolder);
      for (const [given, shown] of [
        [secret, url],
        [secret.replace(/^postgres:/, 'postgresql:'), url.replace(/^postgres:/, 'postgresql:')],
        [
          `postgres://127.0.0.1:${port}/${name}?user=postgres&password=${PASSWORD}`,
          `'postgres://127.0.0.1:${port}/${name}?user=postgres'`,
        ],
        [
          `postgres://postgres:${PASSWORD}@/${name}?host=${folder}&port=${port}`,
          `'postgres://postgres@/${name}?host=${folder}&port=${port}'`,
        ],
      ] as const) {
        const { stderr } = await run(given, 'verify');
        expect(stderr).to.include(`umzug-backfill up --database-url ${shown}\n`);
      }
    }));
});

describe('a store that is named twice, or not as it should be', () => {
  const folder = useFolder();
  const url = `postgres://app:${PASSWORD}@127.0.0.1:1/agentos`;
  const refusals: readonly (readonly [args: readonly string[], env: NodeJS.ProcessEnv, says: string])[] = [
    [['--db-path', 'x.db', '--database-url', url], {}, '--db-path, --database-url'],
    [['--database-url', url], { AGENTOS_DB_PATH: 'x.db' }, 'AGENTOS_DB_PATH, --database-url'],
    [['--database-url', url], variables(url), '--database-url, DATABASE_TYPE=postgresql'],
    [[], { ...variables(url), AGENTOS_DB_PATH: 'x.db' }, 'AGENTOS_DB_PATH, DATABASE_TYPE=postgresql'],
    [['--postgres', '--db-path', 'x.db'], { DATABASE_URL: url }, '--db-path, --postgres'],
    [['--postgres'], {}, 'DATABASE_URL, which is not set'],
    [['--database-url', 'mysql://127.0.0.1/agentos'], {}, 'not a PostgreSQL URL'],
    [
      [],
      { ...variables(url), DATABASE_HOST: 'my host' },
      'DATABASE_HOST and DATABASE_PORT are not a valid host and port',
    ],
    [
      [],
      { ...variables(url), DATABASE_HOST: 'db:5433' },
      'DATABASE_HOST and DATABASE_PORT are not a valid host and port',
    ],
    [
      [],
      { ...variables(url), DATABASE_PORT: '70000' },
      'DATABASE_HOST and DATABASE_PORT are not a valid host and port',
    ],
    [
      [],
      { ...variables(url), DATABASE_PORT: 'abc' },
      'DATABASE_HOST and DATABASE_PORT are not a valid host and port',
    ],
    [['--database-url', url, '--backup-dir', '/tmp'], {}, '--backup-dir is for a file'],
    [['--workers', '2'], { AGENTOS_DB_PATH: 'x.db' }, '--workers is for a PostgreSQL database'],
  ];
  for (const [args, env, says] of refusals) {
    it(`is refused: ${says}`, async () => {
      const { code, stdout, stderr } = await runCli(['up', ...args], { env });
      expect([code, stdout]).to.deep.equal([2, '']);
      expect(stderr).to.include('USAGE: ').and.to.include(says).and.not.to.include(PASSWORD);
      expect(existsSync(folder.file('x.db'))).to.equal(false);
    });
  }

  for (const command of ['restore', 'verify --print-sql']) {
    it(`is refused where a command is about a file: ${command}`, async () => {
      const { code, stderr } = await run(url, ...command.split(' '));
      expect(code).to.equal(2);
      expect(stderr).to.match(/USAGE: .*(?:is for a file|is for the sqlite3 shell)/);
    });
  }

  it('is a database where a path is a URL, and no part of a path is its password', async () => {
    for (const call of [
      spawnCli(['status', '--json'], { env: { AGENTOS_DB_PATH: url } }),
      spawnCli(['status', '--json', '--db-path', url]),
    ]) {
      const result = await call;
      expect(result.json().error.code).to.equal('STORE_UNREACHABLE');
      expect(result.stdout + result.stderr).not.to.include(PASSWORD);
    }
  });

  it('is unreachable where no server listens', async () => {
    const result = await run(url, 'up', '--json');
    expect(result.code).to.equal(1);
    expect(result.json().error).to.include({ code: 'STORE_UNREACHABLE', exitCode: 1 });
    expect(result.stderr).to.equal('');
  });
});
