import { expect } from 'chai';
import { before, describe, it } from 'mocha';
import { createIndexSql, defineSchemaStep, type IndexOptions } from '../src/steps/schema-step.js';
import {
  columnTypes,
  findIndex,
  hasIndex,
  hasTable,
  hasUnfinishedIndex,
  tableBytes,
  tableColumns,
  updateTriggers,
} from '../src/store/postgres/inspect.js';
import { openPostgresStore } from '../src/store/postgres/site.js';
import type { PostgresStore } from '../src/store/postgres/store.js';
import { whyNoServer, withDatabase } from './support/postgres-server.js';

/** Runs `act` with a store in which a script has run. */
const withStore = (ddl: string, act: (store: PostgresStore) => void): Promise<void> =>
  withDatabase(async ({ url, client }) => {
    await client.query(ddl);
    const store = openPostgresStore({ url }, { access: 'write' });
    try {
      act(store);
    } finally {
      store.close();
    }
  });

const FUNCTION = `CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN new; END';`;

/** A unique index on a column that holds a value twice can't be completed. */
const INVALID = `INSERT INTO events (a) VALUES ('x'), ('x');`;

before(function () {
  const why = whyNoServer();
  if (!why) return;
  console.log(`    skipped: ${why}`);
  this.skip();
});

describe('hasTable of PostgreSQL', () => {
  it('knows tables and tables with partitions, by their exact names, and nothing else', () =>
    withStore(
      `CREATE TABLE plain (a int PRIMARY KEY); CREATE TABLE parted (a int) PARTITION BY RANGE (a); CREATE VIEW seen AS SELECT 1 AS a;
      CREATE MATERIALIZED VIEW kept AS SELECT 1 AS a; CREATE SEQUENCE numbers; CREATE TABLE "Odd ""name" (a int);
      CREATE SCHEMA other; CREATE TABLE other.hidden (a int)`,
      (store) => {
        for (const name of ['plain', 'parted', 'Odd "name'])
          expect(hasTable(store, name), name).to.equal(true);
        for (const name of [
          'seen',
          'kept',
          'numbers',
          'plain_pkey',
          'Plain',
          'odd "name',
          'hidden',
          'other.hidden',
          'nothing',
          '',
        ])
          expect(hasTable(store, name), name).to.equal(false);
        store.exec('SET search_path = other');
        expect(hasTable(store, 'hidden')).to.equal(true);
        expect(hasTable(store, 'plain')).to.equal(false);
      },
    ));
});

describe('hasIndex of PostgreSQL', () => {
  it('knows a complete index, and neither a table nor one that was begun', () =>
    withDatabase(async ({ url, client }) => {
      await client.query(`CREATE TABLE events (id int PRIMARY KEY, a text); CREATE INDEX whole ON events (a);
        INSERT INTO events VALUES (1, 'x'), (2, 'x')`);
      const error = await client
        .query('CREATE UNIQUE INDEX CONCURRENTLY begun ON events (a)')
        .catch((e) => e);
      expect(error.code).to.equal('23505');
      const store = openPostgresStore({ url }, { access: 'look' });
      try {
        expect(
          ['whole', 'events_pkey', 'begun', 'events', 'Whole'].map((name) => hasIndex(store, name)),
        ).to.deep.equal([true, true, false, false, false]);
        expect(
          ['begun', 'whole', 'nothing'].map((name) => hasUnfinishedIndex(store, 'events', name)),
        ).to.deep.equal([true, false, false]);
        expect(hasUnfinishedIndex(store, 'others', 'begun')).to.equal(false);
      } finally {
        store.close();
      }
    }));
});

