import { mkdirSync, readFileSync } from 'node:fs';
import { inspect } from 'node:util';
import { expect } from 'chai';
import fc from 'fast-check';
import { describe, it } from 'mocha';
import { generateStore } from '../../demo/store-generator.js';
import { main } from '../../src/cli/main.js';
import { BackfillError, createMigrator, startBackfills } from '../../src/index.js';
import { collector, root, runCli, useFolder } from '../support/cli.js';
import { anError } from '../support/errors.js';
import { toldOf } from '../support/said.js';
import { asAgentOs, failureOf } from '../support/stores.js';

// A password may be given in the wrong place, misspelt, or to a program that does not take it. It is told nowhere all the same.

/** Two parts, so that a part that is told is found, too. */
const PASSWORD = 'S3CRETpw';
const PART = 'S3CRET';

interface Call {
  readonly argv: readonly string[];
  readonly env?: NodeJS.ProcessEnv;
}

const script = (rest: NodeJS.ProcessEnv): NodeJS.ProcessEnv => ({ npm_lifecycle_event: 'migrate', ...rest });

/** Calls in which a URL, or the password of one, is where it should not be. No server answers any. */
function misplaced(url: string, password: string): Readonly<Record<string, Call>> {
  const other = url.replace('postgres://', 'mysql://');
  return {
    'a misspelt option': { argv: ['status', `--databse-url=${url}`] },
    'an option of another program': { argv: ['up', `--dsn=${url}`] },
    'a misspelt option for a password': { argv: ['up', `--pasword=${password}`] },
    'a command': { argv: [url] },
    'a second command': { argv: [url, 'up'] },
    'an argument too many': { argv: ['up', url] },
    'a backfill’s name': { argv: ['skips', url, '--db-path', 'none.db'] },
    'a path, twice': { argv: ['status', '--db-path', url, '--db-path', '/nonexistent/x.db'] },
    'a pattern of paths': { argv: ['status', '--db-path', `${url}?x=*`] },
    'a path to lint': { argv: ['lint', '--db-path', url] },
    'a path of another database': { argv: ['status', '--db-path', other] },
    'a path with the parameters of libpq': {
      argv: ['status', '--db-path', `host=h user=u password=${password}`],
    },
    'a path of JDBC': { argv: ['status', '--db-path', `jdbc:postgresql://h/db?user=u&password=${password}`] },
    'a path of JDBC without a pattern': {
      argv: ['status', '--db-path', `jdbc:postgresql://h/db;user=u;password=${password}`],
    },
    'a URL of another database': { argv: ['status', '--database-url', other] },
    'a URL with white space': { argv: ['status', '--database-url', ` ${url}`] },
    'a parameter of another name': {
      argv: ['status', '--database-url', `postgres://127.0.0.1:1/db?user=u&pwd=${password}`],
    },
    'a parameter that is a token': {
      argv: ['status', '--database-url', `postgres://127.0.0.1:1/db?access_token=${password}`],
    },
    'a setting within the options': {
      argv: ['status', '--database-url', `postgres://127.0.0.1:1/db?options=-c%20app.key%3D${password}`],
    },
    'the password of a key': {
      argv: ['status', '--database-url', `postgres://127.0.0.1:1/db?sslpassword=${password}`],
    },
    'a value of another option': { argv: ['up', '--batch-size', url] },
    'a language': { argv: ['status', '--lang', url] },
    'a file for the report': { argv: ['report', '--out', url, '--db-path', 'none.db'] },
    'a server that does not answer': { argv: ['status', '--log-level', 'trace', '--database-url', url] },
    'a variable for a path': { argv: ['status'], env: { AGENTOS_DB_PATH: other } },
    'a variable for a path, of another driver': {
      argv: ['status'],
      env: { AGENTOS_DB_PATH: url.replace('postgres:', 'postgresql+psycopg2:') },
    },
    'a variable for a path, with parameters': {
      argv: ['status'],
      env: { AGENTOS_DB_PATH: `host=h password=${password}` },
    },
    'a variable for a URL': { argv: ['status', '--postgres'], env: { DATABASE_URL: url.replace(':', '') } },
    'a variable for a host': {
      argv: ['status'],
      env: { DATABASE_TYPE: 'postgresql', DATABASE_NAME: 'd', DATABASE_HOST: `u:${password}@h` },
    },
    'a variable for a password': {
      argv: ['status', '--databse-password', password],
      env: {
        ...{
          DATABASE_TYPE: 'postgresql',
          DATABASE_NAME: 'd',
          DATABASE_HOST: '127.0.0.1',
          DATABASE_PORT: '1',
        },
        DATABASE_PASSWORD: password,
      },
    },
    'an option that npm kept': { argv: ['status'], env: script({ npm_config_database_url: url }) },
    'an option that npm kept without its value': {
      argv: ['status', url],
      env: script({ npm_config_database_url: 'true', npm_lifecycle_script: 'x' }),
    },
    'a misspelt option that npm kept': { argv: ['status'], env: script({ npm_config_databse_url: url }) },
    'an argument beside an option that npm kept': {
      argv: ['up', '--database-url', url],
      env: script({ npm_config_dry_run: 'true' }),
    },
    'a password beside an option that npm kept': {
      argv: ['up', '--password', password],
      env: script({ npm_config_dry_run: 'true' }),
    },
  };
}

