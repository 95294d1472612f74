import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { expect } from 'chai';
import fc from 'fast-check';
import { before, describe, it } from 'mocha';
import { snapshotFiles } from './support/cli.js';
import { type LintJson, rulesIn, sqlFile, useLinted } from './support/linted.js';

const RENAME = ['ALTER TABLE t RENAME TO u'];

describe('the comments of a linted step', () => {
  const project = useLinted();
  const cases = [
    ['', ['down-missing', 'rename-in-use']],
    ['// backfill-lint-disable rename-in-use nobody reads it yet', ['down-missing']],
    [
      'one();\n  //backfill-lint-disable  down-missing  it stays\n// backfill-lint-disable rename-in-use why',
      [],
    ],
    ['// backfill-lint-disable rename-in-use', ['bad-disable', 'down-missing', 'rename-in-use']],
    ['// backfill-lint-disable rename-in-use   \n', ['bad-disable', 'down-missing', 'rename-in-use']],
    ['// backfill-lint-disable rename-in why not', ['bad-disable', 'down-missing', 'rename-in-use']],
    ['// backfill-lint-disable', ['bad-disable', 'down-missing', 'rename-in-use']],
    ['// backfill-lint-disable bad-disable why not', ['bad-disable', 'down-missing', 'rename-in-use']],
    ['// backfill-lint-disabled rename-in-use why', ['down-missing', 'rename-in-use']],
    ["say('// backfill-lint-disable rename-in-use why')", ['down-missing', 'rename-in-use']],
  ] as const;
  let found: LintJson;

  before(async () => {
    cases.forEach(([text], i) => {
      project.write(`step-${i}`, `${sqlFile(RENAME, undefined, text)}function one() {}\nfunction say() {}\n`);
    });
    found = await project.lint();
  });

  // Each stands beside the others: they silence nothing in other files.
  cases.forEach(([text, expected], i) => {
    it(`say what is silent: ${JSON.stringify(text)}`, () =>
      expect(rulesIn(found, `step-${i}`)).to.deep.equal(expected));
  });
});

describe('the files of a linted step', () => {
  const project = useLinted();
  before(() => {
    for (const name of ['001-one', '002-two']) project.write(name, sqlFile(RENAME));
  });

  it('are the source by the source map, whose comments a compiler may have dropped', async () => {
    mkdirSync(project.file('src'));
    writeFileSync(project.file('src/001-one.ts'), '// backfill-lint-disable rename-in-use why');
    const map = project.file('steps/001-one.js.map');
    writeFileSync(map, JSON.stringify({ version: 3, sources: ['../src/001-one.ts'] }));
    const found = await project.lint('src/001-one.ts');
    expect(found.steps).to.deep.equal(['001-one']);
    expect(rulesIn(found)).to.deep.equal(['down-missing']);
    expect(found.findings[0]?.file).to.equal(join('src', '001-one.ts'));
    for (const text of ['{', 'null', '{"sources":["gone.ts"]}', '{"sources":7}', '{}']) {
      writeFileSync(map, text);
      const { findings } = await project.lint('001-one');
      const file = join('steps', '001-one.js');
      expect(findings.map((finding) => finding.file)).to.deep.equal([file, file]);
    }
  });

  it('or their names choose what is linted; an unknown one is refused by name', async () => {
    const chosen = async (...only: string[]) => (await project.lint(...only)).steps;
    expect(await chosen()).to.deep.equal(['001-one', '002-two']);
    expect(await chosen('002-two')).to.deep.equal(['002-two']);
    expect(await chosen('steps/002-two.js')).to.deep.equal(['002-two']);
    expect(await chosen('002-two.js', project.file('steps/001-one.js'))).to.deep.equal([
      '001-one',
      '002-two',
    ]);
    const { error } = await project.lint('003-none');
    expect(error).to.include({ code: 'STEP_UNKNOWN', message: 'There is no step named 003-none' });
  });
});

