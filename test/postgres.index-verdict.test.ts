import { expect } from 'chai';
import { before, describe, it } from 'mocha';
import { defineBackfill, sql, type Verification } from '../src/index.js';
import { needServer } from './support/postgres-server.js';
import { withPgTables } from './support/postgres-tables.js';
import { named } from './support/project.js';

// What the verification says of an index and the query that it is for.

const rows = (
  count: number,
): string => `CREATE TABLE events (id serial PRIMARY KEY, a int, b int, c text, d text);
  INSERT INTO events (a, b, c) SELECT i, i, repeat('x', 100) FROM generate_series(1, ${count}) AS i;`;
const [FEW, MANY] = [rows(50), rows(100_000)];
const INDEX = 'CREATE INDEX ours ON events (a) WHERE a IS NOT NULL; ANALYZE events;';
const ONE = 'SELECT id FROM events WHERE a = 7';

type Verdict = 'used' | 'usable' | 'unused';

const FINDINGS: Readonly<Record<Verdict, (index: string) => { verdict: string; text: string }>> = {
  used: (index) => ({ verdict: 'pass', text: `${index} is used` }),
  usable: (index) => ({
    verdict: 'warn',
    text: `${index} could be used, but PostgreSQL prefers another plan`,
  }),
  unused: (index) => ({ verdict: 'fail', text: `${index} is not used for its query` }),
};

const findingsOf = ([verification]: readonly Verification[], id: string) =>
  verification?.checks.find((check) => check.id === id)?.findings;

/** Insists on what is said of an index for each query; and that no way to read is taken from what is read behind that. */
async function expectVerdicts(
  ddl: string,
  queries: readonly (readonly [verdict: Verdict, query: string, index?: string])[],
): Promise<void> {
  const isOff = `SELECT name FROM pg_settings WHERE name LIKE 'enable%' AND setting <> boot_val`;
  const backfill = defineBackfill({
    table: 'events',
    key: 'id',
    scope: 'false',
    columns: { d: sql(`'x'`) },
    checks: {
      indexes: queries.map(([, query, index = 'ours']) => ({ index, query })),
      rules: [{ title: 'nothing is off', query: isOff }],
    },
  });
  await withPgTables(ddl, async ({ of }) => {
    const commands = of([named('001-own', backfill)]);
    const { verifications } = await commands.up();
    const expected = queries.map(([verdict, , index = 'ours']) => FINDINGS[verdict](index));
    for (const found of [verifications, await commands.verify()]) {
      expect(findingsOf(found, 'index-use')).to.deep.equal(expected);
      expect(findingsOf(found, 'rules')?.map(({ verdict }) => verdict)).to.deep.equal(['pass']);
    }
  });
}

before(function () {
  needServer(this);
});

describe('the verification on PostgreSQL', () => {
  it('calls used an index that finds a row, gives the order, is read as a bitmap or within a subquery', () =>
    expectVerdicts(`${MANY} ${INDEX}`, [
      ['used', ONE],
      ['used', `${ONE}; `],
      ['used', 'SELECT a FROM events WHERE a IS NOT NULL ORDER BY a LIMIT 9'],
      ['used', 'SELECT id FROM events WHERE a = 7 OR a > 99990'],
      ['used', 'SELECT (SELECT max(c) FROM events WHERE a = 7), 1'],
    ]));

  it('calls used an index that would serve, were the table not small', () =>
    expectVerdicts(`${FEW} ${INDEX}`, [['used', ONE]]));

  it('calls used an index of an empty table', () =>
    expectVerdicts(`CREATE TABLE events (id int PRIMARY KEY, a int, d text); ${INDEX}`, [['used', ONE]]));

  it('calls passed over an index while another serves', () =>
    expectVerdicts(`${MANY} ${INDEX} CREATE INDEX better ON events (a, b); ANALYZE events`, [
      ['usable', 'SELECT id FROM events WHERE a < 50000 AND b = 7'],
    ]));

  it('calls passed over an index that would read more than the table has', () =>
    expectVerdicts(`${MANY} ${INDEX}`, [['usable', 'SELECT c FROM events WHERE a IS NOT NULL']]));

  it('calls unused an index on a column that is not asked for', () =>
    expectVerdicts(`${MANY} ${INDEX}`, [
      ['unused', 'SELECT id FROM events WHERE b = 7'],
      ['used', ONE],
    ]));

  it('calls unused, of a small table, one on another column, and one whose condition the query does not have', () =>
    expectVerdicts(`${FEW} ${INDEX}`, [
      ['unused', 'SELECT id FROM events WHERE b = 7'],
      ['unused', 'SELECT id FROM events WHERE a IS NULL'],
    ]));

  it('calls used what is used in a partition', () =>
    expectVerdicts(
      `CREATE TABLE events (id int PRIMARY KEY, a int, d text) PARTITION BY RANGE (id);
      CREATE TABLE part PARTITION OF events FOR VALUES FROM (0) TO (99999999);
      INSERT INTO events SELECT i, i FROM generate_series(1, 100000) AS i; CREATE INDEX ours ON events (a); CREATE INDEX of_id ON events (id);
      ANALYZE events`,
      [
        ['used', ONE],
        ['usable', ONE, 'of_id'],
      ],
    ));
});
