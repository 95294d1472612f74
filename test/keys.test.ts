import { expect } from 'chai';
import { describe, it } from 'mocha';
import { type BackfillDefinition, defineBackfill, sql } from '../src/index.js';
import { numbers } from './support/customers.js';
import { TEXTS } from './support/odd-texts.js';
import { expectRoundTrip, NAME, type OwnTable, withOwnTable } from './support/own-table.js';
import { compareKeys } from './support/pure.js';
import { failureOf } from './support/stores.js';

const fillUpper: BackfillDefinition = defineBackfill({
  table: 'items',
  key: 'k',
  scope: `a <> 'out'`,
  columns: { b: sql('upper(a)') },
});

const insert = (keys: readonly (string | bigint)[]): string =>
  keys
    .map((key, i) => {
      const text = typeof key === 'string' ? `'${key.replaceAll("'", "''")}'` : String(key);
      return `INSERT INTO items (k, a) VALUES (${text}, '${i % 5 === 3 ? 'out' : `row ${i}`}');`;
    })
    .join('\n');

/** Every row as it is to be once filled. */
const filledRows = (keys: readonly (string | bigint)[]): unknown[][] =>
  keys
    .map((key, i) => [key, i % 5 === 3 ? null : `ROW ${i}`] as const)
    .sort(([a], [b]) => compareKeys(a, b))
    .map(([key, b]) => [String(key), b]);

const ALL = 'SELECT CAST(k AS TEXT), b FROM items ORDER BY k';

const identifiers = Array.from({ length: 64 }, (_, i) => `${(i * 7919) % 1009}-${i.toString(16)}`);
const texts = [...TEXTS, ...identifiers];
const integers = [
  -(2n ** 63n),
  -5n,
  0n,
  1n,
  2n,
  3n,
  2n ** 53n + 1n,
  2n ** 63n - 1n,
  ...identifiers.map((_, i) => BigInt(1000 + i * 3)),
];

