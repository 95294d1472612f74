import { expect } from 'chai';
import { before, describe, it } from 'mocha';
import type { Client } from 'pg';
import {
  type BackfillDefinition,
  createMigrator,
  defineBackfill,
  defineSchemaStep,
  defineSqlStep,
  firstOf,
  type Migrator,
  migrateOnDeploy,
  sql,
  startBackfills,
} from '../src/index.js';
import { useNewProject } from './support/new-project.js';
import { dumpPgSchema, dumpPgTable } from './support/postgres-dump.js';
import { needServer, withDatabase } from './support/postgres-server.js';
import { expectStopBetweenPages, PAGED_ROWS } from './support/stopped-verification.js';

/** Tables of somebody's own, each with another kind of key. */
const TABLES = `
  CREATE TABLE people (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), name text, shoe numeric, seen_at timestamptz);
  CREATE TABLE orders (code text COLLATE "C" PRIMARY KEY, body jsonb NOT NULL, created_at timestamptz NOT NULL);
  CREATE TABLE "Odd ""table" ("the key" int PRIMARY KEY, payload json, made timestamp);
  INSERT INTO people (name, shoe, seen_at) SELECT CASE WHEN n % 7 = 0 THEN 'Cher' ELSE 'Ada ' || n || ' Byron' END, n / 4.0,
    '2026-01-01T00:00:00Z'::timestamptz + n * interval '1 hour' FROM generate_series(1, 300) AS n;
  INSERT INTO orders SELECT 'é' || n || '''', json_build_object(CASE WHEN n % 2 = 0 THEN 'ts' ELSE 'other' END,
    '2026-01-0' || (1 + n % 9) || 'T00:00:00Z'), '2026-02-01T12:00:00+02' FROM generate_series(1, 300) AS n;
  INSERT INTO "Odd ""table" VALUES (-5, '{"ts": 1, "ts": 2}', '2026-01-20 10:00:00'), (7, NULL, '2026-01-20 10:00:00.25'), (8, '{}', NULL)`;

const people = defineBackfill({
  table: 'people',
  key: 'id',
  reads: ['name', 'shoe'],
  columns: ['surname', 'label'],
  process: (rows, { skip }) =>
    rows.map(({ name, shoe }) => {
      const surname = String(name).split(' ')[2];
      return surname === undefined ? skip('NO_SURNAME') : { surname, label: `${typeof shoe} ${shoe}` };
    }),
});

const orders = defineBackfill({
  table: 'orders',
  key: 'code',
  scope: { sqlite: 'false', postgres: `body ?| array['ts', 'other']` },
  columns: {
    ordered_at: firstOf('body', ['ts'], 'created_at'),
    length: sql({ sqlite: 'length(code)', postgres: 'char_length(code) * 2' }),
  },
  checks: { rules: [{ title: 'no length is odd', query: 'SELECT code FROM orders WHERE length % 2 = 1' }] },
});

const odd = defineBackfill({
  table: 'Odd "table',
  key: 'the key',
  columns: { 'a ts': firstOf('payload', ['ts'], 'made') },
});

const steps = {
  '001-names': defineSchemaStep({ table: 'people', columns: { surname: 'text', label: 'text' } }),
  '002-people': people,
  '003-orders': defineSchemaStep({
    table: 'orders',
    columns: { ordered_at: 'text', length: 'integer' },
    indexes: { idx_orders_ordered_at: { columns: ['ordered_at'], where: "ordered_at > '2026'" } },
  }),
  '004-orders': orders,
  '005-odd': defineSchemaStep({ table: 'Odd "table', columns: { 'a ts': 'text' } }),
  '006-odd': odd,
  '007-view': defineSqlStep({
    up: ['CREATE VIEW seen AS SELECT seen_at FROM people'],
    down: ['DROP VIEW seen'],
  }),
};

const TABLE_NAMES = ['people', 'orders', 'Odd "table'];

async function contents(client: Client): Promise<unknown> {
  const tables: Record<string, unknown> = {};
  for (const name of TABLE_NAMES) tables[name] = await dumpPgTable(client, name);
  return { schema: await dumpPgSchema(client), tables };
}

