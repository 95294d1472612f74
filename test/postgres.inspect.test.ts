import { expect } from 'chai';
import { before, describe, it } from 'mocha';
import { defineBackfill, defineSchemaStep, sql } from '../src/index.js';
import { needServer } from './support/postgres-server.js';
import { refusalOf, sqlState, succeed, type Tables, withPgTables } from './support/postgres-tables.js';
import { named } from './support/project.js';

// What the commands find in the catalog. Indexes with the same definition: postgres.find-index.test.ts.

const FUNCTION = `CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN new; END';`;

/** A step that fills these columns of a table by `id`. */
const filling = (table: string, columns: readonly string[], indexes: readonly string[] = []) =>
  named(
    '001-own',
    defineBackfill({
      table,
      key: 'id',
      columns: Object.fromEntries(columns.map((name) => [name, sql(`'x'`)])),
      checks: { indexes: indexes.map((index) => ({ index, query: 'SELECT 1' })) },
    }),
  );

/** What a dry run says of a fill. */
const fillOf = async ({ of }: Tables, table: string, columns: readonly string[]) =>
  (await of([filling(table, columns)]).plan(['up'])).steps[0].fill;

before(function () {
  needServer(this);
});

describe('a table on PostgreSQL', () => {
  it('is one, with partitions or without, by its exact name, and nothing else is', () =>
    withPgTables(
      `CREATE TABLE plain (a int PRIMARY KEY); CREATE TABLE parted (a int) PARTITION BY RANGE (a); CREATE VIEW seen AS SELECT 1 AS a;
      CREATE MATERIALIZED VIEW kept AS SELECT 1 AS a; CREATE SEQUENCE numbers; CREATE TABLE "Odd ""name" (a int);
      CREATE SCHEMA other; CREATE TABLE other.hidden (a int)`,
      async ({ of, url }) => {
        const look = (table: string, to = url) =>
          of([named('001-own', defineSchemaStep({ table, columns: { b: 'text' } }))], to).plan(['up']);
        for (const name of ['plain', 'parted', 'Odd "name'])
          expect((await look(name)).steps, name).to.have.length(1);
        const others = [
          'seen',
          'kept',
          'numbers',
          'plain_pkey',
          'Plain',
          'odd "name',
          'hidden',
          'other.hidden',
        ];
        for (const name of [...others, 'nothing']) {
          const { message } = await refusalOf('TABLE_MISSING', look(name));
          expect(message).to.equal(`The store has no table ${name}`);
        }
        const there = `${url}?options=-csearch_path%3Dother`;
        expect((await look('hidden', there)).steps).to.have.length(1);
        await refusalOf('TABLE_MISSING', look('plain', there));
      },
      {},
    ));

  it('has as many bytes as its rows, long values and partitions included, and no indexes', () =>
    withPgTables(
      `CREATE TABLE parted (id int PRIMARY KEY, a text, b text) PARTITION BY RANGE (id);
      CREATE TABLE part PARTITION OF parted DEFAULT; ALTER TABLE part ALTER COLUMN b SET STORAGE EXTERNAL;
      INSERT INTO parted VALUES (1, NULL, repeat('x', 1000000)); CREATE TABLE none (id int PRIMARY KEY, a text)`,
      async (tables) => {
        const { diskBytes } = await fillOf(tables, 'parted', ['a']);
        expect(diskBytes).to.be.within(1_000_000, 1_500_000);
        await tables.exec('CREATE INDEX i ON part (id)');
        expect((await fillOf(tables, 'parted', ['a'])).diskBytes).to.equal(diskBytes);
        expect((await fillOf(tables, 'none', ['a'])).diskBytes).to.equal(0);
      },
    ));
});

describe('an index on PostgreSQL', () => {
  it('is there when it is complete: a table is none, nor is one that was begun', () =>
    withPgTables(
      `CREATE TABLE events (id int PRIMARY KEY, a text, b text); CREATE INDEX whole ON events (a);
      INSERT INTO events VALUES (1, 'x'), (2, 'x')`,
      async ({ client, of }) => {
        expect(await sqlState(client, 'CREATE UNIQUE INDEX CONCURRENTLY begun ON events (a)')).to.equal(
          '23505',
        );
        const names = ['whole', 'events_pkey', 'begun', 'events', 'Whole'];
        const { verifications } = await of([filling('events', ['b'], names)]).up();
        const found = verifications[0]?.checks.find(({ id }) => id === 'index-use')?.findings;
        expect(found?.map(({ text }) => !text.endsWith(' does not exist'))).to.deep.equal([
          ...[true, true],
          ...[false, false, false],
        ]);
      },
    ));
});

