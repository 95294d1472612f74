import { expect } from 'chai';
import { before, describe, it } from 'mocha';
import { type BackfillDefinition, defineBackfill, defineSqlStep, type EngineSql, sql } from '../src/index.js';
import { needEngine } from './support/engines.js';
import { useNewProject } from './support/new-project.js';
import { numbered, OWN_ENGINES } from './support/own-tables.js';
import { refusalOf, succeed } from './support/postgres-tables.js';
import { change, failureOf } from './support/stores.js';

// SQL that a project writes into its steps: what is refused, where, and with which words.

const by = (expression: EngineSql, scope?: EngineSql): BackfillDefinition =>
  defineBackfill({ table: 't', key: 'id', columns: { b: sql(expression) }, ...(scope ? { scope } : {}) });

for (const engine of OWN_ENGINES) {
  describe(`SQL of a step on ${engine.name}`, () => {
    before(function () {
      needEngine(this, engine);
    });

    const json: EngineSql = { sqlite: `json_extract(a, '$.x')`, postgres: `a::json->>'x'` };

    for (const [what, expression] of [
      ['an aggregate', 'max(a)'],
      ['an aggregate without a column', `CAST(count(*) AS TEXT)`],
      ['an aggregate within an expression', `coalesce(min(a), 'none')`],
      ['an aggregate of the row in a subquery', '(SELECT max(t.a))'],
      ['a window function', `first_value(a) OVER (ORDER BY id)`],
      ...(engine.name === 'PostgreSQL'
        ? [['a function of several rows', 'unnest(ARRAY[a, a])'] as const]
        : []),
    ] as const) {
      it(`refuses ${what} in sql() before it fills anything, also by a dry run`, () =>
        engine.withTables(numbered(25), async (own) => {
          const commands = own.of({ '001-own': by(expression) });
          for (const command of [() => commands.plan(['up']), () => commands.up()]) {
            const error = await refusalOf('STEP_INVALID', command());
            expect(error.message).to.match(
              /^The expression of b in 001-own cannot be computed on a single row of t: /,
            );
          }
          expect(await own.rows('SELECT id FROM t WHERE b IS NOT NULL')).to.deep.equal([]);
        }));
    }

    it('takes aggregates in a subquery, and functions of one row by the same names', () =>
      engine.withTables(numbered(25), async (own) => {
        const of = { sqlite: 'max(a, a)', postgres: 'greatest(a, a)' };
        await succeed(own.of({ '001-own': by(of, 'id <= 20') }).up());
        const sub = `(SELECT max(o.a) FROM t AS o WHERE o.id = t.id) || (SELECT count(*) FROM t AS o WHERE o.id < 4)`;
        await succeed(own.of({ '001-own': by(of, 'id <= 20'), '002-rest': by(sub) }).up());
        expect(await own.rows('SELECT id FROM t WHERE b IS NULL')).to.deep.equal([]);
        expect(await own.rows('SELECT b FROM t WHERE id IN (20, 25) ORDER BY id')).to.deep.equal([
          ['a20'],
          ['a253'],
        ]);
      }));

    it('takes a comment at the end of sql() and of a scope', () =>
      engine.withTables(numbered(25), async (own) => {
        const commands = own.of({
          '001-own': by('upper(a) -- as shops have it', 'id > 5 -- the others are tests'),
        });
        expect((await commands.plan(['up'])).steps[0].fill.cellsToFill).to.deep.equal({ b: 20 });
        const { verifications } = await succeed(commands.up());
        expect(verifications.map(({ verdict }) => verdict)).to.deep.equal(['pass']);
        expect(await own.rows('SELECT b FROM t WHERE id IN (5, 6) ORDER BY id')).to.deep.equal([
          [null],
          ['A6'],
        ]);
        await own.exec(`INSERT INTO t (id, a) VALUES (30, 'a30')`);
        await succeed(commands.up());
        expect((await commands.status()).isPending).to.equal(false);
        expect((await commands.down()).cells).to.deep.equal([
          { backfill: '001-own', reverted: 21, kept: 0, gone: 0, underivable: 0 },
        ]);
      }));

    for (const text of ['a -- b\n)', 'a /* b', '-- b', 'a; SELECT 1'])
      it(`refuses ${JSON.stringify(text)} as an expression and as a scope`, () =>
        engine.withTables(numbered(5), async (own) => {
          await refusalOf('STEP_INVALID', own.of({ '001-own': by(text) }).up());
          await refusalOf('STEP_INVALID', own.of({ '001-own': by('a', text) }).up());
        }));

    for (const parameter of engine.name === 'SQLite' ? ['?', '?1', ':a', '@a', '$a'] : ['$1'])
      it(`refuses the parameter ${parameter} in an expression, a scope and the query of a check`, () =>
        engine.withTables(numbered(5), async (own) => {
          await refusalOf('STEP_INVALID', own.of({ '001-own': by(`a || ${parameter}`) }).up());
          await refusalOf('STEP_INVALID', own.of({ '001-own': by('a', `a = ${parameter}`) }).up());
          const rules = [{ title: 'none', query: `SELECT id FROM t WHERE a = ${parameter}` }];
          const indexes = [{ index: 'i', query: `SELECT id FROM t WHERE a = ${parameter}` }];
          for (const checks of [{ rules }, { indexes }])
            await refusalOf('STEP_INVALID', own.of({ '001-own': { ...by('a'), checks } }).up());
          expect(await own.rows('SELECT id FROM t WHERE b IS NOT NULL')).to.deep.equal([]);
        }));

    const broken = `${numbered(25)}; UPDATE t SET a = '{"x": "7"}' WHERE id <> 17`;

    for (const [what, backfill, message] of [
      [
        'a scope',
        by('a', { sqlite: `${json.sqlite} = '7'`, postgres: `${json.postgres} = '7'` }),
        'The scope of 001-own',
      ],
      ['an expression', by(json), 'The expression of b in 001-own'],
    ] as const) {
      it(`says on which row ${what} fails, whichever command meets it`, () =>
        engine.withTables(broken, async (own) => {
          const commands = own.of({ '001-own': backfill });
          const insist = async (command: Promise<unknown>): Promise<void> => {
            const error = await refusalOf('STEP_INVALID', command as ReturnType<typeof commands.up>);
            expect(error.message).to.match(
              new RegExp(`^${message} fails on the row with key 17 \\((?:SQLITE_ERROR|POSTGRES_22P02)\\)$`),
            );
            expect(error.hint).to.include(
              engine.name === 'SQLite' ? 'WHEN json_valid(doc) THEN' : 'THEN amount::integer',
            );
          };
          await insist(commands.plan(['up']));
          await insist(commands.up());
          await own.exec(`UPDATE t SET a = '{"x": "7"}' WHERE id = 17`);
          await succeed(commands.up());
          await own.exec(`UPDATE t SET a = 'no', b = NULL WHERE id = 17`);
          await insist(commands.verify());
          if (what !== 'a scope') return;
          await insist(commands.status());
          await insist(commands.up());
          await insist(commands.rescan('001-own'));
        }));
    }

    it('names the search path where a table is named with its schema, or is in none that is searched', () =>
      engine.withTables(numbered(5), async (own) => {
        const missing = async (table: string) =>
          (await refusalOf('TABLE_MISSING', own.of({ '001-own': { ...by('a'), table } }).up())).hint;
        if (engine.name === 'SQLite') {
          expect(await missing('app.e')).to.match(/^Declare table: 'e', without a schema;/);
          return;
        }
        await own.exec(
          'CREATE SCHEMA IF NOT EXISTS app; CREATE TABLE app.e (id int PRIMARY KEY, a text, b text)',
        );
        try {
          expect(await missing('app.e')).to.include(
            `Declare table: 'e', without a schema, and add ?options=-csearch_path%3Dapp to the URL: tables are found through the search path`,
          );
          expect(await missing('e')).to.include('?options=-csearch_path%3DNAME');
        } finally {
          await own.exec('DROP SCHEMA app CASCADE');
        }
      }));
  });
}