describe('tableColumns of PostgreSQL', () => {
  it('tells types, the order of the primary key, and generated columns; without those that were dropped', () =>
    withStore(
      `CREATE TABLE items (gone int, a varchar(40), "B" bigint, n numeric(8, 2), g text GENERATED ALWAYS AS (a || '!') STORED,
        u uuid, PRIMARY KEY ("B", a)); ALTER TABLE items DROP COLUMN gone`,
      (store) => {
        expect(tableColumns(store, 'items')).to.deep.equal([
          { name: 'a', type: 'character varying(40)', pk: 2, isGenerated: false },
          { name: 'B', type: 'bigint', pk: 1, isGenerated: false },
          { name: 'n', type: 'numeric(8,2)', pk: 0, isGenerated: false },
          { name: 'g', type: 'text', pk: 0, isGenerated: true },
          { name: 'u', type: 'uuid', pk: 0, isGenerated: false },
        ]);
        expect(columnTypes(store, 'items').get('b')).to.equal('bigint');
        expect(tableColumns(store, 'nothing')).to.deep.equal([]);
      },
    ));
});

describe('updateTriggers of PostgreSQL', () => {
  it('lists those that an UPDATE of the columns fires, of partitions too, and rules', () =>
    withStore(
      `${FUNCTION} CREATE TABLE items (a text, b text, c text);
      CREATE TRIGGER z_any BEFORE UPDATE ON items FOR EACH ROW EXECUTE FUNCTION f();
      CREATE TRIGGER of_a AFTER INSERT OR UPDATE OF c, a ON items FOR EACH ROW EXECUTE FUNCTION f();
      CREATE TRIGGER of_c AFTER UPDATE OF c ON items FOR EACH ROW EXECUTE FUNCTION f();
      CREATE TRIGGER on_insert BEFORE INSERT ON items FOR EACH ROW EXECUTE FUNCTION f();
      CREATE TRIGGER at_rest BEFORE UPDATE ON items FOR EACH ROW EXECUTE FUNCTION f();
      ALTER TABLE items DISABLE TRIGGER at_rest;
      CREATE RULE kept AS ON UPDATE TO items WHERE old.a = 'kept' DO INSTEAD NOTHING;
      CREATE RULE on_delete AS ON DELETE TO items DO INSTEAD NOTHING;
      CREATE TABLE parted (a text, b text) PARTITION BY LIST (b);
      CREATE TABLE part (b text, gone int, a text); ALTER TABLE part DROP COLUMN gone;
      ALTER TABLE parted ATTACH PARTITION part FOR VALUES IN ('x');
      CREATE TRIGGER of_whole AFTER UPDATE ON parted FOR EACH ROW EXECUTE FUNCTION f();
      CREATE TRIGGER of_part AFTER UPDATE OF a ON part FOR EACH ROW EXECUTE FUNCTION f()`,
      (store) => {
        expect(updateTriggers(store, 'items', ['a'])).to.deep.equal(['kept', 'of_a', 'z_any']);
        expect(updateTriggers(store, 'items', ['b'])).to.deep.equal(['kept', 'z_any']);
        expect(updateTriggers(store, 'items', ['b', 'c'])).to.deep.equal(['kept', 'of_a', 'of_c', 'z_any']);
        expect(updateTriggers(store, 'items', [])).to.deep.equal(['kept', 'z_any']);
        expect(updateTriggers(store, 'parted', ['a'])).to.deep.equal(['of_part', 'of_whole']);
        expect(updateTriggers(store, 'parted', ['b'])).to.deep.equal(['of_whole']);
        expect(updateTriggers(store, 'nothing', ['a'])).to.deep.equal([]);
      },
    ));

  it('leaves those out that keep foreign keys', () =>
    withStore(
      'CREATE TABLE tasks (id int PRIMARY KEY); CREATE TABLE items (id int PRIMARY KEY REFERENCES tasks (id))',
      (store) => {
        expect(updateTriggers(store, 'items', ['id'])).to.deep.equal([]);
        expect(updateTriggers(store, 'tasks', ['id'])).to.deep.equal([]);
      },
    ));
});

const step = defineSchemaStep({ table: 'events' });
const EVENTS = `CREATE TABLE events (id serial PRIMARY KEY, a text, b varchar(9), n int, at timestamp, "Odd" text,
  c text COLLATE "C");`;

