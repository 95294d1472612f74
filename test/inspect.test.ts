import { join } from 'node:path';
import { expect } from 'chai';
import { describe, it } from 'mocha';
import {
  defineBackfill,
  defineSchemaStep,
  type IndexOptions,
  type SchemaStepOptions,
  sql,
} from '../src/index.js';
import { readLedger } from './support/ledger.js';
import { commandsOf, named, projectOf } from './support/project.js';
import { asAgentOs, failureOf, withFolder } from './support/stores.js';

// What the commands find in a schema, as their dry runs tell it.

const TABLE = 'CREATE TABLE events (id INTEGER PRIMARY KEY, kind TEXT, ts TEXT, "order" TEXT, seen TEXT)';

/** Runs `act` on a store with the table `events` and what `made` adds. */
const withSchema = <Result>(made: string, act: (path: string) => Promise<Result>): Promise<Result> =>
  withFolder((folder) => {
    const path = join(folder, 'store.db');
    asAgentOs(path, (db) => db.exec(`${TABLE}; ${made}`));
    return act(path);
  });

const commands = (path: string, step: SchemaStepOptions) =>
  commandsOf(projectOf([named('1-schema', defineSchemaStep(step))]), { path }, { backup: false });

/** What a schema step would run there. */
const statements = async (path: string, step: SchemaStepOptions): Promise<string[]> => {
  const { steps } = await commands(path, step).plan(['up']);
  return steps[0].statements.map(({ sql }: { readonly sql: string }) => sql);
};

/** Whether an index stands already that a step would otherwise make. */
const stands = (made: string, index: IndexOptions, table = 'events'): Promise<boolean> =>
  withSchema(made, async (path) => {
    const found = await statements(path, { table, indexes: { idx_wanted: index } });
    expect(found.join()).to.match(/^(?:CREATE INDEX "idx_wanted" .*)?$/);
    return found.length === 0;
  });

/** What a backfill of these columns would do there. */
const planOf = async (path: string, table: string, columns: readonly string[]) => {
  const values = Object.fromEntries(columns.map((name) => [name, sql(`'x'`)]));
  const step = named('1-fill', defineBackfill({ table, key: 'id', columns: values }));
  return (await commandsOf(projectOf([step]), { path }).plan(['up'])).steps[0].fill;
};

