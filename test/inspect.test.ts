import { join } from 'node:path';
import Database from 'better-sqlite3';
import { expect } from 'chai';
import { describe, it } from 'mocha';
import {
  absentColumns,
  findIndex,
  hasIndex,
  hasTable,
  tableBytes,
  tableColumns,
  updateTriggers,
} from '../src/schema/inspect.js';
import { defineSchemaStep, type IndexOptions } from '../src/steps/schema-step.js';
import type { Store } from '../src/store/port.js';
import { withFolder, withOpened } from './support/stores.js';

const TABLE = 'CREATE TABLE events (id INTEGER PRIMARY KEY, kind TEXT, ts TEXT, "order" TEXT, seen TEXT)';

/** Runs `act` on a store with the table `events` and what `sql` adds. */
const withSchema = <Result>(sql: string, act: (store: Store) => Result): Promise<Result> =>
  withFolder((folder) => {
    const path = join(folder, 'store.db');
    const db = new Database(path);
    db.exec(`${TABLE}; ${sql}`);
    db.close();
    return withOpened(path, ({ store }) => act(store));
  });

const find = (sql: string, index: IndexOptions): Promise<string | undefined> =>
  withSchema(sql, (store) => {
    const step = defineSchemaStep({ table: 'events', indexes: { idx_wanted: index } });
    return findIndex(store, step, { name: 'idx_wanted', ...index });
  });

describe('findIndex', () => {
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
    it(`finds an index under another name: ${what}`, async () => {
      expect(await find(sql, index)).to.equal('i');
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
    [
      'the wanted name on another table',
      'CREATE TABLE other (kind, ts); CREATE INDEX idx_wanted ON other (kind, ts) WHERE ts IS NOT NULL',
    ],
    ['a key that the table itself has', 'CREATE TABLE other (a PRIMARY KEY)', { columns: ['id'] }],
  ];
  for (const [what, sql, index] of notFound) {
    it(`finds none: ${what}`, async () => {
      expect(await find(sql, index ?? partial)).to.equal(undefined);
    });
  }

  it('knows the index that the step itself would make, whatever the table collates', async () => {
    await withSchema('CREATE TABLE other (a TEXT COLLATE NOCASE); CREATE INDEX i ON other (a)', (store) => {
      const step = defineSchemaStep({ table: 'other' });
      // Otherwise the step would make it again and again.
      expect(findIndex(store, step, { name: 'w', columns: ['a'] })).to.equal('i');
    });
  });
});

describe('findIndex, by odd names', () => {
  it('finds an index whose name has a parenthesis', async () => {
    await withSchema('CREATE INDEX "odd (name" ON events (ts) WHERE ts IS NOT NULL', (store) => {
      const step = defineSchemaStep({ table: 'events' });
      const index = { name: 'w', columns: ['ts'], where: 'ts IS NOT NULL' };
      expect(findIndex(store, step, index)).to.equal('odd (name');
    });
  });
});

describe('tableBytes', () => {
  it('counts the pages of the table, named in any case', async () => {
    await withSchema('', (store) => {
      expect(tableBytes(store, 'events')).to.be.greaterThan(0);
      expect(tableBytes(store, 'EVENTS')).to.equal(tableBytes(store, 'events'));
    });
  });
});

describe('updateTriggers', () => {
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
    it(`${fires ? 'names' : 'leaves out'} a trigger: ${what}`, async () => {
      const names = await withSchema(`${head} ${body}`, (store) => updateTriggers(store, 'Events', ['ts']));
      expect(names).to.have.lengthOf(fires ? 1 : 0);
    });
  }

  it('looks at statements in the body of an INSERT trigger as no heads', async () => {
    const sql = `CREATE TRIGGER x AFTER INSERT ON events BEGIN UPDATE events SET ts = 1 WHERE id = new.id; END;
      CREATE TABLE other (ts); CREATE TRIGGER y AFTER UPDATE ON other ${body}`;
    expect(await withSchema(sql, (store) => updateTriggers(store, 'events', ['ts']))).to.deep.equal([]);
  });

  it('gives all of them, by name', async () => {
    const sql = ['b', 'c', 'a']
      .map((name) => `CREATE TRIGGER ${name} AFTER UPDATE ON events ${body}`)
      .join(';');
    expect(await withSchema(sql, (store) => updateTriggers(store, 'events', ['ts']))).to.deep.equal([
      'a',
      'b',
      'c',
    ]);
  });
});

describe('absentColumns', () => {
  it('folds the case of ASCII letters, and of no others', async () => {
    await withSchema('CREATE TABLE other (Ts, "Ä")', (store) => {
      const names = ['TS', 'ts', 'NEW', 'ä', 'Ä'];
      expect([...absentColumns(store, 'OTHER', names)]).to.deep.equal(['new', 'ä']);
    });
  });

  it('takes every column of a table that is not there for absent', async () => {
    expect(await withSchema('', (store) => [...absentColumns(store, 'none', ['ts'])])).to.deep.equal(['ts']);
  });
});

describe('tableColumns', () => {
  it('gives generated columns too, and the place in the key', async () => {
    const sql = 'CREATE TABLE other (a, B TEXT, c AS (a + 1), d AS (a) STORED, PRIMARY KEY (B, a))';
    const columns = await withSchema(sql, (store) => tableColumns(store, 'other'));
    expect(columns.map(({ name, pk, isGenerated }) => [name, pk, isGenerated])).to.deep.equal([
      ['a', 2, false],
      ['B', 1, false],
      ['c', 0, true],
      ['d', 0, true],
    ]);
  });
});

describe('hasTable and hasIndex', () => {
  it('find by name in any case, and keep to their kind', async () => {
    await withSchema('CREATE VIEW v AS SELECT 1; CREATE INDEX i ON events (ts)', (store) => {
      expect([hasTable(store, 'EVENTS'), hasTable(store, 'v'), hasTable(store, 'i')]).to.deep.equal([
        true,
        false,
        false,
      ]);
      expect([hasIndex(store, 'I'), hasIndex(store, 'events')]).to.deep.equal([true, false]);
    });
  });
});
