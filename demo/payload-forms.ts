// Every payload form that the derivation rules name: the rare share of a generated store, and test data.

/** One rare payload. A Buffer is stored as a BLOB, with `asText` as TEXT; `createdAt` replaces the row's own. */
export interface HostilePayload {
  readonly name: string;
  readonly payload: string | Buffer | null;
  readonly asText?: boolean;
  readonly createdAt?: string | null;
}

const raw = String.raw;
const source = '2026-01-20T09:59:58.250000';
const processed = '2026-01-20T10:00:01.500000';

/** An object whose first source name has the value given as JSON, so that what is passed over shows. */
const withSource = (json: string) =>
  `{"decision_id":"dec-1","source_event_ts":${json},"processed_at":"${processed}"}`;

/** As `withSource`, with a usable value under the next name. */
const withNext = (json: string) =>
  `{"decision_id":"dec-1","source_event_ts":${json},"source_ts":"${source}","timestamp":"${processed}"}`;

/** TEXT that is not UTF-8: the bytes given as hex stand between the two halves. */
const bytes = (before: string, hex: string, after: string) => ({
  payload: Buffer.concat([Buffer.from(before), Buffer.from(hex, 'hex'), Buffer.from(after)]),
  asText: true,
});

/** A readable object that nests `depth` containers deep, the object itself counted. */
const nested = (depth: number, open: string, close: string, inner: string) =>
  `{"source_ts":"${source}","deep":${open.repeat(depth - 1)}${inner}${close.repeat(depth - 1)}}`;

const noObject: readonly HostilePayload[] = [
  { name: 'NULL', payload: null },
  { name: 'empty text', payload: '' },
  { name: 'JSON null', payload: 'null' },
  { name: 'JSON true', payload: 'true' },
  { name: 'JSON number', payload: '1768903200' },
  { name: 'JSON string', payload: `"${source}"` },
  { name: 'JSON string that holds an object', payload: JSON.stringify(withSource(`"${source}"`)) },
  { name: 'empty array', payload: '[]' },
  { name: 'array of an object', payload: `[${withSource(`"${source}"`)}]` },
  { name: 'empty object', payload: '{}' },
  { name: 'empty object in white space', payload: ' \t\r\n{ \n} ' },
  { name: 'top-level NaN', payload: 'NaN' },
  { name: 'top-level -Infinity', payload: '-Infinity' },
];

const unreadable: readonly HostilePayload[] = [
  { name: 'white space only', payload: ' \n' },
  { name: 'plain words', payload: 'decision paused by the supervisor' },
  { name: 'Python repr', payload: `{'source_event_ts': '${source}', 'blocked': True, 'note': None}` },
  { name: 'truncated in a string', payload: withSource(`"${source}"`).slice(0, 50) },
  { name: 'truncated before the last brace', payload: withSource(`"${source}"`).slice(0, -1) },
  { name: 'one brace too many', payload: `${withSource(`"${source}"`)}}` },
  { name: 'two texts', payload: `${withSource(`"${source}"`)}\n{"source_ts":"${source}"}` },
  { name: 'JSON5 single quotes', payload: `{'source_ts':'${source}'}` },
  { name: 'JSON5 line comment', payload: `{"source_ts":"${source}"} // noted` },
  { name: 'JSON5 block comment', payload: `{/* noted */"source_ts":"${source}"}` },
  { name: 'JSON5 trailing comma', payload: `{"source_ts":"${source}",}` },
  { name: 'JSON5 trailing comma in an array', payload: `{"source_ts":"${source}","findings":[1,]}` },
  { name: 'JSON5 unquoted name', payload: `{source_ts:"${source}"}` },
  { name: 'JSON5 hexadecimal', payload: '{"source_ts":0x695F5E20}' },
  { name: 'JSON5 leading plus', payload: '{"source_ts":+1768903200}' },
  { name: 'JSON5 leading point', payload: '{"source_ts":.5}' },
  { name: 'JSON5 trailing point', payload: '{"source_ts":5.}' },
  { name: 'JSON5 escape \\x41', payload: raw`{"source_ts":"\x41"}` },
  { name: 'JSON5 line continuation', payload: '{"source_ts":"2026-\\\n01-20"}' },
  { name: 'JSON5 white space', payload: `\u00a0{"source_ts":"${source}"}\f` },
  { name: 'leading zero', payload: '{"source_ts":01768903200}' },
  { name: 'lower-case nan', payload: withNext('nan') },
  { name: 'short inf', payload: withNext('inf') },
  { name: '-NaN', payload: withNext('-NaN') },
  { name: 'control character in a string', payload: withSource(`"2026\t01"`) },
  { name: 'byte-order mark', payload: `\ufeff${withSource(`"${source}"`)}` },
  { name: 'NUL in a string', payload: withSource(`"2026\0"`) },
  { name: 'NUL between members', payload: `{"source_ts":"${source}",\0"timestamp":1}` },
  { name: 'NUL at the end', payload: `${withSource(`"${source}"`)}\0` },
  { name: 'NUL and more at the end', payload: `${withSource(`"${source}"`)}\0{"source_ts":1}` },
  { name: 'NUL after a string', payload: `"${source}"\0` },
  { name: 'BLOB of JSON', payload: Buffer.from(withSource(`"${source}"`)) },
  { name: 'BLOB of other bytes', payload: Buffer.from('8a01ff00', 'hex') },
  { name: 'empty BLOB', payload: Buffer.alloc(0) },
  { name: 'not UTF-8 outside a string', ...bytes('{"source_ts":1768903200,', 'ff', '"a":1}') },
  { name: 'arrays 1,001 deep', payload: '['.repeat(1_001) + ']'.repeat(1_001) },
  { name: 'object 1,001 deep in arrays', payload: nested(1_001, '[', ']', '') },
  { name: 'object 1,001 deep in objects', payload: nested(1_001, '{"source_ts":', '}', '1') },
  { name: 'brackets never closed', payload: '{"findings":'.repeat(5_000) },
];

