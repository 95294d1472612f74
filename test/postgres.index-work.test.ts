import { expect } from 'chai';
import { before, describe, it } from 'mocha';
import { defineSchemaStep, type SchemaStepOptions } from '../src/index.js';
import { needServer } from './support/postgres-server.js';
import { refusalOf, sqlState, succeed, type Tables, withPgTables } from './support/postgres-tables.js';
import { named } from './support/project.js';

// Indexes that a schema step makes and drops; with others at work meanwhile: processes/postgres.index.test.ts, and killed:
// crash/postgres-index.test.ts.

const TABLE = 'CREATE TABLE events (id int PRIMARY KEY, a text); INSERT INTO events VALUES (0);';

const stepOf = (changes: Partial<SchemaStepOptions> = {}) =>
  named(
    '001-own',
    defineSchemaStep({
      table: 'events',
      columns: { b: 'text' },
      indexes: { ours: { columns: ['a'] } },
      ...changes,
    }),
  );

const OURS = { kind: 'index', name: 'ours' };
const COLUMN = { kind: 'column', name: 'b' };

/** A step with an index for whose rows a condition is asked. */
const asking = (where: string) => stepOf({ indexes: { ours: { columns: ['a'], where } } });

/** It can be made only when no row has the id 0. */
const stuck = asking('1 / id > 0');
const MEND = 'DELETE FROM events WHERE id = 0';

/** Of the indexes called `ours`: schema, and whether it is complete. */
const standing = ({ rows }: Tables): Promise<unknown[][]> =>
  rows(`SELECT n.nspname, i.indisvalid FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid
    JOIN pg_namespace AS n ON n.oid = c.relnamespace WHERE c.relname = 'ours' ORDER BY 1`);

/** What the ledger knows as made by the step, and whether it is applied. */
async function known({ ledger }: Tables): Promise<unknown> {
  const { objects, step } = await ledger();
  return { objects: objects('001-own'), status: step('001-own')?.status };
}

/** Makes what a killed run leaves of an index. */
async function begin({ client, exec }: Tables, table = 'events'): Promise<void> {
  await exec(`INSERT INTO ${table} (id, a) VALUES (8, 'twice'), (9, 'twice')`);
  expect(await sqlState(client, `CREATE UNIQUE INDEX CONCURRENTLY ours ON ${table} (a)`)).to.equal('23505');
}

/** SQL that says, so many times, what whoever waits for a lock in vain is told. */
const busy = (times: number): string => `IF nextval('public.tries') <= ${times + 1} THEN
  RAISE EXCEPTION 'another has the lock' USING ERRCODE = 'lock_not_available'; END IF;`;
// From PostgreSQL 17 on an index is made under a search path of its own.
const TRIES = `CREATE SEQUENCE tries; SELECT nextval('public.tries');`;
const BUSY_ROW = (
  times: number,
): string => `${TRIES} CREATE FUNCTION is_free(id int) RETURNS bool IMMUTABLE LANGUAGE plpgsql
  AS $$ BEGIN ${busy(times)} RETURN true; END $$;`;

/** SQL that lets the server act at an event of DDL. */
const at = (
  event: string,
  tag: string,
  act: string,
): string => `CREATE FUNCTION act() RETURNS event_trigger LANGUAGE plpgsql
  AS $$ BEGIN ${act} END $$; CREATE EVENT TRIGGER acting ON ${event} WHEN TAG IN ('${tag}') EXECUTE FUNCTION act();`;

before(function () {
  needServer(this);
});