/** Definitions that another has made in other words: it counts. */
const alike: readonly (readonly [what: string, standing: string, wanted: IndexOptions])[] = [
  ['the same list of columns', 'events (a, n)', { columns: ['a', 'n'] }],
  ['a column with its own collation', 'events (c COLLATE "C")', { columns: ['c'] }],
  ['a fill factor', 'events (a) WITH (fillfactor = 70)', { columns: ['a'] }],
  ['the order that is meant when none is given', 'events (a ASC NULLS LAST)', { columns: ['a'] }],
  [
    'a condition in capitals and parentheses',
    'events (a) WHERE ((A) IS NOT NULL)',
    { columns: ['a'], where: 'a is not null' },
  ],
  [
    'two conditions',
    'events (a, b) WHERE (a IS NOT NULL) AND ((b IS NOT NULL))',
    { columns: ['a', 'b'], where: 'a IS NOT NULL AND b IS NOT NULL -- both' },
  ],
  ['a cast of a text', `events (a) WHERE a = 'x'::text`, { columns: ['a'], where: `a = 'x'` }],
  ['a cast of varchar', `events (b) WHERE b = 'x'`, { columns: ['b'], where: `b = 'x'` }],
  ['quoted names', 'events (a) WHERE "Odd" <> \'\'', { columns: ['a'], where: `"Odd" != ''` }],
  ['a list', `events (a) WHERE a IN ('x', 'y')`, { columns: ['a'], where: `a = ANY (ARRAY['x', 'y'])` }],
  [
    'a choice within',
    'events (a) WHERE n > 1 AND (a IS NULL OR b IS NULL)',
    { columns: ['a'], where: '(n > 1) and (a is null or (b is null))' },
  ],
  [
    'a time',
    `events (at) WHERE at > '2026-01-01'`,
    { columns: ['at'], where: `at > timestamp '2026-01-01 00:00:00'` },
  ],
];

/** Definitions that differ. */
const different: readonly (readonly [what: string, standing: string, wanted: IndexOptions])[] = [
  ['another column', 'events (b)', { columns: ['a'] }],
  ['other columns behind', 'events (a, b)', { columns: ['a'] }],
  ['another order of columns', 'events (b, a)', { columns: ['a', 'b'] }],
  ['a column that is only included', 'events (a) INCLUDE (b)', { columns: ['a', 'b'] }],
  ['an included column', 'events (a) INCLUDE (b)', { columns: ['a'] }],
  ['a column the other way round', 'events (a DESC)', { columns: ['a'] }],
  ['NULLs first', 'events (a NULLS FIRST)', { columns: ['a'] }],
  ['an expression', 'events (lower(a))', { columns: ['a'] }],
  ['another collation', 'events (a COLLATE "POSIX")', { columns: ['a'] }],
  ['another class of operators', 'events (a text_pattern_ops)', { columns: ['a'] }],
  ['another kind of index', 'events USING hash (a)', { columns: ['a'] }],
  ['a condition', 'events (a) WHERE a IS NOT NULL', { columns: ['a'] }],
  ['no condition', 'events (a)', { columns: ['a'], where: 'a IS NOT NULL' }],
  ['another value', `events (a) WHERE a = 'X'`, { columns: ['a'], where: `a = 'x'` }],
  [
    'a choice that binds otherwise',
    'events (a) WHERE n > 1 AND (a IS NULL OR b IS NULL)',
    { columns: ['a'], where: 'n > 1 AND a IS NULL OR b IS NULL' },
  ],
  [
    'a condition on a column that is not there',
    'events (a) WHERE n > 1',
    { columns: ['a'], where: 'nothing > 1' },
  ],
  ['a weaker condition', 'events (a) WHERE n > 1', { columns: ['a'], where: 'n > 0' }],
];

