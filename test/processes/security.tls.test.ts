import { writeFileSync } from 'node:fs';
import { expect } from 'chai';
import { after, before, describe, it } from 'mocha';
import { createMigrator, defineSqlStep, type MigratorEvent } from '../../src/index.js';
import { type CliResult, expectRefusal, runCli, useFolder } from '../support/cli.js';
import { useCopies } from '../support/postgres-runs.js';
import { needServer, type PostgresServer, type TestDatabase } from '../support/postgres-server.js';
import { certificatesIn, hasOpenssl, startTlsServer, type TlsServer } from '../support/tls-server.js';

/** Runs `act` with these variables in the environment of this process, which the driver reads, and without others of their kind. */
async function withEnv<Result>(
  env: Readonly<Record<string, string>>,
  act: () => Promise<Result>,
): Promise<Result> {
  const before = { ...process.env };
  for (const name of Object.keys(process.env)) if (name.startsWith('PG')) delete process.env[name];
  Object.assign(process.env, env);
  try {
    return await act();
  } finally {
    for (const name of Object.keys(process.env)) if (name.startsWith('PG')) delete process.env[name];
    Object.assign(process.env, before);
  }
}

/** Another name of this machine, which does not say so. */
const elsewhere = (url: string): string => url.replace('127.0.0.1', '0.0.0.0');

