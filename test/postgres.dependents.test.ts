import { expect } from 'chai';
import { before, describe, it } from 'mocha';
import { defineSchemaStep } from '../src/index.js';
import { dumpPgSchema } from './support/postgres-dump.js';
import { needServer } from './support/postgres-server.js';
import {
  needVersion,
  refusalOf,
  sqlState,
  succeed,
  type Tables,
  withPgTables,
} from './support/postgres-tables.js';
import { named } from './support/project.js';

// What stands in the way of `down` must be what PostgreSQL refuses, or drops without a word: both are tried for real.

const EVENTS = `CREATE TABLE events (id serial PRIMARY KEY, a text); INSERT INTO events VALUES (0, 'x');`;

const options = {
  table: 'events',
  columns: { at: 'text', of: 'text' },
  indexes: { i_at: { columns: ['at'], where: 'at IS NOT NULL' }, i_a: { columns: ['a', 'at'] } },
};
const step = named('001-own', defineSchemaStep(options));

/** An index that can be made only when no row has the id 0. */
const STUCK = { i_id: { columns: ['id'], where: '1 / id > 0' } };

/** The same step with one more index, by which it gets stuck until {@link MEND}. */
const stuckAtEnd = named(
  '001-own',
  defineSchemaStep({ ...options, indexes: { ...options.indexes, ...STUCK } }),
);
const stuckAtIndexes = named(
  '001-own',
  defineSchemaStep({ ...options, indexes: { ...STUCK, ...options.indexes } }),
);
const MEND = 'DELETE FROM events WHERE id = 0';

/** What `down` runs for that is ours, by hand: the SQLSTATE of the first statement that PostgreSQL refuses. */
async function dropAll({ client }: Tables): Promise<string | undefined> {
  for (const sql of ['INDEX i_at', 'INDEX i_a', 'INDEX IF EXISTS i_id']) await client.query(`DROP ${sql}`);
  return (
    (await sqlState(client, 'ALTER TABLE events DROP COLUMN at')) ??
    (await sqlState(client, 'ALTER TABLE events DROP COLUMN of'))
  );
}

/** Applies a step up to the index at which it gets stuck. */
async function applyStuck({ of }: Tables, stuck = stuckAtEnd): Promise<ReturnType<Tables['of']>> {
  const commands = of([stuck]);
  const { error } = await commands.up();
  expect(error?.message).to.include('22012');
  return commands;
}

/** What a dry run of `up` warns of. */
const warnings = async (commands: ReturnType<Tables['of']>): Promise<string[]> =>
  (await commands.plan(['up'])).warnings;

/** Insists that `down` is refused, and changes nothing; in whose way is what. */
async function inTheWay({ client }: Tables, commands: ReturnType<Tables['of']>): Promise<string> {
  const unchanged = await dumpPgSchema(client);
  const { message } = await refusalOf('SCHEMA_BLOCKED', commands.down());
  expect((await refusalOf('SCHEMA_BLOCKED', commands.plan(['down']))).message).to.equal(message);
  expect(await dumpPgSchema(client)).to.deep.equal(unchanged);
  return message;
}

before(function () {
  needServer(this);
});

/** What hangs on a column, what it is called, and whether DROP COLUMN refuses, or drops it as well. */
const hanging: readonly (readonly [
  what: string,
  ddl: string,
  object: string,
  isSilent: boolean,
  since?: number,
])[] = [
  ['a view', 'CREATE VIEW late AS SELECT * FROM events', 'view late', false],
  [
    'a materialized view',
    'CREATE MATERIALIZED VIEW kept AS SELECT at FROM events',
    'materialized view kept',
    false,
  ],
  [
    'a rule',
    'CREATE RULE r AS ON DELETE TO events WHERE old.at IS NOT NULL DO INSTEAD NOTHING',
    'rule r',
    false,
  ],
  [
    'a trigger',
    `CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN new; END';
    CREATE TRIGGER seen AFTER UPDATE OF at ON events FOR EACH ROW EXECUTE FUNCTION f()`,
    'trigger seen',
    false,
  ],
  ['a policy', 'CREATE POLICY own ON events USING (at IS NULL)', 'policy own', false],
  [
    'a function',
    'CREATE FUNCTION last() RETURNS text BEGIN ATOMIC SELECT max(at) FROM events; END',
    'function last',
    false,
    140_000,
  ],
  [
    'a generated column',
    `ALTER TABLE events ADD g text GENERATED ALWAYS AS (at || '!') STORED`,
    'generated column g',
    false,
    150_000, // goes without a word up to then
  ],
  [
    'a publication',
    'DROP PUBLICATION IF EXISTS p; CREATE PUBLICATION p FOR TABLE events (id, at)',
    'publication p',
    false,
    150_000,
  ],
  ['an index of two columns', 'CREATE INDEX theirs ON events (a, at)', 'index theirs', true],
  ['an index on an expression', 'CREATE INDEX theirs ON events (lower(at))', 'index theirs', true],
  ['a condition of an index', 'CREATE INDEX theirs ON events (a) WHERE at IS NULL', 'index theirs', true],
  ['a unique constraint', 'ALTER TABLE events ADD CONSTRAINT alone UNIQUE (at)', 'constraint alone', true],
  ['a check', `ALTER TABLE events ADD CONSTRAINT filled CHECK (at <> '')`, 'constraint filled', true],
  [
    'a check of two columns',
    `ALTER TABLE events ADD CONSTRAINT filled CHECK (at <> a)`,
    'constraint filled',
    true,
  ],
  [
    'a foreign key',
    'CREATE TABLE t (x text PRIMARY KEY); ALTER TABLE events ADD CONSTRAINT of_t FOREIGN KEY (at) REFERENCES t',
    'constraint of_t',
    true,
  ],
  ['statistics', 'CREATE STATISTICS st ON a, at FROM events', 'statistics st', true],
  ['a sequence', 'CREATE SEQUENCE numbers OWNED BY events.at', 'sequence numbers', true],
];

