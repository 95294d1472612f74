import { expect } from 'chai';
import { before, describe, it } from 'mocha';
import { createMigrator, defineBackfill, firstOf, type Migrator, sql } from '../src/index.js';
import { type EmptiedDatabase, withEmptiedDatabase } from './support/emptied-database.js';
import { dumpPgTable } from './support/postgres-dump.js';
import { needServer } from './support/postgres-server.js';
import { refusalOf, succeed, withPgTables } from './support/postgres-tables.js';
import { named } from './support/project.js';

/** Runs `act` with a table and a backfill of it. */
const withBackfill = (
  table: string,
  backfill: ReturnType<typeof defineBackfill>,
  act: (migrator: Migrator, at: EmptiedDatabase) => Promise<void>,
): Promise<void> =>
  withEmptiedDatabase(async (at) => {
    await at.client.query(table);
    await act(createMigrator({ database: at.url, steps: { '001-fill': backfill } }), at);
  });

const verdict = async (migrator: Migrator): Promise<string | undefined> =>
  (await migrator.verify())[0]?.verdict;

describe('values of many types on PostgreSQL', () => {
  before(function () {
    needServer(this);
  });

  it('reach `process` as they are, and numbers below zero come back', () =>
    withBackfill(
      `CREATE TABLE t (id int PRIMARY KEY, doc jsonb, list int[], n smallint, b text);
      INSERT INTO t VALUES (-2147483648, '{"x": 1, "y": [2, "3"]}', '{4,-5}', -32768), (1, '"text"', NULL, 7)`,
      defineBackfill({
        table: 't',
        key: 'id',
        reads: ['doc', 'list', 'n'],
        columns: ['b'],
        process: (rows) =>
          rows.map(({ doc, list, n }) => ({ b: `${JSON.stringify(JSON.parse(String(doc)))} ${list} ${n}` })),
      }),
      async (migrator, { client }) => {
        await migrator.up();
        const { rows } = await client.query('SELECT b FROM t ORDER BY id');
        expect(rows).to.deep.equal([{ b: '{"x":1,"y":[2,"3"]} {4,-5} -32768' }, { b: '"text" null 7' }]);
        expect(await verdict(migrator)).to.equal('pass');
      },
    ));

  it('of `process` fill columns of numbers, the least of them too', () =>
    withBackfill(
      `CREATE TABLE t (id bigint PRIMARY KEY, n smallint, b smallint, c text);
      INSERT INTO t SELECT i, CASE i WHEN 1 THEN -32768 ELSE -i END FROM generate_series(1, 5) AS i`,
      defineBackfill({
        table: 't',
        key: 'id',
        reads: ['n'],
        columns: ['b', 'c'],
        process: (rows) => rows.map(({ n = null }) => ({ b: n, c: n })),
      }),
      async (migrator, { client }) => {
        await migrator.up();
        const { rows } = await client.query('SELECT count(*)::int AS n FROM t WHERE b = n AND c = n::text');
        expect(rows).to.deep.equal([{ n: 5 }]);
        expect(await verdict(migrator)).to.equal('pass');
      },
    ));

  it('keep the blanks at their end beside a `process`', () =>
    withBackfill(
      `CREATE TABLE t (id int PRIMARY KEY, v text, a bpchar, b char(5), c varchar(3), own text);
      INSERT INTO t VALUES (1, 'a  '), (2, ' '), (3, NULL)`,
      defineBackfill({
        table: 't',
        key: 'id',
        reads: [],
        columns: { a: sql('v'), b: sql('v'), c: sql('v'), own: 'process' },
        process: (rows) => rows.map(({ id }) => ({ own: `own ${id}` })),
      }),
      async (migrator, { client }) => {
        await migrator.up();
        const lengths =
          'octet_length(a) AS a, octet_length(b) AS b, octet_length(c) AS c, octet_length(own) AS own';
        const { rows } = await client.query(`SELECT ${lengths} FROM t ORDER BY id`);
        expect(rows).to.deep.equal([
          { a: 3, b: 5, c: 3, own: 5 },
          { a: 1, b: 5, c: 1, own: 5 },
          { a: null, b: null, c: null, own: 5 },
        ]);
        await migrator.down();
        expect((await client.query('SELECT count(a) + count(b) + count(c) AS n FROM t')).rows).to.deep.equal([
          { n: '0' },
        ]);
      },
    ));

  it('that a column can not hold are recorded, and end neither the run nor its verification nor `down`', () =>
    withBackfill(
      `CREATE TABLE t (id int PRIMARY KEY, doc text, made timestamptz, at timestamptz);
      INSERT INTO t SELECT i, CASE WHEN i IN (7, 30) THEN '{"ts": "soon"}' ELSE '{"ts": "2026-01-20T10:00:00Z"}' END, now()
      FROM generate_series(1, 40) AS i`,
      defineBackfill({ table: 't', key: 'id', columns: { at: firstOf('doc', ['ts'], 'made') } }),
      async (migrator, { client }) => {
        const before = await dumpPgTable(client, 't');
        await migrator.up();
        const [found] = await migrator.skips();
        expect(found?.skips).to.deep.equal(
          [7n, 30n].map((key) => ({ key, target: '*', reason: 'POSTGRES_22007' })),
        );
        expect(await verdict(migrator)).to.equal('warn');
        await client.query(`UPDATE t SET doc = '{"ts": "no time any more"}' WHERE id = 3`);
        await migrator.down();
        const { rows } = await client.query('SELECT id FROM t WHERE at IS NOT NULL');
        expect(rows, 'what its row does not say any more').to.deep.equal([{ id: 3 }]);
        await client.query(`UPDATE t SET at = NULL, doc = '{"ts": "2026-01-20T10:00:00Z"}' WHERE id = 3`);
        expect((await dumpPgTable(client, 't')).toSorted()).to.deep.equal(before.toSorted());
      },
    ));

  for (const [type, ours, theirs] of [
    ['numeric', '1.0', '1.00'],
    ['interval', "interval '1 day'", "interval '24:00:00'"],
    ['json', `'{"a":1}'::json`, `'{"a": 1}'::json`],
  ] as const) {
    it(`are the application's own where it has written others that count as equal: ${type}`, () =>
      withBackfill(
        `CREATE TABLE t (id int PRIMARY KEY, b ${type}); INSERT INTO t VALUES (1), (2)`,
        defineBackfill({ table: 't', key: 'id', columns: { b: sql({ sqlite: 'NULL', postgres: ours }) } }),
        async (migrator, { client }) => {
          await migrator.up();
          expect(await verdict(migrator)).to.equal('pass');
          await client.query(`UPDATE t SET b = ${theirs} WHERE id = 2`);
          await migrator.down();
          const { rows } = await client.query('SELECT id FROM t WHERE b IS NOT NULL');
          expect(rows).to.deep.equal([{ id: 2 }]);
        },
      ));
  }

  it('of `process` that the table refuses are a skip, and the rows around are filled', () =>
    withBackfill(
      `CREATE TABLE t (id int PRIMARY KEY, a text, b text CHECK (b <> 'three'));
      INSERT INTO t VALUES (1, 'one'), (2, 'two'), (3, 'three'), (4, 'four')`,
      defineBackfill({
        table: 't',
        key: 'id',
        reads: ['a'],
        columns: ['b'],
        process: (rows) => rows.map(({ a = null }) => ({ b: a })),
      }),
      async (migrator, { client }) => {
        await migrator.up();
        const { rows } = await client.query('SELECT b FROM t ORDER BY id');
        expect(rows.map(({ b }) => b)).to.deep.equal(['one', 'two', null, 'four']);
        const [found] = await migrator.skips();
        expect(found?.skips).to.deep.equal([{ key: 3n, target: '*', reason: 'POSTGRES_23514' }]);
        expect(await verdict(migrator)).to.equal('warn');
      },
    ));

  for (const type of ['char(3)', 'varchar(3)']) {
    it(`are not cut to fit a column: ${type}`, () =>
      withBackfill(
        `CREATE TABLE t (id int PRIMARY KEY, a text, b ${type}); INSERT INTO t VALUES (1, 'abc'), (2, 'abcd')`,
        defineBackfill({ table: 't', key: 'id', columns: { b: sql('a') } }),
        async (migrator, { client }) => {
          await migrator.up();
          const { rows } = await client.query('SELECT b FROM t ORDER BY id');
          expect(rows.map(({ b }) => b)).to.deep.equal(['abc', null]);
          const [found] = await migrator.skips();
          expect(found?.skips).to.deep.equal([{ key: 2n, target: '*', reason: 'POSTGRES_22001' }]);
        },
      ));
  }

  it('that a trigger keeps from being taken back stay the ledger’s, until it is gone', () =>
    withPgTables(
      `CREATE TABLE t (id int PRIMARY KEY, a text, b text); INSERT INTO t VALUES (1, 'one'), (2, 'two');
      CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        RETURN CASE WHEN NEW.b IS NULL AND NEW.id = 2 THEN NULL ELSE NEW END; END $$;
      CREATE TRIGGER keeping BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION keep()`,
      async (tables) => {
        const fill = named('001-fill', defineBackfill({ table: 't', key: 'id', columns: { b: sql('a') } }));
        const { up, down } = tables.of([fill], tables.url, { allowTriggers: true });
        await succeed(up());
        expect((await refusalOf('UPDATE_IGNORED', down())).message).to.match(/\b1\b/);
        expect(await tables.rows('SELECT b FROM t ORDER BY id')).to.deep.equal([['one'], ['two']]);
        expect((await tables.ledger()).step('001-fill')?.status).to.equal('reverting');
        await tables.exec('DROP TRIGGER keeping ON t');
        expect((await succeed(down())).cells).to.deep.equal([
          { backfill: '001-fill', reverted: 2, kept: 0, gone: 0, underivable: 0 },
        ]);
        expect(await tables.rows('SELECT b FROM t ORDER BY id')).to.deep.equal([[null], [null]]);
      },
    ));

  for (const type of ['timestamp', 'timestamptz', 'date'])
    it(`of times before the year 1 keep their BC as a fallback: ${type}`, () =>
      withBackfill(
        `CREATE TABLE t (id int PRIMARY KEY, doc text, made ${type}, a text, b ${type});
        INSERT INTO t (id, made) VALUES (1, '0044-03-15 BC'), (2, '0001-12-31 BC'), (3, '0001-01-01'), (4, '2026-01-20')`,
        defineBackfill({
          table: 't',
          key: 'id',
          columns: { a: firstOf('doc', ['ts'], 'made'), b: firstOf('doc', ['ts'], 'made') },
        }),
        async (migrator, { client }) => {
          await migrator.up();
          const { rows } = await client.query('SELECT a, b = made AS same FROM t ORDER BY id');
          const time = { timestamp: 'T00:00:00.000000', timestamptz: 'T00:00:00.000000Z', date: '' }[type];
          expect(rows).to.deep.equal([
            { a: `0044-03-15${time} BC`, same: true },
            { a: `0001-12-31${time} BC`, same: true },
            { a: `0001-01-01${time}`, same: true },
            { a: `2026-01-20${time}`, same: true },
          ]);
          expect(await verdict(migrator)).to.equal('pass');
          await migrator.down();
          expect((await client.query('SELECT count(a) + count(b) AS cells FROM t')).rows).to.deep.equal([
            { cells: '0' },
          ]);
        },
      ));

  it('that the application has filled itself below the watermark are no failure', () =>
    withBackfill(
      `CREATE TABLE t (id uuid PRIMARY KEY, a text, b text);
      INSERT INTO t SELECT gen_random_uuid(), i::text FROM generate_series(1, 20) AS i`,
      defineBackfill({ table: 't', key: 'id', columns: { b: sql('a') } }),
      async (migrator, { client }) => {
        await migrator.up();
        await client.query(`INSERT INTO t VALUES ('00000000-0000-0000-0000-000000000001', 'x', 'x')`);
        expect(await verdict(migrator)).to.equal('warn');
        await migrator.up();
      },
    ));
});
