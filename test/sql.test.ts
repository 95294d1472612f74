import { expect } from 'chai';
import { describe, it } from 'mocha';
import { defineBackfill, firstOf, sql } from '../src/index.js';
import { customers, numbers } from './support/customers.js';
import { expectRoundTrip, NAME, withOwnTable } from './support/own-table.js';
import { failureOf } from './support/stores.js';

describe('sql()', () => {
  it('fills what the expression gives, as the column stores it, and takes it back', () =>
    withOwnTable(
      customers(25),
      defineBackfill({
        table: 'customers',
        key: 'id',
        columns: {
          cents: sql('price * 100'), // a REAL into an INTEGER column
          label: sql(`CASE WHEN id % 5 > 0 THEN id || ':' || upper(name) END`),
          text_price: sql('price'), // a REAL into a TEXT column
        },
      }),
      async (own) => {
        const filled = Array.from({ length: 25 }, (_, at) => {
          const i = at + 1;
          const name = i % 7 === 0 ? 'SOLO' : `ADA${i} LOVE LACE`;
          return [i, (i + 0.5) * 100, 'integer', i % 5 > 0 ? `${i}:${name}` : null, `${i + 0.5}`];
        });
        await expectRoundTrip(
          own,
          filled,
          'SELECT id, cents, typeof(cents), label, text_price FROM customers ORDER BY id',
        );
      },
    ));

  it('records rows of which it gives NULL, and tells them before', () =>
    withOwnTable(
      customers(14),
      defineBackfill({
        table: 'customers',
        key: 'id',
        scope: 'id > 4',
        columns: { label: sql('nullif(id % 5, 0)') },
      }),
      async (own) => {
        expect((await own.plan()).steps[0]?.fill).to.deep.include({
          rows: 10,
          cellsToFill: { label: 8 },
          skips: { NO_USABLE_VALUE: 2 },
        });
        await own.up();
        expect(own.ledger((ledger) => ledger.skips(NAME))).to.deep.equal([
          { key: 5n, target: 'label', reason: 'NO_USABLE_VALUE' },
          { key: 10n, target: 'label', reason: 'NO_USABLE_VALUE' },
        ]);
      },
    ));

  it('can stand beside firstOf(): a document that can not be read leaves the whole row alone', () =>
    withOwnTable(
      `CREATE TABLE events (id INTEGER PRIMARY KEY, body TEXT, at TEXT, size INTEGER, kept TEXT DEFAULT 'x');
      INSERT INTO events (id, body) VALUES (1, '{"at":"2026"}'), (2, '{'), (3, '{}')`,
      defineBackfill({
        table: 'events',
        key: 'id',
        columns: { at: firstOf('body', ['at'], 'kept'), size: sql('length(body)') },
      }),
      (own) =>
        expectRoundTrip(
          own,
          [
            [1, '2026', 13],
            [2, null, null],
            [3, 'x', 2],
          ],
          'SELECT id, at, size FROM events ORDER BY id',
        ),
    ));

  it('says on which row of which column it fails, whatever asks it, and writes nothing', () =>
    withOwnTable(
      `CREATE TABLE docs (id INTEGER PRIMARY KEY, doc TEXT, size INTEGER, a TEXT);
      ${numbers(2500)} INSERT INTO docs (id, doc) SELECT i, CASE WHEN i = 2345 THEN '{' ELSE '{"a":1}' END FROM n`,
      defineBackfill({
        table: 'docs',
        key: 'id',
        columns: { size: sql('length(doc)'), a: sql(`json_extract(doc, '$.a')`) },
      }),
      async (own) => {
        const said = `The expression of a in ${NAME} fails on the row with key 2345 (SQLITE_ERROR)`;
        expect((await failureOf('STEP_INVALID', () => own.plan())).message).to.equal(said);
        expect((await own.up()).error?.message).to.equal(said);
        own.exec(`UPDATE docs SET doc = '{"a":2}' WHERE id = 2345`);
        expect((await own.up()).error).to.equal(undefined);
        own.exec(`UPDATE docs SET doc = '{' WHERE id = 2345`);
        expect((await failureOf('STEP_INVALID', () => own.verify())).message).to.equal(said);
        expect((await own.down()).error?.message).to.equal(said);
      },
    ));

  it('refuses what gives another value each time, and what does not compile', async () => {
    for (const unsteady of [
      'random()',
      'RANDOMBLOB (4)',
      'current_timestamp',
      `datetime('now')`,
      'datetime()',
      'JULIANDAY ( )',
      `date( 'NOW' )`,
      'uuid_generate_v4()',
      'gen_random_bytes(8)',
      'txid_current()',
    ])
      await failureOf('STEP_INVALID', () => sql(unsteady));
    expect(sql(`randomness || 'current' || 'known'`)).to.have.property('kind', 'sql');
    await withOwnTable(
      customers(3),
      defineBackfill({ table: 'customers', key: 'id', columns: { label: sql('nowhere + 1') } }),
      async (own) => {
        const error = await failureOf('STEP_INVALID', () => own.up());
        expect(error.message).to.equal(`The expression of label in ${NAME} cannot be computed on customers`);
        expect(own.rows(`SELECT count(*) FROM sqlite_schema`)).to.deep.equal([[1]]);
      },
    );
  });
});