describe('a key', () => {
  for (const [what, ddl, keys] of [
    ['of texts, the primary key', 'k TEXT PRIMARY KEY, a, b', texts],
    [
      'of texts, of a table without rowid',
      'k TEXT PRIMARY KEY, a, b) WITHOUT ROWID; CREATE TABLE other (x',
      texts,
    ],
    ['of texts, in a unique index', 'k VARCHAR(40) NOT NULL UNIQUE, a, b', texts],
    [
      'of integers, of a table without rowid',
      'k INTEGER PRIMARY KEY, a, b) WITHOUT ROWID; CREATE TABLE other (x',
      integers,
    ],
    ['of integers, in a unique index', 'id TEXT PRIMARY KEY, k BIGINT UNIQUE, a, b', integers],
    ['of integers, that is no rowid by a quirk', 'k INTEGER PRIMARY KEY DESC, a, b', integers],
  ] as const) {
    it(`${what}, carries batches, verification and rollback`, () =>
      withOwnTable(`CREATE TABLE items (${ddl}); ${insert(keys)}`, fillUpper, async (own) => {
        await expectRoundTrip(own, filledRows(keys), ALL);
      }));

    it(`${what}, carries a run that is stopped after any batch, up and down`, () =>
      withOwnTable(`CREATE TABLE items (${ddl}); ${insert(keys)}`, fillUpper, async (own) => {
        const before = own.rows(ALL);
        for (const batches of [1, 3, 6]) {
          await stoppedAfter(batches, own.up);
          await own.up();
          expect(own.rows(ALL)).to.deep.equal(filledRows(keys));
          const read = own.ledger((ledger) => ledger.runs(NAME).map(({ rowsScanned }) => rowsScanned));
          expect(read, 'each row once').to.deep.equal([
            keys.length - keys.filter((_, i) => i % 5 === 3).length,
          ]);
          await stoppedAfter(batches, own.down);
          await own.down();
          expect(own.rows(ALL)).to.deep.equal(before);
        }
      }));
  }

  const least = (count: number) => [count, '-9223372036854775808 + (i - 1)'] as const;
  const greatest = (count: number) => [count, `9223372036854775807 - (${count} - i)`] as const;
  const spread = [6000, 'i * 1000000000000'] as const;
  for (const [what, blocks] of [
    ['that lie close up to the greatest', [greatest(12_000)]],
    ['that lie close at both ends, and far apart between', [least(26_000), spread, greatest(26_000)]],
  ] as const)
    it(`of integers ${what}, has each row read once`, () => {
      const rows = blocks.reduce<number>((sum, [count]) => sum + count, 0);
      const inserts = blocks.map(
        ([count, key]) => `${numbers(count)} INSERT INTO items (k, a) SELECT ${key}, 'row' FROM n;`,
      );
      return withOwnTable(
        `CREATE TABLE items (k INTEGER PRIMARY KEY, a, b); ${inserts.join('\n')}`,
        fillUpper,
        async (own) => {
          expect((await own.plan()).steps[0]?.fill).to.deep.include({ cellsToFill: { b: rows } });
          const { error, verifications } = await own.up({ batchRows: 5000 });
          expect(error?.message).to.equal(undefined);
          expect(own.ledger((ledger) => ledger.runs(NAME).map((run) => run.rowsScanned))).to.deep.equal([
            rows,
          ]);
          const coverage = verifications[0]?.checks.find(({ id }) => id === 'coverage');
          expect(coverage?.stats).to.include({ rowsInScope: rows });
          expect(own.rows('SELECT count(b), count(*) FROM items')).to.deep.equal([[rows, rows]]);
          expect((await own.down()).cells[0]).to.include({ reverted: rows, kept: 0, gone: 0 });
        },
      );
    });

  it('of texts lets rows in between be caught up, and takes back only what was filled', () =>
    withOwnTable(
      `CREATE TABLE items (k TEXT PRIMARY KEY, a, b); ${insert(texts)}`,
      fillUpper,
      async (own) => {
        await own.up();
        own.exec(
          `INSERT INTO items VALUES ('a0', 'late', NULL), ('a1', 'own', 'theirs'), ('zzz', 'late too', NULL)`,
        );
        expect((await own.up()).caughtUp).to.deep.equal([NAME]);
        expect(own.rows(`SELECT k, b FROM items WHERE k IN ('a0', 'a1', 'zzz') ORDER BY k`)).to.deep.equal([
          ['a0', 'LATE'],
          ['a1', 'theirs'],
          ['zzz', 'LATE TOO'],
        ]);
        own.exec(`UPDATE items SET b = 'changed' WHERE k = 'aa'`);
        await own.down();
        expect(own.rows('SELECT k, b FROM items WHERE b IS NOT NULL ORDER BY k')).to.deep.equal([
          ['a1', 'theirs'],
          ['aa', 'changed'],
        ]);
      },
    ));

  it('beside one that grows is caught up from the first key', () =>
    withOwnTable(
      `CREATE TABLE items (id INTEGER PRIMARY KEY AUTOINCREMENT, k TEXT UNIQUE, a, b); ${insert(['m', 'n', 'o'])}`,
      fillUpper,
      async (own) => {
        await own.up();
        own.exec(`INSERT INTO items (k, a) VALUES ('a', 'early'), ('z', 'late')`);
        expect((await own.up()).caughtUp).to.deep.equal([NAME]);
        expect(own.rows(`SELECT k, b FROM items WHERE k IN ('a', 'z') ORDER BY k`)).to.deep.equal([
          ['a', 'EARLY'],
          ['z', 'LATE'],
        ]);
      },
    ));

  it('of texts is read by one thread, where keys of integers are shared', () =>
    withOwnTable(
      `CREATE TABLE items (k TEXT PRIMARY KEY, a, b); ${insert(texts)}`,
      fillUpper,
      async (own) => {
        const { error, verifications } = await own.up({ parallelMinBytes: 0 });
        expect(error).to.equal(undefined);
        expect(verifications[0]).to.include({ threads: 1, verdict: 'pass' });
      },
    ));

  it('of texts is named in findings', () =>
    withOwnTable(
      `CREATE TABLE items (k TEXT PRIMARY KEY, a, b); ${insert(texts)}`,
      fillUpper,
      async (own) => {
        await own.up();
        own.exec(`UPDATE items SET b = NULL WHERE k IN ('é', '\u{ff5e}')`);
        const coverage = (await own.verify())[0]?.checks.find(({ id }) => id === 'coverage');
        expect(coverage?.findings.find(({ verdict }) => verdict === 'fail')?.sampleKeys).to.deep.equal([
          'é',
          '\u{ff5e}',
        ]);
        expect((await own.rescan()).error).to.equal(undefined);
        expect(own.rows(ALL)).to.deep.equal(filledRows(texts));
      },
    ));

  for (const [reason, ddl] of [
    ['it is not the only column of the primary key or of a unique index', 'k TEXT, a, b, PRIMARY KEY (k, a)'],
    ['it is not the only column of the primary key or of a unique index', 'k INTEGER, a, b'],
    [
      'it is not the only column of the primary key or of a unique index',
      'k INTEGER, a, b); CREATE UNIQUE INDEX u ON items (k) WHERE k > 0; CREATE TABLE other (x',
    ],
    ['its declared type is neither an integer nor a text type', 'k REAL PRIMARY KEY, a, b'],
    ['its declared type is neither an integer nor a text type', 'k PRIMARY KEY, a, b'],
    ['its collation is not BINARY', 'k TEXT PRIMARY KEY COLLATE NOCASE, a, b'],
    ['its collation is not BINARY', 'k TEXT PRIMARY KEY COLLATE RTRIM, a, b'],
    [
      'its collation is not BINARY',
      'k TEXT COLLATE NOCASE, a, b); CREATE UNIQUE INDEX u ON items (k COLLATE BINARY); CREATE TABLE other (x',
    ],
    [
      'it contains values that are neither integers nor texts',
      `k TEXT PRIMARY KEY, a, b); INSERT INTO items (a) VALUES ('x'); CREATE TABLE other (x`,
    ],
    [
      'it contains values that are neither integers nor texts',
      `k TEXT PRIMARY KEY, a, b); INSERT INTO items (k) VALUES ('x'), (x'00'); CREATE TABLE other (x`,
    ],
    [
      'it contains values that are neither integers nor texts',
      'k INT UNIQUE, a, b); INSERT INTO items (k) VALUES (1), (1.5), (3); CREATE TABLE other (x',
    ],
    [
      'it contains values that are neither integers nor texts',
      `k INT UNIQUE, a, b); INSERT INTO items (k) VALUES (1), ('x'); CREATE TABLE other (x`,
    ],
  ] as const) {
    it(`is refused, and nothing written: ${reason} (${ddl.split(')')[0]})`, () =>
      withOwnTable(`CREATE TABLE items (${ddl})`, fillUpper, async (own) => {
        const { message } = await failureOf('KEY_UNSUITABLE', () => own.up());
        expect(message).to.equal(`k of items cannot be the key of ${NAME}: ${reason}`);
        expect(own.rows(`SELECT 1 FROM sqlite_schema WHERE name LIKE 'umzug%'`)).to.deep.equal([]);
      }));
  }

  it('of texts whose index ignores case is refused with the index that does', () =>
    withOwnTable(
      `CREATE TABLE items (k TEXT, a, b); CREATE UNIQUE INDEX u ON items (k COLLATE NOCASE); INSERT INTO items (k, a) VALUES ('x', 'x'), ('y', 'y')`,
      fillUpper,
      async (own) => {
        const { hint } = await failureOf('KEY_UNSUITABLE', () => own.up());
        const [, statement = ''] =
          /: (CREATE UNIQUE INDEX .*); or set `key` to another column/.exec(hint) ?? [];
        own.exec(statement);
        expect((await own.up()).error).to.equal(undefined);
        expect(own.rows('SELECT k, b FROM items ORDER BY k')).to.deep.equal([
          ['x', 'X'],
          ['y', 'Y'],
        ]);
      },
    ));

  it('of texts that are compared without case is offered no index, as none would do', () =>
    withOwnTable('CREATE TABLE items (k TEXT PRIMARY KEY COLLATE NOCASE, a, b)', fillUpper, async (own) => {
      expect((await failureOf('KEY_UNSUITABLE', () => own.up())).hint).not.to.include('CREATE');
    }));

  it('of texts is refused in a store of UTF-16', () =>
    withOwnTable(
      `PRAGMA encoding = 'UTF-16'; CREATE TABLE items (k TEXT PRIMARY KEY, a, b)`,
      fillUpper,
      async (own) => {
        const { message } = await failureOf('KEY_UNSUITABLE', () => own.up());
        expect(message).to.match(/: texts in this store are UTF-16$/);
      },
    ));

  for (const [what, key] of [
    ['invalid UTF-8', `CAST(x'61ff' AS TEXT)`],
    ['a NUL within', `'a' || char(0) || 'b'`],
  ] as const) {
    it(`of texts is refused when the last has ${what}`, () =>
      withOwnTable(
        `CREATE TABLE items (k TEXT PRIMARY KEY, a, b); ${insert(identifiers)} INSERT INTO items VALUES (${key}, 'x', NULL)`,
        fillUpper,
        async (own) => {
          expect((await own.up()).error?.code).to.equal('KEY_UNSUITABLE');
          own.exec(`DELETE FROM items WHERE a = 'x'`);
          expect((await own.up()).error).to.equal(undefined);
          own.exec(`INSERT INTO items VALUES (${key}, 'x', NULL)`);
          expect((await own.up()).error?.code).to.equal('KEY_UNSUITABLE');
        },
      ));

    it(`of texts ends a run at one with ${what}, and keeps what was committed`, () =>
      withOwnTable(
        `CREATE TABLE items (k TEXT PRIMARY KEY, a, b); ${insert([...identifiers, 'z'])} INSERT INTO items VALUES (${key}, 'x', NULL)`,
        fillUpper,
        async (own) => {
          const { error } = await own.up();
          expect(error?.code).to.equal('KEY_UNSUITABLE');
          const [[filled] = []] = own.rows('SELECT count(*) FROM items WHERE b IS NOT NULL');
          expect(Number(filled)).to.be.above(20);
          own.exec(`DELETE FROM items WHERE a = 'x'`);
          expect((await own.up()).error).to.equal(undefined);
          expect(own.rows(ALL)).to.deep.equal(filledRows([...identifiers, 'z']));
        },
      ));
  }
});

