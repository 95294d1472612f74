import { expect } from 'chai';
import fc from 'fast-check';
import { describe, it } from 'mocha';
import { readJson, usableString } from './support/pure.js';

const raw = String.raw;

const read = (text: string | Buffer): string | null =>
  readJson(Buffer.isBuffer(text) ? text : Buffer.from(text))?.toString('latin1') ?? null;

const isJson = (text: string): boolean => {
  try {
    JSON.parse(text);
    return true;
  } catch (error) {
    if (error instanceof SyntaxError) return false;
    throw error;
  }
};

/** Text and what the reader makes of it, null where it must refuse. */
const cases: readonly (readonly [text: string, expected: string | null])[] = [
  ['{}', '{}'],
  [' \t\r\n{ } \n', '{}'],
  ['{"a":1}', '{"a":1}'],
  [' { "a" : 1 , "b" : "x" } ', '{"a":1,"b":"x"}'],
  // Readable, but no object: no members.
  ...['null', 'true', '-0.5e+3', '"a"', '[]', '[1,[2,{"a":3}]]', 'NaN', '-Infinity'].map(
    (text) => [text, '{}'] as const,
  ),
  // Python's tokens are not usable, and neither are containers; strict JSON has a form for both.
  ['{"a":NaN,"b":Infinity,"c":-Infinity}', '{"a":null,"b":null,"c":null}'],
  ['{"a":[NaN,{"b":1}],"c":{"d":[]}}', '{"a":[],"c":[]}'],
  // Names lose their escapes, values keep theirs: only names are compared by SQLite.
  [raw`{"\u0061":"\u0062"}`, raw`{"a":"\u0062"}`],
  ['{"a":1,"a":2}', '{"a":1,"a":2}'],
  // A name that has no form without escapes is left out, wherever it stands.
  [raw`{"\ud800":1,"a":2}`, '{"a":2}'],
  [raw`{"a":1,"b\u0000":2,"c":3}`, '{"a":1,"c":3}'],
  [raw`{"a\"b":1}`, '{}'],
  ['{"":1}', '{}'],
  // Broken.
  ...['', ' ', '{', '{"a"', '{"a":', '{"a":1', '{"a":1,', '{"a":1}}', '{"a":1}{}', '[', '[1', '1 2'].map(
    (text) => [text, null] as const,
  ),
  ...['{"a":1]', '[1}', '{1:2}', '{,}', '[,]', '{"a",1}', '"a', '"\t"', '"\\'].map(
    (text) => [text, null] as const,
  ),
  // JSON5's liberties and other people's JSON.
  ...[
    "{'a':1}",
    '{a:1}',
    '{"a":1,}',
    '[1,]',
    '//\n1',
    '/**/1',
    '+1',
    '.5',
    '5.',
    '0x1f',
    '01',
    '-',
    '1e',
  ].map((text) => [text, null] as const),
  ...[raw`"\x41"`, raw`"\u12g4"`, raw`"\u123"`, '"\\\n"', '\u00a01', '\f1', '1\u2028'].map(
    (text) => [text, null] as const,
  ),
  ...['nan', 'inf', '-NaN', '+Infinity', 'NaNs', 'TRUE', 'nul', 'None'].map((text) => [text, null] as const),
  // A trailing comma stays one when the only member before it is left out.
  ['{"":1,}', null],
  [raw`{"\ud800":1,}`, null],
  ['\ufeff{"a":1}', null],
  ['{"a":1}\0', null],
  ['{"a":"\0"}', null],
];

/** JSON with random white space and a few damaged characters: on both sides of the border, and near it. */
const nearJson = fc
  .record({
    value: fc.jsonValue({ stringUnit: 'binary', maxDepth: 4 }),
    space: fc.constantFrom(undefined, 1, '\t'),
    hasComma: fc.nat(5).map((n) => n === 0),
    edits: fc.array(
      fc.record({
        at: fc.nat(),
        cut: fc.nat(2),
        put: fc.constantFrom('', '', ...Array.from('{}[]",:\\0123456789.eE+- \n\tu/tfn\u0000\u00e9')),
      }),
      { maxLength: 2 },
    ),
  })
  .map(({ value, space, hasComma, edits }) =>
    edits.reduce(
      (text, { at, cut, put }) => {
        const from = at % (text.length + 1);
        return text.slice(0, from) + put + text.slice(from + cut);
      },
      JSON.stringify(value, null, space).replace(/[}\]]$/, hasComma ? ',$&' : '$&'),
    ),
  );

/** Texts of JSON's own characters only: short ones are valid often enough to count. */
const jsonCharacters = fc
  .array(
    fc.constantFrom('{', '}', '[', ']', ',', ':', '"', '""', '"a"', '1', '0', '-', '.', 'e', 'null', ' '),
    {
      maxLength: 9,
    },
  )
  .map((pieces) => pieces.join(''));