describe('an index that a step would make', () => {
  const partial: IndexOptions = { columns: ['kind', 'ts'], where: 'ts IS NOT NULL' };

  const found: readonly (readonly [what: string, sql: string, index: IndexOptions])[] = [
    ['the same definition', 'CREATE INDEX i ON events (kind, ts) WHERE ts IS NOT NULL', partial],
    ['other quotes', 'CREATE INDEX i ON "events" (`kind`, [ts]) WHERE "ts" IS NOT NULL', partial],
    ['another case', 'create index i on EVENTS (Kind,TS) where Ts is not null', partial],
    [
      'another layout',
      'CREATE INDEX i ON events(kind,\n  ts) -- lag\nWHERE ts /* set */ IS NOT NULL',
      partial,
    ],
    [
      'ASC and BINARY spelt out',
      'CREATE INDEX i ON events (kind ASC, ts COLLATE BINARY) WHERE ts IS NOT NULL',
      partial,
    ],
    ['no condition', 'CREATE INDEX i ON events (seen)', { columns: ['seen'] }],
    ['a column that is a keyword', 'CREATE INDEX i ON events ("order")', { columns: ['order'] }],
    [
      'parentheses in the condition',
      `CREATE INDEX i ON events (ts) WHERE (kind) IN ('a', '(') AND ts > ('')`,
      { columns: ['ts'], where: `(kind) in ('a','(') AND ts > ('')` },
    ],
  ];
  for (const [what, sql, index] of found) {
    it(`is found under another name: ${what}`, async () => {
      expect(await stands(sql, index)).to.equal(true);
    });
  }

  const notFound: readonly (readonly [what: string, sql: string, index?: IndexOptions])[] = [
    ['no index', ''],
    ['DESC', 'CREATE INDEX i ON events (kind, ts DESC) WHERE ts IS NOT NULL'],
    ['a collation', 'CREATE INDEX i ON events (kind COLLATE NOCASE, ts) WHERE ts IS NOT NULL'],
    ['UNIQUE', 'CREATE UNIQUE INDEX i ON events (kind, ts) WHERE ts IS NOT NULL'],
    ['another order', 'CREATE INDEX i ON events (ts, kind) WHERE ts IS NOT NULL'],
    ['a column less', 'CREATE INDEX i ON events (kind) WHERE ts IS NOT NULL'],
    ['a column more', 'CREATE INDEX i ON events (kind, ts, seen) WHERE ts IS NOT NULL'],
    ['an expression', 'CREATE INDEX i ON events (lower(kind), ts) WHERE ts IS NOT NULL'],
    ['no condition', 'CREATE INDEX i ON events (kind, ts)'],
    ['another condition', 'CREATE INDEX i ON events (kind, ts) WHERE kind IS NOT NULL'],
    [
      'a condition where none is wanted',
      'CREATE INDEX i ON events (seen) WHERE ts > 1',
      { columns: ['seen'] },
    ],
    [
      'a text in another case',
      `CREATE INDEX i ON events (ts) WHERE kind = 'A'`,
      { columns: ['ts'], where: `kind = 'a'` },
    ],
    ['a key that the table itself has', 'CREATE TABLE other (a PRIMARY KEY)', { columns: ['id'] }],
  ];
  for (const [what, sql, index] of notFound) {
    it(`is not found: ${what}`, async () => {
      expect(await stands(sql, index ?? partial)).to.equal(false);
    });
  }

  it('is not found where another table has one of its name, which is in its way', () =>
    withSchema(
      'CREATE TABLE other (kind, ts); CREATE INDEX idx_wanted ON other (kind, ts) WHERE ts IS NOT NULL',
      async (path) => {
        const { message } = await failureOf('SCHEMA_BLOCKED', () =>
          statements(path, { table: 'events', indexes: { idx_wanted: partial } }),
        );
        expect(message).to.match(/blocked by another index named idx_wanted$/);
      },
    ));

  it('is known as the one that the step itself would make, whatever the table collates', async () => {
    // Otherwise the step would make it again and again.
    const sql = 'CREATE TABLE other (a TEXT COLLATE NOCASE); CREATE INDEX i ON other (a)';
    expect(await stands(sql, { columns: ['a'] }, 'other')).to.equal(true);
  });

  it('is found under a name that has a parenthesis', async () => {
    const sql = 'CREATE INDEX "odd (name" ON events (ts) WHERE ts IS NOT NULL';
    expect(await stands(sql, { columns: ['ts'], where: 'ts IS NOT NULL' })).to.equal(true);
  });

  it('is dropped by `down` though somebody has written its name in another case', () =>
    withSchema('', async (path) => {
      const { up, down } = commands(path, { table: 'events', indexes: { idx_wanted: partial } });
      await up();
      asAgentOs(path, (db) =>
        db.exec(`DROP INDEX idx_wanted; CREATE INDEX IDX_WANTED ON events (kind, ts) WHERE ts IS NOT NULL`),
      );
      expect((await down()).error).to.equal(undefined);
      const left = asAgentOs(path, (db) =>
        db.prepare(`SELECT name FROM sqlite_schema WHERE type = 'index'`).pluck().all(),
      );
      expect(left).to.deep.equal([]);
    }));
});

describe('the lock that an index will take', () => {
  it('is foretold by the pages of the table, named in any case', () =>
    withSchema(`CREATE TABLE large (ts); INSERT INTO large VALUES (zeroblob(20000000))`, async (path) => {
      const lockMs = async (table: string): Promise<number> =>
        (await commands(path, { table, indexes: { idx_wanted: { columns: ['ts'] } } }).plan(['up'])).steps[0]
          .statements[0].lockMs;
      expect(await lockMs('events')).to.be.above(0);
      expect(await lockMs('large')).to.be.above(await lockMs('events'));
      expect(await lockMs('LARGE')).to.equal(await lockMs('large'));
    }));
});

