import { expect } from 'chai';
import { describe, it } from 'mocha';
import type { TestBackfillOptions } from '../src/testing/index.js';
import * as kit from './support/kit.js';

const { defineBackfill, firstOf, sql, testBackfill } = kit;

const SECRET = 'secret-contents';

const people = {
  schema: 'CREATE TABLE people (id INTEGER PRIMARY KEY, name TEXT, size INTEGER)',
  rows: Array.from({ length: 12 }, () => ({ name: SECRET })),
};
const sized = { table: 'people', key: 'id' } as const;

describe('testBackfill, before it runs anything', () => {
  it('refuses what can not be run as `up` does', async () => {
    for (const [code, backfill] of [
      ['STEP_INVALID', defineBackfill({ ...sized, columns: { size: sql('nowhere') } })],
      ['COLUMN_MISSING', defineBackfill({ ...sized, columns: { sise: sql('1') } })],
      ['KEY_UNSUITABLE', defineBackfill({ ...sized, key: 'name', columns: { size: sql('1') } })],
      ['TABLE_MISSING', defineBackfill({ ...sized, table: 'none', columns: { size: sql('1') } })],
      ['USAGE', defineBackfill({ ...sized, scope: 'id > 99', columns: { size: sql('1') } })],
    ] as const) {
      const error = await testBackfill({ ...people, backfill }).catch((thrown: unknown) => thrown);
      expect(error).to.be.instanceOf(kit.BackfillError).and.to.have.property('code', code);
    }
  });

  const backfill = defineBackfill({ ...sized, columns: { size: firstOf('name', ['x'], 'name') } });
  for (const [told, options] of [
    ['Unknown option `row` in testBackfill()', { backfill, row: [] }],
    ['testBackfill() requires either `file` or `backfill`', {}],
    ['testBackfill() requires either `file` or `backfill`', { backfill, file: 'x.js' }],
    ['Expected `backfill` in testBackfill() to be the result of defineBackfill()', { backfill: {} }],
    ['Expected `file` in testBackfill() to be a non-empty string', { file: 7 }],
    ['Expected `rows` in testBackfill() to be a list of rows', { backfill, rows: 'x' }],
    ['Expected `rows` in testBackfill() to be a list of at least one row', { backfill, rows: [] }],
    ['Expected `rows[0].name` in testBackfill() to be a string', { backfill, rows: [{ name: true }] }],
    ['Expected `schema` in testBackfill() to be SQL, or steps', { backfill, schema: [''] }],
    ['Expected `schema` in testBackfill() to be SQL, or steps', { backfill, schema: [backfill] }],
    ['Expected `batchRows` in testBackfill() to be a positive integer', { backfill, batchRows: 0 }],
    ['Expected `showValues` in testBackfill() to be true or false', { backfill, showValues: 'no' }],
    ['Expected `allowTriggers` in testBackfill() to be true or false', { backfill, allowTriggers: 1 }],
    [
      'Unknown option `frist` in `expected` of testBackfill()',
      { backfill, expected: [{ id: 1, frist: 'x' }] },
    ],
    [
      'Expected `expected` in testBackfill() to be rows with their key, id',
      { backfill, expected: [{ size: 1 }] },
    ],
    [
      '`expected` of testBackfill() has a row 99, which is not in `rows`',
      { backfill, expected: [{ id: 99 }] },
    ],
    [
      '`schema` of testBackfill() inserts rows into people',
      { backfill, schema: `${people.schema}; INSERT INTO people (id) VALUES (50)` },
    ],
  ] as const) {
    it(`refuses: ${told}`, async () => {
      const given = { ...people, ...options } as unknown as TestBackfillOptions;
      const error = await testBackfill(given).catch((thrown: unknown) => thrown);
      expect(error).to.be.instanceOf(kit.BackfillError);
      expect((error as Error).message.startsWith(told), (error as Error).message).to.equal(true);
      expect((error as Error).message).not.to.include(SECRET);
    });
  }
});