/** Names of whatever may hang on a column and go with it. */
const NAMES = `SELECT relname AS name FROM pg_class UNION ALL SELECT conname FROM pg_constraint
  UNION ALL SELECT stxname FROM pg_statistic_ext`;

const PARTITIONED = `CREATE TABLE events (id int, a text) PARTITION BY LIST (id); CREATE TABLE part (gone int, a text, id int);
  ALTER TABLE part DROP COLUMN gone; ALTER TABLE events ATTACH PARTITION part DEFAULT; INSERT INTO events VALUES (0, 'x');`;

describe('`down` of a schema step on PostgreSQL', () => {
  for (const [what, ddl, object, isSilent, since = 0] of hanging) {
    it(`refuses ${what} on a column`, async function () {
      await needVersion(this, since);
      await withPgTables(EVENTS, async (tables) => {
        const commands = await applyStuck(tables);
        await commands.plan(['down']);
        await tables.exec(ddl);
        expect(await warnings(commands)).to.deep.equal([`\`down\` will be blocked by ${object}`]);
        expect(await inTheWay(tables, commands)).to.equal(
          `\`down\` on the table events is blocked by ${object}`,
        );
        expect(await dropAll(tables)).to.equal(isSilent ? undefined : '2BP01');
        if (!isSilent) return;
        const found = await tables.rows(`SELECT 1 FROM (${NAMES}) AS o WHERE name = $1`, [
          object.split(' ')[1] ?? '',
        ]);
        expect(found).to.deep.equal([]);
      });
    });
  }

  it('is not disturbed by what hangs on other columns, or belongs to the column', () =>
    withPgTables(
      `${EVENTS} CREATE VIEW whole AS SELECT e FROM events AS e; CREATE VIEW part AS SELECT id, a FROM events; CREATE INDEX theirs ON events (a)`,
      async (tables) => {
        const commands = tables.of([step]);
        await succeed(commands.up());
        await tables.exec(
          `ALTER TABLE events ALTER at SET DEFAULT 'x'; UPDATE events SET at = 'x'; ALTER TABLE events ALTER at SET NOT NULL;
          COMMENT ON COLUMN events.at IS 'ours'`,
        );
        await succeed(commands.down({}, { confirmed: true }));
        const left = `SELECT attname FROM pg_attribute WHERE attrelid = 'events'::regclass AND attnum > 0 AND NOT attisdropped`;
        expect(await tables.rows(left)).to.deep.equal([['id'], ['a']]);
      },
    ));

  it('lets the step drop its own indexes, and refuses one of another name', () =>
    withPgTables(EVENTS, async (tables) => {
      const commands = await applyStuck(tables, stuckAtIndexes);
      await tables.exec(`${MEND}; CREATE INDEX i_a ON events (a, at)`); // theirs, though the step has the same
      await succeed(commands.up());
      expect(await inTheWay(tables, commands)).to.equal('`down` on the table events is blocked by index i_a');
      await tables.exec('DROP INDEX i_a');
      await succeed(commands.down());
    }));

  it('is not disturbed where no column goes', () =>
    withPgTables(
      `${EVENTS} ALTER TABLE events ADD at text, ADD "of" text; CREATE VIEW late AS SELECT at FROM events`,
      async (tables) => {
        const commands = tables.of([step]);
        await succeed(commands.up());
        expect((await tables.ledger()).objects(step.name)).to.deep.equal([
          { kind: 'index', name: 'i_a' },
          { kind: 'index', name: 'i_at' },
        ]);
        await succeed(commands.down());
      },
    ));

  it('finds what hangs on a column of a partition', () =>
    withPgTables(PARTITIONED, async (tables) => {
      const commands = await applyStuck(tables);
      await commands.plan(['down']);
      await tables.exec('CREATE VIEW late AS SELECT at FROM part; CREATE INDEX theirs ON part (at)');
      expect(await warnings(commands)).to.deep.equal([
        '`down` will be blocked by index theirs',
        '`down` will be blocked by view late',
      ]);
      await tables.exec('DROP INDEX theirs');
      expect(await inTheWay(tables, commands)).to.equal('`down` on the table events is blocked by view late');
      await tables.exec('DROP VIEW late');
      await succeed(commands.down());
    }));
});