describe('findIndex of PostgreSQL', () => {
  for (const [what, standing, wanted] of alike) {
    it(`counts ${what}`, () =>
      withStore(`${EVENTS} CREATE INDEX theirs ON ${standing}`, (store) => {
        expect(findIndex(store, step, { ...wanted, name: 'ours' })).to.equal('theirs');
      }));
  }

  for (const [what, standing, wanted] of different) {
    it(`does not count ${what}`, () =>
      withStore(`${EVENTS} CREATE INDEX theirs ON ${standing}`, (store) => {
        const index = { ...wanted, name: 'theirs' };
        expect(findIndex(store, step, index)).to.equal(undefined);
        store.snapshot(() => {
          expect(findIndex(store, step, index), 'in a snapshot').to.equal(undefined);
          expect(hasTable(store, 'events')).to.equal(true);
        });
      }));
  }

  it('counts what its own statement makes, whatever the condition', () =>
    withStore(EVENTS, (store) => {
      for (const { 2: wanted } of [...alike, ...different]) {
        const index = { ...wanted, name: 'ours' };
        if (wanted.where?.includes('nothing')) continue;
        store.exec(createIndexSql(step, index));
        expect(findIndex(store, step, index), JSON.stringify(wanted)).to.equal('ours');
        store.exec('DROP INDEX ours');
      }
    }));

  it('keeps apart conditions that one index serves alike', () =>
    withStore(
      `${EVENTS} CREATE INDEX narrow ON events (a) WHERE n = 1 AND b = 'x'; CREATE INDEX theirs ON events (a) WHERE n = 1;
      INSERT INTO events (a, n, b) SELECT i, i, 'x' FROM generate_series(1, 9999) AS i; ANALYZE events`,
      (store) => {
        const found = (where: string): unknown =>
          findIndex(store, step, { name: 'ours', columns: ['a'], where });
        expect(found(`n = 1 AND b = 'x'`)).to.equal('narrow');
        expect(found('n = 1')).to.equal('theirs');
        expect(found(`b = 'x'`)).to.equal(undefined);
      },
    ));

  it('counts neither a unique index nor one that was begun', () =>
    withDatabase(async ({ url, client }) => {
      await client.query(`${EVENTS} CREATE UNIQUE INDEX alone ON events (n)`);
      await client.query(INVALID);
      await client.query('CREATE UNIQUE INDEX CONCURRENTLY begun ON events (a)').catch(() => undefined);
      await client.query(`UPDATE pg_index SET indisunique = false WHERE indexrelid = 'begun'::regclass`);
      const store = openPostgresStore({ url }, { access: 'look' });
      try {
        expect(findIndex(store, step, { name: 'ours', columns: ['n'] })).to.equal(undefined);
        expect(findIndex(store, step, { name: 'begun', columns: ['a'] })).to.equal(undefined);
      } finally {
        store.close();
      }
    }));

  it('looks at the table that the search path finds', () =>
    withStore(
      `CREATE SCHEMA other; CREATE TABLE other.events (a text); CREATE INDEX far ON other.events (a);
      CREATE TABLE events (a text)`,
      (store) => {
        const index = { name: 'ours', columns: ['a'] };
        expect(findIndex(store, step, index)).to.equal(undefined);
        store.exec('SET search_path = other, public');
        expect(findIndex(store, step, index)).to.equal('far');
      },
    ));
});

describe('tableBytes of PostgreSQL', () => {
  it('counts long values and partitions, and no indexes', () =>
    withStore(
      `CREATE TABLE parted (a int, b text) PARTITION BY LIST (a);
      CREATE TABLE part PARTITION OF parted FOR VALUES IN (1); ALTER TABLE part ALTER COLUMN b SET STORAGE EXTERNAL;
      INSERT INTO parted VALUES (1, repeat('x', 1000000)); CREATE TABLE none (a int)`,
      (store) => {
        const bytes = tableBytes(store, 'parted');
        expect(bytes).to.be.within(1_000_000, 1_500_000);
        store.exec('CREATE INDEX i ON part (a)');
        expect(tableBytes(store, 'parted')).to.equal(bytes);
        expect(tableBytes(store, 'none')).to.equal(0);
        expect(tableBytes(store, 'nothing')).to.equal(0);
      },
    ));
});