describe('triggers that the updates of a backfill fire', () => {
  const body = 'BEGIN SELECT 1; END';
  const cases: readonly (readonly [what: string, head: string, fires: boolean])[] = [
    ['AFTER UPDATE', 'CREATE TRIGGER x AFTER UPDATE ON events', true],
    ['BEFORE UPDATE', 'CREATE TRIGGER x BEFORE UPDATE ON events FOR EACH ROW', true],
    ['no time', 'CREATE TRIGGER x UPDATE ON events', true],
    ['lower case and layout', 'create trigger x\n  after /* each */ update\n  on "EVENTS"', true],
    ['a list with the column', 'CREATE TRIGGER x AFTER UPDATE OF kind, ts ON events', true],
    ['a list in other words', 'CREATE TRIGGER x AFTER UPDATE OF "TS" , [kind] ON events', true],
    ['a list without it', 'CREATE TRIGGER x AFTER UPDATE OF kind, seen ON events', false],
    ['a list with a longer name', 'CREATE TRIGGER x AFTER UPDATE OF seen ON events', false],
    ['a condition', `CREATE TRIGGER x AFTER UPDATE ON events WHEN new.kind <> 'begin'`, true],
    ['INSERT', 'CREATE TRIGGER x AFTER INSERT ON events', false],
    ['DELETE', 'CREATE TRIGGER x BEFORE DELETE ON events', false],
    ['a name with the word in it', 'CREATE TRIGGER on_update AFTER INSERT ON events', false],
    ['a name with the word begin in it', 'CREATE TRIGGER log_begin AFTER UPDATE ON events', true],
    ['no space between quoted names', 'CREATE TRIGGER x AFTER UPDATE OF"ts"ON"events"', true],
  ];
  for (const [what, head, fires] of cases) {
    it(`are told ${fires ? 'with' : 'without'} one: ${what}`, () =>
      withSchema(`${head} ${body}`, async (path) => {
        expect((await planOf(path, 'Events', ['Ts'])).triggers).to.have.lengthOf(fires ? 1 : 0);
      }));
  }

  it('are found by their heads, not by statements in the body of an INSERT trigger', () => {
    const made = `CREATE TRIGGER x AFTER INSERT ON events BEGIN UPDATE events SET ts = 1 WHERE id = new.id; END;
      CREATE TABLE other (ts); CREATE TRIGGER y AFTER UPDATE ON other ${body}`;
    return withSchema(made, async (path) => {
      expect((await planOf(path, 'events', ['ts'])).triggers).to.deep.equal([]);
    });
  });

  it('are all told, by name', () => {
    const made = ['b', 'c', 'a'].map((name) => `CREATE TRIGGER ${name} AFTER UPDATE ON events ${body}`);
    return withSchema(made.join(';'), async (path) => {
      expect((await planOf(path, 'events', ['ts'])).triggers).to.deep.equal(['a', 'b', 'c']);
    });
  });
});

describe('columns that are missing', () => {
  it('are told by folding the case of ASCII letters, and of no others', () =>
    withSchema('CREATE TABLE other (id INTEGER PRIMARY KEY, Ts, "Ä")', async (path) => {
      const { message } = await failureOf('COLUMN_MISSING', () =>
        planOf(path, 'OTHER', ['TS', 'NEW', 'ä', 'Ä']),
      );
      expect(message).to.equal('The table OTHER has no column new, ä, which 1-fill needs');
      expect(
        await statements(path, { table: 'other', columns: { TS: 'TEXT', NEW: 'TEXT', ä: 'TEXT' } }),
      ).to.deep.equal(['NEW', 'ä'].map((name) => `ALTER TABLE "other" ADD COLUMN "${name}" TEXT`));
    }));

  it('are not the generated ones, which a backfill may read', () => {
    const made = `CREATE TABLE other (id INTEGER PRIMARY KEY, a, b, c AS (a + 1), d AS (a + 2) STORED);
      INSERT INTO other (a) VALUES (1)`;
    return withSchema(made, async (path) => {
      const step = named(
        '1-fill',
        defineBackfill({
          table: 'other',
          key: 'id',
          reads: ['c', 'd'],
          columns: ['b'],
          process: (rows) => rows.map(({ c, d }) => ({ b: `${c} ${d}` })),
        }),
      );
      const { error } = await commandsOf(projectOf([step]), { path }, { backup: false }).up();
      expect(error).to.equal(undefined);
      expect(readLedger(path).skips('1-fill')).to.deep.equal([]);
      expect(asAgentOs(path, (db) => db.prepare('SELECT b FROM other').pluck().all())).to.deep.equal(['2 3']);
    });
  });
});
