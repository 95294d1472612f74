import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { expect } from 'chai';
import { before, describe, it } from 'mocha';
import { defineBackfill, defineSchemaStep, defineSqlStep, sql } from '../src/index.js';
import { ledgeredCells } from './support/ledger.js';
import { TEXTS } from './support/odd-texts.js';
import { type DatabaseOptions, needServer } from './support/postgres-server.js';
import {
  needVersion,
  refusalOf,
  sqlState,
  succeed,
  type Tables,
  withPgTables,
} from './support/postgres-tables.js';
import { named } from './support/project.js';
import { compareKeys, type Key } from './support/pure.js';

const NAME = '001-own';
const BACKFILL = { table: 'items', key: 'k' };
const filling = named(NAME, defineBackfill({ ...BACKFILL, columns: { b: sql(`'x'`) } }));
const skipping = named(
  NAME,
  defineBackfill({
    ...BACKFILL,
    reads: ['b'],
    columns: ['b'],
    process: (rows, { skip }) => rows.map(() => skip('NONE')),
  }),
);

/** A batch is so small that there are several. */
const SMALL_BATCHES = { batchRows: 2 };

const INTEGERS = [-(2n ** 63n), -5n, 0n, 3n, 2n ** 53n + 1n, 2n ** 63n - 1n];
const SMALL = [-32768n, 0n, 32767n];
const UUIDS = [
  '00000000-0000-0000-0000-000000000000',
  '0a000000-0000-4000-8000-000000000000',
  'A0000000-0000-4000-8000-00000000000f',
  'ffffffff-ffff-ffff-ffff-ffffffffffff',
].map((text) => text.toLowerCase());

