import { expect } from 'chai';
import { before, describe, it } from 'mocha';
import { BackfillError } from '../src/errors.js';
import type { CreatedObject } from '../src/ledger/records.js';
import { planSchemaStep } from '../src/schema/plan.js';
import { reverseStatements } from '../src/schema/reverse.js';
import {
  defineSchemaStep,
  type SchemaStepDefinition,
  type SchemaStepOptions,
} from '../src/steps/schema-step.js';
import { rehearseDown, rehearseUp } from '../src/store/postgres/rehearse.js';
import { openPostgresStore } from '../src/store/postgres/site.js';
import type { PostgresStore } from '../src/store/postgres/store.js';
import { sharedServer, type TestDatabase, whyNoServer, withDatabase } from './support/postgres-server.js';
import { failureOf } from './support/stores.js';

// What is refused must be what PostgreSQL refuses, or does without a word: both are tried for real.

const EVENTS = 'CREATE TABLE events (id serial PRIMARY KEY, a text);';

const options: SchemaStepOptions = {
  table: 'events',
  columns: { at: 'text', of: 'text' },
  indexes: { i_at: { columns: ['at'], where: 'at IS NOT NULL' }, i_a: { columns: ['a', 'at'] } },
};
const step = defineSchemaStep(options);

/** What the step makes. */
const ALL: readonly CreatedObject[] = [
  { kind: 'column', name: 'at' },
  { kind: 'column', name: 'of' },
  { kind: 'index', name: 'i_at' },
  { kind: 'index', name: 'i_a' },
];

const withStore = (
  ddl: string,
  act: (store: PostgresStore, all: TestDatabase) => Promise<void> | void,
): Promise<void> =>
  withDatabase(async (all) => {
    await all.client.query(ddl);
    const store = openPostgresStore({ url: all.url }, { access: 'write' });
    try {
      await act(store, all);
    } finally {
      store.close();
    }
  });

const up = (
  store: PostgresStore,
  of: SchemaStepDefinition = step,
  made: readonly CreatedObject[] = [],
): string[] => store.snapshot(() => rehearseUp(store, of, planSchemaStep(store, of), made));

function apply(store: PostgresStore, of: SchemaStepDefinition = step): void {
  const plan = planSchemaStep(store, of);
  for (const { sql } of [...plan.first, ...plan.indexes]) store.exec(sql);
}

const schemaOf = (store: PostgresStore): unknown =>
  store.all(`SELECT relname, relkind FROM pg_class WHERE relnamespace = 'public'::regnamespace
    UNION ALL SELECT attname, 'column' FROM pg_attribute WHERE attrelid = 'events'::regclass AND NOT attisdropped ORDER BY 1, 2`);

before(function () {
  const why = whyNoServer();
  if (!why) return;
  console.log(`    skipped: ${why}`);
  this.skip();
});