describe('an index that a step makes on PostgreSQL', () => {
  it('is known and complete when the step is applied', () =>
    withPgTables(TABLE, async (tables) => {
      await succeed(tables.of([stepOf()]).up());
      expect(await standing(tables)).to.deep.equal([['public', true]]);
      expect(await known(tables)).to.deep.equal({ objects: [COLUMN, OURS], status: 'applied' });
    }));

  it('is not made, nor known as ours, where another has made it meanwhile', () =>
    withPgTables(
      `${TABLE} ${at('ddl_command_end', 'ALTER TABLE', 'CREATE INDEX IF NOT EXISTS ours ON events (a);')}`,
      async (tables) => {
        const commands = tables.of([stepOf()]);
        expect((await commands.plan(['up'])).steps[0].statements).to.have.length(2);
        await succeed(commands.up());
        expect(await known(tables)).to.deep.equal({ objects: [COLUMN], status: 'applied' });
        await succeed(commands.down());
        expect(await standing(tables)).to.deep.equal([['public', true]]);
      },
    ));

  it('leaves nothing behind when it can not be made, and is known', () =>
    withPgTables(TABLE, async (tables) => {
      const { error } = await tables.of([stuck]).up();
      expect(error?.message).to.include('22012');
      expect(await standing(tables)).to.deep.equal([]);
      expect(await known(tables))
        .to.deep.include({ objects: [COLUMN, OURS] })
        .and.not.include({ status: 'applied' });
    }));

  it('is made anew where a run that was killed has left it', () =>
    withPgTables(TABLE, async (tables) => {
      const commands = tables.of([stuck]);
      expect((await commands.up()).error?.message).to.include('22012');
      await begin(tables);
      await tables.exec(MEND);
      expect(await standing(tables)).to.deep.equal([['public', false]]);
      await succeed(commands.up());
      expect(await standing(tables)).to.deep.equal([['public', true]]);
      expect(await known(tables)).to.deep.equal({ objects: [COLUMN, OURS], status: 'applied' });
    }));

  it('is tried again while another keeps a lock, and leaves nothing behind', () =>
    withPgTables(`${TABLE} ${BUSY_ROW(2)}`, async (tables) => {
      await succeed(tables.of([asking('is_free(id)')]).up());
      expect(await standing(tables)).to.deep.equal([['public', true]]);
      expect(await known(tables)).to.deep.equal({ objects: [COLUMN, OURS], status: 'applied' });
      expect(await tables.rows('SELECT last_value::int >= 4 FROM tries'), 'two tries failed').to.deep.equal([
        [true],
      ]);
    }));

  it('is given up after a bounded time, known and not there', () =>
    withPgTables(`${TABLE} ${BUSY_ROW(1e9)}`, async (tables) => {
      const commands = tables.of([asking('is_free(id)')]);
      expect((await commands.up()).error?.code).to.equal('STORE_BUSY');
      expect(await standing(tables)).to.deep.equal([]);
      expect(await known(tables)).to.deep.include({ objects: [COLUMN, OURS] });
      await tables.exec(`SELECT setval('tries', 2000000000)`);
      await succeed(commands.up());
      expect(await standing(tables)).to.deep.equal([['public', true]]);
    }));

  it('is refused where PostgreSQL leaves it incomplete', () =>
    withPgTables(
      `${TABLE} ${at('ddl_command_end', 'CREATE INDEX', `ALTER INDEX IF EXISTS ours RENAME TO theirs;`)}`,
      async (tables) => {
        const { error } = await tables.of([stepOf()]).up();
        expect(error).to.include({
          code: 'STATEMENT_REJECTED',
          message: 'PostgreSQL did not complete the index ours',
        });
        expect(await known(tables)).to.not.deep.include({ status: 'applied' });
      },
    ));

  it('leaves an incomplete index of the name alone that belongs to another table', () =>
    withPgTables(`${TABLE} CREATE TABLE others (id int, a text)`, async (tables) => {
      const commands = tables.of([stuck]);
      expect((await commands.up()).error?.message).to.include('22012');
      await begin(tables, 'others');
      await tables.exec(MEND);
      const { message } = await refusalOf('SCHEMA_BLOCKED', commands.up());
      expect(message).to.include('another index named ours');
      expect(await standing(tables)).to.deep.equal([['public', false]]);
    }));

  it('is made in one transaction, and dropped, where the table has partitions', () =>
    withPgTables(
      `CREATE TABLE events (id int, a text) PARTITION BY LIST (id); CREATE TABLE part PARTITION OF events DEFAULT;
      INSERT INTO events VALUES (0, 'x')`,
      async (tables) => {
        const commands = tables.of([stuck]);
        const count = `SELECT count(*)::int FROM pg_indexes WHERE tablename IN ('part', 'events')`;
        expect((await commands.up()).error?.message).to.include('22012');
        expect(await known(tables)).to.deep.include({ objects: [COLUMN] });
        await tables.exec('TRUNCATE events'); // what is deleted may be looked at for as long as anybody could see it
        await succeed(commands.up());
        expect(await known(tables)).to.deep.equal({ objects: [COLUMN, OURS], status: 'applied' });
        expect(await tables.rows(count)).to.deep.equal([[2]]);
        await succeed(commands.down());
        expect(await tables.rows(count)).to.deep.equal([[0]]);
        expect(await known(tables)).to.deep.equal({ objects: [], status: undefined });
      },
    ));
});

describe('an index that `down` drops on PostgreSQL', () => {
  it('is dropped and forgotten, complete or not, there or not', () =>
    withPgTables(TABLE, async (tables) => {
      const commands = tables.of([stuck]);
      const expectGone = async (): Promise<void> => {
        await succeed(commands.down());
        expect(await standing(tables)).to.deep.equal([]);
        expect(await known(tables)).to.deep.equal({ objects: [], status: undefined });
      };
      expect((await commands.up()).error?.message).to.include('22012');
      await expectGone();
      expect((await commands.up()).error?.message).to.include('22012');
      await begin(tables);
      expect(await standing(tables)).to.deep.equal([['public', false]]);
      await expectGone();
      await tables.exec(MEND);
      await succeed(commands.up());
      await expectGone();
    }));

  it('is that of the table, where the search path finds another of the name first', () =>
    withPgTables(
      `CREATE SCHEMA ahead; CREATE TABLE ahead.others (a text); CREATE INDEX ours ON ahead.others (a); ${TABLE}`,
      async (tables) => {
        const commands = tables.of([stepOf()], `${tables.url}?options=-csearch_path%3Dahead,public`);
        await succeed(commands.up());
        expect(await standing(tables)).to.deep.equal([
          ['ahead', true],
          ['public', true],
        ]);
        await succeed(commands.down());
        expect(await standing(tables)).to.deep.equal([['ahead', true]]);
      },
      {},
    ));

  it('is tried again while another keeps a lock', () =>
    withPgTables(`${TABLE} ${TRIES} ${at('ddl_command_start', 'DROP INDEX', busy(2))}`, async (tables) => {
      const commands = tables.of([stepOf()]);
      await succeed(commands.up());
      await succeed(commands.down());
      expect(await standing(tables)).to.deep.equal([]);
      expect(await known(tables)).to.deep.equal({ objects: [], status: undefined });
      expect(await tables.rows('SELECT last_value::int FROM tries')).to.deep.equal([[4]]);
    }));
});
