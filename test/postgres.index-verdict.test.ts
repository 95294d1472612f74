import { expect } from 'chai';
import { before, describe, it } from 'mocha';
import { indexVerdict } from '../src/store/postgres/index-verdict.js';
import { openPostgresStore } from '../src/store/postgres/site.js';
import type { PostgresStore } from '../src/store/postgres/store.js';
import { whyNoServer, withDatabase } from './support/postgres-server.js';

const withStore = (ddl: string, act: (store: PostgresStore) => void): Promise<void> =>
  withDatabase(async ({ url, client }) => {
    await client.query(ddl);
    const store = openPostgresStore({ url }, { access: 'look' });
    try {
      act(store);
    } finally {
      store.close();
    }
  });

const rows = (count: number): string => `CREATE TABLE events (id serial PRIMARY KEY, a int, b int, c text);
  INSERT INTO events (a, b, c) SELECT i, i, repeat('x', 100) FROM generate_series(1, ${count}) AS i;`;
const [FEW, MANY] = [rows(50), rows(100_000)];
const INDEX = 'CREATE INDEX ours ON events (a) WHERE a IS NOT NULL; ANALYZE events;';
const ONE = 'SELECT id FROM events WHERE a = 7';

before(function () {
  const why = whyNoServer();
  if (!why) return;
  console.log(`    skipped: ${why}`);
  this.skip();
});

describe('indexVerdict of PostgreSQL', () => {
  for (const [verdict, what, ddl, query] of [
    ['used', 'an index that finds a row', `${MANY} ${INDEX}`, ONE],
    [
      'used',
      'an index that gives the order',
      `${MANY} ${INDEX}`,
      'SELECT a FROM events WHERE a IS NOT NULL ORDER BY a LIMIT 9',
    ],
    [
      'used',
      'an index that is read as a bitmap',
      `${MANY} ${INDEX}`,
      'SELECT id FROM events WHERE a = 7 OR a > 99990',
    ],
    [
      'used',
      'an index within a subquery',
      `${MANY} ${INDEX}`,
      `SELECT (SELECT max(c) FROM events WHERE a = 7), 1`,
    ],
    ['used', 'an index that would serve, were the table not small', `${FEW} ${INDEX}`, ONE],
    ['used', 'an index of an empty table', `CREATE TABLE events (id int, a int); ${INDEX}`, ONE],
    [
      'passed over',
      'an index while another serves',
      `${MANY} ${INDEX} CREATE INDEX better ON events (a, b); ANALYZE events`,
      'SELECT id FROM events WHERE a < 50000 AND b = 7',
    ],
    [
      'unused',
      'an index on a column that is not asked for',
      `${MANY} ${INDEX}`,
      'SELECT id FROM events WHERE b = 7',
    ],
    ['unused', 'the same, of a small table', `${FEW} ${INDEX}`, 'SELECT id FROM events WHERE b = 7'],
    [
      'unused',
      'an index whose condition the query does not have',
      `${FEW} ${INDEX}`,
      'SELECT id FROM events WHERE a IS NULL',
    ],
    [
      'passed over',
      'an index that would read more than the table has',
      `${MANY} ${INDEX}`,
      'SELECT c FROM events WHERE a IS NOT NULL',
    ],
  ] as const) {
    it(`calls ${verdict} ${what}`, () =>
      withStore(ddl, (store) => {
        expect(indexVerdict(store, query, 'events', 'ours')).to.equal(verdict);
        expect(store.snapshot(() => indexVerdict(store, `${query}; `, 'events', 'ours'))).to.equal(verdict);
      }));
  }

  it('calls used what is used in a partition', () =>
    withStore(
      `CREATE TABLE events (id int, a int) PARTITION BY RANGE (id); CREATE TABLE part PARTITION OF events FOR VALUES FROM (0) TO (99999999);
      INSERT INTO events SELECT i, i FROM generate_series(1, 100000) AS i; CREATE INDEX ours ON events (a); CREATE INDEX of_id ON events (id);
      ANALYZE events`,
      (store) => {
        expect(indexVerdict(store, ONE, 'events', 'ours')).to.equal('used');
        expect(indexVerdict(store, ONE, 'events', 'of_id')).to.equal('passed over');
      },
    ));

  it('leaves the settings and the snapshot as they were', () =>
    withStore(`${FEW} ${INDEX}`, (store) => {
      store.exec('SET enable_sort = off');
      const settings = (): unknown =>
        store.all(`SELECT name, setting FROM pg_settings WHERE name LIKE 'enable%' ORDER BY name`);
      const before = settings();
      store.snapshot(() => {
        const taken = store.pluck('SELECT pg_current_snapshot()::text');
        expect(indexVerdict(store, 'SELECT id FROM events WHERE b = 7', 'events', 'ours')).to.equal('unused');
        expect(settings()).to.deep.equal(before);
        expect(() => indexVerdict(store, 'SELECT nothing FROM events', 'events', 'ours')).to.throw();
        expect(settings()).to.deep.equal(before);
        expect(taken).to.have.lengthOf(1);
      });
      expect(settings()).to.deep.equal(before);
    }));
});