describe('a text of defineSqlStep()', () => {
  const project = useNewProject();

  for (const [text, found] of [
    ['CREATE TABLE x (id INTEGER); CREATE TABLE y (id INTEGER)', 'several statements'],
    ['CREATE TABLE x (id INTEGER);; SELECT 1;', 'several statements'],
    ['CREATE TRIGGER g AFTER INSERT ON t BEGIN SELECT 1; END; DROP TABLE t', 'several statements'],
    ['CREATE FUNCTION f() RETURNS int LANGUAGE sql AS $$ SELECT 1; $$; DROP TABLE t', 'several statements'],
    ['DELETE FROM t; COMMIT', 'several statements'],
    ['-- a comment alone', 'no statement'],
    ['/* a; b */ ;', 'no statement'],
    ['SELECT ?1', 'a parameter'],
    ['UPDATE t SET a = ?', 'a parameter'],
    ['INSERT INTO t VALUES (?, ?)', 'a parameter'],
    ['UPDATE t SET a = ? WHERE id = 1', 'a parameter'],
    ['SELECT * FROM t WHERE a = :a', 'a parameter'],
    ['DELETE FROM t WHERE id = $1', 'a parameter'],
  ] as const) {
    it(`is refused when it holds ${found}: ${text}`, async () => {
      for (const step of [{ up: [text] }, { up: ['SELECT 1'], down: [text] }]) {
        const { message } = await failureOf('STEP_INVALID', () => defineSqlStep(step));
        expect(message).to.equal(
          `Expected each text in defineSqlStep() to be one statement, got ${found}: ${JSON.stringify(text.slice(0, 40))}`,
        );
      }
    });
  }

  for (const step of [
    { up: [''] },
    { up: [7] },
    { up: ['SELECT 1'], down: 'SELECT 1' },
    { up: ['SELECT 1'], down: [' '] },
  ])
    it(`is refused when it is no text, or its list is none: ${JSON.stringify(step)}`, async () => {
      await failureOf('STEP_INVALID', () => defineSqlStep(step as never));
    });

  for (const text of [
    'CREATE TABLE x (id INTEGER);',
    'CREATE TABLE x (id INTEGER); -- behind; it',
    `INSERT INTO t VALUES ('a; b', "c;d", [e;f], \`g;h\`)`,
    `CREATE TRIGGER g AFTER INSERT ON t BEGIN UPDATE t SET a = CASE WHEN 1 THEN 2 END; SELECT 1; END;`,
    'CREATE OR REPLACE FUNCTION f(int) RETURNS int LANGUAGE sql AS $body$ SELECT $1; $body$',
    'CREATE FUNCTION f(a int) RETURNS int BEGIN ATOMIC SELECT $1; SELECT a; END',
    'CREATE RULE r AS ON DELETE TO t DO ALSO (DELETE FROM x; DELETE FROM y)',
    'DO $$ BEGIN PERFORM 1; COMMIT; END $$',
    `UPDATE t SET a = E'it\\'s; so' WHERE b::jsonb ? 'k' AND b ?| array['a'] AND b ?& array['b']`,
    `UPDATE t SET a = (b -> 'x') ? 'y', c = d[1:2], e = a::text, f = g(h := 1) WHERE doc @? '$.a ? (@ > 1)'`,
    `SELECT ARRAY['a]b;c']`,
    `SELECT a$b, "x?", 'y = ?'`,
  ])
    it(`is taken as it stands: ${text}`, () => {
      expect(defineSqlStep({ up: [text], down: [text] }).up).to.deep.equal([text]);
    });

  for (const text of ['SELECT 1; SELECT 2', '-- none', 'SELECT ?'])
    it(`is told by lint, a dry run and \`up\` alike: ${text}`, async () => {
      const step = `defineSqlStep({ up: [${JSON.stringify(text)}] })`;
      project.write('package.json', '{"type":"module"}');
      project.write(
        'steps/001-sql.js',
        `import { defineSqlStep } from 'umzug-backfill'; export default ${step};`,
      );
      project.write(
        'umzug-backfill.config.js',
        `import { defineConfig } from 'umzug-backfill';
        export default defineConfig({ database: { path: 'store.db' }, steps: ['steps'] });`,
      );
      change(`${project.path}/store.db`, 'CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT)');
      for (const args of [['lint'], ['up', '--dry-run'], ['up', '--no-backup']])
        await project.refused('STEP_INVALID', 1, ...args);
    });
});

describe('a text of a SQL step that its declaration can not judge', () => {
  it('is refused as STEP_INVALID by a dry run, and by `up` where it speaks of what an earlier text makes', async () => {
    const [sqlite] = OWN_ENGINES;
    await sqlite?.withTables(numbered(5), async (own) => {
      for (const text of ['UPDATE t SET a = @a', 'UPDATE t SET a = 7 WHERE a LIKE ? AND b = 1']) {
        const commands = own.of({ '001-sql': defineSqlStep({ up: [text] }) });
        await refusalOf('STEP_INVALID', commands.plan(['up']));
        await refusalOf('STEP_INVALID', commands.up());
      }
      const late = own.of({
        '001-sql': defineSqlStep({ up: ['CREATE TABLE x (a)', 'DELETE FROM x WHERE a = @a'] }),
      });
      expect((await late.plan(['up'])).steps).to.have.lengthOf(1);
      const { message } = await refusalOf('STEP_INVALID', late.up());
      expect(message).to.include('"DELETE FROM x WHERE a = @a"');
      expect(await own.rows(`SELECT name FROM sqlite_schema WHERE name = 'x'`)).to.deep.equal([]);
    });
  });
});