describe('the conditions of a linted step', () => {
  const project = useLinted();

  it('are looked at in schema steps and in backfills, too', async () => {
    project.write(
      'schema',
      `import { defineSchemaStep } from 'umzug-backfill';
export default defineSchemaStep({ table: 't', columns: { c: 'string' },
  indexes: { i: { columns: ['c'], where: "a ->> '$.x' > 1" } } });`,
    );
    project.write(
      'fill',
      `import { defineBackfill, firstOf } from 'umzug-backfill';
export default defineBackfill({ table: 't', key: 'id', scope: 'iif(a, 1, 0)',
  columns: { c: firstOf('a', ['x'], 'b') } });`,
    );
    const look = async (step: string, ...args: string[]) => rulesIn(await project.lint(step, ...args));
    expect(await look('schema')).to.deep.equal(['string-type']);
    expect(await look('schema', '--sqlite', '3.37')).to.deep.equal(['string-type', 'newer-sqlite']);
    expect(await look('fill')).to.deep.equal([]);
    expect(await look('fill', '--sqlite', '3.31.9')).to.deep.equal(['newer-sqlite']);
    expect(await look('fill', '--sqlite', '3.32')).to.deep.equal([]);
  });
});

describe('lint with a store', () => {
  const project = useLinted();
  let count = 0;

  /** What is found in steps of one statement each, by the statement: with a store, and without. */
  async function findingsOf(statements: readonly string[], store: string) {
    count += 1;
    const names = new Map(statements.map((sql, i) => [sql, `${count}-${i}`]));
    for (const [sql, name] of names) project.write(name, sqlFile([sql], ['SELECT 1']));
    const [beside, alone] = [await project.lint('--db-path', store), await project.lint()];
    const of = (json: LintJson) => (sql: string) => {
      expect(names.has(sql)).to.equal(true);
      return json.findings.filter(({ step }) => step === names.get(sql));
    };
    return { withStore: of(beside), without: of(alone) };
  }
  const rules = (found: LintJson['findings']): string[] => found.map(({ rule }) => rule);

  it('names locks by the size of the table, with the time that is expected, and writes nothing', async () => {
    const store = project.file('store.db');
    const db = new Database(store);
    db.exec(`CREATE TABLE large (id INTEGER PRIMARY KEY, a, b); CREATE TABLE small (id INTEGER PRIMARY KEY, a, b);
      WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 100)
      INSERT INTO large SELECT i, zeroblob(1000000), i FROM n; INSERT INTO small VALUES (1, 1, 1)`);
    db.close();
    const untouched = snapshotFiles(store);
    const cases = [
      ['CREATE INDEX i ON {} (b)', 'index-on-large-table'],
      ['ALTER TABLE {} DROP COLUMN b', 'table-rebuild'],
    ] as const;
    const tables = ['large', 'LARGE', 'small', 'absent'];
    const partial = 'CREATE INDEX i ON large (b) WHERE b IS NOT NULL';
    const statements = cases.flatMap(([sql]) => tables.map((table) => sql.replace('{}', table)));
    const { withStore, without } = await findingsOf([...statements, partial], store);
    for (const [sql, rule] of cases) {
      const by = (look: typeof withStore) =>
        tables.filter((table) => rules(look(sql.replace('{}', table))).includes(rule));
      expect(by(withStore), rule).to.deep.equal(['large', 'LARGE']);
      expect(by(without), rule).to.deep.equal(tables);
    }
    expect(withStore(partial)).to.deep.equal([]);
    const [found] = withStore('CREATE INDEX i ON large (b)');
    expect(found?.message).to.match(/ \(about 1\d\d ms on this store\)$/);
    expect(snapshotFiles(store)).to.deep.equal(untouched);
  });

  it('names changes of data by the rows of the table, and knows its unique columns', async () => {
    const store = project.file('rows.db');
    const db = new Database(store);
    db.exec(`CREATE TABLE many (id INTEGER PRIMARY KEY, code TEXT UNIQUE, kind TEXT); CREATE TABLE few (id INTEGER PRIMARY KEY, code, kind);
      CREATE TABLE child (id INTEGER PRIMARY KEY, few_id REFERENCES Few ON DELETE CASCADE, parent REFERENCES child);
      WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 10001)
      INSERT INTO many SELECT i, 'c' || i, 'k' FROM n; INSERT INTO few VALUES (1, 'c', 'k')`);
    db.close();
    const expected: readonly (readonly [sql: string, ...rules: readonly string[]])[] = [
      [`UPDATE many SET kind = 'x'`, 'data-change-in-sql-step'],
      [`UPDATE many SET kind = 'x' WHERE kind = 'k'`, 'data-change-in-sql-step'],
      [`UPDATE many SET kind = 'x' WHERE code = 'c1'`],
      [`UPDATE few SET kind = 'x'`],
      ['INSERT INTO few SELECT * FROM many', 'data-change-in-sql-step'],
      ['INSERT INTO many SELECT * FROM few'],
      ['CREATE UNIQUE INDEX i ON few (kind)', 'unique-index-on-rows'],
      ['CREATE UNIQUE INDEX i ON child (few_id)'],
      ['DROP TABLE few', 'drop-table-cascade'],
      ['DROP TABLE child'],
    ];
    const { withStore } = await findingsOf(
      expected.map(([sql]) => sql),
      store,
    );
    for (const [sql, ...broken] of expected) {
      const found = rules(withStore(sql)).filter((rule) => rule !== 'not-reversible');
      expect(found, sql).to.deep.equal(broken);
    }
  });
});