const values: readonly HostilePayload[] = [
  ...['null', '""', '0', '-0', '0.0', '-0.0e5', 'true', 'false', '[]', '{}', '1e400', '-1e400', '1e-400'],
  ...[
    'NaN',
    'Infinity',
    '-Infinity',
    raw`"\ud800"`,
    raw`"\udc00\ud800"`,
    raw`"2026\ud83d\u0041"`,
    raw`"\u0000"`,
  ],
  ...[raw`"2026\u0000-01"`, raw`["2026-01-20"]`, raw`{"source_ts":"2026-01-20"}`],
]
  .map((json): HostilePayload => ({ name: `passed over: ${json}`, payload: withNext(json) }))
  .concat(
    [
      '1768903200',
      '1768903200.25',
      '1768903200250',
      '-1',
      '1e3',
      '1.50',
      '5e-324',
      '9223372036854775807',
      ...['1', '1.0', '2', '0.5', '1e300', '1.1e300'],
    ].map((json) => ({ name: `number: ${json}`, payload: withSource(json) })),
    ['-9223372036854775808', '9223372036854775808', '18446744073709551616', '1.7976931348623157e308'].map(
      (json) => ({ name: `number: ${json}`, payload: withSource(json) }),
    ),
    [
      `"${source}Z"`,
      `"${source}+02:00"`,
      '"1768903200"',
      '"0"',
      '" "',
      '"not a timestamp"',
      '"NaN"',
      '"null"',
      ...['"now"', '"Z"', '"[2026]"', '"["', '"{}"', '"{"', '"]"', '"z~~"', '"é"', '"2026-01-20é"'],
    ].map((json) => ({ name: `string: ${json}`, payload: withSource(json) })),
    [
      raw`"\u0032026-01-20T10:00:00"`,
      raw`"\ud83d\ude00"`,
      raw`"\"\\\/\b\f\n\r\t"`,
      '"Zürich 2026年"',
      '"\x7f"',
    ].map((json) => ({ name: `string: ${json}`, payload: withSource(json) })),
    { name: 'raw 0xFF in the value', ...bytes('{"source_ts":"2026', 'ff', '","timestamp":"2026-01-20"}') },
    {
      name: 'raw overlong NUL in the value',
      ...bytes('{"source_ts":"2026', 'c080', '","event_timestamp":"2026"}'),
    },
    {
      name: 'raw surrogate in the value',
      ...bytes('{"source_ts":"2026', 'eda080', '","event_timestamp":"2026"}'),
    },
    {
      name: 'raw cut-off sequence in the value',
      ...bytes('{"source_ts":"2026', 'e282', '","event_timestamp":7}'),
    },
    {
      name: 'raw beyond U+10FFFF in the value',
      ...bytes('{"source_ts":"', 'f4908080', '","event_timestamp":7}'),
    },
    ...['c0', '80', 'c0a1'].map((hex) => ({
      name: `raw 0x${hex} in the value`,
      ...bytes('{"source_ts":"2026-01-20', hex, '","event_timestamp":"next"}'),
    })),
    ...[
      '"2026\\u00e9"',
      '"2026\\u5e74"',
      '"\\n2026-01-20"',
      '"2026-01-20\\n"',
      '"\\u005b]"',
      '"2026\\u0000"',
    ].map((json) => ({
      name: `string between escapes: ${json}`,
      payload: `{"reason":"\\u4e2d\\u00fc\\n","source_ts":${json},"timestamp":"${processed}"}`,
    })),
    {
      name: 'escapes and bytes that are no UTF-8, with plain values',
      ...bytes(`{"reason":"\\n`, 'ff', `","source_ts":"${source}","timestamp":7}`),
    },
    {
      name: 'Python token beside a usable value',
      payload: `{"score":NaN,"source_ts":"${source}","timestamp":7}`,
    },
    {
      name: 'Python token beside a value with \\u0000',
      payload: `{"score":NaN,"source_ts":"2026\\u0000","timestamp":"${processed}"}`,
    },
    { name: 'not UTF-8 in another string', ...bytes(`{"source_ts":"${source}","reason":"`, 'e9', '"}') },
  );