describe('columns on PostgreSQL', () => {
  it('are filled and taken back whatever their declared types, beside others that were dropped or generate themselves', () =>
    withPgTables(
      `CREATE TABLE items (gone int, a varchar(9), "B" bigint, n numeric(8, 2), g text GENERATED ALWAYS AS (a || '!') STORED,
        u uuid, id int PRIMARY KEY); ALTER TABLE items DROP COLUMN gone; INSERT INTO items (id) VALUES (1), (2)`,
      async ({ of, rows }) => {
        const uuid = '00000000-0000-4000-8000-000000000001';
        const step = defineBackfill({
          table: 'items',
          key: 'id',
          reads: ['id'],
          columns: ['a', 'B', 'n', 'u'],
          process: (batch) => batch.map(({ id = 0 }) => ({ a: `no ${id}`, B: 2n ** 62n, n: '1.5', u: uuid })),
        });
        const commands = of([named('001-own', step)]);
        const { verifications } = await succeed(commands.up());
        expect(verifications.map(({ verdict }) => verdict)).to.deep.equal(['pass']);
        const all = 'SELECT id, a, "B"::text, n::text, g, u FROM items ORDER BY id';
        expect(await rows(all)).to.deep.equal(
          [1, 2].map((id) => [id, `no ${id}`, String(2n ** 62n), '1.50', `no ${id}!`, uuid]),
        );
        await succeed(commands.down());
        expect(await rows(all)).to.deep.equal([1, 2].map((id) => [id, null, null, null, null, null]));
        const { message } = await refusalOf('SCHEMA_BLOCKED', of([filling('items', ['g'])]).up());
        expect(message).to.include('g');
      },
    ));
});

describe('triggers on PostgreSQL', () => {
  it('are told of where an UPDATE of the columns fires them, of partitions too, and rules', () =>
    withPgTables(
      `${FUNCTION} CREATE TABLE items (id int PRIMARY KEY, a text, b text, c text);
      CREATE TRIGGER z_any BEFORE UPDATE ON items FOR EACH ROW EXECUTE FUNCTION f();
      CREATE TRIGGER of_a AFTER INSERT OR UPDATE OF c, a ON items FOR EACH ROW EXECUTE FUNCTION f();
      CREATE TRIGGER of_c AFTER UPDATE OF c ON items FOR EACH ROW EXECUTE FUNCTION f();
      CREATE TRIGGER on_insert BEFORE INSERT ON items FOR EACH ROW EXECUTE FUNCTION f();
      CREATE TRIGGER at_rest BEFORE UPDATE ON items FOR EACH ROW EXECUTE FUNCTION f();
      ALTER TABLE items DISABLE TRIGGER at_rest;
      CREATE RULE kept AS ON UPDATE TO items WHERE old.a = 'kept' DO INSTEAD NOTHING;
      CREATE RULE on_delete AS ON DELETE TO items DO INSTEAD NOTHING;
      CREATE TABLE parted (a text, b text, id int PRIMARY KEY) PARTITION BY RANGE (id);
      CREATE TABLE part (b text, gone int, a text, id int NOT NULL); ALTER TABLE part DROP COLUMN gone;
      ALTER TABLE parted ATTACH PARTITION part DEFAULT;
      CREATE TRIGGER of_whole AFTER UPDATE ON parted FOR EACH ROW EXECUTE FUNCTION f();
      CREATE TRIGGER of_part AFTER UPDATE OF a ON part FOR EACH ROW EXECUTE FUNCTION f()`,
      async (tables) => {
        for (const [table, columns, triggers] of [
          ['items', ['a'], ['kept', 'of_a', 'z_any']],
          ['items', ['b'], ['kept', 'z_any']],
          ['items', ['b', 'c'], ['kept', 'of_a', 'of_c', 'z_any']],
          ['parted', ['a'], ['of_part', 'of_whole']],
          ['parted', ['b'], ['of_whole']],
        ] as const)
          expect((await fillOf(tables, table, columns)).triggers, `${columns} of ${table}`).to.deep.equal(
            triggers,
          );
      },
    ));

  it('are not told of where they keep foreign keys', () =>
    withPgTables(
      `CREATE TABLE tasks (id int PRIMARY KEY, a text UNIQUE); CREATE TABLE items (id int PRIMARY KEY, a text REFERENCES tasks (a))`,
      async (tables) => {
        for (const table of ['items', 'tasks'])
          expect((await fillOf(tables, table, ['a'])).triggers, table).to.deep.equal([]);
      },
    ));
});
