import { expect } from 'chai';
import { before, describe, it } from 'mocha';
import { defineBackfill, firstOf, sql } from '../src/index.js';
import { needServer } from './support/postgres-server.js';
import { refusalOf, succeed, type Tables, withPgTables } from './support/postgres-tables.js';
import { named, type Step } from './support/project.js';

// Values that a column of PostgreSQL can not hold, and errors that are the server's and no row's.

const ROWS = 40;
/** The row whose value does not fit, where there is one. */
const ODD = 7;

const skipsOf = async (commands: ReturnType<Tables['of']>) => {
  const [found] = await commands.skips();
  return (found?.skips ?? []).map(({ key, target, reason }) => `${key} ${target} ${reason}`);
};

/**
 * Takes a table through everything: all rows but the odd ones are filled in each column, those are a skip each, and each command ends well,
 * time and again.
 *
 * @param reasons what is told of the odd rows, in the order of their keys
 */
async function expectSkips(
  tables: Tables,
  step: Step,
  reasons: readonly RegExp[],
  { columns = ['v', 'w'], isRescanned = false } = {},
): Promise<void> {
  const commands = tables.of([step], tables.url);
  const left = ROWS - reasons.length;
  const filled = () => tables.rows(`SELECT ${columns.map((name) => `count(${name})::int`)} FROM t`);
  const all = [columns.map(() => left)];
  const [before] = await filled();
  expect((await commands.plan(['up'])).steps[0].fill.cellsToFill.w).to.be.within(left, ROWS);
  await succeed(commands.up());
  expect(await filled()).to.deep.equal(all);
  const skips = await skipsOf(commands);
  expect(skips).to.have.lengthOf(reasons.length);
  for (const [i, reason] of reasons.entries()) expect(skips[i]).to.match(reason);
  await succeed(commands.up());
  if (isRescanned) await succeed(commands.rescan(step.name));
  expect((await commands.verify()).map(({ verdict }) => verdict)).to.deep.equal(['warn']);
  expect(await filled()).to.deep.equal(all);
  await succeed(commands.down());
  expect(await filled()).to.deep.equal([before]);
}

