import { join } from 'node:path';
import Database from 'better-sqlite3';
import { expect } from 'chai';
import { describe, it } from 'mocha';
import {
  type BackfillOptions,
  type ConfigOptions,
  type DatabaseOptions,
  defineBackfill,
  defineConfig,
  defineSchemaStep,
  defineSqlStep,
  type ErrorCode,
  firstOf,
  type PostgresEnv,
  type SchemaStepOptions,
  type SqlStepOptions,
} from '../src/index.js';
import { expectRefusal, runCli } from './support/cli.js';
import { useNewProject } from './support/new-project.js';
import { needServer, withDatabase } from './support/postgres-server.js';
import { failureOf } from './support/stores.js';

const value = firstOf('body', ['ts', 'time'], 'created_at');
const backfill: BackfillOptions = { table: 'events', key: 'id', scope: `kind = 'A'`, columns: { ts: value } };
const schema: SchemaStepOptions = {
  table: 'events',
  columns: { ts: 'TEXT' },
  indexes: { idx_ts: { columns: ['ts'], where: 'ts IS NOT NULL' } },
  version: { table: 'schema_version', column: 'version', to: '2.0.0' },
};
const sql: SqlStepOptions = { up: ['CREATE VIEW v AS SELECT 1'], down: ['DROP VIEW v'] };
const postgres: PostgresEnv = {
  type: 'APP_TYPE',
  host: 'APP_HOST',
  port: 'APP_PORT',
  name: 'APP_NAME',
  user: 'APP_USER',
  password: 'APP_PASSWORD',
};
const config: ConfigOptions = { database: { path: 'store.db' }, steps: ['steps'] };

/** A refusal: what is changed in a good declaration, and what the message must name. */
type Refusal = readonly [changed: object, named: string];

function refuses(code: ErrorCode, define: (changed: never) => unknown, refusals: readonly Refusal[]): void {
  for (const [changed, named] of refusals) {
    // JSON leaves undefined out, and it is half of what is tried here.
    const shown = JSON.stringify(changed, (_, part: unknown) => (part === undefined ? 'undefined' : part));
    it(`refuses ${shown.slice(0, 80)} and names ${named}`, async () => {
      const error = await failureOf(code, () => define(changed as never));
      expect(error.message).to.include(named);
      expect(error.hint).to.not.equal('');
      expect(() => structuredClone(error.texts), 'what threads pass on').not.to.throw();
    });
  }
}

describe('firstOf', () => {
  it('gives data that later changes of the list do not reach', () => {
    const names = ['a', 'b'];
    const made = firstOf('body', names, 'created_at');
    names.pop();
    expect(made).to.deep.equal({
      kind: 'first-of',
      document: 'body',
      names: ['a', 'b'],
      fallback: 'created_at',
    });
  });

  it('has no fallback unless one is named', () => {
    expect(firstOf('body', ['a'])).to.deep.equal({ kind: 'first-of', document: 'body', names: ['a'] });
  });

  const define = (changed: object) => {
    const { document, names, fallback } = { document: 'body', names: ['a'], fallback: 'c', ...changed };
    return firstOf(document, names, fallback);
  };
  refuses('STEP_INVALID', define, [
    [{ document: '' }, '`document`'],
    [{ document: 7 }, '`document`'],
    [{ fallback: ' ' }, '`fallback`'],
    [{ fallback: null }, '`fallback`'],
    [{ names: [] }, 'member name'],
    [{ names: ['a', ''] }, '`names`'],
    [{ names: [null] }, '`names`'],
    [{ names: ['a"b'] }, 'a\\"b'],
    [{ names: ['a\\b'] }, 'a\\\\b'],
    [{ names: ['a\0'] }, 'a\\u0000'],
  ]);
});

