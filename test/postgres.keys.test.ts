import { expect } from 'chai';
import { before, describe, it } from 'mocha';
import { defineBackfill } from '../src/backfill/define.js';
import { sql } from '../src/backfill/values.js';
import { compareKeys, type Key } from '../src/ledger/keys.js';
import { keyLiteral } from '../src/store/keys.js';
import {
  checkKey,
  checkKeyValues,
  fromLedger,
  keyKind,
  keyRange,
  keySql,
  ledgerKeySql,
  toLedger,
} from '../src/store/postgres/keys.js';
import { openPostgresStore } from '../src/store/postgres/site.js';
import type { PostgresStore } from '../src/store/postgres/store.js';
import { type DatabaseOptions, sharedServer, whyNoServer, withDatabase } from './support/postgres-server.js';
import { failureOf } from './support/stores.js';

const backfill = {
  ...defineBackfill({ table: 'items', key: 'k', scope: 'true', columns: { b: sql('a') } }),
  name: '001-own',
};

const withStore = (
  ddl: string,
  act: (store: PostgresStore) => void | Promise<void>,
  options?: DatabaseOptions,
): Promise<void> =>
  withDatabase(async ({ url, client }) => {
    await client.query(ddl);
    const store = openPostgresStore({ url }, { access: 'write' });
    try {
      await act(store);
    } finally {
      store.close();
    }
  }, options);

/** Texts that sort otherwise in UTF-16, by case, by length, or in a language. */
const TEXTS = [
  '',
  ' ',
  '0',
  '00',
  '10',
  '9',
  'A',
  'Z',
  'a',
  'a ',
  'aa',
  '-a',
  'é',
  'z',
  '\u{ff5e}',
  '\u{1f600}',
  "it's",
  "'",
  '\\',
];
const INTEGERS = [-(2n ** 63n), -5n, 0n, 3n, 2n ** 53n + 1n, 2n ** 63n - 1n];
const SMALL = [-32768n, 0n, 32767n];
const UUIDS = [
  '00000000-0000-0000-0000-000000000000',
  '0a000000-0000-4000-8000-000000000000',
  'A0000000-0000-4000-8000-00000000000f',
  'ffffffff-ffff-ffff-ffff-ffffffffffff',
].map((text) => text.toLowerCase());

const insert = (keys: readonly Key[]): string =>
  `INSERT INTO items (k) VALUES ${keys.map((key) => `(${keyLiteral(key)})`).join(', ')};`;

const suited: readonly (readonly [
  what: string,
  ddl: string,
  keys: readonly Key[],
  options?: DatabaseOptions,
])[] = [
  ['of bigint', 'CREATE TABLE items (k bigint PRIMARY KEY);', INTEGERS],
  ['of smallint in a unique index', 'CREATE TABLE items (k smallint UNIQUE);', SMALL],
  [
    'of integer beside included columns',
    'CREATE TABLE items (k int, a text, UNIQUE (k) INCLUDE (a));',
    SMALL,
  ],
  [
    'of a table with partitions',
    'CREATE TABLE items (k bigint PRIMARY KEY) PARTITION BY HASH (k); CREATE TABLE part PARTITION OF items FOR VALUES WITH (MODULUS 1, REMAINDER 0);',
    INTEGERS,
  ],
  ['of text in a database in C.UTF-8', 'CREATE TABLE items (k text PRIMARY KEY);', TEXTS],
  [
    'of text in a database in C',
    'CREATE TABLE items (k text PRIMARY KEY);',
    TEXTS,
    { template0: { LC_COLLATE: 'C' } },
  ],
  ['of varchar with the collation C', 'CREATE TABLE items (k varchar(40) COLLATE "C" PRIMARY KEY);', TEXTS],
  ['of text with the collation POSIX', 'CREATE TABLE items (k text COLLATE "POSIX" UNIQUE);', TEXTS],
  [
    'of text in a language, with an index in C',
    'CREATE TABLE items (k text COLLATE "en-x-icu"); CREATE UNIQUE INDEX u ON items (k COLLATE "C");',
    TEXTS,
  ],
  [
    'of varchar that ignores case, with an index in C',
    `CREATE COLLATION ci (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
    CREATE TABLE items (k varchar COLLATE ci); CREATE UNIQUE INDEX u ON items (k COLLATE "C");`,
    TEXTS,
  ],
  [
    "of text in a database in PostgreSQL's own C.UTF-8",
    'CREATE TABLE items (k text PRIMARY KEY);',
    TEXTS,
    { template0: { LOCALE_PROVIDER: 'builtin', BUILTIN_LOCALE: 'C.UTF-8' } },
  ],
  ['of uuid', 'CREATE TABLE items (k uuid PRIMARY KEY);', UUIDS],
];