describe('the encryption of a connection to PostgreSQL', () => {
  const folder = useFolder();
  let tls: TlsServer | undefined;
  let paths: Readonly<
    Record<'known' | 'unknown' | 'right' | 'other' | 'old' | 'certified' | 'stranger', string>
  >;
  const own = async (): Promise<PostgresServer> => {
    if (!tls) {
      const make = certificatesIn(folder.path);
      const by = 'known';
      paths = {
        known: make.authority('known'),
        unknown: make.authority('unknown'),
        right: make.signed('right', { by, names: 'IP:127.0.0.1' }),
        other: make.signed('other', { by, names: 'DNS:db.example' }),
        old: make.signed('old', { by, names: 'IP:127.0.0.1', days: -1 }),
        certified: make.signed('certified', { by }),
        stranger: make.signed('stranger', { by: 'unknown' }),
      };
      tls = await startTlsServer(paths.right, paths.known);
    }
    return tls.server;
  };
  before(function () {
    needServer(this);
    if (hasOpenssl) return;
    console.log('    skipped: without openssl no certificate can be made');
    this.skip();
  });
  const onEncrypting = useCopies({ audits: 5, server: own });
  const onPlain = useCopies({ audits: 5 });
  after(async () => tls?.server.stop());

  /** How a connection ends as this user: `in`, or the code of the error. */
  async function as(
    user: string,
    { url }: TestDatabase,
    parameters: string,
    env: Readonly<Record<string, string>> = {},
  ): Promise<string> {
    const given = `${url.replace('postgres@', `${user}@`)}${parameters}`;
    const result = await withEnv(env, () => runCli(['status', '--json', '--database-url', given]));
    expect(result.stderr).not.to.include('SECURITY WARNING');
    return result.code === 0 ? 'in' : result.json().error.code;
  }

  /** The file of an authority, as a parameter. */
  const root = (path: string): string => `&sslrootcert=${encodeURIComponent(`${path}.crt`)}`;

  it('is as libpq has it for each mode, and without a mode there is none', () =>
    onEncrypting(async (database) => {
      const { known, unknown } = paths;
      const [inside, out] = ['in', 'STORE_UNREACHABLE'];
      const cases: readonly (readonly [parameters: string, encrypted: string, plain: string])[] = [
        ['', out, inside],
        ['?sslmode=disable', out, inside],
        ['?ssl=false', out, inside],
        ['?sslmode=allow', inside, inside],
        ['?sslmode=prefer', inside, inside],
        ['?sslmode=require', inside, out],
        ['?sslmode=no-verify', inside, out],
        ['?ssl=no-verify', inside, out],
        [`?sslmode=require${root(known)}`, inside, out],
        [`?sslmode=verify-ca${root(known)}`, inside, out],
        [`?sslmode=verify-full${root(known)}`, inside, out],
        [`?ssl=true${root(known)}`, inside, out],
        [`?application_name=x${root(known)}`, inside, out],
        ['?sslmode=require&uselibpqcompat=true', inside, out],
        ['?sslmode=verify-full', 'TLS_FAILED', 'TLS_FAILED'],
        ['?ssl=true', 'TLS_FAILED', 'TLS_FAILED'],
        ['?sslmode=verify-full&sslrootcert=system', 'TLS_FAILED', 'TLS_FAILED'],
        [`?sslmode=require${root(unknown)}`, 'TLS_FAILED', 'TLS_FAILED'],
        [`?sslmode=verify-ca${root(unknown)}`, 'TLS_FAILED', 'TLS_FAILED'],
        [`?sslmode=verify-full${root(unknown)}`, 'TLS_FAILED', 'TLS_FAILED'],
      ];
      for (const [parameters, encrypted, plain] of cases) {
        expect(await as('encrypted', database, parameters), `encrypted ${parameters}`).to.equal(encrypted);
        expect(await as('plain', database, parameters), `plain ${parameters}`).to.equal(plain);
      }
    }));

  it('is asked for by the environment as well, and the URL comes first', () =>
    onEncrypting(async (database) => {
      const PGSSLROOTCERT = `${paths.known}.crt`;
      const ask = (parameters: string, env: Readonly<Record<string, string>>): Promise<string> =>
        as('encrypted', database, parameters, env);
      for (const PGSSLMODE of ['allow', 'prefer', 'require', 'no-verify']) {
        expect(await ask('', { PGSSLMODE }), PGSSLMODE).to.equal('in');
      }
      expect(await ask('', { PGSSLMODE: 'verify-full', PGSSLROOTCERT })).to.equal('in');
      expect(await ask('', { PGSSLROOTCERT })).to.equal('in');
      expect(await ask('', { PGSSLMODE: 'verify-full' })).to.equal('TLS_FAILED');
      expect(await ask('', { PGSSLMODE: 'disable' })).to.equal('STORE_UNREACHABLE');
      expect(await ask('', { PGSSLMODE: '' })).to.equal('STORE_UNREACHABLE');
      expect(await ask('?sslmode=require', { PGSSLMODE: 'disable' })).to.equal('in');
      expect(await ask('?sslmode=disable', { PGSSLMODE: 'require' })).to.equal('STORE_UNREACHABLE');
    }));

  it('is never left out for a mode that asks for it, where the server offers none', () =>
    onPlain(async (database) => {
      const { known } = paths;
      for (const parameters of ['', '?sslmode=disable', '?sslmode=allow', '?sslmode=prefer'])
        expect(await as('postgres', database, parameters), parameters).to.equal('in');
      for (const mode of ['require', 'no-verify', `verify-ca${root(known)}`, `verify-full${root(known)}`]) {
        const result = await runCli(['status', '--database-url', `${database.url}?sslmode=${mode}`]);
        const { message, hint } = expectRefusal(result, 'TLS_FAILED', 1);
        expect(message).to.match(/does not support TLS/);
        expect(hint).to.match(/sslmode=disable/);
      }
      for (const PGSSLMODE of ['require', 'verify-full'])
        expect(await as('postgres', database, '', { PGSSLMODE })).to.equal('TLS_FAILED');
    }));

  it('tells what is wrong with the certificate of the server', () =>
    onEncrypting(async ({ url }) => {
      const told = async (parameters: string): Promise<string> => {
        const { message, hint } = expectRefusal(
          await runCli(['status', '--database-url', `${url}${parameters}`]),
          'TLS_FAILED',
          1,
        );
        expect(message + hint).not.to.match(/server is up/);
        return `${message} → ${hint}`;
      };
      const { known } = paths;
      const full = `?sslmode=verify-full${root(known)}`;
      expect(await told('?sslmode=verify-full')).to.match(/No authority that .* → .*sslrootcert=FILE/);
      try {
        await tls?.shows(paths.other);
        expect(await told(full)).to.match(/is for another host .* → .*sslmode=verify-ca/);
        for (const mode of ['verify-ca', 'require'])
          expect(
            (await runCli(['status', '--database-url', `${url}?sslmode=${mode}${root(known)}`])).code,
          ).to.equal(0);
        await tls?.shows(paths.old);
        expect(await told(full)).to.match(/is not valid, or not at this time .* → Renew/);
      } finally {
        await tls?.shows(paths.right);
      }
      writeFileSync(folder.file('broken.crt'), 'no certificate');
      expect(await told(`?sslmode=verify-full${root(folder.file('broken'))}`)).to.match(/sslrootcert/);
    }));

  it('shows a certificate of its own where it is given one', () =>
    onEncrypting(async (database) => {
      const { certified, stranger } = paths;
      const ask = (certificate: string, key = certificate): Promise<string> =>
        as(
          'certified',
          database,
          `?sslmode=require&sslcert=${encodeURIComponent(`${certificate}.crt`)}&sslkey=${encodeURIComponent(`${key}.key`)}`,
        );
      expect(await ask(certified)).to.equal('in');
      const PGSSLCERT = `${certified}.crt`;
      const env = { PGSSLMODE: 'require', PGSSLCERT, PGSSLKEY: `${certified}.key` };
      expect(await as('certified', database, '', env)).to.equal('in');
      expect(await as('certified', database, '?sslmode=require')).to.equal('STORE_UNREACHABLE');
      expect(await ask(stranger)).to.equal('TLS_FAILED');
      expect(await ask(certified, stranger)).to.equal('TLS_FAILED');
      expect(await as('certified', database, `?sslmode=require&sslcert=${certified}.crt`)).to.equal('USAGE');
    }));

  it('is not asked for on a socket', () =>
    onPlain(async ({ name, server: { socketFolder, port } }) => {
      const url = `postgres://postgres@/${name}?host=${socketFolder}&port=${port}&sslmode=require`;
      expect((await runCli(['status', '--database-url', url])).code).to.equal(0);
    }));

  it('can be asked for by variables of the config', () =>
    onEncrypting(async ({ url }) => {
      const { port, pathname } = new URL(url);
      const variables = {
        DATABASE_TYPE: 'postgresql',
        DATABASE_HOST: '127.0.0.1',
        DATABASE_PORT: port,
        DATABASE_NAME: pathname.slice(1),
        DATABASE_USER: 'encrypted',
      };
      const ask = (more: Readonly<Record<string, string>>): Promise<CliResult> =>
        runCli(['status', '--json'], { env: { ...variables, ...more } });
      const DATABASE_SSLROOTCERT = `${paths.known}.crt`;
      expect((await ask({})).json().error.code).to.equal('STORE_UNREACHABLE');
      expect((await ask({ DATABASE_SSLMODE: 'require' })).code).to.equal(0);
      expect((await ask({ DATABASE_SSLMODE: 'verify-full', DATABASE_SSLROOTCERT })).code).to.equal(0);
      expect((await ask({ DATABASE_SSLMODE: 'verify-full' })).json().error.code).to.equal('TLS_FAILED');
      const { message, hint } = expectRefusal(await ask({ DATABASE_SSLMODE: 'Require' }), 'USAGE', 2);
      expect(message).to.match(
        /^Expected `DATABASE_SSLMODE` to be one of disable, allow, .*, got `Require`$/,
      );
      expect(hint).to.equal('Set DATABASE_SSLMODE=require');
    }));

  it('is missed by a warning, once a run, if the server is another machine', () =>
    onPlain(async ({ url }) => {
      const warnings = ({ stderr }: CliResult): string[] =>
        stderr
          .split('\n')
          .filter((line) => line.includes('"warning"'))
          .map((line) => JSON.parse(line).text)
          .filter((text) => text.includes('encrypted'));
      const run = (given: string, ...command: readonly string[]): Promise<CliResult> =>
        withEnv({}, () => runCli([...command, '--database-url', given]));
      const expected =
        'The connection to 0.0.0.0 is not encrypted; others on the network can read and change its data: add ?sslmode=verify-full to the URL, or set PGSSLMODE';
      for (const command of [['status'], ['up', '--dry-run'], ['up'], ['verify'], ['down', '--to', '0']]) {
        const result = await run(elsewhere(url), ...command);
        expect(result.code, result.stderr).to.equal(0);
        expect(warnings(result), command.join(' ')).to.deep.equal([expected]);
      }
      expect(warnings(await run(`${elsewhere(url)}?sslmode=disable`, 'status'))).to.deep.equal([expected]);
      expect(warnings(await run(`${elsewhere(url)}?sslmode=prefer`, 'status'))).to.match(
        /may not be encrypted, because sslmode is prefer/,
      );
      expect(warnings(await run(`${elsewhere(url)}?sslmode=require`, 'status'))).to.deep.equal([]);
      expect(warnings(await run(url, 'status'))).to.deep.equal([]);
      const { port, pathname } = new URL(url);
      for (const host of ['localhost', '127.0.0.53', '[::1]', 'LOCALHOST'])
        expect(
          warnings(await run(`postgres://postgres@${host}:${port}${pathname}`, 'status')),
          host,
        ).to.deep.equal([]);
      const hosts = ['db.invalid', 'localhost.invalid', '127.0.0.1.invalid', '[::2]'];
      for (const host of hosts)
        expect(
          warnings(await run(`postgres://postgres@${host}:1/x?connect_timeout=1`, 'status')),
          host,
        ).to.have.length(1);
      const viaEnv = await withEnv({ PGHOST: '0.0.0.0' }, () =>
        runCli(['status', '--database-url', `postgres://postgres@/${pathname.slice(1)}?port=${port}`]),
      );
      expect(warnings(viaEnv)).to.deep.equal([expected]);
      const viaHost = await run(`postgres://postgres@127.0.0.1:${port}${pathname}?host=0.0.0.0`, 'status');
      expect(warnings(viaHost)).to.deep.equal([expected]);
    }));

  it('is missed by a warning of a migrator, too', () =>
    onPlain(async ({ url }) => {
      const told: string[] = [];
      const migrator = createMigrator({
        database: elsewhere(url),
        steps: {
          '001-made': defineSqlStep({ up: ['CREATE TABLE made (id int)'], down: ['DROP TABLE made'] }),
        },
        onEvent: (event: MigratorEvent) => {
          if (event.event === 'warning') told.push(event.text);
        },
      });
      await withEnv({}, () => migrator.up());
      expect(told.filter((text) => text.includes('is not encrypted'))).to.have.length(1);
    }));
});