describe('defineBackfill', () => {
  it('takes every row for in scope, and no checks, unless told otherwise', () => {
    const { scope, checks, columns } = defineBackfill({ table: 't', key: 'id', columns: { ts: value } });
    expect({ scope, checks, columns }).to.deep.equal({
      scope: 'true',
      checks: {},
      columns: [{ name: 'ts', value }],
    });
  });

  it('takes 15 columns', () => {
    const columns = Object.fromEntries(Array.from({ length: 15 }, (_, i) => [`c${i}`, value]));
    expect(defineBackfill({ ...backfill, columns }).columns).to.have.lengthOf(15);
  });

  refuses('STEP_INVALID', (changed: object) => defineBackfill({ ...backfill, ...changed }), [
    [{ tabel: 'events' }, '`tabel`'],
    [{ table: undefined }, '`table`'],
    [{ table: '' }, '`table`'],
    [{ key: undefined }, '`key`'],
    [{ key: ['a', 'b'] }, '`key`'],
    [{ scope: '' }, '`scope`'],
    [{ scope: 1 }, '`scope`'],
    [{ columns: undefined }, '`columns`'],
    [{ columns: {} }, '`columns`'],
    [{ columns: Object.fromEntries(Array.from({ length: 16 }, (_, i) => [`c${i}`, value])) }, 'got 16'],
    [{ columns: { ts: 'ts' } }, '`columns.ts`'],
    [{ columns: { ts: null } }, '`columns.ts`'],
    [{ columns: { ts: 'process' } }, '`columns.ts`'],
    [{ columns: ['ts'] }, '`columns.ts`'],
    [{ reads: [], process: () => [] }, 'a column that `process` fills'],
    [{ reads: [], process: () => [], columns: { ts: 'process', seen: 'other' } }, '`columns.seen`'],
    [{ checks: { groupby: 'kind' } }, '`groupby`'],
    [{ checks: { timestamps: true, lag: { from: 'ts', to: 'seen' } } }, 'seen'],
    [{ checks: { lag: { from: 'ts', to: 'ts' } } }, '`checks.lag`'],
  ]);
});

describe('defineSchemaStep', () => {
  it('needs a table only', () => {
    expect(defineSchemaStep({ table: 't' })).to.deep.equal({
      kind: 'schema',
      table: 't',
      columns: [],
      indexes: [],
      version: undefined,
    });
  });

  refuses('STEP_INVALID', (changed: object) => defineSchemaStep({ ...schema, ...changed }), [
    [{ index: {} }, '`index`'],
    [{ table: '' }, '`table`'],
    // What can't be taken back exactly is no type.
    [{ columns: { ts: 'TEXT NOT NULL' } }, '`columns.ts`'],
    [{ columns: { ts: `TEXT DEFAULT ''` } }, '`columns.ts`'],
    [{ columns: { ts: '' } }, '`columns.ts`'],
    [{ columns: { '': 'TEXT' } }, '`columns'],
    [{ columns: { ts: { type: 'TEXT' } } }, '`columns.ts`'],
    [{ columns: { ts: () => 'TEXT' } }, '`columns.ts`'],
    [{ columns: [{ name: 'ts', type: 'TEXT' }] }, '`columns.0`'],
    [{ indexes: { i: { columns: ['ts'], unique: true } } }, '`unique`'],
    [{ indexes: { i: { where: 'ts IS NOT NULL' } } }, '`indexes.i'],
    [{ indexes: { i: { columns: [] } } }, '`indexes.i'],
    [{ indexes: { i: { columns: ['ts'], where: '' } } }, '`indexes.i.where'],
    [{ indexes: { i: { columns: ['ts'], where: 'ts > 0; DROP TABLE events' } } }, '`indexes.i.where'],
    [{ indexes: { i: { columns: ['ts'], where: 'ts > ?' } } }, '`indexes.i.where'],
    [{ version: { ...schema.version, is: '2' } }, '`is`'],
    [{ version: { ...schema.version, to: undefined } }, 'version.to'],
    [{ version: { ...schema.version, to: 'newest' } }, 'newest'],
  ]);
});

describe('defineSqlStep', () => {
  it('takes a trigger, whose body begins and ends', () => {
    const up = ['CREATE TRIGGER t AFTER INSERT ON events BEGIN SELECT 1; END'];
    expect(defineSqlStep({ up }).up).to.deep.equal(up);
  });

  refuses('STEP_INVALID', (changed: object) => defineSqlStep({ ...sql, ...changed }), [
    [{ dwon: [] }, '`dwon`'],
    [{ up: undefined }, '`up`'],
    [{ up: [] }, '`up`'],
    [{ up: 'SELECT 1' }, '`up`'],
    ...[
      'BEGIN',
      'commit;',
      ' END',
      'ROLLBACK',
      'SAVEPOINT a',
      'RELEASE a',
      'VACUUM',
      `ATTACH 'a' AS b`,
      'DETACH b',
    ].map((statement): Refusal => [{ up: [statement] }, statement]),
    [{ up: ['-- done\nCOMMIT'] }, 'COMMIT'],
    [{ up: ['PRAGMA journal_mode = WAL'] }, 'PRAGMA'],
    [{ down: ['VACUUM'] }, 'VACUUM'],
  ]);
});

