import { expect } from 'chai';
import { before, describe, it } from 'mocha';
import type pg from 'pg';
import { defineSchemaStep, type SchemaStepOptions } from '../src/index.js';
import { dumpPgSchema } from './support/postgres-dump.js';
import { needServer } from './support/postgres-server.js';
import { refusalOf, sqlState, succeed, type Tables, withPgTables } from './support/postgres-tables.js';
import { named } from './support/project.js';

// What is refused before anything is changed must be what PostgreSQL refuses: both are tried for real. What hangs on a column:
// postgres.dependents.test.ts.

const EVENTS = 'CREATE TABLE events (id serial PRIMARY KEY, a text);';

const options: SchemaStepOptions = {
  table: 'events',
  columns: { at: 'text', of: 'text' },
  indexes: { i_at: { columns: ['at'], where: 'at IS NOT NULL' }, i_a: { columns: ['a', 'at'] } },
};

const stepOf = (changes: Partial<SchemaStepOptions> = {}) =>
  named('001-own', defineSchemaStep({ ...options, ...changes }));

/** What the step runs. */
const STATEMENTS = [
  'ALTER TABLE "events" ADD COLUMN "at" text',
  'ALTER TABLE "events" ADD COLUMN "of" text',
  'CREATE INDEX "i_at" ON "events" ("at") WHERE at IS NOT NULL',
  'CREATE INDEX "i_a" ON "events" ("a", "at")',
];

/** The same by hand: the SQLSTATE of the first that PostgreSQL refuses. */
async function apply(client: pg.ClientBase, statements: readonly string[]): Promise<string | undefined> {
  for (const sql of statements) {
    const code = await sqlState(client, sql);
    if (code !== undefined) return code;
  }
  return undefined;
}

/** Insists that a step is refused by a dry run and by `up`, and that nothing is changed. */
async function blocked({ client, of }: Tables, step = stepOf(), url?: string) {
  const unchanged = await dumpPgSchema(client);
  const told = await refusalOf('SCHEMA_BLOCKED', of([step], url).plan(['up']));
  const { message, hint } = await refusalOf('SCHEMA_BLOCKED', of([step], url).up());
  expect({ message, hint }).to.deep.equal({ message: told.message, hint: told.hint });
  expect(await dumpPgSchema(client)).to.deep.equal(unchanged);
  return { message, hint };
}

/** Insists that a step can be made and taken back, without a warning. */
async function expectRoundTrip({ client, of }: Tables, step = stepOf(), url?: string): Promise<void> {
  const unchanged = await dumpPgSchema(client);
  expect((await of([step], url).plan(['up'])).warnings).to.deep.equal([]);
  expect(await dumpPgSchema(client)).to.deep.equal(unchanged);
  await succeed(of([step], url).up());
  await succeed(of([step], url).down());
  const isOurs = (line: string): boolean => line.includes('umzug_backfill_');
  expect((await dumpPgSchema(client)).filter((line) => !isOurs(line))).to.deep.equal(unchanged);
}

before(function () {
  needServer(this);
});

