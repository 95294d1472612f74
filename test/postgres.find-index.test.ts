import { expect } from 'chai';
import { before, describe, it } from 'mocha';
import { defineBackfill, defineSchemaStep, type IndexOptions, sql } from '../src/index.js';
import { needServer } from './support/postgres-server.js';
import { refusalOf, sqlState, succeed, type Tables, withPgTables } from './support/postgres-tables.js';
import { named } from './support/project.js';

// An index counts as the one that a schema step declares when its definition is the same, whatever it is called.

/** A step that makes indexes. */
const making = (indexes: Readonly<Record<string, IndexOptions>>, name = '001-own') =>
  named(name, defineSchemaStep({ table: 'events', indexes }));

/** Which of its indexes a step would make. */
async function wouldMake(
  { of, url }: Tables,
  indexes: Parameters<typeof making>[0],
  to = url,
): Promise<string[]> {
  const { steps } = await of([making(indexes)], to).plan(['up']);
  return steps[0].statements.map(({ sql: text }: { sql: string }) => /INDEX "(.*?)"/.exec(text)?.[1]);
}

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

/** Makes an index that is left incomplete: its column holds a value twice. */
const BEGUN = 'CREATE UNIQUE INDEX CONCURRENTLY begun ON events (a)';

before(function () {
  needServer(this);
});

describe('an index that stands on PostgreSQL', () => {
  for (const [what, standing, wanted] of alike) {
    it(`counts with ${what}`, () =>
      withPgTables(`${EVENTS} CREATE INDEX theirs ON ${standing}`, async (tables) => {
        expect(await wouldMake(tables, { ours: wanted })).to.deep.equal([]);
      }));
  }

  for (const [what, standing, wanted] of different) {
    it(`does not count with ${what}`, () =>
      withPgTables(`${EVENTS} CREATE INDEX theirs ON ${standing}`, async (tables) => {
        if (wanted.where?.includes('nothing')) {
          const { message } = await refusalOf('SCHEMA_BLOCKED', wouldMake(tables, { ours: wanted }));
          expect(message).to.include('index ours').and.to.include('its declaration');
          return;
        }
        expect(await wouldMake(tables, { ours: wanted })).to.deep.equal(['ours']);
        const { message } = await refusalOf('SCHEMA_BLOCKED', wouldMake(tables, { theirs: wanted }));
        expect(message).to.include('another index named theirs');
      }));
  }

  it('counts when it was made by what the step declares, whatever the condition', () =>
    withPgTables(EVENTS, async (tables) => {
      const wanted = [...alike, ...different].map(([, , index]) => index);
      const possible = wanted.filter(({ where = '' }) => !where.includes('nothing'));
      const numbered = (name: string) =>
        Object.fromEntries(possible.map((index, i) => [`${name}_${i}`, index]));
      const ours = making(numbered('ours'));
      await succeed(tables.of([ours]).up());
      const { steps } = await tables.of([ours, making(numbered('again'), '002-again')]).plan(['up']);
      expect(steps).to.have.length(1);
      expect(steps[0].statements).to.deep.equal([]);
    }));

  it('is kept apart from one with a condition that it serves alike', () =>
    withPgTables(
      `${EVENTS} CREATE INDEX narrow ON events (a) WHERE n = 1 AND b = 'x'; CREATE INDEX theirs ON events (a) WHERE n = 1;
      INSERT INTO events (a, n, b) SELECT i, i, 'x' FROM generate_series(1, 9999) AS i; ANALYZE events`,
      async (tables) => {
        const { of } = tables;
        const wanted = { one: `n = 1 AND b = 'x'`, two: 'n = 1', three: `b = 'x'` };
        const indexes = Object.fromEntries(
          Object.entries(wanted).map(([name, where]) => [name, { columns: ['a'], where }]),
        );
        expect(await wouldMake(tables, indexes)).to.deep.equal(['three']);
        const fill = defineBackfill({
          table: 'events',
          key: 'id',
          scope: 'false',
          columns: { c: sql(`'x'`) },
          checks: { indexes: ['one', 'two'].map((index) => ({ index, query: 'SELECT 1' })) },
        });
        const { applied, verifications } = await of([making(indexes), named('002-fill', fill)]).up();
        expect(applied).to.deep.equal(['001-own', '002-fill']);
        const texts = verifications[0]?.checks.find(({ id }) => id === 'index-use')?.findings;
        expect(texts?.map(({ text }) => /\(as (.*?)\)/.exec(text)?.[1])).to.deep.equal(['narrow', 'theirs']);
      },
    ));

  it('does not count when it is unique, or was begun', () =>
    withPgTables(
      `${EVENTS} CREATE UNIQUE INDEX alone ON events (n); INSERT INTO events (a) VALUES ('x'), ('x')`,
      async (tables) => {
        expect(await sqlState(tables.client, BEGUN)).to.equal('23505');
        await tables.exec(`UPDATE pg_index SET indisunique = false WHERE indexrelid = 'begun'::regclass`);
        const wanted = { of_n: { columns: ['n'] }, of_a: { columns: ['a'] } };
        expect(await wouldMake(tables, wanted)).to.deep.equal(['of_n', 'of_a']);
      },
    ));

  it('counts on the table that the search path finds', () =>
    withPgTables(
      `CREATE SCHEMA other; CREATE TABLE other.events (a text); CREATE INDEX far ON other.events (a);
      CREATE TABLE events (a text)`,
      async (tables) => {
        const wanted = { ours: { columns: ['a'] } };
        expect(await wouldMake(tables, wanted)).to.deep.equal(['ours']);
        const there = `${tables.url}?options=-csearch_path%3Dother,public`;
        expect(await wouldMake(tables, wanted, there)).to.deep.equal([]);
      },
      {},
    ));
});
