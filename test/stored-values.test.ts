import { expect } from 'chai';
import { describe, it } from 'mocha';
import { defineBackfill, firstOf, type ProcessRow, sql } from '../src/index.js';
import { type OwnTable, withOwnTable } from './support/own-table.js';
import { needServer } from './support/postgres-server.js';
import { succeed, withPgTables } from './support/postgres-tables.js';
import { named } from './support/project.js';

// A column stores a derived value in a form of its own. Values are compared in that form: by the verification, and by `down`.

const TYPES = [
  'TEXT',
  'VARCHAR(10)',
  'INTEGER',
  'REAL',
  'DOUBLE PRECISION',
  'FLOATING POINT',
  'NUMERIC',
  'BLOB',
  '',
];

/** Literals of SQLite. */
const VALUES: readonly string[] = [
  ...['5', '-5', '0', '5.0', '-0.0', '0.1', '1e21', '9e999', '123456789012345678'],
  ...[
    '9007199254740992',
    '9007199254740993',
    '-9007199254740993',
    '9223372036854775807',
    '-9223372036854775808',
  ],
  ...[
    `'5'`,
    `'05'`,
    `' 5 '`,
    `'5.0'`,
    `'0x10'`,
    `'1e3'`,
    `'12abc'`,
    `'abc'`,
    `'9007199254740993'`,
    `'9223372036854775808'`,
  ],
  ...[`x''`, `x'35'`, `x'00ff'`],
];

const table = (type: string, given: string): string =>
  `CREATE TABLE t (id INTEGER PRIMARY KEY, doc TEXT, given ${given}, v ${type});
  INSERT INTO t (given) VALUES ${VALUES.map((value) => `(${value})`).join(', ')}`;

const ways = {
  'sql()': { columns: { v: sql('given') } },
  'firstOf()': { columns: { v: firstOf('doc', ['a'], 'given') } },
  'process()': {
    reads: ['given'],
    columns: ['v'],
    process: (rows: readonly ProcessRow[]) =>
      rows.map(({ given = null }) => ({ v: given === Number.POSITIVE_INFINITY ? null : given })),
  },
} as const;

/** Insists that each row with a value is filled, that verification finds each cell as it was derived, and that `down` reverts each. */
async function expectComparedAsStored(own: OwnTable): Promise<void> {
  const before = own.rows('SELECT * FROM t');
  const outcome = await own.up();
  expect(outcome.error?.message).to.equal(undefined);
  const [verification] = await own.verify();
  const consistency = verification?.checks.find(({ id }) => id === 'consistency');
  expect(consistency?.verdict, JSON.stringify(consistency)).to.equal('pass');
  const filled = own.rows('SELECT count(v) FROM t')[0]?.[0];
  const [cells] = (await own.down()).cells;
  expect({ reverted: cells?.reverted, kept: cells?.kept }).to.deep.equal({ reverted: filled, kept: 0 });
  expect(own.rows('SELECT * FROM t')).to.deep.equal(before);
}

describe('values in the form in which SQLite stores them', () => {
  for (const [what, way] of Object.entries(ways))
    for (const type of TYPES)
      it(`are compared: ${what} into ${type === '' ? 'no type' : type}`, async () => {
        for (const given of ['', 'INTEGER', 'TEXT', 'REAL'])
          await withOwnTable(
            table(type, given),
            defineBackfill({ table: 't', key: 'id', ...way }),
            expectComparedAsStored,
          );
      });

  for (const [type, given, ours, theirs] of [
    ['TEXT', 'INTEGER', '5', `'05'`],
    ['TEXT', 'INTEGER', '5', `'5.0'`],
    ['TEXT', 'REAL', '0.5', `'.5'`],
    ['', 'INTEGER', '5', `'5'`],
    ['BLOB', 'INTEGER', '5', `x'35'`],
    ['REAL', 'INTEGER', '9007199254740993', '9007199254740994.0'],
    ['REAL', 'TEXT', `'abc'`, '0.0'],
    ['REAL', 'TEXT', `'12abc'`, '12.0'],
  ] as const)
    it(`are the application's own where it has written ${theirs} over ${ours}: ${given} into ${type || 'no type'}`, () =>
      withOwnTable(
        `CREATE TABLE t (id INTEGER PRIMARY KEY, given ${given}, v ${type}); INSERT INTO t (given) VALUES (${ours}), (${ours})`,
        defineBackfill({ table: 't', key: 'id', columns: { v: sql('given') } }),
        async (own) => {
          expect((await own.up()).error?.message).to.equal(undefined);
          own.exec(`UPDATE t SET v = ${theirs} WHERE id = 2`);
          const [cells] = (await own.down()).cells;
          expect({ reverted: cells?.reverted, kept: cells?.kept }).to.deep.equal({ reverted: 1, kept: 1 });
          expect(own.rows('SELECT id FROM t WHERE v IS NOT NULL')).to.deep.equal([[2]]);
        },
      ));
});

describe('numbers that process() gives', () => {
  const numbers = [123, -1, 0, -0, 1.5, 2 ** 53, -(2 ** 53), 1e21, 1e-7, 0.1 + 0.2, 123n, 2n ** 63n - 1n];
  const definition = defineBackfill({
    table: 't',
    key: 'id',
    reads: [],
    columns: ['v', 'n'],
    process: (rows) =>
      rows.map(({ id }) => ({
        v: numbers[Number(id)] ?? null,
        n: Number.isInteger(Number(numbers[Number(id)])) ? 1 : null,
      })),
  });
  const texts = numbers.map((number, id) => [id, String(number)]);
  const insert = numbers.map((_, id) => `INSERT INTO t (id) VALUES (${id});`).join('\n');

  for (const [type, strict] of [
    ['TEXT', ''],
    ['VARCHAR(40)', ''],
    ['TEXT', ' STRICT'],
  ] as const)
    it(`are in a column of text what JavaScript prints: SQLite, ${type}${strict}`, () =>
      withOwnTable(
        `CREATE TABLE t (id INTEGER PRIMARY KEY, v ${type}, n INTEGER)${strict}; ${insert}`,
        definition,
        async (own) => {
          expect((await own.up()).error?.message).to.equal(undefined);
          expect(own.rows('SELECT id, v FROM t ORDER BY id')).to.deep.equal(texts);
          expect((await own.verify())[0]?.checks.find(({ id }) => id === 'consistency')?.verdict).to.equal(
            'pass',
          );
          expect((await own.down()).cells[0]).to.include({ kept: 0 });
          expect(own.rows('SELECT count(v) + count(n) FROM t')).to.deep.equal([[0]]);
        },
      ));

  it('are in a column of text what JavaScript prints: PostgreSQL', function () {
    needServer(this);
    return withPgTables(
      `CREATE TABLE t (id bigint PRIMARY KEY, v text, n bigint); ${insert}`,
      async (tables) => {
        const commands = tables.of([named('001-own', definition)]);
        await succeed(commands.up());
        expect(await tables.rows('SELECT id::int, v FROM t ORDER BY id')).to.deep.equal(texts);
        expect((await succeed(commands.down())).cells[0]).to.include({ kept: 0 });
      },
    );
  });

  it('are integers where they are whole, in a column that takes anything', () =>
    withOwnTable(
      'CREATE TABLE t (id INTEGER PRIMARY KEY, v, n); INSERT INTO t (id) VALUES (0), (4)',
      definition,
      async (own) => {
        expect((await own.up()).error?.message).to.equal(undefined);
        expect(own.rows('SELECT quote(v) FROM t ORDER BY id')).to.deep.equal([['123'], ['1.5']]);
      },
    ));
});