describe('defineConfig', () => {
  it('requires nothing of the store unless told so', () => {
    expect(defineConfig(config)).to.deep.equal({ kind: 'config', ...config, requires: {} });
  });

  refuses('CONFIG_INVALID', (changed: object) => defineConfig({ ...config, ...changed }), [
    [{ steps: Object.create(null) }, '`steps`'],
    [{ folders: [] }, '`folders`'],
    [{ database: { path: '' } }, '`database.path`'],
    [{ database: { path: 'a', url: 'b' } }, '`url`'],
    [{ database: { path: 'a', env: '' } }, '`database.env`'],
    [{ database: { path: 'a', env: ['A', ''] } }, '`database.env`'],
    [{ database: { path: 'a', otherPaths: [''] } }, '`database.otherPaths`'],
    [{ database: { postgres: { ...postgres, host: '' } } }, '`database.postgres.host`'],
    [{ database: { postgres: { ...postgres, defaults: { host: 'a' } } } }, '`host`'],
    [
      { database: { postgres: { ...postgres, defaults: { user: '' } } } },
      '`database.postgres.defaults.user`',
    ],
    [{ steps: undefined }, '`steps`'],
    [{ steps: [] }, '`steps`'],
    [{ steps: 'steps' }, '`steps`'],
    [{ requires: { table: {} } }, '`table`'],
    [{ requires: { tables: { a: 'b' } } }, '`requires.tables`'],
    [{ requires: { tables: { a: ['b'], c: [7] } } }, '`requires.tables`'],
    [{ requires: { version: { table: 'v', column: 'v' } } }, '`requires.version.atLeast`'],
    [{ database: 'store.db' }, '`database`'],
  ]);

  describe('of a project', () => {
    const project = useNewProject();

    let folders = 0;

    /** Runs `status` in a project whose config has this `database`. */
    const statusOf = (
      { requires, ...database }: DatabaseOptions & Pick<ConfigOptions, 'requires'>,
      env: NodeJS.ProcessEnv,
      ...args: string[]
    ) => {
      folders += 1; // a process loads a config once
      const folder = `of-${folders}`;
      project.write(`${folder}/steps/001-none.sql`, 'SELECT 1');
      project.write(
        `${folder}/umzug-backfill.config.mjs`,
        `import { defineConfig } from 'umzug-backfill';
        export default defineConfig(${JSON.stringify({ ...config, database, requires })});`,
      );
      return runCli(['status', ...args], { cwd: join(project.path, folder), env });
    };
    /** The store of the error that says it is missing. */
    const pathOf = async (...call: Parameters<typeof statusOf>): Promise<string> =>
      /(\w+\.db)$/.exec(expectRefusal(await statusOf(...call), 'STORE_MISSING', 1).message)?.[1] ?? '';

    it('names the store: the path given, then the environment, then its own', async () => {
      const database = { path: 'store.db', env: 'APP_DB' };
      expect(await pathOf(database, { APP_DB: 'env.db' }, '--db-path', 'given.db')).to.equal('given.db');
      expect(await pathOf(database, { APP_DB: 'env.db' })).to.equal('env.db');
      // A variable that is set to nothing is as good as none; a shell can't always unset it.
      expect(await pathOf(database, { APP_DB: '' })).to.equal('store.db');
      expect(await pathOf(database, {})).to.equal('store.db');
      expect(await pathOf({ path: 'store.db' }, { undefined: 'env.db' })).to.equal('store.db');
    });

    it('takes the first variable that is set of several', async () => {
      const database = { path: 'store.db', env: ['FIRST_DB', 'SECOND_DB'] };
      expect(await pathOf(database, { FIRST_DB: 'first.db', SECOND_DB: 'second.db' })).to.equal('first.db');
      expect(await pathOf(database, { FIRST_DB: '', SECOND_DB: 'second.db' })).to.equal('second.db');
      expect(await pathOf(database, {})).to.equal('store.db');
      const url = 'postgres://app@127.0.0.1:1/app';
      const twice = await statusOf(database, { SECOND_DB: 'second.db' }, '--database-url', url);
      expect(expectRefusal(twice, 'USAGE', 2).message).to.include('SECOND_DB, --database-url');
    });

    it('names other files that exist where the store may be, and takes none of them', async () => {
      const requires = { version: { table: 'schema_version', column: 'version', atLeast: '1.0.0' } };
      const at = (name: string): string => join(project.path, name);
      const database = {
        path: at('store.db'),
        env: ['FIRST_DB', 'SECOND_DB'],
        otherPaths: [at('old.db'), at('gone.db')],
      };
      for (const name of ['old.db', 'second.db']) new Database(at(name)).exec('CREATE TABLE t (a)').close();
      const env = { FIRST_DB: 'first.db', SECOND_DB: at('second.db') };
      const hintOf = async (code: string, ...call: Parameters<typeof statusOf>): Promise<string> =>
        expectRefusal(await statusOf(...call), code, 1).hint;
      expect(await hintOf('STORE_MISSING', database, env)).to.equal(
        `Pass the path of an existing store: --db-path /path/to/store.db; this program creates none; there is a file at ${at('second.db')}, ${at('old.db')}: pass --db-path if it is the store`,
      );
      // Of a table that is not there, and of one without rows. The store itself is no other.
      for (const sql of ['SELECT 1', 'CREATE TABLE schema_version (version)']) {
        const db = new Database(at('store.db'));
        db.exec(`CREATE TABLE IF NOT EXISTS t (a); ${sql}`).close();
        const hint = await hintOf('VERSION_MISSING', { ...database, requires }, {});
        expect(hint).to.match(/; there is a file at \S+\/old\.db: pass --db-path if it is the store$/);
      }
      expect(await hintOf('STORE_MISSING', { path: 'none.db' }, {})).to.match(/creates none$/);
    });

    it('names --postgres where DATABASE_URL is set and the file is missing', async () => {
      const of = async (url: string): Promise<string> =>
        expectRefusal(await statusOf({ path: 'none.db' }, { DATABASE_URL: url }), 'STORE_MISSING', 1).hint;
      expect(await of('postgres://app@127.0.0.1:1/app')).to.match(
        /; DATABASE_URL contains a database: pass --postgres to use it$/,
      );
      expect(await of('mysql://app@127.0.0.1:1/app')).not.to.include('--postgres');
    });

    it('needs no path where a call names its database', async () => {
      const url = 'postgres://app@127.0.0.1:1/app';
      const named = await statusOf({ postgres }, {}, '--database-url', url);
      expectRefusal(named, 'STORE_UNREACHABLE', 1);
      expectRefusal(await statusOf({}, { DATABASE_URL: url }, '--postgres'), 'STORE_UNREACHABLE', 1);
      const { message, hint } = expectRefusal(await statusOf({}, { DATABASE_URL: url }), 'USAGE', 2);
      expect(message).to.equal('No store is specified, and the config has no `database.path`');
      expect(hint).to.include('--postgres');
    });

    it('takes database and user of the server from its defaults where the variables name none', async function () {
      needServer(this);
      await withDatabase(async ({ url, name }) => {
        const { hostname: APP_HOST, port: APP_PORT, username: user } = new URL(url);
        const env = { APP_TYPE: 'postgresql', APP_HOST, APP_PORT };
        expect((await statusOf({ postgres: { ...postgres, defaults: { name, user } } }, env)).code).to.equal(
          0,
        );
        const other = { ...env, APP_NAME: `${name}-not` };
        const result = await statusOf({ postgres: { ...postgres, defaults: { name, user } } }, other);
        expectRefusal(result, 'STORE_MISSING', 1);
        const none = await statusOf({ postgres: { ...postgres, defaults: { user } } }, env);
        expect(expectRefusal(none, 'USAGE', 2).message).to.include('APP_NAME is not set');
      });
    });
  });
});