describe('a value that a column of PostgreSQL can not hold is one skip', () => {
  before(function () {
    needServer(this);
  });

  const types: readonly (readonly [type: string, good: string, bad: string])[] = [
    ['smallint', '7', 'abc'],
    ['integer', '7', '2147483648'],
    ['bigint', '7', 'abc'],
    ['boolean', 'true', 'abc'],
    ['uuid', '00000000-0000-0000-0000-000000000001', 'abc'],
    ['json', '{}', 'abc'],
    ['jsonb', '{}', 'abc'],
    ['numeric', '1.5', 'abc'],
    ['numeric(3,1)', '1.5', '12345'],
    ['real', '1.5', '1e99'],
    ['double precision', '1.5', '1e999'],
    ['bytea', '\\x00ff', '\\xabc'],
    ['date', '2026-01-20', '2026-02-30'],
    ['timestamp', '2026-01-20T10:00:00', 'abc'],
    ['timestamptz(0)', '2026-01-20T10:00:00Z', '2026-13-01T00:00:00Z'],
    ['interval', '1 day', 'abc'],
    ['inet', '10.0.0.1', 'abc'],
    ['integer[]', '{1,2}', 'abc'],
    ['int4range', '[1,2)', '[2,1)'],
    ['bit(3)', '101', '1010'],
    ['varchar(3)', 'abc', 'abcd'],
    ['char(3)', 'abc', 'abcd'],
    ['mood', 'glad', 'abc'],
    ['short', 'ab', 'abcd'],
    ['code', 'abc', 'abcd'],
    ['bit varying(3)', '10', '1010'],
    ['varchar(3)[]', '{abc,d}', '{abc,abcd}'],
  ];
  const ownTypes = `CREATE TYPE mood AS ENUM ('glad', 'sad');
    CREATE DOMAIN short AS text CHECK (length(value) < 4);
    CREATE DOMAIN name3 AS varchar(3); CREATE DOMAIN code AS name3 CHECK (value <> '');`;
  const ddl = (type: string) =>
    `${ownTypes} CREATE TABLE t (id bigint PRIMARY KEY, given text, v ${type}, w text)`;

  /** A table with a column for each type, and one row for each whose value does not fit: every fourth. */
  const manyTyped = (
    values: readonly (readonly [type: string, given: string, good: string, bad: string])[],
  ) => {
    const defined = values.map(([type, given], i) => `g${i} ${given}, v${i} ${type}`);
    const drawn = values.map(
      ([, given, good, bad], i) => `(CASE i WHEN ${4 * (i + 1)} THEN '${bad}' ELSE '${good}' END)::${given}`,
    );
    return {
      ddl: `${ownTypes} CREATE TABLE t (id bigint PRIMARY KEY, w text, ${defined});
        INSERT INTO t (id, ${values.map((_, i) => `g${i}`)}) SELECT i, ${drawn} FROM generate_series(1, ${ROWS}) AS i`,
      columns: [...values.map((_, i) => `v${i}`), 'w'],
      reasons: values.map((_, i) => new RegExp(`^${4 * (i + 1)} \\* POSTGRES_2[23]`)),
      bySql: named(
        '001-sql',
        defineBackfill({
          table: 't',
          key: 'id',
          columns: Object.fromEntries([...values.map((_, i) => [`v${i}`, sql(`g${i}`)]), ['w', sql(`'w'`)]]),
        }),
      ),
    };
  };

  for (let from = 0; from < types.length; from += 9) {
    const some = types.slice(from, from + 9);
    it(`from process() and from sql(): ${some.map(([type]) => type).join('; ')}`, () => {
      const { ddl, columns, reasons, bySql } = manyTyped(
        some.map(([type, good, bad]) => [type, 'text', good, bad]),
      );
      const byProcess = defineBackfill({
        table: 't',
        key: 'id',
        reads: some.map((_, i) => `g${i}`),
        columns,
        process: (rows) =>
          rows.map((row) => ({
            ...Object.fromEntries(some.map((_, i) => [`v${i}`, row[`g${i}`] ?? null])),
            w: 'w',
          })),
      });
      return withPgTables(ddl, async (tables) => {
        await expectSkips(tables, named('001-process', byProcess), reasons, { columns });
        await expectSkips(tables, bySql, reasons, { columns });
      });
    });
  }

  it('from sql() of another type', () => {
    const { ddl, columns, reasons, bySql } = manyTyped([
      ['smallint', 'bigint', '7', '32768'],
      ['bigint', 'double precision', '1.5', '1e30'],
      ['bigint', 'numeric', '1.5', '1e30'],
      ['numeric(3,1)', 'numeric', '1.5', '12345'],
      ['real', 'double precision', '1.5', '1e99'],
      ['integer', 'jsonb', '7', '"abc"'],
      ['timestamp', 'date', '2026-01-20', '5000000-01-01'],
      ['short', 'integer', '7', '70000'],
      ['bit(3)', 'bit varying', '101', '1010'],
      ['code', 'integer', '7', '7000'],
    ]);
    return withPgTables(ddl, (tables) => expectSkips(tables, bySql, reasons, { columns }));
  });

  it('beside a document that this program reads itself', () =>
    withPgTables(ddl('integer'), async (tables) => {
      await tables.exec(
        `INSERT INTO t (id, given) SELECT i, CASE i WHEN ${ODD} THEN '{"a":1,"a":2,"b":"abc"}' ELSE '{"a":1,"a":2,"b":"5"}' END FROM generate_series(1, ${ROWS}) AS i`,
      );
      const step = defineBackfill({
        table: 't',
        key: 'id',
        columns: { w: firstOf('given', ['a'], 'given'), v: sql(`given::jsonb ->> 'b'`) },
      });
      const reasons = [new RegExp(`^${ODD} \\* POSTGRES_22P02$`)];
      await expectSkips(tables, named('001-both', step), reasons, { isRescanned: true });
    }));

  for (const [what, text] of [
    ['U+0000', 'a\0b'],
    ['half of a surrogate pair', 'a\ud83d'],
  ] as const)
    it(`a text of process() with ${what}`, () =>
      withPgTables(ddl('text'), async (tables) => {
        await tables.exec(`INSERT INTO t (id) SELECT i FROM generate_series(1, ${ROWS}) AS i`);
        const step = defineBackfill({
          table: 't',
          key: 'id',
          reads: [],
          columns: ['v', 'w'],
          process: (rows) => rows.map(({ id }) => ({ v: Number(id) === ODD ? text : 'v', w: 'w' })),
        });
        const reasons = [new RegExp(`^${ODD} \\* VALUE_INVALID$`)];
        await expectSkips(tables, named('001-process', step), reasons, { isRescanned: true });
      }));
});

describe('an error of the PostgreSQL server', () => {
  before(function () {
    needServer(this);
  });

  it('is no skip where its stack does not suffice for a document, and the run goes on once it does', () =>
    withPgTables(
      'CREATE TABLE t (id int PRIMARY KEY, doc text, fallback text, v text)',
      async (tables) => {
        const deep = `{"a":"deep","b":${'['.repeat(900)}${']'.repeat(900)}}`;
        await tables.client.query('INSERT INTO t VALUES ($1, $2, $3)', [1, deep, 'fallback']);
        await tables.exec(
          `DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET max_stack_depth = 100', current_database()); END $$`,
        );
        const step = named(
          '001-fill',
          defineBackfill({ table: 't', key: 'id', columns: { v: firstOf('doc', ['a'], 'fallback') } }),
        );
        const commands = tables.of([step]);
        const { error } = await commands.up();
        expect(`${error?.code}: ${error?.message}`).to.match(
          /^STATEMENT_REJECTED: A statement exceeds the stack depth limit .*POSTGRES_54001/,
        );
        expect(await skipsOf(commands)).to.deep.equal([]);
        await tables.exec(
          `DO $$ BEGIN EXECUTE format('ALTER DATABASE %I RESET max_stack_depth', current_database()); END $$`,
        );
        await succeed(commands.up());
        expect(await tables.rows('SELECT v FROM t')).to.deep.equal([['deep']]);
      },
      {},
    ));

  it('is told, and not what comes of it: U+0000 in the SQL of a step', () =>
    withPgTables('CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t VALUES (1)', async (tables) => {
      const step = named(
        '001-fill',
        defineBackfill({
          table: 't',
          key: 'id',
          scope: `v IS NULL AND 'a\0' <> ''`,
          columns: { v: sql(`'v'`) },
        }),
      );
      const error = await refusalOf('STEP_INVALID', tables.of([step]).up());
      expect(error.message).to.include('The scope of 001-fill');
    }));
});
