import { expect } from 'chai';
import { describe, it } from 'mocha';
import { fill, recordedSkips } from './support/compare-fill.js';
import { sqliteEngine } from './support/engine-sqlite.js';
import { expectSameMap } from './support/expect-same.js';

// The usual payload takes a short way on SQLite: these are the ones next to it that must not.

const raw = String.raw;
const bytes = (...hex: readonly string[]): Buffer[] => hex.map((one) => Buffer.from(one, 'hex'));

/** A time as a candidate, another string, a number, a name with an escape, and text in which only the rest is odd. */
const documents = [
  '{"source_ts":"2026-01-20 10:00:00+01:00","timestamp":"ab"}',
  raw`{"a":"\n","source_event_ts":"12:00","processed_at":"z"}`,
  '{"task_created_at":2451545.5,"timestamp":7} ',
];

const single = Array.from({ length: 256 }, (_, byte) => Buffer.of(byte));
const sequences = [
  // Valid, overlong, a surrogate, beyond Unicode, cut off, in the wrong order, the byte-order mark, and escapes.
  ...bytes(
    'c3a9',
    'e28282',
    'f09f9880',
    'c080',
    'e080af',
    'eda080',
    'f4908080',
    'e282',
    'f09f98',
    '80bf',
    'a9c3',
  ),
  ...bytes('c341', 'efbbbf', 'efbfbd'),
  ...[raw`\u0000`, raw`\u0030`, raw`\u00e9`, raw`\ud800`, raw`\\`, raw`\"`, raw`\t`, 'NaN', '1', 'now'].map(
    (text) => Buffer.from(text),
  ),
];

/** The first documents with each of `parts` before each of their bytes and at their end. */
const withPart = (parts: readonly Buffer[], count: number): Buffer[] =>
  documents.slice(0, count).flatMap((document) => {
    const whole = Buffer.from(document);
    const places = Array.from({ length: whole.length + 1 }, (_, at) => at);
    return places.flatMap((at) =>
      parts.map((part) => Buffer.concat([whole.subarray(0, at), part, whole.subarray(at)])),
    );
  });

/** Values around those that SQLite's functions for JSON and for times confuse. */
const values = [
  ...[
    'true',
    'false',
    'null',
    '0',
    '-0.0',
    '1',
    '1.0',
    '2',
    '2.0',
    '-1',
    '-2',
    '1.5',
    '0.99999999999',
    '1.9999999999',
  ],
  ...[
    '2.0000000001',
    '2451545',
    '2451545.25',
    '5373484',
    '5373484.49',
    '5373484.5',
    '5373485',
    '1768903200',
    '1e300',
  ],
  ...[
    '1.0000000000000001e300',
    '1e301',
    '-1e300',
    '1e400',
    '5e-324',
    '9223372036854775807',
    '9223372036854775808',
  ],
  ...[
    '""',
    '" "',
    '"0"',
    '"1"',
    '"2"',
    '"1.5"',
    '"now"',
    '"NOW"',
    '"12:00"',
    '"24:00"',
    '"-4713-11-24 12:00:00"',
  ],
  ...['"-4713-11-26"', '"0000-01-01"', '"9999-12-31 23:59:59.999"', '"2026-02-30"', '"2026-01-20T10:00:00 "'],
  ...[
    '" 2026-01-20"',
    '"2451545"',
    '"true"',
    '"[1]"',
    '"[2026-01-20]"',
    '"{}"',
    '"]"',
    '"z~"',
    '"z~~"',
    '"{"',
    '"|"',
  ],
  ...['[]', '[2451545]', '["2026-01-20"]', '{}', '{"source_ts":"2026-01-20"}', '"\u007f"', '"é"', '"年"'],
].flatMap((value) => [
  Buffer.from(`{"source_event_ts":${value},"source_ts":"next","timestamp":${value}}`),
  Buffer.from(raw`{"source_event_ts":${value},"source_ts":"next","timestamp":${value},"b":"\n"}`),
  Buffer.from(value),
]);

/** Fills a store of these payloads, each as TEXT and some as a BLOB, and compares every cell and skip with the oracle. */
const fillAsTheOracle = (payloads: readonly Buffer[]): Promise<void> =>
  sqliteEngine.withStore(
    {
      audits: 0,
      smallSchema: true,
      prepare: (db) => {
        const insert = (payload: string) =>
          db.prepare(
            `INSERT INTO task_audits (event_type, created_at, payload) VALUES ('SUPERVISOR_DECISION', ?, ${payload})`,
          );
        const [asText, asBlob] = [insert('CAST(? AS TEXT)'), insert('?')];
        db.transaction(() => {
          payloads.forEach((payload, i) => {
            (i % 50 === 49 ? asBlob : asText).run(i % 7 === 6 ? '' : '2026-01-20 10:00:00', payload);
          });
        })();
      },
    },
    async (store) => {
      const expected = await store.expected();
      const ledger = await fill(store);
      const actual = await store.cells();
      expect(actual.size).to.equal(payloads.length);
      expectSameMap(actual, expected.cells);
      expectSameMap(recordedSkips(ledger), expected.skips);
    },
  );

describe('SQLite: up, with payloads next to the usual one', () => {
  it('fills as the oracle says with any byte at any place', () => fillAsTheOracle(withPart(single, 1)));

  it('fills as the oracle says with any sequence of bytes at any place', () =>
    fillAsTheOracle(withPart(sequences, 3)));

  it('fills as the oracle says whatever the value', () => fillAsTheOracle(values));
});