/** Stops a command after so many batches. */
async function stoppedAfter(batches: number, command: OwnTable['up'] | OwnTable['down']): Promise<void> {
  const controller = new AbortController();
  let count = 0;
  const { error } = await command({
    signal: controller.signal,
    onEvent: ({ event }: { event: string }) => {
      if (!/^batch_(?:committed|reverted)$/.test(event)) return;
      count += 1;
      if (count === batches) controller.abort('SIGTERM');
    },
  });
  expect(error?.code).to.equal('TERMINATED');
}

describe('status', () => {
  it('says how far a run over texts is by what follows on their common beginning', () => {
    const keys = Array.from({ length: 100 }, (_, i) => `some-user-${String(i).padStart(2, '0')}`);
    const ddl = `CREATE TABLE items (k TEXT PRIMARY KEY, a, b); ${insert(keys)}`;
    return withOwnTable(ddl, { ...fillUpper, scope: 'true' }, async (own) => {
      const percent = async () => (await own.status()).steps[0]?.backfill?.percent ?? -1;
      const found: number[] = [];
      for (let i = 0; i < 4; i += 1) {
        await stoppedAfter(2, own.up);
        found.push(await percent());
      }
      expect(found).to.deep.equal([...new Set(found)].sort((a, b) => a - b));
      expect(found[0]).to.be.within(1, 40);
      expect(found[2]).to.be.within(40, 90);
      expect((await own.up()).error).to.equal(undefined);
      expect(await percent()).to.equal(100);
    });
  });
});