describe('rehearseUp of PostgreSQL', () => {
  it('lets a step pass that can be made, and taken back', () =>
    withStore(EVENTS, (store) => {
      const unchanged = schemaOf(store);
      expect(up(store)).to.deep.equal([]);
      expect(schemaOf(store)).to.deep.equal(unchanged);
      apply(store);
      expect(up(store, step, ALL)).to.deep.equal([]);
      rehearseDown(store, step, ALL);
      for (const sql of reverseStatements(step, ALL)) store.exec(sql);
      expect(schemaOf(store)).to.deep.equal(unchanged);
    }));

  for (const [what, ddl, expected, isRefused] of [
    [
      'a view with the name of an index',
      'CREATE VIEW i_at AS SELECT 1 AS x',
      'Making index i_at|another view named i_at',
      true,
    ],
    [
      'a table with the name of an index',
      'CREATE TABLE i_a (x int)',
      'Making index i_a|another table named i_a',
      true,
    ],
    [
      'another index of the name',
      'CREATE INDEX i_a ON events (a)',
      'Making index i_a|another index named i_a',
      true,
    ],
    ['a sequence of the name', 'CREATE SEQUENCE i_a', 'Making index i_a|another sequence named i_a', true],
    [
      'a generated column',
      `ALTER TABLE events ADD at text GENERATED ALWAYS AS (a || '') STORED`,
      'Filling|generated column at',
      false,
    ],
    [
      'a column in other case',
      'ALTER TABLE events ADD "AT" text',
      'Making column at|another column named AT',
      false,
    ],
  ] as const) {
    it(`refuses ${what}`, () =>
      withStore(`${EVENTS} ${ddl}`, async (store) => {
        const [act, object] = expected.split('|');
        const error = await failureOf('SCHEMA_BLOCKED', () => up(store));
        expect(error.message).to.equal(`${act} on the table events is blocked by ${object}`);
        expect(error.hint).to.equal(
          `Drop or mend ${object}, then run the same command again; nothing was changed`,
        );
        if (isRefused)
          expect(() => apply(store))
            .to.throw(Error)
            .that.has.property('code', 'POSTGRES_42P07');
      }));
  }

  it('is not disturbed by a name in another schema', () =>
    withStore(`CREATE SCHEMA other; CREATE TABLE other.i_at (x int); ${EVENTS}`, (store) => {
      store.exec('SET search_path = public, other');
      expect(up(store)).to.deep.equal([]);
      apply(store);
    }));

  for (const [what, changes, message, code] of [
    [
      'a type that is none',
      { columns: { at: 'DATETIME' }, indexes: {} },
      'Making column at on the table events is blocked by its declaration',
      '42704',
    ],
    [
      'a condition that is none',
      { indexes: { i_a: { columns: ['a'], where: 'a > 1' } } },
      'Making index i_a on the table events is blocked by its declaration',
      '42883',
    ],
    [
      'a column that is not there',
      { indexes: { i_a: { columns: ['b'] } } },
      'Making index i_a on the table events is blocked by its declaration',
      '42703',
    ],
  ] as readonly (readonly [string, Partial<SchemaStepOptions>, string, string])[]) {
    it(`refuses ${what}`, () =>
      withStore(EVENTS, async (store) => {
        const changed = defineSchemaStep({ ...options, ...changes });
        const error = await failureOf('SCHEMA_BLOCKED', () => up(store, changed));
        expect(error.message).to.equal(message);
        expect(() => apply(store, changed))
          .to.throw(Error)
          .that.has.property('code', `POSTGRES_${code}`);
      }));
  }

  it('refuses a name that PostgreSQL would shorten', () =>
    withStore(EVENTS, async (store) => {
      const [fits, long] = ['é'.repeat(31), 'é'.repeat(32)];
      const named = (name: string): SchemaStepDefinition =>
        defineSchemaStep({ table: 'events', indexes: { [name]: { columns: ['a'] } } });
      expect(up(store, named(fits))).to.deep.equal([]);
      const error = await failureOf('SCHEMA_BLOCKED', () => up(store, named(long)));
      expect(error.message).to.equal(
        `Making index ${long} on the table events is blocked by its name of more than 63 bytes`,
      );
    }));

  it('rebuilds an incomplete index that is known as ours, and refuses another', () =>
    withStore(
      `${EVENTS} ALTER TABLE events ADD at text, ADD "of" text; INSERT INTO events (at) VALUES ('x'), ('x')`,
      async (store) => {
        expect(() => store.exec('CREATE UNIQUE INDEX CONCURRENTLY i_at ON events (at)')).to.throw();
        const error = await failureOf('SCHEMA_BLOCKED', () => up(store));
        expect(error.message).to.equal(
          'Making index i_at on the table events is blocked by invalid index i_at',
        );
        expect(error.hint).to.match(/^Drop or mend invalid index i_at, then/);
        expect(up(store, step, [{ kind: 'index', name: 'i_at' }])).to.deep.equal([]);
      },
    ));

  it('refuses what is no table, and a partition', () =>
    withStore(
      `CREATE VIEW events AS SELECT 1 AS id, 'x' AS a; CREATE TABLE whole (id int, a text) PARTITION BY LIST (a);
      CREATE TABLE part PARTITION OF whole DEFAULT`,
      async (store) => {
        const view = await failureOf('SCHEMA_BLOCKED', () => up(store));
        expect(view.message).to.equal('Making column at on the table events is blocked by view events');
        const part = await failureOf('SCHEMA_BLOCKED', () => up(store, { ...step, table: 'part' }));
        expect(part.message).to.equal(
          'Making column at on the table part is blocked by table whole, of which it is a partition',
        );
        expect(part.hint).to.equal('Declare the step for whole; nothing was changed');
        expect(() => apply(store, { ...step, table: 'part' })).to.throw();
        expect(up(store, { ...step, table: 'whole' })).to.deep.equal([]);
        apply(store, { ...step, table: 'whole' });
      },
    ));

  it('refuses a role that may not, and names the right', () =>
    withStore(`${EVENTS} CREATE SCHEMA s; CREATE TABLE s.own (id int, a text)`, async (store, { name }) => {
      const role = `role_${name}`;
      store.exec(`CREATE ROLE ${role}`);
      const messageOf = async (of = step): Promise<string> => {
        const error = await failureOf('SCHEMA_BLOCKED', () => up(store, of));
        expect(error.hint).to.equal(
          `Grant it to this role, or run the same command as the owner of ${of.table}; nothing was changed`,
        );
        return error.message;
      };
      const act = (sql: string): void => store.exec(`RESET ROLE; ${sql}; SET ROLE ${role}`);
      try {
        act(`GRANT USAGE ON SCHEMA public TO ${role}; REVOKE CREATE ON SCHEMA public FROM PUBLIC`);
        expect(await messageOf()).to.equal(
          'Making column at on the table events is blocked by the missing right to own the table',
        );
        expect(() => apply(store))
          .to.throw(Error)
          .that.has.property('code', 'POSTGRES_42501');
        act(`ALTER TABLE events OWNER TO ${role}`);
        expect(await messageOf()).to.equal(
          'Making index i_at on the table events is blocked by the missing right CREATE on its schema',
        );
        expect(() => apply(store))
          .to.throw(Error)
          .that.has.property('code', 'POSTGRES_42501');
        act(`GRANT CREATE ON SCHEMA public TO ${role}; REVOKE UPDATE ON events FROM ${role}`);
        expect(await messageOf()).to.equal(
          'Filling on the table events is blocked by the missing right UPDATE',
        );
        act(
          `GRANT UPDATE ON events TO ${role}; ALTER TABLE events ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY`,
        );
        expect(await messageOf()).to.equal(
          'Filling on the table events is blocked by the missing right BYPASSRLS, without which policies hide rows',
        );
        act('ALTER TABLE events NO FORCE ROW LEVEL SECURITY');
        expect(up(store)).to.deep.equal([]);
        act('ALTER TABLE events OWNER TO postgres');
        const down = await failureOf('SCHEMA_BLOCKED', () =>
          rehearseDown(store, step, [{ kind: 'column', name: 'a' }]),
        );
        expect(down.message).to.equal(
          '`down` on the table events is blocked by the missing right to own the table',
        );
      } finally {
        store.exec(`RESET ROLE; DROP OWNED BY ${role}; DROP ROLE ${role}`);
      }
    }));
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
  ['a publication', 'CREATE PUBLICATION p FOR TABLE events (id, at)', 'publication p', false, 150_000],
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

const partitioned = `CREATE TABLE events (id int, a text) PARTITION BY LIST (id); CREATE TABLE part (gone int, a text, id int);
  ALTER TABLE part DROP COLUMN gone; ALTER TABLE events ATTACH PARTITION part DEFAULT;`;

describe('rehearseDown of PostgreSQL', () => {
  for (const [what, ddl, object, isSilent, since = 0] of hanging) {
    it(`refuses ${what} on a column`, async function () {
      if ((await sharedServer()).version < since) this.skip();
      await withStore(EVENTS, async (store) => {
        apply(store);
        rehearseDown(store, step, ALL);
        store.exec(ddl);
        expect(up(store, step, ALL)).to.deep.equal([`\`down\` will be blocked by ${object}`]);
        const error = await failureOf('SCHEMA_BLOCKED', () => rehearseDown(store, step, ALL));
        expect(error.message).to.equal(`\`down\` on the table events is blocked by ${object}`);
        const drop = (): void => {
          for (const sql of reverseStatements(step, ALL)) store.exec(sql);
        };
        if (!isSilent) {
          expect(drop).to.throw(Error).that.has.property('code', 'POSTGRES_2BP01');
          return;
        }
        drop();
        expect(
          store.pluck(`SELECT 1 FROM (${NAMES}) AS o WHERE name = ?`, object.split(' ')[1] ?? ''),
        ).to.deep.equal([]);
      });
    });
  }

  it('is not disturbed by what hangs on other columns, or belongs to the column', () =>
    withStore(
      `${EVENTS} CREATE VIEW whole AS SELECT e FROM events AS e; CREATE VIEW part AS SELECT id, a FROM events; CREATE INDEX theirs ON events (a)`,
      (store) => {
        apply(store);
        store.exec(
          `ALTER TABLE events ALTER at SET DEFAULT 'x', ALTER at SET NOT NULL; COMMENT ON COLUMN events.at IS 'ours'`,
        );
        rehearseDown(store, step, ALL);
        for (const sql of reverseStatements(step, ALL)) store.exec(sql);
      },
    ));

  it('lets the step drop its own indexes, and refuses one of another name', () =>
    withStore(EVENTS, async (store) => {
      apply(store);
      const error = await failureOf('SCHEMA_BLOCKED', () => rehearseDown(store, step, ALL.slice(0, 3)));
      expect(error.message).to.equal('`down` on the table events is blocked by index i_a');
      rehearseDown(store, step, ALL.slice(2)); // no column goes
      rehearseDown(store, step, []);
    }));

  it('finds what hangs on a column of a partition', () =>
    withStore(partitioned, async (store) => {
      apply(store);
      rehearseDown(store, step, ALL);
      store.exec('CREATE VIEW late AS SELECT at FROM part; CREATE INDEX theirs ON part (at)');
      expect(up(store, step, ALL)).to.deep.equal([
        '`down` will be blocked by index theirs',
        '`down` will be blocked by view late',
      ]);
      store.exec('DROP INDEX theirs');
      const error = await failureOf('SCHEMA_BLOCKED', () => rehearseDown(store, step, ALL));
      expect(error).to.be.instanceOf(BackfillError);
      expect(error.message).to.equal('`down` on the table events is blocked by view late');
      store.exec('DROP VIEW late');
      rehearseDown(store, step, ALL);
      for (const sql of reverseStatements(step, ALL)) store.exec(sql);
    }));
});
