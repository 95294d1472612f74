import { expect } from 'chai';
import { describe, it } from 'mocha';
import { type BackfillDefinition, defineBackfill, firstOf, type ProcessOptions, sql } from '../src/index.js';
import { customers } from './support/customers.js';
import { expectRoundTrip, NAME, withOwnTable } from './support/own-table.js';
import { commandsOf, named, projectOf } from './support/project.js';
import { failureOf } from './support/stores.js';

const split = {
  table: 'customers',
  key: 'id',
  reads: ['name'],
  columns: ['first', 'last'],
  process: (rows, { skip }) =>
    rows.map(({ name }) => {
      const [first, ...rest] = String(name).split(' ');
      return rest.length > 0 ? { first: first ?? null, last: rest.join(' ') } : skip('NO_SURNAME');
    }),
} satisfies ProcessOptions;

describe('process()', () => {
  it('fills what it gives, records what it skips, and is taken back', () =>
    withOwnTable(customers(40), defineBackfill(split), async (own) => {
      const filled = Array.from({ length: 40 }, (_, at) =>
        (at + 1) % 7 === 0 ? [at + 1, null, null] : [at + 1, `Ada${at + 1}`, 'Love lace'],
      );
      expect((await own.plan()).steps[0]?.fill).to.deep.include({
        cellsToFill: { first: 35, last: 35 },
        skips: { NO_SURNAME: 5 },
      });
      await own.up();
      expect(own.ledger((ledger) => ledger.skipCounts(NAME))).to.deep.equal({ NO_SURNAME: 5 });
      await own.down();
      await expectRoundTrip(own, filled, 'SELECT id, first, last FROM customers ORDER BY id');
    }));

  it('is not handed to a second thread, where others would be', () =>
    withOwnTable(customers(20), defineBackfill(split), async (own) => {
      const { error, verifications } = await own.up({ parallelMinBytes: 0 });
      expect(error).to.equal(undefined);
      expect(verifications[0]).to.include({ threads: 1, verdict: 'warn' });
      const bySql = defineBackfill({ table: 'customers', key: 'id', columns: { label: sql('upper(name)') } });
      await withOwnTable(customers(20), bySql, async (other) => {
        expect((await other.up({ parallelMinBytes: 0 })).verifications[0]).to.include({
          threads: 2,
          verdict: 'pass',
        });
      });
    }));

  it('leaves values that stand, and what the application changes meanwhile', () =>
    withOwnTable(customers(30), defineBackfill(split), async (own) => {
      own.exec(`UPDATE customers SET last = 'own' WHERE id = 3`);
      await own.up();
      own.exec(
        `UPDATE customers SET first = 'changed' WHERE id = 4; UPDATE customers SET name = 'New Name' WHERE id = 5`,
      );
      expect((await own.verify())[0]?.checks.find(({ id }) => id === 'consistency')?.stats).to.include({
        written: 1,
        changedSince: 3,
      });
      expect((await own.down()).cells).to.deep.equal([
        { backfill: NAME, reverted: 48, kept: 3, gone: 0, underivable: 0 },
      ]);
      expect(
        own.rows('SELECT id, first, last FROM customers WHERE first IS NOT NULL OR last IS NOT NULL'),
      ).to.deep.equal([
        [3, null, 'own'],
        [4, 'changed', null],
        [5, 'Ada5', 'Love lace'],
      ]);
    }));

  it('gets integers as numbers as far as they are exact, bytes, and NULL; gives any of them', () =>
    withOwnTable(
      `CREATE TABLE kinds (id INTEGER PRIMARY KEY, big INTEGER, bytes BLOB, none TEXT, out, copy);
      INSERT INTO kinds (id, big, bytes) VALUES (1, 9007199254740993, x'00ff'), (9223372036854775807, 7, x'')`,
      defineBackfill({
        table: 'kinds',
        key: 'id',
        reads: ['big', 'bytes', 'none'],
        columns: ['out', 'copy'],
        process: (rows) =>
          rows.map(({ id, big, bytes, none }) => ({
            out: [id, big, bytes instanceof Uint8Array, none === null]
              .map((part) => `${typeof part} ${part}`)
              .join(),
            copy: typeof big === 'bigint' ? big : bytes,
          })),
      }),
      (own) =>
        expectRoundTrip(
          own,
          [
            ['number 1,bigint 9007199254740993,boolean true,boolean true', '9007199254740993'],
            ['bigint 9223372036854775807,number 7,boolean true,boolean true', ''],
          ],
          'SELECT out, CAST(copy AS TEXT) FROM kinds ORDER BY id',
        ),
    ));

  it('leaves the other columns of a row alone, too, that it skips or throws on, or whose document is unreadable', () =>
    withOwnTable(
      `CREATE TABLE people (id INTEGER PRIMARY KEY, doc TEXT, name TEXT, city TEXT, upper TEXT);
      INSERT INTO people (doc) VALUES ('{"city":"Ghent"}'), ('{"city":"Bonn"}'), ('{"city"'), ('{"city":"Kyoto"}')`,
      defineBackfill({
        table: 'people',
        key: 'id',
        reads: ['doc'],
        columns: { city: firstOf('doc', ['city']), name: 'process', upper: sql('upper(doc)') },
        process: (rows, { skip }) =>
          rows.map(({ id }) => {
            if (id === 3) throw new Error('it is not asked for');
            if (id === 4) throw new Error('thrown');
            return id === 2 ? skip('NO_NAME') : { name: `name ${id}` };
          }),
      }),
      async (own) => {
        await own.up();
        expect(own.ledger((ledger) => ledger.skips(NAME))).to.deep.equal([
          { key: 2n, target: '*', reason: 'NO_NAME' },
          { key: 3n, target: '*', reason: 'DOCUMENT_UNREADABLE' },
          { key: 4n, target: '*', reason: 'PROCESS_FAILED' },
        ]);
        const none = [null, null, null];
        await own.down();
        await expectRoundTrip(
          own,
          [['Ghent', 'name 1', '{"CITY":"GHENT"}'], none, none, none],
          'SELECT city, name, upper FROM people ORDER BY id',
        );
      },
    ));

  it('gives back as they are the values that SQLite has derived for other columns', () =>
    withOwnTable(
      `CREATE TABLE kinds (id INTEGER PRIMARY KEY, big INTEGER, bytes, real REAL, own TEXT, a, b, c REAL, d TEXT);
      INSERT INTO kinds (big, bytes, real) VALUES (9007199254740993, x'ff00', 0.1), (-9223372036854775808, 7, 1e300),
        (2, CAST(x'41ff' AS TEXT), 3)`,
      defineBackfill({
        table: 'kinds',
        key: 'id',
        reads: [],
        columns: { own: 'process', a: sql('big'), b: sql('bytes'), c: sql('real'), d: sql('real') },
        process: (rows) => rows.map(({ id }) => ({ own: `own ${id}` })),
      }),
      async (own) => {
        await own.up();
        // A text that is no UTF-8 can't pass through JavaScript: its row is left alone.
        expect(own.ledger((ledger) => ledger.skips(NAME))).to.deep.equal([
          { key: 3n, target: '*', reason: 'VALUE_INVALID' },
        ]);
        await own.down();
        await expectRoundTrip(
          own,
          [
            ['own 1', '9007199254740993', "X'FF00'", '0.1', "'0.1'"],
            ['own 2', '-9223372036854775808', '7', '1.0e+300', "'1.0e+300'"],
            [null, 'NULL', 'NULL', 'NULL', 'NULL'],
          ],
          'SELECT own, quote(a), quote(b), quote(c), quote(d) FROM kinds ORDER BY id',
        );
      },
    ));

  it('is judged in rows whose key is a text that JavaScript can not hold, in a column of integers', () =>
    withOwnTable(
      'CREATE TABLE people (id INT NOT NULL UNIQUE, name TEXT); INSERT INTO people (id) VALUES (1), (2)',
      defineBackfill({
        table: 'people',
        key: 'id',
        reads: [],
        columns: ['name'],
        process: (rows) => rows.map(({ id }) => ({ name: `name ${id}` })),
      }),
      async (own) => {
        await own.up();
        own.exec(`INSERT INTO people VALUES (CAST(x'41ff' AS TEXT), 'another'), ('z', 'name z')`);
        const [verification] = await own.verify();
        const consistency = verification?.checks.find(({ id }) => id === 'consistency');
        expect(consistency?.verdict).to.equal('warn');
        expect(consistency?.findings[0]?.text).to.equal('3 of 4 filled cells equal the derived value');
      },
    ));

  it('is refused a column that something else fills', () =>
    withOwnTable(
      customers(5),
      defineBackfill({
        ...split,
        columns: { first: 'process', last: sql('upper(name)') },
      }),
      async (own) => {
        expect((await own.up()).error?.message).to.include(
          'returned a value for last, which is not one of its `columns`',
        );
      },
    ));

  const throwing = (ids: (id: number) => boolean): BackfillDefinition =>
    defineBackfill({
      ...split,
      process: (rows, context) =>
        rows.flatMap((row) => {
          if (ids(Number(row.id))) throw new Error(`secret ${row.name}`);
          return split.process([row], context);
        }),
    });

  it('leaves a row alone on which it throws, and tells nothing of what it threw', () =>
    withOwnTable(
      customers(60),
      throwing((id) => id === 11 || id === 12),
      async (own) => {
        const told: string[] = [];
        const outcome = await own.up({ onEvent: (event: object) => told.push(JSON.stringify(event)) });
        expect(outcome.error).to.equal(undefined);
        expect(
          own.ledger((ledger) => ledger.skips(NAME).filter(({ reason }) => reason === 'PROCESS_FAILED')),
        ).to.deep.equal([11n, 12n].map((key) => ({ key, target: '*', reason: 'PROCESS_FAILED' })));
        expect(told.join() + JSON.stringify(outcome.verifications)).not.to.include('secret');
      },
    ));

  it('leaves alone no other row than the one on which it throws, be they two', () =>
    withOwnTable(
      customers(2),
      throwing((id) => id === 1),
      async (own) => {
        expect((await own.up()).error).to.equal(undefined);
        expect(
          own.ledger((ledger) => ledger.skips(NAME).filter(({ reason }) => reason === 'PROCESS_FAILED')),
        ).to.deep.equal([{ key: 1n, target: '*', reason: 'PROCESS_FAILED' }]);
      },
    ));

  let isMended = false;
  it('ends the run when it throws on more than some odd rows, and goes on once it is mended', () =>
    withOwnTable(
      customers(60),
      throwing((id) => id > 5 && !isMended),
      async (own) => {
        const { error } = await own.up();
        expect(error?.code).to.equal('PROCESS_FAILED');
        expect(error?.message).to.match(
          /^`process` of \S+ threw on 15 rows \(Error at \S+process\.test\.[jt]s:\d+\)$/,
        );
        expect(own.rows('SELECT count(*) FROM customers WHERE first IS NOT NULL')).to.deep.equal([[5]]);
        // A deploy that tries again and again gets the same answer, and nothing is recorded as done.
        for (let time = 0; time < 3; time += 1)
          expect((await own.up()).error?.code).to.equal('PROCESS_FAILED');
        expect(own.ledger((ledger) => ledger.skipCounts(NAME))).to.deep.equal({ PROCESS_FAILED: 5 });
        isMended = true;
        // What was left alone before can be derived now: the verification says so, and a rescan mends it.
        expect((await own.up()).error?.hint).to.match(/^Run: umzug-backfill backfill 001-own --rescan/);
        expect(own.ledger((ledger) => ledger.skipCounts(NAME))).to.include({ PROCESS_FAILED: 5 });
        expect((await own.rescan()).error).to.equal(undefined);
        expect(own.ledger((ledger) => ledger.skipCounts(NAME))).to.deep.equal({ NO_SURNAME: 8 });
      },
    ));

  for (const [what, process, expected] of [
    ['no array', () => ({}) as never, 'did not return an array with one object per row'],
    ['too few entries', () => [], 'did not return an array with one object per row'],
    [
      'another column',
      () => [{ price: 1 }] as never,
      'returned a value for price, which is not one of its `columns`',
    ],
    [
      'a boolean',
      () => [{ first: true }] as never,
      'returned a value that is not a string, a finite number, a bigint, bytes or null',
    ],
    [
      'NaN',
      () => [{ first: Number.NaN }],
      'returned a value that is not a string, a finite number, a bigint, bytes or null',
    ],
  ] as const) {
    it(`refuses that it returns ${what}, and writes nothing of the batch`, () =>
      withOwnTable(customers(5), defineBackfill({ ...split, process }), async (own) => {
        const { error } = await own.up();
        expect(`${error?.code}: ${error?.message}`).to.equal(
          `STEP_INVALID: \`process\` of ${NAME} ${expected}`,
        );
        expect(own.rows('SELECT count(*) FROM customers WHERE first IS NOT NULL')).to.deep.equal([[0]]);
      }));
  }

  it('takes for a skip only what skip() gave: an object like it is of columns, and is checked as such', async () => {
    const process = () => [{ skip: 'contents of a row' }] as never;
    await withOwnTable(customers(5), defineBackfill({ ...split, process }), async (own) => {
      const { error } = await own.up();
      expect(error?.message).to.include('returned a value for skip, which is not one of its `columns`');
      expect(JSON.stringify(error)).not.to.include('contents');
    });
    const bySkip = { table: 'rows', key: 'id', reads: ['a'], columns: ['skip'] } as const;
    await withOwnTable(
      'CREATE TABLE rows (id INTEGER PRIMARY KEY, a TEXT, skip TEXT); INSERT INTO rows (a) VALUES (1), (2)',
      defineBackfill({ ...bySkip, process: (rows) => rows.map(({ a }) => ({ skip: `no ${a}` })) }),
      (own) => expectRoundTrip(own, [['no 1'], ['no 2']], 'SELECT skip FROM rows ORDER BY id'),
    );
  });

  for (const [what, value] of [
    ['an integer beyond 64 bits', 2n ** 63n],
    ['half of a surrogate pair', 'a\ud83d'],
  ] as const)
    it(`leaves a row alone for which it gives ${what}`, () =>
      withOwnTable(
        'CREATE TABLE rows (id INTEGER PRIMARY KEY, v, w TEXT); INSERT INTO rows (id) VALUES (1), (2), (3)',
        defineBackfill({
          table: 'rows',
          key: 'id',
          reads: [],
          columns: ['v', 'w'],
          process: (rows) => rows.map(({ id }) => ({ v: id === 2 ? value : 7, w: 'w' })),
        }),
        async (own) => {
          expect((await own.plan()).steps[0]?.fill.skips).to.deep.equal({ VALUE_INVALID: 1 });
          await expectRoundTrip(
            own,
            [
              [7, 'w'],
              [null, null],
              [7, 'w'],
            ],
            'SELECT v, w FROM rows ORDER BY id',
          );
          await own.up();
          expect(own.ledger((ledger) => ledger.skips(NAME))).to.deep.equal([
            { key: 2n, target: '*', reason: 'VALUE_INVALID' },
          ]);
        },
      ));

  it('refuses a reason that means something else already', async () => {
    for (const reason of ['SQLITE_FULL', 'UPDATE_IGNORED', 'PROCESS_FAILED', 'VALUE_INVALID'])
      await withOwnTable(
        customers(5),
        defineBackfill({ ...split, process: (rows, { skip }) => rows.map(() => skip(reason)) }),
        async (own) => {
          expect((await own.up()).error?.code).to.equal('STEP_INVALID');
        },
      );
  });

  it('refuses a reason that may hold contents', () =>
    withOwnTable(
      customers(5),
      defineBackfill({ ...split, process: (rows, { skip }) => rows.map(({ name }) => skip(String(name))) }),
      async (own) => {
        expect((await own.up()).error?.code).to.equal('STEP_INVALID');
      },
    ));

  it('is refused where it is defined when it is asynchronous or no function', async () => {
    for (const process of [async () => [], function* () {}, async function* () {}, 7])
      await failureOf('STEP_INVALID', () => defineBackfill({ ...split, process: process as never }));
    await failureOf('STEP_INVALID', () => defineBackfill({ ...split, reads: 'name' as never }));
    await failureOf('STEP_INVALID', () =>
      defineBackfill({ ...split, columns: { first: sql('1') } as never }),
    );
    await failureOf('STEP_INVALID', () => defineBackfill({ ...split, processVersion: 1.5 }));
  });

  it('counts as changed by its version, its columns and what it reads, not by its text', () =>
    withOwnTable(customers(3), defineBackfill(split), async (own) => {
      await own.up();
      const driftsOf = async (change: Partial<ProcessOptions>): Promise<number> => {
        const changed = named(NAME, defineBackfill({ ...split, ...change }));
        return (await commandsOf(projectOf([changed]), own).status()).drifts.length;
      };
      expect(await driftsOf({ process: (rows) => rows.map(() => ({})) })).to.equal(0);
      expect(await driftsOf({ processVersion: 1 })).to.equal(0);
      for (const change of [{ processVersion: 2 }, { reads: ['price'] }, { columns: ['first'] }])
        expect(await driftsOf(change), JSON.stringify(change)).to.equal(1);
    }));
});