describe('a schema step on PostgreSQL, before it is applied', () => {
  it('passes when it can be made, and taken back', () =>
    withPgTables(EVENTS, async (tables) => {
      const { steps } = await tables.of([stepOf()]).plan(['up']);
      expect(steps[0].statements.map(({ sql }: { sql: string }) => sql)).to.deep.equal(STATEMENTS);
      await expectRoundTrip(tables);
      expect(await apply(tables.client, STATEMENTS)).to.equal(undefined);
    }));

  for (const [what, ddl, expected, isRefused] of [
    [
      'a view with the name of an index',
      'CREATE VIEW i_at AS SELECT 1 AS x',
      'Creating index i_at|another view named i_at',
      true,
    ],
    [
      'a table with the name of an index',
      'CREATE TABLE i_a (x int)',
      'Creating index i_a|another table named i_a',
      true,
    ],
    [
      'another index of the name',
      'CREATE INDEX i_a ON events (a)',
      'Creating index i_a|another index named i_a',
      true,
    ],
    ['a sequence of the name', 'CREATE SEQUENCE i_a', 'Creating index i_a|another sequence named i_a', true],
    [
      'a generated column',
      `ALTER TABLE events ADD at text GENERATED ALWAYS AS (a || '') STORED`,
      'Filling|generated column at',
      false,
    ],
    [
      'a column in other case',
      'ALTER TABLE events ADD "AT" text',
      'Creating column at|another column named AT',
      false,
    ],
  ] as const) {
    it(`refuses ${what}`, () =>
      withPgTables(`${EVENTS} ${ddl}`, async (tables) => {
        const [act, object] = expected.split('|');
        expect(await blocked(tables)).to.deep.equal({
          message: `${act} on the table events is blocked by ${object}`,
          hint: `Drop or fix ${object}, then run the same command again; nothing was changed`,
        });
        if (isRefused) expect(await apply(tables.client, STATEMENTS)).to.equal('42P07');
      }));
  }

  it('is not disturbed by a name in another schema', () =>
    withPgTables(
      `CREATE SCHEMA other; CREATE TABLE other.i_at (x int); ${EVENTS}`,
      (tables) => expectRoundTrip(tables, stepOf(), `${tables.url}?options=-csearch_path%3Dpublic,other`),
      {},
    ));

  for (const [what, changes, message, statement, code] of [
    [
      'a type that is none',
      { columns: { at: 'DATETIME' }, indexes: {} },
      'Creating column at on the table events is blocked by its declaration',
      'ALTER TABLE "events" ADD COLUMN "at" DATETIME',
      '42704',
    ],
    [
      'a condition that is none',
      { indexes: { i_a: { columns: ['a'], where: 'a > 1' } } },
      'Creating index i_a on the table events is blocked by its declaration',
      'CREATE INDEX "i_a" ON "events" ("a") WHERE a > 1',
      '42883',
    ],
    [
      'a column that is not there',
      { indexes: { i_a: { columns: ['b'] } } },
      'Creating index i_a on the table events is blocked by its declaration',
      'CREATE INDEX "i_a" ON "events" ("b")',
      '42703',
    ],
  ] as const) {
    it(`refuses ${what}`, () =>
      withPgTables(EVENTS, async (tables) => {
        expect((await blocked(tables, stepOf(changes))).message).to.equal(message);
        expect(await sqlState(tables.client, statement)).to.equal(code);
      }));
  }

  it('refuses a name that PostgreSQL would shorten', () =>
    withPgTables(EVENTS, async (tables) => {
      const [fits, long] = ['é'.repeat(31), 'é'.repeat(32)];
      const withIndex = (name: string) =>
        named('001-own', defineSchemaStep({ table: 'events', indexes: { [name]: { columns: ['a'] } } }));
      expect((await blocked(tables, withIndex(long))).message).to.equal(
        `Creating index ${long} on the table events is blocked by its name of more than 63 bytes`,
      );
      await expectRoundTrip(tables, withIndex(fits));
    }));

  it('rebuilds an incomplete index that is known as ours, and refuses another', () =>
    withPgTables(`${EVENTS} INSERT INTO events VALUES (0, 'x'), (1, 'x')`, async (tables) => {
      const step = stepOf({ indexes: { i_at: { columns: ['a'], where: '1 / id > 0' } } });
      const valid = `SELECT indisvalid, pg_get_indexdef(indexrelid) FROM pg_index WHERE indexrelid = to_regclass('i_at')`;
      const begin = 'CREATE UNIQUE INDEX CONCURRENTLY i_at ON events (a)';
      expect(await sqlState(tables.client, begin)).to.equal('23505');
      const { message, hint } = await blocked(tables, step);
      expect(message).to.equal('Creating index i_at on the table events is blocked by invalid index i_at');
      expect(hint).to.match(/^Drop or fix invalid index i_at, then/);

      await tables.exec('DROP INDEX i_at');
      expect((await tables.of([step]).up()).error?.message, 'a row divides by zero').to.include('22012');
      expect(await tables.rows(valid)).to.deep.equal([]);
      expect(await sqlState(tables.client, begin)).to.equal('23505');
      await tables.exec('DELETE FROM events WHERE id = 0');
      expect((await tables.of([step]).plan(['up'])).warnings).to.deep.equal([]);
      await succeed(tables.of([step]).up());
      const made = 'CREATE INDEX i_at ON public.events USING btree (a) WHERE ((1 / id) > 0)';
      expect(await tables.rows(valid)).to.deep.equal([[true, made]]);
    }));

  it('refuses a partition, and what is no table', () =>
    withPgTables(
      `CREATE VIEW events AS SELECT 1 AS id, 'x' AS a; CREATE TABLE whole (id int, a text) PARTITION BY LIST (a);
      CREATE TABLE part PARTITION OF whole DEFAULT`,
      async (tables) => {
        await refusalOf('TABLE_MISSING', tables.of([stepOf()]).up());
        expect(await blocked(tables, stepOf({ table: 'part' }))).to.deep.equal({
          message: 'Creating column at on the table part is blocked by table whole, whose partition it is',
          hint: 'Declare the step for whole, whose columns are those of its partitions, and backfills for the partitions; nothing was changed',
        });
        expect(await sqlState(tables.client, 'ALTER TABLE part ADD COLUMN at text')).to.equal('42809');
        await expectRoundTrip(tables, stepOf({ table: 'whole' }));
      },
    ));

  it('refuses a role that may not, and names the right', () =>
    withPgTables(
      EVENTS,
      async (tables) => {
        const { client, url, of } = tables;
        const role = `role_${new URL(url).pathname.slice(1)}`;
        const own = url.replace('//postgres@', `//${role}@`);
        const messageOf = async (): Promise<string> => {
          const { message, hint } = await blocked(tables, stepOf(), own);
          const right = 'Grant it to this role, or run the same command as the owner of events';
          expect(hint).to.equal(`${right}; nothing was changed`);
          return message;
        };
        const applied = async (): Promise<string | undefined> => {
          await client.query(`BEGIN; SET LOCAL ROLE ${role}`);
          const code = await apply(client, STATEMENTS);
          await client.query('ROLLBACK');
          return code;
        };
        await client.query(`CREATE ROLE ${role} LOGIN`);
        try {
          await client.query(
            `GRANT USAGE ON SCHEMA public TO ${role}; REVOKE CREATE ON SCHEMA public FROM PUBLIC`,
          );
          expect(await messageOf()).to.equal(
            'Creating column at on the table events is blocked by the missing right to own the table',
          );
          expect(await applied()).to.equal('42501');
          await client.query(`ALTER TABLE events OWNER TO ${role}`);
          expect(await messageOf()).to.equal(
            'Creating index i_at on the table events is blocked by the missing right CREATE on its schema',
          );
          expect(await applied()).to.equal('42501');
          await client.query(
            `GRANT CREATE ON SCHEMA public TO ${role}; REVOKE UPDATE ON events FROM ${role}`,
          );
          expect(await messageOf()).to.equal(
            'Filling on the table events is blocked by the missing right UPDATE',
          );
          await client.query(
            `GRANT UPDATE ON events TO ${role}; ALTER TABLE events ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY`,
          );
          expect(await messageOf()).to.equal(
            'Filling on the table events is blocked by the missing right BYPASSRLS, without which policies hide rows',
          );
          await client.query('ALTER TABLE events NO FORCE ROW LEVEL SECURITY');
          await expectRoundTrip(tables, stepOf(), own);
          await succeed(of([stepOf()], own).up());
          await client.query('ALTER TABLE events OWNER TO postgres');
          expect((await refusalOf('SCHEMA_BLOCKED', of([stepOf()], own).down())).message).to.equal(
            '`down` on the table events is blocked by the missing right to own the table',
          );
        } finally {
          await client.query(`DROP OWNED BY ${role}; DROP ROLE ${role}`);
        }
      },
      {},
    ));
});
