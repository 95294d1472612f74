import Database from 'better-sqlite3';
import { expect } from 'chai';
import fc from 'fast-check';
import { describe, it } from 'mocha';
import { identifier, literal, normaliseSql } from '../src/store/sqlite/sql.js';

// SQLite itself judges: what is quoted must come back as it was.
const database = new Database(':memory:');

// Texts with U+0000 have no place in SQL text.
const text = fc.string({ unit: 'grapheme-composite' }).filter((value) => !value.includes('\0'));

describe('identifier', () => {
  it('doubles quotes and keeps everything else', () => {
    expect(identifier('task_audits')).to.equal('"task_audits"');
    expect(identifier('a"b')).to.equal('"a""b"');
    expect(identifier('a]`; --')).to.equal('"a]`; --"');
  });

  it('names a column that SQLite gives back as it was', () => {
    fc.assert(
      fc.property(text, (name) => {
        const column = database.prepare(`SELECT 1 AS ${identifier(name)}`).columns()[0]?.name;
        expect(column).to.equal(name);
      }),
    );
  });
});

describe('literal', () => {
  it('doubles quotes and keeps everything else', () => {
    expect(literal("it's")).to.equal("'it''s'");
    expect(literal('')).to.equal("''");
    expect(literal('a\\"b')).to.equal(`'a\\"b'`);
  });

  it('is a text that SQLite gives back as it was', () => {
    fc.assert(
      fc.property(text, (value) => {
        expect(
          database
            .prepare(`SELECT ${literal(value)}`)
            .pluck()
            .get(),
        ).to.equal(value);
      }),
    );
  });
});

describe('normaliseSql', () => {
  const same: readonly (readonly [string, string])[] = [
    ['SELECT  a\n\tFROM b', 'select a from b'],
    ['a IS NOT NULL -- why', 'A is/* or */not null'],
    ['a IS NOT NULL /* open', 'a is not null'],
    ['"a" IS NOT NULL', '`a` is not null'],
    ['[a] IS NOT NULL', 'a is not null'],
    ['a=1', 'a = 1'],
    ['(a , b)', '( a,b )'],
    ['SELECT 1;', 'SELECT 1'],
    ['SELECT 1 ; ;', 'SELECT 1'],
    ["event_type LIKE'%X%'", "event_type LIKE '%X%'"],
  ];
  for (const [a, b] of same) {
    it(`takes ${JSON.stringify(a)} and ${JSON.stringify(b)} for the same`, () => {
      expect(normaliseSql(a)).to.equal(normaliseSql(b));
    });
  }

  const different: readonly (readonly [string, string])[] = [
    ["a = 'X'", "a = 'x'"],
    ["a = 'x  y'", "a = 'x y'"],
    ["a = '--'", "a = '"],
    ["a = '/* */'", "a = ''"],
    ["a = 'it''s'", "a = 'its'"],
    ['a IS NULL', 'aisnull'],
    ['"a b"', 'a b'],
    ['"a""b"', '"ab"'],
    ["'a'", '"a"'],
    ['a - -1', 'a --1'],
    ['a < = 1', 'a <> 1'],
  ];
  for (const [a, b] of different) {
    it(`tells ${JSON.stringify(a)} from ${JSON.stringify(b)}`, () => {
      expect(normaliseSql(a)).to.not.equal(normaliseSql(b));
    });
  }

  it('parts words that only quotes part', () => {
    expect(normaliseSql('UPDATE OF"a"ON"t"')).to.equal('update of a on t');
    expect(normaliseSql('"a"IS NOT NULL')).to.equal('a is not null');
    expect(normaliseSql('a/**/b')).to.equal('a b');
  });

  it('comes out the same whatever stands between the words', () => {
    const gap = fc
      .array(fc.constantFrom(' ', '\n', '\t', '/* x */', "/* ' */", '-- "\n'), { minLength: 1 })
      .map((gaps) => gaps.join(''));
    const words = ['a', '=', "'X  y'", 'AND', '"b c"', 'IN', '(', '1', ',', '2.5', ')'];
    fc.assert(
      fc.property(fc.array(gap, { minLength: words.length, maxLength: words.length }), (gaps) => {
        const sql = words.map((word, i) => word + gaps[i]).join('');
        expect(normaliseSql(sql)).to.equal(normaliseSql(words.join(' ')));
      }),
    );
  });
});