/** Those that start no process and no thread, and so are quick. */
const quickly = (url: string, password: string) =>
  Object.entries(misplaced(url, password)).filter(
    ([, { argv, env }]) =>
      argv[3] !== '--db-path' && !/127\.0\.0\.1/.test(String(argv[2] ?? env?.DATABASE_HOST)),
  );

const urlWith = (password: string): string => `postgres://app_owner:${password}@127.0.0.1:1/shop`;

const tell = ({ argv, env }: Call, ...more: readonly string[]): Promise<string> =>
  toldOf([...argv, ...more], env);

describe('a password that is given where it should not be', () => {
  const folder = useFolder();

  for (const [place, { argv }] of Object.entries(misplaced('', '')))
    it(`is not told: ${place} (${argv[0] || 'URL'})`, async () => {
      const call = misplaced(urlWith(PASSWORD), PASSWORD)[place] as Call;
      for (const form of [['--json'], ['--lang', 'zh', '--log-level', 'trace']])
        expect(await tell(call, ...form)).not.to.include(PART);
    });

  it('is not told behind an option of one letter, nor behind a colon', async () => {
    for (const word of [`-p${PASSWORD}`, `--password:${PASSWORD}`])
      expect(await tell({ argv: ['up', word] }), word)
        .to.include('***')
        .and.not.include(PART);
    expect(await tell({ argv: ['up', '-ps3cr3t'] }), 'of six characters').not.to.include('s3cr3t');
    expect(await tell({ argv: ['up', '-pace'] })).to.include("'-pace'");
  });

  it('is not told from a folder without a config, whose hint takes over the store', async () => {
    const output = collector();
    const streams = { env: {}, folder: folder.path, stdout: output, stderr: output };
    await main(['status', '--db-path', urlWith(PASSWORD)], streams);
    expect(output.text).to.include('--db-path postgres://app_owner@127.0.0.1:1/shop').and.not.include(PART);
  });

  it('is not told where its characters mean something in a URL, a shell or JSON', async () => {
    for (const password of [
      'S3CRET/pw',
      'S3CRET#pw',
      'x?S3CRET',
      'p@S3CRET',
      '%S3CRET',
      `p'S3CRET`,
      'p"S3CRET',
    ])
      for (const [place, call] of quickly(urlWith(password), password))
        for (const form of [[], ['--json']])
          expect(await tell(call, ...form), `${place}: ${password}`).not.to.include(PART);
  });

  it('is not told percent-encoded or decoded, whichever way it was given', async () => {
    const call = { argv: ['status', `--dsn=${urlWith('a%53%33CRETpw')}`, '--lang', 'aS3CRETpw'] };
    expect(await tell(call)).not.to.match(/S3CRET|%53%33CRET/);
    const plain = { argv: ['up', `--dsn=${urlWith('s3cr&t-pw')}`] };
    expect(await tell({ argv: ['up', `--dsn=${urlWith('s3cr%26t-pw')}`] })).to.equal(await tell(plain));
  });

  it('leaves the output as readable as any other if it is short, or a word that the output has anyway', async () => {
    const others = ['up', 'a', 'postgres', '127.0.0.1', '1', 'shop', 'umzug-backfill', 'status', 'app_owner'];
    const expected = misplaced(urlWith(PASSWORD), PASSWORD);
    for (const password of others) {
      for (const [place, call] of quickly(urlWith(password), password)) {
        const told: string[] = [];
        for (const each of [call, expected[place] as Call]) told.push(await tell(each)); // of one line: stacks name it
        expect(told[0], `${place}: ${password}`).to.equal(told[1]);
      }
    }
  });

  it('is in no error of the API, its causes and stacks included', async () => {
    const url = `postgresql+psycopg2://app_owner:${PASSWORD}@h/db`;
    const all = (error: unknown): string => inspect(error, { depth: 9, showHidden: true });
    const steps = { '001-x': (await import('../../backfills/v021-2-decision-fields.js')).default };
    for (const database of [url, urlWith(PASSWORD), `host=h password=${PASSWORD}`]) {
      const migrator = createMigrator({ database, steps });
      const error = await migrator.status().then(
        () => expect.fail('a store was found'),
        (thrown: unknown) => thrown,
      );
      expect(error).to.be.instanceOf(BackfillError);
      expect(all(error)).not.to.include(PART);
    }
    const cause = await failureOf('USAGE', () => {
      try {
        new URL(`postgres//app_owner:${PASSWORD}@h/db`);
      } catch (thrown) {
        const first = new AggregateError([thrown], `for ${url}`, { cause: thrown });
        throw anError('USAGE', `Bad ${url}`, `Not ${url}`, { cause: first });
      }
    });
    expect(all(cause)).not.to.include(`${PASSWORD}@`);
    const background = startBackfills({ folder: root, path: url, onEvent: () => undefined });
    const failed = await background.done.then(
      () => expect.fail('a store was found'),
      (thrown: unknown) => thrown,
    );
    expect(all(failed)).not.to.include(PART);
  });

  it('is in no URL, whatever else a text holds', () => {
    const hint = 'Pass --database-url';
    fc.assert(
      fc.property(
        fc.stringMatching(/^[^\s'"`<>]{0,12}$/),
        fc.stringMatching(/^[\w.-]{0,8}$/),
        fc.string(),
        (password, user, text) => {
          const url = `postgres://${user}:${password}~S3CRET@host/db`;
          const error = anError('USAGE', `${text} ${url} ${text}`, `${hint} '${url}'`);
          expect(error.message).not.to.include('~S3CRET@');
          expect(error.hint).not.to.include('S3CRET');
          expect(error.hint).to.include('@host/db');
        },
      ),
      { examples: [['a@', '', '']] }, // of which a call before this one may have had the beginning
    );
  });

  it('is told neither in results nor in the log, the report and the metrics, where a file has such a name', async () => {
    mkdirSync(folder.file('host=h'));
    const store = folder.file(`host=h/password=${PASSWORD}`);
    generateStore({ path: store, audits: 60 });
    const [report, metrics] = [folder.file('report.html'), folder.file('metrics')];
    const files = ['--report', report, '--metrics-file', metrics];
    for (const args of [
      ['status'],
      ['up', '--dry-run'],
      ['up', ...files, '--log-level', 'trace'],
      ['verify'],
      ['restore', '--dry-run'],
      ['down', '--to', '0', '--log-level', 'trace', '--yes'],
    ])
      for (const form of [[], ['--json']]) {
        const result = await runCli([...args, ...form, '--db-path', store]);
        expect(result.code, result.stderr).to.equal(0);
        expect(result.stdout + result.stderr, args.join(' ')).not.to.include(PART);
      }
    for (const file of [report, metrics])
      expect(readFileSync(file, 'utf8')).to.match(/\S/).and.not.include(PART);
  });

  it('leaves JSON valid, whatever is next to it', async () => {
    const store = folder.file('named.db');
    generateStore({ path: store, audits: 20 });
    const env = { CI: '', PGPASSWORD: 'n12345' };
    expect((await runCli(['up', '--no-backup', '--db-path', store])).code).to.equal(0);
    const parts = [
      ...['h=1 password=ab', 'x://h?password=ab', 'PGPASSWORD=ab', 'x://u:ab', `password='`, '://', '@', '='],
      ...['\\', '"', "'", '\n12345', 'n12345', '\u001b', '\u202e', ' ', '%3d', '&', ';', ' b=1'],
    ];
    await fc.assert(
      fc.asyncProperty(fc.array(fc.constantFrom(...parts), { minLength: 1, maxLength: 9 }), async (drawn) => {
        const name = drawn.join('');
        asAgentOs(store, (db) => {
          db.exec(`DELETE FROM umzug_backfill_steps WHERE kind = 'external'`);
          db.prepare(
            `INSERT INTO umzug_backfill_steps (name, kind, status, fingerprint, package_version, started_at, applied_at)
             VALUES (?, 'external', 'applied', 'x', '0.1.0', '2026-01-01', '2026-01-01')`,
          ).run(name);
        });
        const { json, stdout } = await runCli(['executed', '--json', '--db-path', store], { env });
        expect(json, `${JSON.stringify(name)}: ${stdout}`).not.to.throw();
      }),
      { numRuns: 150 },
    );
  });

  it('leaves SQL as it is', async () => {
    const texts = ['SET password = lower(password), token = 1', 'WHERE password=other AND a = 1'];
    for (const text of texts) expect(anError('USAGE', text, text).message).to.equal(text);
  });
});