describe('a URL of PostgreSQL', () => {
  const ask = (parameters: string, env: Readonly<Record<string, string>> = {}): Promise<CliResult> =>
    withEnv(env, () => runCli(['status', '--database-url', `postgres://u@127.0.0.1:1/x${parameters}`]));

  const refused: readonly (readonly [parameters: string, message: RegExp, hint: RegExp])[] = [
    ['?SSLMODE=verify-full', /an unknown parameter, `SSLMODE`$/, /^Replace it by sslmode, or remove it/],
    ['?sslmod=verify-full', /an unknown parameter, `sslmod`$/, /^Replace it by sslmode, /],
    ['?ssl_mode=verify-full', /an unknown parameter, `ssl_mode`$/, /^Replace it by sslmode, /],
    ['?sslrootcerts=x', /an unknown parameter, `sslrootcerts`$/, /^Replace it by sslrootcert, /],
    ['?conect_timeout=1', /an unknown parameter, `conect_timeout`$/, /^Replace it by connect_timeout, /],
    [
      '?require_auth=scram-sha-256',
      /an unknown parameter, `require_auth`$/,
      /^Remove it; supported parameters: user, /,
    ],
    ['?sslmode=disable&sslmode=verify-full', /the parameter `sslmode` twice$/, /^Remove one/],
    ['?ssl=true&sslmode=disable', /both `ssl` and `sslmode`$/, /^Remove `ssl`/],
    [
      '?sslmode=verify_full',
      /^Expected `sslmode` to be one of disable, .*, got `verify_full`$/,
      /^Set sslmode=verify-full$/,
    ],
    ['?sslmode=Require', /, got `Require`$/, /^Set sslmode=require$/],
    ['?sslmode=', /, got `…`$/, /^Set sslmode=/],
    ['?sslmode=bogus', /, got `bogus`$/, /^Set sslmode=verify-full$/],
    ['?ssl=yes', /^Expected `ssl` to be one of/, /^Set ssl=/],
    ['?sslmode=verify-ca', /`sslrootcert` is not set$/, /sslrootcert=FILE$/],
    ['?sslmode=require&sslrootcert=system', /requires a check of the host/, /^Set sslmode=verify-full$/],
    ['?sslmode=require&sslkey=x', /^Only one of /, /both/],
    ['?sslnegotiation=direct', /enforces encryption$/, /^Set sslmode=verify-full$/],
    ['?sslnegotiation=direct&sslmode=prefer', /enforces encryption$/, /^Set sslmode=verify-full$/],
    [
      '?sslmode=verify-full&sslrootcert=/nowhere/ca.crt',
      /`sslrootcert`, \/nowhere\/ca\.crt, cannot be read \(ENOENT\)$/,
      /path/,
    ],
  ];
  for (const [parameters, message, hint] of refused)
    it(`is refused with ${parameters}`, async () => {
      const error = expectRefusal(await ask(parameters), 'USAGE', 2);
      expect(error.message).to.match(message);
      expect(error.hint).to.match(hint);
    });

  for (const PGSSLMODE of ['bogus', 'verify_full', 'REQUIRE'])
    it(`is refused with PGSSLMODE=${PGSSLMODE}, unless it has a mode itself`, async () => {
      const { message } = expectRefusal(await ask('', { PGSSLMODE }), 'USAGE', 2);
      expect(message).to.match(/^Expected `PGSSLMODE` to be one of disable, /);
      expectRefusal(await ask('?sslmode=disable', { PGSSLMODE }), 'STORE_UNREACHABLE', 1);
    });

  it('is refused without a part of a password that is taken for a parameter', async () => {
    const result = await runCli(['status', '--database-url', 'postgres://user:12?secret&part@db.example/x']);
    const { message } = expectRefusal(result, 'USAGE', 2);
    expect(message + result.stdout + result.stderr).not.to.match(/secret|part@/);
  });

  it('may have every parameter that is known', async () => {
    const plain = 'application_name=a&client_encoding=UTF8&connect_timeout=2&options=-csearch_path%3Dpublic';
    const times =
      'statement_timeout=0&lock_timeout=0&idle_in_transaction_session_timeout=0&query_timeout=9000';
    const result = await ask(
      `?${plain}&${times}&user=a&password=b&port=1&host=127.0.0.1&fallback_application_name=b`,
    );
    expectRefusal(result, 'STORE_UNREACHABLE', 1);
    expect(result.stderr).not.to.include('password=b');
  });
});
