import { appendFileSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { inspect } from 'node:util';
import Database from 'better-sqlite3';
import { expect } from 'chai';
import knex from 'knex';
import { after, before, describe, it } from 'mocha';
import pg from 'pg';
import { Sequelize } from 'sequelize';
import {
  type BackfillError,
  backfillStep,
  createMigrator,
  defineBackfill,
  ledgerStorage,
  type PostgresConfig,
  type StoreDatabase,
  sql,
} from '../../src/index.js';
import { runCommand, useFolder } from '../support/cli.js';
import { needServer, withClient } from '../support/postgres-server.js';
import { failureOf, query } from '../support/stores.js';
import { certificatesIn, hasOpenssl, startTlsServer, type TlsServer } from '../support/tls-server.js';

// What an application passes as `database`: its own objects, whose settings are used for connections of ours. The server lets this user
// in with a password and encryption only.

const PASSWORD = 'Tr0ub4dor&3-of-keyed';

/** Sequelize 7, in alpha, by the members that are read. */
const sequelize7 = (write: object, name = 'postgres', hasListeners = false) => ({
  dialect: { name },
  options: { replication: { write, read: [] } },
  hooks: { hasListeners: () => hasListeners },
  define: () => undefined,
});

describe('a database of an application', () => {
  const folder = useFolder();
  let tls: TlsServer;
  let ca: string;
  let crt: string;
  /** Settings that lead to the database. */
  let config: PostgresConfig & { readonly host: string; readonly port: number; readonly ssl: object };
  const ends: (() => Promise<unknown>)[] = [];

  before(async function () {
    needServer(this);
    if (!hasOpenssl) {
      console.log('    skipped: without openssl no certificate can be made');
      this.skip();
    }
    const make = certificatesIn(folder.path);
    const known = make.authority('known');
    crt = `${known}.crt`;
    ca = readFileSync(crt, 'utf8');
    tls = await startTlsServer(make.signed('right', { by: 'known', names: 'IP:127.0.0.1' }), known);
    const { server } = tls;
    const rules = join(server.dataFolder, 'pg_hba.conf');
    const own =
      'local all keyed scram-sha-256\nhostssl all keyed all scram-sha-256\nhost all keyed all reject\n';
    writeFileSync(rules, `${own}${readFileSync(rules, 'utf8')}`);
    await withClient(server.url('postgres'), async (client) => {
      await client.query(`CREATE ROLE keyed LOGIN PASSWORD '${PASSWORD}'`);
      await client.query('CREATE DATABASE shop OWNER keyed');
      await client.query('SELECT pg_reload_conf()');
    });
    const { host, port } = server;
    config = { host, port, user: 'keyed', password: PASSWORD, database: 'shop', ssl: { ca } };
  });
  after(async () => {
    for (const end of ends) await end();
    await tls?.server.stop();
  });

  const pool = (given: object): pg.Pool => {
    const made = new pg.Pool(given);
    ends.push(() => made.end());
    return made;
  };
  const knexOf = (given: object) => {
    const made = knex({ client: 'pg', pool: { min: 0 }, ...given });
    ends.push(() => made.destroy());
    return made;
  };
  const sequelize = (given: object = {}): Sequelize => {
    const { host, port, ssl } = config;
    const options = { host, port, dialect: 'postgres' as const, logging: false, dialectOptions: { ssl } };
    const made = new Sequelize('shop', 'keyed', PASSWORD, { ...options, ...given });
    ends.push(() => made.close());
    return made;
  };

  /** Every form, by its name. */
  const forms = (): Readonly<Record<string, StoreDatabase>> => {
    const { host, port, ssl, ...user } = config;
    const login = `postgres://keyed:${encodeURIComponent(PASSWORD)}@${host}:${port}/shop`;
    const client = new pg.Client(config);
    return {
      'a URL': `${login}?sslmode=verify-full&sslrootcert=${encodeURIComponent(crt)}`,
      'settings, also of a pool': { ...config, max: 3, statement_timeout: 10_000 },
      'settings with a function for the password': { ...config, password: async () => PASSWORD },
      'settings with a connection string': { connectionString: login, ssl },
      'a connection string with a file': {
        connectionString: `${login}?sslmode=verify-full&sslrootcert=${encodeURIComponent(crt)}`,
      },
      'a socket folder': { ...user, port, host: tls.server.socketFolder },
      'a Pool': pool(config),
      'a Client': client,
      'a function': async () => config,
      'a function that returns a Client': () => new pg.Client(config),
      'a function that returns a URL': () =>
        `${login}?sslmode=verify-ca&sslrootcert=${encodeURIComponent(crt)}`,
      'Sequelize 6': sequelize(),
      'Sequelize 6 with replicas': sequelize({
        port: 1,
        replication: { write: { port }, read: [{ host: 'replica.invalid' }] },
      }),
      'Sequelize 7': sequelize7(config),
      'a knex': knexOf({ connection: config }),
      'a knex with a function': knexOf({
        connection: async () => ({ ...config, expirationChecker: () => true }),
      }),
      'a knex on a Pool': knexOf({ connectionPool: pool(config) }),
    };
  };

  it('is reached in each form, encrypted, with its password in no name', async () => {
    for (const [form, database] of Object.entries(forms())) {
      const storage = ledgerStorage(database);
      expect(storage.path, form)
        .to.match(/^postgres:\/\//)
        .and.not.include('Tr0ub4dor');
      await storage.logMigration({ name: form }).catch((error: unknown) => {
        throw new Error(`${form}: ${inspect(error)}`);
      });
      expect(await storage.executed(), form).to.include(form);
      await storage.unlogMigration({ name: form });
    }
  });

  it('lends its pool to nobody', async () => {
    const lent = pool({ ...config, max: 1 });
    const held = await lent.connect();
    expect(await ledgerStorage(lent).executed()).to.deep.equal([]);
    expect([lent.totalCount, lent.idleCount]).to.deep.equal([1, 0]);
    held.release();
  });

  it('is asked for its settings by each connection, whose password may have expired', async () => {
    let asked = 0;
    const rotate = async (): Promise<string> => {
      asked += 1;
      const token = `token-${asked}-${PASSWORD}`;
      await withClient(tls.server.url('postgres'), (client) =>
        client.query(`ALTER ROLE keyed PASSWORD '${token}'`),
      );
      return token;
    };
    const { password: _, ...rest } = config;
    try {
      const ask = async (): Promise<string> => {
        asked += 1;
        return PASSWORD;
      };
      await ledgerStorage({ ...rest, password: ask }).executed();
      const byPassword = asked;
      expect(byPassword).to.be.above(1);
      // A server has read a role's password before it asks for it: only a function for all settings comes before that.
      await ledgerStorage(async () => ({ ...rest, password: await rotate() })).executed();
      expect(asked).to.be.above(byPassword + 1);
    } finally {
      await withClient(tls.server.url('postgres'), (client) =>
        client.query(`ALTER ROLE keyed PASSWORD '${PASSWORD}'`),
      );
    }
  });

  it('has the search path that knex sets', async () => {
    const schemas = ['its "own"\\ path', 'public'];
    await withClient(tls.server.url('shop'), (client) =>
      client.query('CREATE SCHEMA "its ""own""\\ path" AUTHORIZATION keyed'),
    );
    const quoting = knexOf({ connection: config, searchPath: schemas });
    await ledgerStorage(quoting).logMigration({ name: '001' });
    await withClient(tls.server.url('shop'), async (client) => {
      const { rows } = await client.query(
        `SELECT schemaname FROM pg_tables WHERE tablename = 'umzug_backfill_steps'`,
      );
      expect(rows).to.deep.equal([{ schemaname: schemas[0] }]);
      await client.query('DROP SCHEMA "its ""own""\\ path" CASCADE');
    });
  });

  it('is refused where other roles may plant code, unless they are trusted', async () => {
    const admin = (sql: string) => withClient(tls.server.url('shop'), (client) => client.query(sql));
    await admin('CREATE ROLE low LOGIN; GRANT CREATE ON SCHEMA public TO low');
    try {
      await failureOf('SEARCH_PATH_UNSAFE', () => ledgerStorage(config).executed());
      expect(await ledgerStorage(config, { confirmed: true }).executed()).to.deep.equal([]);
    } finally {
      await admin('REVOKE CREATE ON SCHEMA public FROM low; DROP ROLE low');
    }
  });

  it('is filled by a step and by a migrator', async () => {
    const shop = sequelize();
    await shop.query(
      'CREATE TABLE notes (id int PRIMARY KEY, a text); INSERT INTO notes SELECT generate_series(1, 30)',
    );
    const backfill = defineBackfill({ table: 'notes', key: 'id', columns: { a: sql(`'x'`) } });
    const filled = async () => (await shop.query('SELECT count(a)::int AS n FROM notes'))[0];
    const step = backfillStep({ name: '001-notes', database: shop, backfill, workers: 2 });
    await step.up();
    expect(await filled()).to.deep.equal([{ n: 30 }]);
    // The same ledger, whatever leads to it.
    const migrator = createMigrator({ database: pool(config), steps: { '001-notes': backfill } });
    expect(await migrator.pending()).to.deep.equal([]);
    expect((await migrator.verify())[0]?.verdict).to.equal('pass');
    await migrator.down();
    expect(await filled()).to.deep.equal([{ n: 0 }]);
    const fresh = createMigrator({
      database: () => config,
      steps: { '001-notes': backfill },
      parallelMinBytes: 0,
    });
    await fresh.up();
    expect((await fresh.status()).isPending).to.equal(false);
    await step.down();
    expect(await filled()).to.deep.equal([{ n: 0 }]);
  });

  it('is that of the command line in code, unless an argument names another', async () => {
    await withClient(tls.server.url('shop'), (client) =>
      client.query('CREATE TABLE told (id int PRIMARY KEY, a text); ALTER TABLE told OWNER TO keyed'),
    );
    const file = folder.file('told.db');
    new Database(file).exec('CREATE TABLE told (id INTEGER PRIMARY KEY, a TEXT)').close();
    for (const database of ['settings', '() => settings']) {
      const script = `import { createMigrator, defineBackfill, sql } from 'umzug-backfill';
        const settings = JSON.parse(process.env.SETTINGS);
        const steps = { told: defineBackfill({ table: 'told', key: 'id', columns: { a: sql("'x'") } }) };
        await createMigrator({ database: ${database}, steps }).runAsCLI(process.argv.slice(1));`;
      const run = async (...args: readonly string[]) =>
        await runCommand([process.execPath, '--input-type=module', '-e', script, '--', ...args, '--json'], {
          env: { SETTINGS: JSON.stringify(config) },
        });
      const early = await run('verify');
      expect(early.json().error).to.include({ code: 'STEP_NOT_APPLIED' });
      expect(early.json().error.hint, 'a URL would not have its settings').not.to.include('--database-url');
      if (database !== 'settings') continue;
      const up = await run('up');
      expect(up.code, up.stderr).to.equal(0);
      expect(up.json().applied).to.deep.equal(['told']);
      expect((await run('status', '--db-path', file)).json().path).to.equal(file);
      expect((await run('down')).json().reverted).to.deep.equal(['told']);
    }
  });

  /** What a use of a database is refused with; its password is in no part of the error. */
  async function refusal(code: BackfillError['code'], database: unknown): Promise<BackfillError> {
    const error = await failureOf(code, () => ledgerStorage(database as StoreDatabase).executed());
    const texts = [error.message, error.hint, inspect(error, { depth: 9, showHidden: true })];
    expect(texts.join('\n')).not.to.include('Tr0ub4dor');
    return error;
  }

  it('is never less encrypted than for the application', async () => {
    const { ssl: _, ...plain } = config;
    const { host, port, user, password, database } = config;
    const login = `postgres://${user}:${encodeURIComponent(String(password))}@${host}:${port}/${database}`;
    // `require` verifies for pg, and does not for libpq.
    expect(await ledgerStorage(`${login}?sslmode=require`).executed()).to.deep.equal([]);
    await refusal('TLS_FAILED', { connectionString: `${login}?sslmode=require` });
    await refusal('TLS_FAILED', pool({ connectionString: `${login}?sslmode=require` }));
    await refusal('TLS_FAILED', { ...plain, ssl: true });
    await refusal('STORE_UNREACHABLE', plain); // the server takes no plain connection of this user
    const before = process.env.PGSSLMODE;
    process.env.PGSSLMODE = 'require';
    try {
      await refusal('TLS_FAILED', pool(plain));
    } finally {
      if (before === undefined) delete process.env.PGSSLMODE;
      else process.env.PGSSLMODE = before;
    }
    const strict = { ca, checkServerIdentity: () => new Error('not this one') };
    await refusal('TLS_FAILED', { ...plain, ssl: strict });
  });

  it('is refused by the name of what can not be carried over, and its password is never shown', async () => {
    const { ssl } = config;
    for (const [named, database] of [
      ['ssl.rejectUnauthorised', { ...config, ssl: { ...ssl, rejectUnauthorised: true } }],
      ['ssl.socket', { ...config, ssl: { ...ssl, socket: {} } }],
      ['stream', { ...config, stream: () => undefined }],
      ['sslmode', { host: 'h', password: PASSWORD, sslmode: 'verify-full' }],
      ['hots', { ...config, hots: 'h' }],
      ['Client', pool({ ...config, Client: pg.Client })],
      ['password', { ...config, password: { is: PASSWORD } }],
      ['port', { ...config, port: `${PASSWORD}` }],
      ['connectionString', { connectionString: `mysql://u:${PASSWORD}@h/d` }],
      ['stream', sequelize7({ ...config, stream: () => undefined })],
      ['beforeConnect', sequelize({ hooks: { beforeConnect: () => undefined } })],
      ['beforeConnect', sequelize7(config, 'postgres', true)],
      ['searchPath', knexOf({ connection: config, searchPath: [1] })],
      ['returned no address', () => new Date()],
      ['returned no address', () => () => config],
      ['`database`', sequelize7(config, 'mysql')],
      ['`database`', knex({ client: 'mysql2' })],
      ['`database`', {}],
      ['`database`', undefined],
      ['`database`', 7],
    ] as const)
      expect((await refusal('USAGE', database)).message).to.include(named);

    await refusal('STORE_UNREACHABLE', { ...config, password: `wrong-${PASSWORD}` });
    ledgerStorage(config); // from here on the password is known
    await refusal('STORE_UNREACHABLE', () => {
      throw new Error(`no token for ${config.password}`);
    });
    await refusal('STORE_NOT_A_FILE', sequelize7({ storage: ':memory:' }, 'sqlite3'));
    const open = knexOf({ connection: config });
    const rolledBack = open.transaction((trx) => refusal('STORE_BUSY', trx));
    await rolledBack;
  });

  it('is given up if its function does not return', async () => {
    const before = process.env.PGCONNECT_TIMEOUT;
    process.env.PGCONNECT_TIMEOUT = '0.05';
    try {
      const { message } = await refusal('STORE_UNREACHABLE', () => new Promise(() => undefined));
      expect(message).to.include('0.05 s');
    } finally {
      if (before === undefined) delete process.env.PGCONNECT_TIMEOUT;
      else process.env.PGCONNECT_TIMEOUT = before;
    }
  });

  it('of a Sequelize or a knex may be a file', async () => {
    const path = folder.file('shop.db');
    appendFileSync(path, '');
    const files = [
      knex({
        client: 'better-sqlite3',
        connection: { filename: path },
        useNullAsDefault: true,
        pool: { min: 0 },
      }),
      sequelize7({ storage: path }, 'sqlite3'),
      { config: {}, options: { dialect: 'sqlite', storage: path }, define: () => undefined },
    ];
    for (const [i, database] of files.entries()) {
      expect(ledgerStorage(database as StoreDatabase).path).to.equal(path);
      await ledgerStorage(database as StoreDatabase).logMigration({ name: `00${i}` });
    }
    expect(query(path, 'SELECT count(*) FROM umzug_backfill_steps')).to.deep.equal([3]);
    await (files[0] as ReturnType<typeof knex>).destroy();
  });
});
