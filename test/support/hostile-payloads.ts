import fc from 'fast-check';
import { targets } from './reference.js';

// Payloads that are hard to read, made as byte strings, one character a byte, so that what is no UTF-8 can be made as easily
// as what is.

export const utf8 = (text: string): string => Buffer.from(text).toString('latin1');
const words = (text: string): string[] => text.split(' ');
const names = targets.flatMap(({ names }) => [...names]);

/** JSON text that hides characters behind escapes, in either case of the hexadecimal digits. */
const escaped = (text: string, which: number): string =>
  Array.from(text, (character, i) => {
    const hex = character.charCodeAt(0).toString(16).padStart(4, '0');
    return (which >> i) & 1 ? `\\u${which % 2 ? hex : hex.toUpperCase()}` : character;
  }).join('');

const anyBytes = fc
  .uint8Array({ minLength: 1, maxLength: 4 })
  .map((bytes) => Buffer.from(bytes).toString('latin1'));
const highBytes = fc
  .array(
    fc.oneof(
      fc.constantFrom('\x80', '\xc0', '\xc0\xa1', '\xff', '\xc0\x80', '\xed\xa0\x80', '\xe2\x82', '\xc1\xb3'),
      anyBytes,
    ),
    { maxLength: 3 },
  )
  .map((pieces) => pieces.join('').replace(/[\x00-\x1f"\\]/g, '\x80'));
export const text = fc.string({ unit: 'binary', maxLength: 12 });
const spaces = fc.constantFrom('', '', '', ' ', '\n', '\t ', '\r\n');

/** One of these, each as often as its number says. */
const weighted = (...choices: readonly (readonly [weight: number, arbitrary: fc.Arbitrary<string>])[]) =>
  fc.oneof(...choices.map(([weight, arbitrary]) => ({ weight, arbitrary })));

const memberName = weighted(
  [12, fc.constantFrom(...names)],
  [3, fc.tuple(fc.constantFrom(...names), fc.nat(0xffff)).map(([name, which]) => escaped(name, which))],
  // Near misses: what a comparison that stops at U+0000, folds case or decodes badly would take for the name.
  [
    2,
    fc
      .tuple(
        fc.constantFrom(...names),
        fc.constantFrom('\\u0000', '\\ud800', '\\u0000x', ' ', '\xff', '\xc0\x80', '\\n', 's', '\\"'),
        fc.boolean(),
      )
      .map(([name, extra, isBefore]) => (isBefore ? extra + name : name + extra)),
  ],
  [1, fc.constantFrom('', 'SOURCE_TS', 'a', '\\ud83d\\ude00', '$', '"'.padStart(2, '\\'))],
  [1, text.map((name) => utf8(JSON.stringify(name)).slice(1, -1))],
);

const numberText = fc.oneof(
  fc.constantFrom(
    ...words(
      '1 1.0 2 1e300 1.1e300 1.5 0 -0 0.0 -0e9 1e400 -1e400 1e-400 5e-324 -5e-324 2.2250738585072014e-308',
    ),
    ...words('9223372036854775807 9223372036854775808 -9223372036854775808 -9223372036854775809'),
    ...words('1.7976931348623157e308 -1.7976931348623157e308 1.7976931348623158e308 1.7976931348623159e308'),
    ...words(
      '4.9406564584124654e-324 2.5e-324 2.4e-324 9007199254740993 1E+2 0.1 1.50 100000000000000000000',
    ),
    ...words('1e15 1e16 123456789012345678.5 -1 1768903200.25'),
    `${'9'.repeat(400)}`,
    `0.${'0'.repeat(400)}1`,
    // Beyond what a decimal of PostgreSQL's holds, and beyond what an exponent of its does.
    ...words('1e131071 1e131072 -1e200000 1e-16383 1e-16384 1E-20000 1e0000000001 1e-00000 1e2147483648'),
    ...words('1e-2147483648 1e99999999999999999999 -1E-99999999999999999999 0e99999999999'),
    `0.${'0'.repeat(17_000)}1`,
    `1${'0'.repeat(17_000)}.5`,
  ),
  fc.double({ noNaN: true, noDefaultInfinity: true }).map(String),
  fc.bigInt({ min: -(2n ** 70n), max: 2n ** 70n }).map(String),
  fc
    .tuple(fc.integer(), fc.nat(99), fc.integer({ min: -400, max: 400 }))
    .map(([a, b, e]) => `${a}.${b}e${e}`),
);

const stringText = fc.oneof(
  fc.constantFrom(
    ...words('"" "0" "2026-01-20T10:00:00Z" "null" "\x7f" "~" "#" "-]^" "[" "[1]" "{}" "]" "z~" "z~~" "now"'),
    ...[`"${'[{'.repeat(1_100)}"`, '" "', '"\\"source_ts\\":"', '"\\\\"', '"2026-01-20 "', '"\\n2026-01-20"'],
  ),
  text.map((value) => utf8(JSON.stringify(value))),
  // Raw, where JSON.stringify would have escaped; lone surrogates as escapes, in pairs and halves.
  text.map((value) => `"${utf8(value.toWellFormed()).replace(/[\x00-\x1f"\\]/g, '')}"`),
  fc
    .array(
      fc.constantFrom('\\ud83d', '\\ude00', '\\uD800', '\\u0000', '\\n', '\\/', 'a', '\\u00e9', '\xc3\xa9'),
      { maxLength: 4 },
    )
    .map((pieces) => `"${pieces.join('')}"`),
  fc
    .tuple(fc.constantFrom('a', '2026-01-20', '2026-01-20T10:00:00Z'), highBytes)
    .map((parts) => `"${parts.join('')}"`),
  fc.tuple(fc.constantFrom('x', '年', '\\n'), fc.integer({ min: 1000, max: 40_000 })).map(([unit, count]) => {
    return `"${utf8(unit).repeat(count)}"`;
  }),
);

const nested = fc
  .tuple(
    fc.constantFrom(1, 2, 30, 997, 998, 999, 1000, 1001, 1002, 1500),
    fc.constantFrom('[', '{"a":', '{"source_ts":'),
  )
  .map(([depth, open]) => `${open.repeat(depth)}1${(open === '[' ? ']' : '}').repeat(depth)}`);

const memberValue = weighted(
  [6, stringText],
  [4, numberText],
  [3, fc.constantFrom('null', 'true', 'false', '[]', '{}', 'NaN', 'Infinity', '-Infinity')],
  [1, fc.jsonValue({ maxDepth: 2 }).map((value) => utf8(JSON.stringify(value)))],
  [1, nested],
);

const object = fc
  .tuple(fc.array(fc.tuple(memberName, memberValue, spaces), { maxLength: 6 }), spaces, spaces)
  .map(([members, a, b]) => {
    const inside = members.map(([name, value, space]) => `${space}"${name}"${space}:${value}${space}`);
    return `${a}{${inside.join(',')}${b}}${b}`;
  });

/** A readable object with one thing wrong, or still right: near the border is where readers differ. */
const mutated = fc
  .tuple(
    object,
    fc.nat(),
    fc.nat(2),
    fc.oneof(
      fc.constantFrom(
        ...['', '\\', '\0', '\x01', '\x1f', '\t', '\xef\xbb\xbf'],
        ...words(`, } " /**/ // ' + 0 .`),
      ),
      anyBytes,
    ),
  )
  .map(([json, at, cut, put]) => {
    const from = at % (json.length + 1);
    return json.slice(0, from) + put + json.slice(from + cut);
  });

/** A payload: JSON, what is nearly JSON, and what is none. */
export const payloadBytes = weighted(
  [10, object],
  [4, mutated],
  [1, object.map((json) => json.slice(0, -1))],
  [1, fc.tuple(object, fc.constantFrom('\0', '\x0b', '{}', ' x')).map((parts) => parts.join(''))],
  [1, memberValue],
  [1, anyBytes],
  [1, text.map(utf8)],
  [1, fc.constantFrom('', ' ', '{', '\xef\xbb\xbf{}', "{'source_ts':'x'}", '{source_ts:1}')],
);