describe('the SQL of a linted step', () => {
  const project = useLinted();
  let count = 0;

  /** Lints one step of these statements. */
  const look = (statements: readonly string[], ...args: readonly string[]): Promise<LintJson> => {
    count += 1;
    project.write(`step-${count}`, sqlFile(statements, ['SELECT 1']));
    return project.lint(`step-${count}`, ...args);
  };

  it('is read by its names, in whatever quotes, and not by its comments', async () => {
    for (const [name, table] of [
      ['"a""b"', 'a"b'],
      ['[c d]', 'c d'],
      ['`e``f`', 'e`f'],
      [`'it''s'`, `it's`],
      ['main /* x.y */ . g -- "h"\n', 'g'],
      ['É_$1', 'É_$1'],
    ]) {
      const { findings } = await look([`drop/**/TABLE ${name}/* open`]);
      const [{ message } = { message: '' }] = findings.filter(({ rule }) => rule === 'not-reversible');
      expect(message, name).to.match(/^Drops the table (.*) with its rows/);
      expect(message.toLowerCase(), name).to.include(`the table ${table?.toLowerCase()} with its rows`);
    }
  });

  const ARROW = '->>';
  const part = fc.constantFrom(
    ...[ARROW, `'x''->>'`, '"n""->>"', '[q ->> r]', '`e``->>`', '-- ->>\n', '/* -> */'],
    ...[`x'ab'`, 'a1', '12.5', '.5', '(', ')', ',', 'é', 'SELECT', '||'],
  );
  const separator = fc.constantFrom(' ', '\n', ' /* c */\n', '');

  it('is parted into texts, names, comments and signs as SQLite does', () => {
    const statement = fc.tuple(fc.array(part, { maxLength: 8 }), separator);
    return fc.assert(
      fc.asyncProperty(fc.array(statement, { minLength: 100, maxLength: 100 }), async (statements) => {
        const hasArrow = new Map(
          statements.map(([parts, between], i) => [
            `SELECT ${i} ${parts.join(between)}`,
            parts.includes(ARROW),
          ]),
        );
        const { findings } = await look([...hasArrow.keys()], '--sqlite', '3.37');
        const found = findings.filter(({ message }) => message.includes(ARROW));
        expect(found.map(({ statement: sql }) => sql)).to.have.members(
          [...hasArrow].filter(([, has]) => has).map(([sql]) => sql),
        );
      }),
      { numRuns: 5 },
    );
  });

  it('may be any text: the linter ends, and `up` says whether it is SQL', () => {
    const text = fc.string({ unit: 'binary' }).map((sql) => `(${sql}`);
    return fc.assert(
      fc.asyncProperty(fc.array(text, { minLength: 100, maxLength: 100 }), async (statements) => {
        const { steps, error } = await look(statements);
        expect(steps).to.have.length(1);
        expect(error?.code ?? 'STEP_UNSAFE').to.equal('STEP_UNSAFE');
      }),
      { numRuns: 5 },
    );
  });
});
