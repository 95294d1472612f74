import { expect } from 'chai';
import { describe, it } from 'mocha';
import {
  type BackfillOptions,
  type ConfigOptions,
  defineBackfill,
  defineConfig,
  defineSchemaStep,
  defineSqlStep,
  type ErrorCode,
  firstOf,
  type SchemaStepOptions,
  type SqlStepOptions,
} from '../src/index.js';
import { expectRefusal, runCli } from './support/cli.js';
import { useNewProject } from './support/new-project.js';
import { failureOf } from './support/stores.js';

const value = firstOf('body', ['ts', 'time'], 'created_at');
const backfill: BackfillOptions = { table: 'events', key: 'id', scope: `kind = 'A'`, columns: { ts: value } };
const schema: SchemaStepOptions = {
  table: 'events',
  columns: { ts: 'TEXT' },
  indexes: { idx_ts: { columns: ['ts'], where: 'ts IS NOT NULL' } },
  version: { table: 'schema_version', column: 'version', becomes: '2.0.0' },
};
const sql: SqlStepOptions = { up: ['CREATE VIEW v AS SELECT 1'], down: ['DROP VIEW v'] };
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

  const define = (changed: object) => {
    const { document, names, fallback } = { document: 'body', names: ['a'], fallback: 'c', ...changed };
    return firstOf(document, names, fallback);
  };
  refuses('STEP_INVALID', define, [
    [{ document: '' }, '`document`'],
    [{ document: 7 }, '`document`'],
    [{ fallback: ' ' }, '`fallback`'],
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
    [{ checks: { groupby: 'kind' } }, '`groupby`'],
    [{ checks: { areTimestamps: true, lag: { from: 'ts', to: 'seen' } } }, 'seen'],
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
    [{ indexes: { i: { columns: ['ts'], unique: true } } }, '`unique`'],
    [{ indexes: { i: { where: 'ts IS NOT NULL' } } }, '`indexes.i'],
    [{ indexes: { i: { columns: [] } } }, '`indexes.i'],
    [{ indexes: { i: { columns: ['ts'], where: '' } } }, '`indexes.i.where'],
    [{ indexes: { i: { columns: ['ts'], where: 'ts > 0; DROP TABLE events' } } }, '`indexes.i.where'],
    [{ indexes: { i: { columns: ['ts'], where: 'ts > ?' } } }, '`indexes.i.where'],
    [{ version: { ...schema.version, is: '2' } }, '`is`'],
    [{ version: { ...schema.version, becomes: undefined } }, 'becomes'],
    [{ version: { ...schema.version, becomes: 'newest' } }, 'newest'],
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
    [{ folders: [] }, '`folders`'],
    [{ database: undefined }, '`database.path`'],
    [{ database: { path: '' } }, '`database.path`'],
    [{ database: { path: 'a', url: 'b' } }, '`url`'],
    [{ steps: undefined }, '`steps`'],
    [{ steps: [] }, '`steps`'],
    [{ steps: 'steps' }, '`steps`'],
    [{ requires: { table: {} } }, '`table`'],
  ]);

  describe('of a project', () => {
    const project = useNewProject();

    it('names the store: the path given, then the environment, then its own', async () => {
      project.write('steps/001-none.sql', 'SELECT 1');
      const pathOf = async (database: object, env: NodeJS.ProcessEnv, ...args: string[]): Promise<string> => {
        const written = JSON.stringify({ ...config, database });
        project.write(
          'umzug-backfill.config.mjs',
          `import { defineConfig } from 'umzug-backfill'; export default defineConfig(${written});`,
        );
        const result = await runCli(['status', ...args], { cwd: project.path, env });
        return /(\w+\.db)$/.exec(expectRefusal(result, 'STORE_MISSING', 1).message)?.[1] ?? '';
      };
      const database = { path: 'store.db', env: 'APP_DB' };
      expect(await pathOf(database, { APP_DB: 'env.db' }, '--db-path', 'given.db')).to.equal('given.db');
      expect(await pathOf(database, { APP_DB: 'env.db' })).to.equal('env.db');
      // A variable that is set to nothing is as good as none; a shell can't always unset it.
      expect(await pathOf(database, { APP_DB: '' })).to.equal('store.db');
      expect(await pathOf(database, {})).to.equal('store.db');
      expect(await pathOf({ path: 'store.db' }, { undefined: 'env.db' })).to.equal('store.db');
    });
  });
});
