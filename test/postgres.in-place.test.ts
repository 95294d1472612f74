import { expect } from 'chai';
import fc from 'fast-check';
import { before, describe, it } from 'mocha';
import { createMigrator, defineBackfill, sql } from '../src/index.js';
import { withEmptiedDatabase } from './support/emptied-database.js';
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

const LATER: Readonly<Record<Row['later'], string>> = {
  nothing: 'SELECT $1',
  delete: 'DELETE FROM items WHERE id = $1',
  change: `UPDATE items SET b = 'changed' WHERE id = $1`,
  clear: 'UPDATE items SET a = NULL WHERE id = $1',
  name: `UPDATE items SET name = 'Late' WHERE id = $1`,
};

const TRIGGER = `CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
  CREATE TRIGGER nothing BEFORE UPDATE ON items FOR EACH ROW EXECUTE FUNCTION nothing()`;

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
      const { rows: table } = await client.query('SELECT * FROM items ORDER BY id');
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
    await migrator.down();
    seen.push(counts);
    await look();
    return seen;
  });

describe('a backfill of expressions on PostgreSQL', () => {
  before(function () {
    needServer(this);
  });

  for (const key of ['bigint', 'text COLLATE "C"'])
    it(`fills in place what it fills by a join, and takes the same back (${key})`, async function () {
      this.timeout(0);
      await fc.assert(
        fc.asyncProperty(rowsOf, async (rows) => {
          expect(await lifeOf(key, rows, false)).to.deep.equal(await lifeOf(key, rows, true));
        }),
        { numRuns: isLong ? 100 : 5 },
      );
    });
});