const names: readonly HostilePayload[] = [
  { name: 'first of two is null', payload: `{"source_ts":null,"source_ts":"${source}"}` },
  { name: 'first of two is usable', payload: `{"source_ts":"${source}","source_ts":"other"}` },
  { name: 'first of two is an object', payload: `{"timestamp":{},"timestamp":"${processed}"}` },
  { name: 'first of two is escaped', payload: raw`{"source\u005fts":"${source}","source_ts":"other"}` },
  { name: 'second of two is escaped', payload: raw`{"source_ts":"","source\u005fts":"${source}"}` },
  {
    name: 'name given with escapes',
    payload: raw`{"\u0074imestamp":"${processed}","\u0073ource\u005Fts":7}`,
  },
  {
    name: 'name with \\u0000 at its end',
    payload: raw`{"source_ts\u0000":"other","timestamp\u0000x":"other"}`,
  },
  {
    name: 'name with \\u0000 before the name',
    payload: raw`{"source_ts\u0000":"other","source_ts":"${source}"}`,
  },
  { name: 'name with an escape and overlong bytes', ...bytes(raw`{"\u0073ource_t`, 'c1b3', '":"other"}') },
  { name: 'name in capitals', payload: `{"SOURCE_TS":"${source}","Timestamp":"${processed}"}` },
  { name: 'name with a space', payload: `{" source_ts":"${source}","timestamp ":"${processed}"}` },
  {
    name: 'names further in only',
    payload: `{"meta":{"source_ts":"${source}"},"findings":[{"timestamp":1}]}`,
  },
  {
    name: 'all names',
    payload: `{"timestamp":"t","processed_at":"p","supervisor_processed_at":"s","task_created_at":"c"}`,
  },
  { name: 'arrays 999 deep', payload: nested(999, '[', ']', '') },
  { name: 'arrays 1,000 deep', payload: nested(1_000, '[', ']', '') },
  { name: 'arrays 1,000 deep around a number', payload: nested(1_000, '[', ']', '1') },
  { name: 'objects 1,000 deep', payload: nested(1_000, '{"timestamp":', '}', '1') },
  { name: 'nothing but 1,000 arrays', payload: '['.repeat(1_000) + ']'.repeat(1_000) },
  { name: '200 kB', payload: `{"reason":"${'long '.repeat(40_000)}","source_ts":"${source}"}` },
];

const createdAts: readonly HostilePayload[] = [null, ''].flatMap((createdAt) => {
  const name = createdAt === null ? 'created_at NULL' : "created_at ''";
  return [
    { name: `${name}, both usable`, payload: withSource(`"${source}"`), createdAt },
    { name: `${name}, only source usable`, payload: `{"source_ts":"${source}"}`, createdAt },
    { name: `${name}, only processed usable`, payload: `{"timestamp":"${processed}"}`, createdAt },
    { name: `${name}, nothing usable`, payload: '{"source_ts":null,"timestamp":0}', createdAt },
    { name: `${name}, payload NULL`, payload: null, createdAt },
    { name: `${name}, unreadable`, payload: '{"source_ts":', createdAt },
  ];
});

/** Every rare form once; names are unique. */
export const hostilePayloads: readonly HostilePayload[] = [
  ...noObject,
  ...unreadable,
  ...values,
  ...names,
  ...createdAts,
];