describe('createMigrator() on a database of PostgreSQL', () => {
  before(function () {
    needServer(this);
  });

  it('fills tables with keys of UUIDs, of texts and of integers, verifies them, and takes all of it back', () =>
    withDatabase(async ({ url, client }) => {
      await client.query(TABLES);
      const fresh = await contents(client);
      const migrator = createMigrator({ database: url, steps, batchRows: 40 });
      const applied = await migrator.up();
      expect(applied.map(({ name }) => name)).to.deep.equal(Object.keys(steps));

      const { rows } = await client.query(
        `SELECT (SELECT count(*)::int FROM people WHERE surname = 'Byron' AND label = 'string ' || shoe) AS named,
          (SELECT count(*)::int FROM people WHERE surname IS NULL) AS without,
          (SELECT count(*)::int FROM orders WHERE ordered_at = coalesce(body ->> 'ts', '2026-02-01T10:00:00.000000Z')) AS ordered,
          (SELECT count(*)::int FROM orders WHERE length = 2 * char_length(code)) AS measured,
          (SELECT json_agg("a ts" ORDER BY "the key") FROM "Odd ""table") AS odd`,
      );
      expect(rows).to.deep.equal([
        {
          named: 258,
          without: 42,
          ordered: 300,
          measured: 300,
          odd: ['1', '2026-01-20T10:00:00.250000', null],
        },
      ]);
      const verdicts = (await migrator.verify()).map(({ backfill, verdict }) => [backfill, verdict]);
      expect(verdicts).to.deep.equal([
        ['002-people', 'warn'],
        ['004-orders', 'pass'],
        ['006-odd', 'warn'],
      ]);
      const skips = await migrator.skips('002-people');
      expect(new Set(skips[0]?.skips.map(({ reason }) => reason))).to.deep.equal(new Set(['NO_SURNAME']));
      expect(skips[0]?.skips).to.have.length(42);
      expect((await migrator.status()).isPending).to.equal(false);

      await migrator.down({ to: 0 });
      expect(await contents(client)).to.deep.equal(fresh);
    }));

  it('goes on where it was stopped between two batches, and finds rows of any key that are written later', () =>
    withDatabase(async ({ url, client }) => {
      await client.query(TABLES);
      const stopper = new AbortController();
      const onEvent = ({ event }: { readonly event: string }): void => {
        if (event === 'batch_committed') stopper.abort('SIGTERM');
      };
      const stopped = createMigrator({
        database: url,
        steps,
        batchRows: 40,
        signal: stopper.signal,
        onEvent,
      });
      await stopped.up().then(
        () => expect.fail('it was not stopped'),
        (error: { readonly code?: string }) => expect(error.code).to.equal('TERMINATED'),
      );
      const migrator = createMigrator({ database: url, steps });
      await migrator.up();
      await client.query(
        `INSERT INTO people (id, name) VALUES ('00000000-0000-0000-0000-000000000001', 'Ada Augusta King')`,
      );
      expect((await migrator.backfill()).ran).to.deep.equal(['002-people']);
      const { rows } = await client.query(`SELECT count(*)::int AS n FROM people WHERE surname IS NOT NULL`);
      expect(rows).to.deep.equal([{ n: 259 }]);
    }));

  const refusals: readonly (readonly [
    what: string,
    table: string,
    backfill: BackfillDefinition,
    code: string,
  ])[] = [
    [
      'a key of texts whose order is not that of their bytes',
      'CREATE TABLE t (k text COLLATE "en-x-icu" PRIMARY KEY, d jsonb, v text)',
      defineBackfill({ table: 't', key: 'k', columns: { v: firstOf('d', ['a'], 'k') } }),
      'KEY_UNSUITABLE',
    ],
    [
      'a key that is not unique',
      'CREATE TABLE t (k int, d jsonb, v text, w text)',
      defineBackfill({ table: 't', key: 'k', columns: { v: firstOf('d', ['a'], 'w') } }),
      'KEY_UNSUITABLE',
    ],
    [
      'an expression of another engine',
      'CREATE TABLE t (k int PRIMARY KEY, v text)',
      defineBackfill({ table: 't', key: 'k', columns: { v: sql(`json_extract(k, '$.a')`) } }),
      'STEP_INVALID',
    ],
    [
      'a column that generates itself',
      `CREATE TABLE t (k int PRIMARY KEY, w text, v text GENERATED ALWAYS AS ('x' || w) STORED)`,
      defineBackfill({ table: 't', key: 'k', columns: { v: sql(`'y'`) } }),
      'SCHEMA_BLOCKED',
    ],
  ];
  for (const [what, table, backfill, code] of refusals) {
    it(`refuses ${what}, and changes nothing`, () =>
      withDatabase(async ({ url, client }) => {
        await client.query(table);
        const fresh = await dumpPgSchema(client);
        const migrator = createMigrator({ database: url, steps: { '001-t': backfill } });
        await migrator.up().then(
          () => expect.fail('it was not refused'),
          (error: { readonly code?: string }) => expect(error.code).to.equal(code),
        );
        expect(await dumpPgSchema(client)).to.deep.equal(fresh);
      }));
  }

  /** Runs `up`, and another migrator of this process as soon as a batch is committed; returns what became of that. */
  async function besides(url: string, other: (migrator: Migrator) => Promise<unknown>): Promise<unknown> {
    let answer: Promise<unknown> | undefined;
    const settings = { database: url, steps, batchRows: 40 };
    const onEvent = ({ event }: { readonly event: string }): void => {
      if (event === 'batch_committed')
        answer ??= other(createMigrator({ ...settings, lockTimeoutMs: 0 })).catch((error) => error);
    };
    await createMigrator({ ...settings, onEvent }).up();
    return await answer;
  }

  async function expectFilledOnce(url: string, client: Client): Promise<void> {
    const { rows } = await client.query(`SELECT count(*)::int AS named FROM people WHERE surname = 'Byron'`);
    expect(rows).to.deep.equal([{ named: 258 }]);
    expect(await createMigrator({ database: url, steps }).pending()).to.deep.equal([]);
    await createMigrator({ database: url, steps }).down({ to: 0 });
  }

  it('refuses another migrator of this process that takes back while it fills', () =>
    withDatabase(async ({ url, client }) => {
      await client.query(TABLES);
      const answer = await besides(url, (migrator) => migrator.down({ to: 0 }));
      expect(answer).to.include({ code: 'RUN_LOCKED' });
      expect(String(answer)).to.include(`process ${process.pid} on `);
      await expectFilledOnce(url, client);
    }));

  it('lets another migrator of this process take part while it fills, and do what comes behind, or refuses it', () =>
    withDatabase(async ({ url, client }) => {
      await client.query(TABLES);
      const answer = await besides(url, (migrator) => migrator.up());
      if (answer instanceof Error) expect(answer).to.include({ code: 'RUN_LOCKED' });
      await expectFilledOnce(url, client);
    }));

  it('verifies every page of a table, and hears its signal between two', () =>
    withDatabase(async ({ url, client }) => {
      await client.query(
        `CREATE TABLE notes (id int PRIMARY KEY, a text); INSERT INTO notes SELECT generate_series(1, ${PAGED_ROWS})`,
      );
      await expectStopBetweenPages(url);
    }));

  const project = useNewProject();

  it('has the hints of a server, also from the background', () =>
    withDatabase(async ({ url, client }) => {
      await client.query(`CREATE TABLE notes (id int PRIMARY KEY, a text); INSERT INTO notes VALUES (1);
        CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
        CREATE TRIGGER touches BEFORE UPDATE ON notes FOR EACH ROW EXECUTE FUNCTION touch()`);
      project.declare({
        '001-notes': `defineBackfill({ table: 'notes', key: 'id', columns: { a: sql("'x'") } })`,
      });
      const options = { folder: project.path, path: url, onEvent: () => undefined };
      for (const deploy of [() => migrateOnDeploy(options), () => startBackfills(options).done]) {
        const error = await deploy().catch((thrown: unknown) => thrown);
        expect(error).to.include({ code: 'TRIGGERS_WOULD_FIRE' });
        expect((error as { hint: string }).hint).to.include(String.raw`psql STORE -c '\d notes'`);
      }
    }));

  it('refuses `startBackfills()` in this process while it is under way', () =>
    withDatabase(async ({ url, client }) => {
      await client.query('CREATE TABLE notes (id int PRIMARY KEY, a text); INSERT INTO notes VALUES (1)');
      project.declare({
        '001-first': `defineSqlStep({ up: ['SELECT 1'], down: ['SELECT 1'] })`,
        '002-notes': `defineBackfill({ table: 'notes', key: 'id', columns: { a: sql("'x'") } })`,
      });
      const migrator = createMigrator({ database: url, steps: 'steps', folder: project.path });
      const answers: unknown[] = [];
      migrator.on('migrated', async () => {
        const { done } = startBackfills({ folder: project.path, path: url, lockTimeoutMs: 0 });
        answers.push(await done.catch((error) => error));
      });
      await migrator.up();
      expect(answers[0]).to.include({ code: 'RUN_LOCKED' });
      expect((await client.query('SELECT a FROM notes')).rows).to.deep.equal([{ a: 'x' }]);
    }));
});
