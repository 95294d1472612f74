import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { expect } from 'chai';
import fc from 'fast-check';
import { beforeEach, describe, it } from 'mocha';
import { defineBackfill } from '../src/backfill/define.js';
import { firstOf } from '../src/backfill/values.js';
import { BackfillError } from '../src/errors.js';
import { type LintOptions, type LintResult, lint } from '../src/lint/lint.js';
import { tokensOf } from '../src/lint/tokens.js';
import { defineSchemaStep } from '../src/steps/schema-step.js';
import { defineSqlStep } from '../src/steps/sql-step.js';
import type { Step, StepDefinition } from '../src/steps/step.js';
import { snapshotFiles, useFolder } from './support/cli.js';

const rulesOf = ({ findings }: LintResult): string[] => findings.map(({ rule }) => rule);

describe('the files of a linted step', () => {
  const place = useFolder();
  const unsafe = defineSqlStep({ up: ['ALTER TABLE t RENAME TO u'] });

  /** A step in a file of this text. */
  function step(text: string, definition: StepDefinition = unsafe, name = '001-step'): Step {
    const path = place.file(`${name}.js`);
    writeFileSync(path, text);
    return { ...definition, name, path };
  }
  const rules = (text: string): string[] => rulesOf(lint([step(text)]));

  for (const [text, expected] of [
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
  ] as const) {
    it(`say what is silent: ${JSON.stringify(text)}`, () => expect(rules(text)).to.deep.equal(expected));
  }

  it('silence nothing in other files', () => {
    const one = step('// backfill-lint-disable rename-in-use why', unsafe, '001-one');
    const two = step('', unsafe, '002-two');
    const found = lint([one, two]).findings.filter(({ rule }) => rule === 'rename-in-use');
    expect(found.map(({ step }) => step)).to.deep.equal(['002-two']);
  });

  it('are the source by the source map, whose comments a compiler may have dropped', () => {
    mkdirSync(place.file('src'));
    writeFileSync(place.file('src/001-step.ts'), '// backfill-lint-disable rename-in-use why');
    const compiled = step('');
    writeFileSync(`${compiled.path}.map`, JSON.stringify({ version: 3, sources: ['src/001-step.ts'] }));
    const look = (only: readonly string[] = []): LintResult => lint([compiled], { folder: place.path, only });
    expect(rulesOf(look())).to.deep.equal(['down-missing']);
    expect(look().findings[0]?.file).to.equal(join('src', '001-step.ts'));
    expect(look(['src/001-step.ts']).steps).to.deep.equal(['001-step']);
    for (const map of ['{', 'null', '{"sources":["gone.ts"]}', '{"sources":7}']) {
      writeFileSync(`${compiled.path}.map`, map);
      expect(look().findings.map(({ file }) => file)).to.deep.equal(['001-step.js', '001-step.js']);
    }
    writeFileSync(`${compiled.path}.map`, '{}');
  });

  it('or their names choose what is linted; an unknown one is refused by name', () => {
    const steps = ['001-one', '002-two'].map((name) => step('', unsafe, name));
    const chosen = (...only: string[]): readonly string[] => lint(steps, { only, folder: place.path }).steps;
    expect(chosen()).to.deep.equal(['001-one', '002-two']);
    expect(chosen('002-two')).to.deep.equal(['002-two']);
    expect(chosen('002-two.js', steps[0]?.path ?? '')).to.deep.equal(['001-one', '002-two']);
    expect(() => chosen('003-none'))
      .to.throw(BackfillError, 'There is no step named 003-none')
      .with.property('code', 'STEP_UNKNOWN');
  });

  it('hold conditions of other steps, which are looked at, too', () => {
    const schema = defineSchemaStep({
      table: 't',
      columns: { c: 'string' },
      indexes: { i: { columns: ['c'], where: `a ->> '$.x' > 1` } },
    });
    const fill = defineBackfill({
      table: 't',
      key: 'id',
      scope: 'iif(a, 1, 0)',
      columns: { c: firstOf('a', ['x'], 'b') },
    });
    const look = (definition: StepDefinition, options: LintOptions = {}): string[] =>
      rulesOf(lint([step('', definition)], options));
    expect(look(schema)).to.deep.equal(['string-type']);
    expect(look(schema, { sqlite: '3.37' })).to.deep.equal(['string-type', 'newer-sqlite']);
    expect(look(fill)).to.deep.equal([]);
    expect(look(fill, { sqlite: '3.31.9' })).to.deep.equal(['newer-sqlite']);
    expect(look(fill, { sqlite: '3.32' })).to.deep.equal([]);
  });
});