const insert = (keys: readonly Key[]): string =>
  `INSERT INTO items (k) VALUES ${keys.map((key) => `('${String(key).replaceAll("'", "''")}')`).join(', ')};`;

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

/** Needs a server that has these options of a database: in version 15 ICU, in 17 locales of its own. */
async function needOptions(test: Mocha.Context, { template0 }: DatabaseOptions = {}): Promise<void> {
  const provider = template0?.LOCALE_PROVIDER;
  await needVersion(test, provider === 'icu' ? 150_000 : provider === 'builtin' ? 170_000 : 0);
}

/** The statements by which the batches of a command are filled, as the server gets them. */
async function batchesOf(act: () => Promise<unknown>): Promise<string[]> {
  const found: string[] = [];
  const listen = (message: unknown): void => {
    const { at, detail } = message as { readonly at: string; readonly detail: string };
    if (at === 'statement' && /^WITH (?:updated|read_rows)/.test(detail)) found.push(detail);
  };
  subscribe('umzug-backfill:failpoint', listen);
  try {
    await act();
  } finally {
    unsubscribe('umzug-backfill:failpoint', listen);
  }
  return found;
}

/** How the server reads the rows of a batch where an index is to be had. */
async function planOf({ exec, rows }: Tables, statement: string): Promise<string> {
  const ways = ['seqscan', 'bitmapscan', 'sort', 'hashjoin', 'mergejoin', 'hashagg'];
  await exec(ways.map((way) => `SET enable_${way} = off`).join(';'));
  const plan = await rows(`EXPLAIN ${statement}`);
  await exec(ways.map((way) => `RESET enable_${way}`).join(';'));
  return plan.join('\n').split('CTE recorded')[0] ?? '';
}

/** So many skips that an index is worth it. */
const MANY_SKIPS = `INSERT INTO umzug_backfill_skips
    SELECT r.* FROM (SELECT * FROM umzug_backfill_skips LIMIT 1) AS s CROSS JOIN generate_series(1, 5000) AS n
      CROSS JOIN LATERAL jsonb_populate_record(NULL::umzug_backfill_skips, to_jsonb(s) || jsonb_build_object('key', 'x' || n)) AS r;
  ANALYZE umzug_backfill_skips`;

const withItems = (ddl: string, act: (tables: Tables) => Promise<void>, options?: DatabaseOptions) =>
  withPgTables(`${ddl}; ALTER TABLE items ADD COLUMN b text`, act, options);

before(function () {
  needServer(this);
});

describe('a key in PostgreSQL', () => {
  for (const [what, ddl, keys, options] of suited) {
    const ordered = keys.toSorted(compareKeys);

    it(`${what} is ordered as this program orders, by an index`, async function () {
      await needOptions(this, options);
      await withItems(
        `${ddl} ${insert(keys)}`,
        async (tables) => {
          const commands = tables.of([filling], tables.url, SMALL_BATCHES);
          const batches = await batchesOf(() => succeed(commands.up()));
          const ledger = await tables.ledger();
          expect(ledgeredCells(ledger, NAME)).to.deep.equal(ordered.map((key) => `${key} b`));
          // Of a batch of two rows, the first and the last are all.
          const passed = ledger.batches(NAME).flatMap(({ firstKey, lastKey }) => [firstKey, lastKey]);
          expect([...new Set(passed)]).to.deep.equal(ordered);
          expect(ledger.runs(NAME)[0]?.watermark).to.equal(ordered.at(-1));
          expect(await planOf(tables, batches[1] ?? '')).to.match(
            /Update on items t .*\n(?:.*Update on .*\n)*(?:.*Append.*\n)?\s*->\s+Index Scan using .* on \w+ t\w* .*\n\s*Index Cond: /,
          );
          await succeed(commands.down());
          expect(await tables.rows('SELECT 1 FROM items WHERE b IS NOT NULL')).to.deep.equal([]);
        },
        options,
      );
    });

    it(`${what} goes into the ledger and comes back`, async function () {
      await needOptions(this, options);
      await withItems(
        `${ddl} ${insert(ordered.slice(0, -1))}`,
        async (tables) => {
          const commands = tables.of([skipping], tables.url, SMALL_BATCHES);
          await succeed(commands.up());
          const skipped = async () => (await tables.ledger()).skips(NAME).map(({ key }) => key);
          expect(await skipped()).to.deep.equal(ordered.slice(0, -1));
          const [told] = await commands.skips();
          expect(told?.skips.map(({ key }) => key)).to.have.members(ordered.slice(0, -1).map(String));
          expect((await commands.plan(['up'])).steps, 'what was skipped is left').to.deep.equal([]);
          await tables.exec(insert(ordered.slice(-1)));
          const [first = ''] = await batchesOf(() => succeed(commands.backfill()));
          expect(await skipped()).to.deep.equal(ordered);
          await tables.exec(MANY_SKIPS);
          expect(await planOf(tables, first), "by the ledger's index").to.match(
            /umzug_backfill_skips.*\n\s*Index Cond: .*key = /,
          );
        },
        options,
      );
    });
  }

  it('of no row is of no batch', () =>
    withItems('CREATE TABLE items (k bigint PRIMARY KEY)', async (tables) => {
      await succeed(tables.of([filling]).up());
      const ledger = await tables.ledger();
      expect([ledger.step(NAME)?.status, ledger.batches(NAME)]).to.deep.equal(['applied', []]);
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
      'other tables inherit from this one, and their rows may have the same key',
      'k int PRIMARY KEY); CREATE TABLE heir () INHERITS (items); CREATE TABLE o (x int',
    ],
    ['its declared type is neither an integer nor a text type', 'k numeric PRIMARY KEY'],
    ['its declared type is neither an integer nor a text type', 'k char(9) PRIMARY KEY'],
    ['its declared type is neither an integer nor a text type', 'k timestamptz PRIMARY KEY'],
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
      'it contains values that are neither integers nor texts',
      'k int UNIQUE); INSERT INTO items VALUES (NULL), (1); CREATE TABLE o (x int',
    ],
  ] as readonly (readonly [reason: string, ddl: string, options?: DatabaseOptions])[]) {
    it(`is refused: ${reason} (${ddl.replace(/;.*/, '')})`, async function () {
      await needOptions(this, options);
      await withItems(
        `CREATE TABLE items (${ddl})`,
        async ({ of }) => {
          const { message } = await refusalOf('KEY_UNSUITABLE', of([filling]).up());
          expect(message).to.equal(`k of items cannot be the key of 001-own: ${reason}`);
        },
        options,
      );
    });
  }

  it('of another collation is refused with the index that would do', () =>
    withItems(
      `CREATE TABLE items (k text COLLATE "en-x-icu" PRIMARY KEY); INSERT INTO items VALUES ('x'), ('y')`,
      async ({ client, of, rows }) => {
        const { hint } = await refusalOf('KEY_UNSUITABLE', of([filling]).up());
        const [, statement = ''] =
          /: (CREATE UNIQUE INDEX .*); or set `key` to another column/.exec(hint) ?? [];
        await client.query(statement);
        await succeed(of([filling]).up());
        expect(await rows('SELECT k, b FROM items ORDER BY k')).to.deep.equal([
          ['x', 'x'],
          ['y', 'x'],
        ]);
      },
    ));

  it('in an index that was begun is refused', () =>
    withItems('CREATE TABLE items (k int); INSERT INTO items VALUES (1), (1)', async ({ client, of }) => {
      expect(await sqlState(client, 'CREATE UNIQUE INDEX CONCURRENTLY begun ON items (k)')).to.equal('23505');
      await refusalOf('KEY_UNSUITABLE', of([filling]).up());
    }));

  it('of a table with partitions that go by another column is refused with what does: a backfill for each partition', () =>
    withPgTables(
      `CREATE TABLE whole (id bigint, day date, a text, PRIMARY KEY (id, day)) PARTITION BY RANGE (day);
      CREATE TABLE older PARTITION OF whole FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
      CREATE TABLE newer PARTITION OF whole FOR VALUES FROM ('2026-02-01') TO ('2026-03-01');
      INSERT INTO whole SELECT n, '2026-01-15'::date + n, 'x' || n FROM generate_series(1, 30) AS n`,
      async ({ client, of, rows }) => {
        const columns = named(
          '001-columns',
          defineSchemaStep({ table: 'whole', columns: { b: 'text' }, indexes: { i_b: { columns: ['b'] } } }),
        );
        const fill = (table: string) =>
          named(`002-${table}`, defineBackfill({ table, key: 'id', columns: { b: sql('upper(a)') } }));
        const hintFor = async (...tables: string[]): Promise<string> =>
          (await refusalOf('KEY_UNSUITABLE', of([columns, ...tables.map(fill)]).up())).hint;
        expect(await hintFor('whole')).to.match(
          /^Declare a backfill for each partition of whole, and a schema step for whole itself; .*ON PARTITION \("id"\)/,
        );
        for (const table of ['newer', 'older']) {
          const [, statement = ''] =
            /: (CREATE UNIQUE INDEX .*); or set `key` to another column/.exec(
              await hintFor('newer', 'older'),
            ) ?? [];
          expect(statement).to.include(` ON "${table}" `);
          await client.query(statement);
        }
        const commands = of([columns, fill('newer'), fill('older')]);
        const { applied, verifications } = await succeed(commands.up());
        expect(applied).to.deep.equal(['001-columns', '002-newer', '002-older']);
        expect(verifications.map(({ verdict }) => verdict)).to.deep.equal(['pass', 'pass']);
        expect(await rows('SELECT count(*)::int FROM whole WHERE b = upper(a)')).to.deep.equal([[30]]);
        await succeed(commands.down({ to: 0 }));
        expect(
          await rows(`SELECT 1 FROM pg_attribute WHERE attname = 'b' AND attrelid = 'whole'::regclass`),
        ).to.deep.equal([]);
      },
    ));

  it('is looked at anew when a step before has changed its type', () =>
    withItems(
      'CREATE TABLE items (k int PRIMARY KEY, c text); INSERT INTO items VALUES (9), (10)',
      async (tables) => {
        const change = defineSqlStep({ up: ['ALTER TABLE items ALTER COLUMN k TYPE text COLLATE "C"'] });
        const again = defineBackfill({ ...BACKFILL, columns: { c: sql(`'x'`) } });
        await succeed(tables.of([filling, named('002-type', change), named('003-again', again)]).up());
        const ledger = await tables.ledger();
        expect(ledgeredCells(ledger, NAME)).to.deep.equal(['9 b', '10 b']);
        expect(ledgeredCells(ledger, '003-again')).to.deep.equal(['10 c', '9 c']);
        expect(ledger.runs('003-again')[0]?.watermark).to.equal('9');
      },
    ));
});