describe('readJson', () => {
  for (const [text, expected] of cases) {
    it(`${expected === null ? 'refuses' : 'reads'} ${JSON.stringify(text)}`, () => {
      expect(read(text)).to.equal(expected);
    });
  }

  it('reads 1,000 containers in one another, and no more', () => {
    const nests: readonly (readonly [open: string, inner: string, close: string])[] = [
      ['[', '', ']'],
      ['[', '1', ']'],
      ['{"a":', '1', '}'],
    ];
    for (const [open, inner, close] of nests) {
      const nested = (depth: number) => open.repeat(depth) + inner + close.repeat(depth);
      expect(read(nested(1000)), open + inner).to.not.equal(null);
      expect(read(nested(1001)), open + inner).to.equal(null);
    }
    // An object that ends closes what it opened: breadth is no depth.
    expect(read(`[${'[],{"a":{}},'.repeat(3000)}0]`)).to.equal('{}');
  });

  it('ends on text that only opens, without running out of stack', () => {
    expect(read('['.repeat(200_000))).to.equal(null);
    expect(read('{"a":'.repeat(200_000))).to.equal(null);
  });

  it('lets bytes that are no UTF-8 stand inside strings, and nowhere else', () => {
    const bytes = (text: string) => Buffer.from(text, 'latin1');
    expect(read(bytes('{"a":"\xff\xc0\x80"}'))).to.equal('{"a":"\xff\xc0\x80"}');
    expect(read(bytes('{"a\xff":1,"b":2}'))).to.equal('{"b":2}');
    expect(read(bytes('{"a":1,\xff"b":2}'))).to.equal(null);
    expect(read(bytes('{"a":1}\xff'))).to.equal(null);
  });

  it('accepts exactly what JSON.parse accepts, where no Python token occurs', () => {
    let readable = 0;
    const check = (text: string): void => {
      fc.pre(!/NaN|Infinity/.test(text));
      if (isJson(text)) readable += 1;
      expect(read(text) !== null, JSON.stringify(text)).to.equal(isJson(text));
    };
    // JSON.stringify escapes lone surrogates, and edits that split a pair would be replaced on the way to UTF-8.
    fc.assert(
      fc.property(nearJson, (text) => check(text.toWellFormed())),
      { numRuns: 5000 },
    );
    fc.assert(fc.property(jsonCharacters, check), { numRuns: 10_000 });
    expect(readable, 'texts on the readable side').to.be.greaterThan(500);
  });

  it('gives strict JSON with the members that JSON.parse sees, first of a name first', () => {
    const member = fc.tuple(fc.string({ unit: 'binary', maxLength: 3 }), fc.jsonValue({ maxDepth: 2 }));
    fc.assert(
      fc.property(fc.array(member, { maxLength: 6 }), (members) => {
        const text = `{${members.map(([name, value]) => `${JSON.stringify(name)}: ${JSON.stringify(value)}`).join(' ,')}}`;
        // Names that need an escape in JSON, and the empty one, can't be declared; containers are not usable.
        const expected = members
          .filter(([name]) => name !== '' && JSON.stringify(name) === `"${name}"`)
          .map(([name, value]) => {
            const plain = typeof value === 'object' && value !== null ? [] : value;
            return `"${name}":${JSON.stringify(plain)}`;
          });
        expect(readJson(Buffer.from(text))?.toString()).to.equal(`{${expected.join(',')}}`);
      }),
      { numRuns: 1000 },
    );
  });
});

describe('usableString', () => {
  const usable = (json: string): string | null => usableString(Buffer.from(json));

  it('gives the text of a string, escapes resolved', () => {
    expect(usable('"a"')).to.equal('a');
    expect(usable('" "')).to.equal(' ');
    expect(usable('"Zürich 2026年 😀"')).to.equal('Zürich 2026年 😀');
    expect(usable(raw`"\u0032\n\"\\\/\ud83d\ude00"`)).to.equal('2\n"\\/😀');
    // A byte-order mark inside is a character like any other; a decoder drops it by default.
    expect(usable('"\ufeffa"')).to.equal('\ufeffa');
    expect(usableString(Buffer.from('\ufeff"a"').subarray(3))).to.equal('a');
  });

  it('passes over the empty string, U+0000 and halves of surrogate pairs', () => {
    const strings = [
      '""',
      raw`"\u0000"`,
      raw`"a\u0000b"`,
      raw`"\ud800"`,
      raw`"\ude00\ud83d"`,
      raw`"\ud83da"`,
    ];
    for (const json of strings) expect(usable(json), json).to.equal(null);
  });

  it('passes over bytes that are no UTF-8', () => {
    for (const bytes of ['\xff', '\xc0\x80', '\xed\xa0\x80', '\xe2\x82', '\xf4\x90\x80\x80', '\x80']) {
      expect(usableString(Buffer.from(`"a${bytes}"`, 'latin1')), bytes).to.equal(null);
    }
  });

  it('gives back every well-formed text without U+0000', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', minLength: 1 }), (text) => {
        expect(usable(JSON.stringify(text))).to.equal(text.includes('\0') ? null : text);
      }),
    );
  });
});