describe('lint with a store', () => {
  const place = useFolder();
  const store = (): string => place.file('store.db');
  let file = '';

  beforeEach(() => {
    file = place.file('001-step.js');
    writeFileSync(file, '');
  });

  const rules = (up: readonly string[], path?: string): string[] => {
    const definition = defineSqlStep({ up, down: ['SELECT 1'] });
    return rulesOf(lint([{ ...definition, name: '001-step', path: file }], { path }));
  };

  it('names locks by the size of the table, with the time that is expected, and writes nothing', () => {
    const db = new Database(store());
    db.exec(`CREATE TABLE large (id INTEGER PRIMARY KEY, a, b); CREATE TABLE small (id INTEGER PRIMARY KEY, a, b);
      WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 100)
      INSERT INTO large SELECT i, zeroblob(1000000), i FROM n; INSERT INTO small VALUES (1, 1, 1)`);
    db.close();
    const before = snapshotFiles(store());
    const statements: readonly (readonly [sql: string, rule: string])[] = [
      ['CREATE INDEX i ON {} (b)', 'index-on-large-table'],
      ['ALTER TABLE {} DROP COLUMN b', 'table-rebuild'],
    ];
    for (const [sql, rule] of statements) {
      expect(rules([sql.replace('{}', 'large')], store())).to.include(rule);
      expect(rules([sql.replace('{}', 'LARGE')], store())).to.include(rule);
      for (const table of ['small', 'absent'])
        expect(rules([sql.replace('{}', table)], store())).not.to.include(rule);
      for (const table of ['small', 'absent']) expect(rules([sql.replace('{}', table)])).to.include(rule);
    }
    expect(rules(['CREATE INDEX i ON large (b) WHERE b IS NOT NULL'], store())).to.deep.equal([]);
    const definition = defineSqlStep({ up: ['CREATE INDEX i ON large (b)'], down: ['DROP INDEX i'] });
    const [found] = lint([{ ...definition, name: '001-step', path: file }], { path: store() }).findings;
    expect(found?.message).to.match(/ \(about 1\d\d ms on this store\)$/);
    expect(snapshotFiles(store())).to.deep.equal(before);
  });

  it('names changes of data by the rows of the table, and knows its unique columns', () => {
    const path = place.file('rows.db');
    const db = new Database(path);
    db.exec(`CREATE TABLE many (id INTEGER PRIMARY KEY, code TEXT UNIQUE, kind TEXT); CREATE TABLE few (id INTEGER PRIMARY KEY, code, kind);
      CREATE TABLE child (id INTEGER PRIMARY KEY, few_id REFERENCES Few ON DELETE CASCADE, parent REFERENCES child);
      WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 10001)
      INSERT INTO many SELECT i, 'c' || i, 'k' FROM n; INSERT INTO few VALUES (1, 'c', 'k')`);
    db.close();
    const of = (sql: string): string[] => rules([sql], path).filter((rule) => rule !== 'not-reversible');
    expect(of(`UPDATE many SET kind = 'x'`)).to.deep.equal(['data-change-in-sql-step']);
    expect(of(`UPDATE many SET kind = 'x' WHERE kind = 'k'`)).to.deep.equal(['data-change-in-sql-step']);
    expect(of(`UPDATE many SET kind = 'x' WHERE code = 'c1'`)).to.deep.equal([]);
    expect(of(`UPDATE few SET kind = 'x'`)).to.deep.equal([]);
    expect(of(`INSERT INTO few SELECT * FROM many`)).to.deep.equal(['data-change-in-sql-step']);
    expect(of(`INSERT INTO many SELECT * FROM few`)).to.deep.equal([]);
    expect(of('CREATE UNIQUE INDEX i ON few (kind)')).to.deep.equal(['unique-index-on-rows']);
    expect(of('CREATE UNIQUE INDEX i ON child (few_id)')).to.deep.equal([]);
    expect(of('DROP TABLE few')).to.deep.equal(['drop-table-cascade']);
    expect(of('DROP TABLE child')).to.deep.equal([]);
  });
});

describe('tokensOf', () => {
  const kinds = (sql: string): string[] => tokensOf(sql).map(({ kind, text }) => `${kind} ${text}`);

  it('tells texts, names, comments and numbers from words', () => {
    expect(kinds(`SELECT "a""b", [c d], \`e\`, 'it''s' -- FROM x`)).to.deep.equal([
      'word SELECT',
      'name a"b',
      'sign ,',
      'name c d',
      'sign ,',
      'name e',
      'sign ,',
      "text 'it''s'",
    ]);
    expect(kinds("/* DROP */ x'ab' 1.5e3 .5 a->>'b' a||b /* open")).to.deep.equal([
      "text x'ab'",
      'number 1.5e3',
      'number .5',
      'word A',
      'sign ->>',
      "text 'b'",
      'word A',
      'sign ||',
      'word B',
    ]);
  });

  it('counts parentheses', () => {
    expect(tokensOf('a (b (c)) d').map(({ depth }) => depth)).to.deep.equal([0, 0, 1, 1, 2, 1, 0, 0]);
  });

  it('leaves nothing out but white space and comments', () => {
    const part = fc.constantFrom(
      "'x''y'",
      '"n""m"',
      '[q r]',
      'SELECT',
      'a1',
      '12.5',
      '->>',
      '(',
      ')',
      ',',
      'é',
    );
    fc.assert(
      fc.property(fc.array(part), (parts) => {
        const raws = tokensOf(parts.join(' /* c */\n')).map(({ raw }) => raw);
        expect(raws).to.deep.equal(parts);
      }),
    );
  });

  it('ends with any text', () => {
    fc.assert(fc.property(fc.string({ unit: 'binary' }), (sql) => tokensOf(sql).length <= sql.length));
  });
});
