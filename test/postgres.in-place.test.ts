import { expect } from 'chai';
import fc from 'fast-check';
import { before, describe, it } from 'mocha';
import type pg from 'pg';
import { createMigrator, defineBackfill, sql } from '../src/index.js';
import { withEmptiedDatabase } from './support/emptied-database.js';
import { passing } from './support/failpoints.js';
import { ledgeredCells, readPgLedger } from './support/ledger.js';
import { isLong } from './support/long.js';
import { needServer } from './support/postgres-server.js';

// Rows whose values are expressions are updated where they are found. A table with a trigger is filled by a join, as are rows of which
// only some columns are filled: either must leave the same.

const NAME = '001-values';

/** Divides by zero outside its scope, has no value for one name, and a value for one column where there is no name. */
const backfill = defineBackfill({
  table: 'items',
  key: 'id',
  scope: 'n <> 0 AND n <> 4',
  columns: {
    a: sql(`CASE WHEN name = 'None' THEN NULL ELSE 100 / n END`),
    b: sql(`nullif(lower(name), 'none')`),
  },
});

/** A row before `up`, and what the application does with it afterwards. */
interface Row {
  readonly id: number;
  readonly n: number;
  readonly name: string | null;
  readonly a: number | null;
  readonly b: string | null;
  readonly later: 'nothing' | 'delete' | 'change' | 'clear' | 'name';
}

const rowsOf = fc.uniqueArray(
  fc.record<Row>({
    id: fc.integer({ min: 1, max: 30 }),
    n: fc.constantFrom(1, 2, 4, 0),
    name: fc.constantFrom('None', 'Ann', 'Bob', null),
    a: fc.constantFrom(null, null, null, 7),
    b: fc.constantFrom(null, null, null, 'own'),
    later: fc.constantFrom('nothing', 'nothing', 'nothing', 'delete', 'change', 'clear', 'name'),
  }),
  { selector: ({ id }) => id, minLength: 8, maxLength: 24 },
);

/** One of each kind, next to each other. */
const EACH: readonly Row[] = [
  ...(['nothing', 'delete', 'change', 'clear', 'name'] as const).map((later) => ({ name: 'Ann', later })),
  ...(['nothing', 'delete', 'name'] as const).map((later) => ({ name: 'None', later })),
  { name: null, later: 'name' as const },
  { name: 'Bob', later: 'nothing' as const, n: 0 },
  { name: 'Bob', later: 'nothing' as const, n: 4 },
  { name: 'Bob', later: 'nothing' as const, a: 7 },
  { name: 'Bob', later: 'change' as const, b: 'own' },
].map((row, i) => ({ id: i + 1, n: 2, a: null, b: null, ...row }));

const LATER: Readonly<Record<Row['later'], string>> = {
  nothing: 'SELECT $1',
  delete: 'DELETE FROM items WHERE id = $1',
  change: `UPDATE items SET b = 'changed' WHERE id = $1`,
  clear: 'UPDATE items SET a = NULL WHERE id = $1',
  name: `UPDATE items SET name = 'Late' WHERE id = $1`,
};

const TRIGGER = `CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
  CREATE TRIGGER nothing BEFORE UPDATE ON items FOR EACH ROW EXECUTE FUNCTION nothing()`;

/** A row as the database has it. */
type Stored = Readonly<Record<'id' | 'n' | 'name' | 'a' | 'b', string | number | null>>;

const tableOf = async (client: pg.ClientBase): Promise<Stored[]> =>
  (await client.query('SELECT * FROM items ORDER BY id')).rows;

/** The table after `down`, computed without the database: cells that it filled are NULL if they hold what their row derives. */
const reverted = (rows: readonly Stored[], cells: ReadonlySet<string>): Stored[] =>
  rows.map((row) => {
    const [name, n] = [row.name === null ? null : String(row.name).toLowerCase(), Number(row.n)];
    const values = { a: name === 'none' ? null : Math.trunc(100 / n), b: name === 'none' ? null : name };
    const isOurs = (column: 'a' | 'b') => cells.has(`${row.id} ${column}`) && row[column] === values[column];
    return { ...row, a: isOurs('a') ? null : row.a, b: isOurs('b') ? null : row.b };
  });