/** Whether the server has these options of a database: in version 15 ICU, in 17 locales of its own. */
async function knows({ template0 }: DatabaseOptions = {}): Promise<boolean> {
  const provider = template0?.LOCALE_PROVIDER;
  const since = provider === 'icu' ? 150_000 : provider === 'builtin' ? 170_000 : 0;
  return (await sharedServer()).version >= since;
}

/** The plan must need no sort: the key's order is that of an index. */
const SCAN_ONLY = 'SET enable_seqscan = off; SET enable_bitmapscan = off; SET enable_sort = off';

before(function () {
  const why = whyNoServer();
  if (!why) return;
  console.log(`    skipped: ${why}`);
  this.skip();
});

describe('a key in PostgreSQL', () => {
  for (const [what, ddl, keys, options] of suited) {
    it(`${what} is ordered as this program orders, by an index`, async function () {
      if (!(await knows(options))) this.skip();
      await withStore(
        `${ddl} ${insert(keys)}`,
        (store) => {
          checkKey(store, backfill);
          checkKeyValues(store, backfill);
          expect(keyKind(store, backfill)).to.equal(typeof keys[0] === 'bigint' ? 'integer' : 'text');
          const key = keySql(store, backfill);
          const ordered = keys.toSorted(compareKeys);
          const select = `SELECT ${key} AS k FROM items AS t`;
          expect(store.allExact<{ k: Key }>(`${select} ORDER BY ${key}`).map(({ k }) => k)).to.deep.equal(
            ordered,
          );
          expect(keyRange(store, backfill)).to.deep.equal([ordered[0], ordered.at(-1)]);
          store.exec(SCAN_ONLY);
          const middle = ordered[1] as Key;
          const behind = `${select} WHERE ${key} > ${keyLiteral(middle)} ORDER BY ${key}`;
          expect(store.allExact<{ k: Key }>(behind).map(({ k }) => k)).to.deep.equal(ordered.slice(2));
          expect(store.pluck<string>(`EXPLAIN ${behind}`).join('\n'))
            .to.match(/Index.* Cond: /)
            .and.not.contain('Sort');
        },
        options,
      );
    });

    it(`${what} goes into the ledger and comes back`, async function () {
      if (!(await knows(options))) this.skip();
      await withStore(
        `${ddl} ${insert(keys)}`,
        (store) => {
          const pairs = store.allExact<{ k: Key; cell: string }>(
            `SELECT ${keySql(store, backfill)} AS k, ${ledgerKeySql(store, backfill)} AS cell FROM items AS t`,
          );
          expect(pairs).to.have.lengthOf(keys.length);
          for (const { k, cell } of pairs) {
            expect(cell).to.equal(toLedger(k));
            expect(fromLedger(cell)).to.equal(k);
          }
          store.exec('CREATE TEMP TABLE skips (key text PRIMARY KEY, other text COLLATE "C")');
          for (const key of keys) store.run('INSERT INTO skips VALUES (?, ?)', toLedger(key), toLedger(key));
          store.exec(
            `${SCAN_ONLY}; SET enable_hashjoin = off; SET enable_mergejoin = off; SET enable_hashagg = off`,
          );
          for (const column of ['key', 'other']) {
            const count = `SELECT count(*) AS n FROM items AS t
              WHERE EXISTS (SELECT 1 FROM skips AS s WHERE s.${column} = ${ledgerKeySql(store, backfill)})`;
            expect(store.get(count), column).to.deep.equal({ n: keys.length });
            if (column === 'other') continue;
            expect(store.pluck<string>(`EXPLAIN ${count}`).join('\n'), "by the ledger's index").to.contain(
              'Index Cond: (key = ',
            );
          }
        },
        options,
      );
    });
  }

  it('of no row has no range', () =>
    withStore('CREATE TABLE items (k bigint UNIQUE); INSERT INTO items VALUES (NULL)', (store) => {
      expect(keyRange(store, backfill)).to.equal(undefined);
      expect([toLedger(null), fromLedger(null)]).to.deep.equal([null, null]);
    }));

  for (const [reason, ddl, options] of [
    [
      'it is not the only column of the primary key or of a unique index',
      'k text, a text, PRIMARY KEY (k, a)',
    ],
    ['it is not the only column of the primary key or of a unique index', 'k bigint, a text'],
    [
      'it is not the only column of the primary key or of a unique index',
      'k int); CREATE INDEX i ON items (k); CREATE TABLE o (x int',
    ],
    [
      'it is not the only column of the primary key or of a unique index',
      'k int); CREATE UNIQUE INDEX i ON items (k) WHERE k > 0; CREATE TABLE o (x int',
    ],
    [
      'it is not the only column of the primary key or of a unique index',
      'k int); CREATE UNIQUE INDEX i ON items (abs(k)); CREATE TABLE o (x int',
    ],
    [
      'it is not the only column of the primary key or of a unique index',
      'k int UNIQUE DEFERRABLE INITIALLY IMMEDIATE',
    ],
    [
      'other tables inherit from this one, and rows of theirs may have the same key',
      'k int PRIMARY KEY); CREATE TABLE heir () INHERITS (items); CREATE TABLE o (x int',
    ],
    ['its declared type is neither of integers nor of texts', 'k numeric PRIMARY KEY'],
    ['its declared type is neither of integers nor of texts', 'k char(9) PRIMARY KEY'],
    ['its declared type is neither of integers nor of texts', 'k timestamptz PRIMARY KEY'],
    ['its collation is not C', 'k text COLLATE "en-x-icu" PRIMARY KEY'],
    [
      'its collation is not C',
      'k text COLLATE "C"); CREATE UNIQUE INDEX u ON items (k COLLATE "en-x-icu"); CREATE TABLE o (x int',
    ],
    [
      'its collation is not C',
      'k text PRIMARY KEY',
      { template0: { LOCALE_PROVIDER: 'icu', ICU_LOCALE: 'en' } },
    ],
    [
      'it holds values that are neither integers nor texts',
      'k int UNIQUE); INSERT INTO items VALUES (NULL), (1); CREATE TABLE o (x int',
    ],
  ] as readonly (readonly [reason: string, ddl: string, options?: DatabaseOptions])[]) {
    it(`is refused: ${reason} (${ddl.replace(/;.*/, '')})`, async function () {
      if (!(await knows(options))) this.skip();
      await withStore(
        `CREATE TABLE items (${ddl})`,
        async (store) => {
          const error = await failureOf('KEY_UNSUITABLE', () => {
            checkKey(store, backfill);
            checkKeyValues(store, backfill);
          });
          expect(error.message).to.equal(`k of items can not be the key of 001-own: ${reason}`);
        },
        options,
      );
    });
  }

  it('in an index that was begun is refused', () =>
    withDatabase(async ({ url, client }) => {
      await client.query('CREATE TABLE items (k int); INSERT INTO items VALUES (1), (1)');
      await client.query('CREATE UNIQUE INDEX CONCURRENTLY begun ON items (k)').catch(() => undefined);
      const store = openPostgresStore({ url }, { access: 'look' });
      try {
        await failureOf('KEY_UNSUITABLE', () => checkKey(store, backfill));
      } finally {
        store.close();
      }
    }));

  it('is looked at anew when a step before has changed its type', () =>
    withStore('CREATE TABLE items (k int PRIMARY KEY)', (store) => {
      checkKey(store, backfill);
      expect(keyKind(store, backfill)).to.equal('integer');
      store.exec('ALTER TABLE items ALTER COLUMN k TYPE text COLLATE "C"');
      checkKey(store, backfill);
      expect(keyKind(store, backfill)).to.equal('text');
    }));
});