/** Runs `up`, what the application does, a rescan and `down`; returns the table and the ledger after each. */
const lifeOf = (key: string, rows: readonly Row[], hasTrigger: boolean): Promise<unknown[]> =>
  withEmptiedDatabase(async ({ url, client }) => {
    await client.query(
      `CREATE TABLE items (id ${key} PRIMARY KEY, n int NOT NULL, name text, a int, b text)`,
    );
    for (const { id, n, name, a, b } of rows)
      await client.query('INSERT INTO items VALUES ($1, $2, $3, $4, $5)', [id, n, name, a, b]);
    if (hasTrigger) await client.query(TRIGGER);
    const migrator = createMigrator({
      database: url,
      steps: { [NAME]: backfill },
      batchRows: 5,
      allowTriggers: true,
      onEvent(event) {
        if (event.event === 'batch_reverted') counts.push(event);
      },
    });
    const seen: unknown[] = [];
    const counts: unknown[] = [];
    const look = async (): Promise<void> => {
      const table = await tableOf(client);
      const ledger = await readPgLedger(client);
      const batches = ledger
        .batches(NAME)
        .map(({ firstKey, lastKey, rowsScanned }) => [firstKey, lastKey, rowsScanned]);
      seen.push({ table, batches, cells: ledgeredCells(ledger, NAME).sort(), skips: ledger.skips(NAME) });
    };
    await migrator.up();
    await look();
    for (const { id, later } of rows) await client.query(LATER[later], [id]);
    await migrator.backfill(NAME, { rescan: true });
    await look();
    const expected = reverted(
      await tableOf(client),
      new Set(ledgeredCells(await readPgLedger(client), NAME)),
    );
    await migrator.down();
    expect(await tableOf(client)).to.deep.equal(expected);
    seen.push(counts);
    await look();
    return seen;
  });

/** Constants by the type of their column, and what the application does after `up`: the type can then no longer hold them. */
const CONSTANTS: readonly (readonly [type: string, value: string, later?: string])[] = [
  ['mood', `'calm'`],
  ['integer', `'5'`],
  ['jsonb', `'{}'`],
  ['date', `'2026-01-20'`],
  ['text', `'calm'`],
  ['text', `'calm'`, 'ALTER TABLE items ALTER c TYPE integer USING 1'],
  ['bigint', '3000000000', 'ALTER TABLE items ALTER c TYPE integer USING 1'],
];

describe('a backfill of expressions on PostgreSQL', () => {
  before(function () {
    needServer(this);
  });

  for (const [type, value, later] of CONSTANTS)
    it(`takes back the constant ${value} of ${type}${later === undefined ? '' : ', whose type changed'}`, () =>
      withEmptiedDatabase(async ({ url, client }) => {
        await client.query(`CREATE TYPE mood AS ENUM ('calm')`);
        await client.query(`CREATE TABLE items (id integer PRIMARY KEY, c ${type})`);
        await client.query('INSERT INTO items SELECT generate_series(1, 3)');
        const steps = { [NAME]: defineBackfill({ table: 'items', key: 'id', columns: { c: sql(value) } }) };
        const migrator = createMigrator({ database: url, steps });
        await migrator.up();
        if (later !== undefined) await client.query(later);
        const { rows } = await client.query('SELECT * FROM items ORDER BY id');
        await migrator.down();
        expect((await client.query('SELECT * FROM items ORDER BY id')).rows).to.deep.equal(
          rows.map(({ id, c }) => ({ id, c: later === undefined ? null : c })),
        );
      }));

  for (const key of ['bigint', 'text COLLATE "C"'])
    it(`fills in place what it fills by a join, and takes the same back (${key})`, async function () {
      this.timeout(0);
      await fc.assert(
        fc.asyncProperty(rowsOf, async (rows) => {
          expect(await lifeOf(key, rows, false)).to.deep.equal(await lifeOf(key, rows, true));
        }),
        { numRuns: isLong ? 100 : 3, examples: [[EACH]] },
      );
    });

  it('reads few rows for few keys', () =>
    withEmptiedDatabase(async ({ url, client }) => {
      await client.query('CREATE TABLE items (id integer PRIMARY KEY, n integer, wide text, c integer)');
      await client.query(
        `INSERT INTO items SELECT g, g % 100, repeat('x', 1000) FROM generate_series(1, 1900) AS g`,
      );
      await client.query('CREATE INDEX due ON items (id) WHERE n = 0; ANALYZE items');
      const columns = { c: sql('n + 1') };
      const steps = { [NAME]: defineBackfill({ table: 'items', key: 'id', scope: 'n = 0', columns }) };
      const migrator = createMigrator({ database: url, steps });
      const plansOf = async (act: () => Promise<unknown>): Promise<string> => {
        const updates: string[] = [];
        await passing(({ detail }) => {
          if (detail.includes('UPDATE "items"')) updates.push(detail);
        }, act);
        expect(updates).not.to.deep.equal([]);
        return JSON.stringify((await client.query(`EXPLAIN ${updates[0]}`)).rows);
      };
      const fill = await plansOf(() => migrator.up());
      const revert = await plansOf(() => migrator.down());
      expect(fill).to.include('Index Scan using due on items');
      expect(revert).to.match(/Index Scan using items_pkey on items.*Index Cond: [^\]]*= ANY/);
    }));
});
