import { expect } from 'chai';
import fc from 'fast-check';
import { before, describe, it } from 'mocha';
import { fill, recordedSkips } from './support/compare-fill.js';
import { ENGINES, needEngine, type TestEngine, type TestStore } from './support/engines.js';
import { type HostileRow, hostileRow, insertHostileRows } from './support/hostile-rows.js';
import { isLong } from './support/long.js';
import { COLUMNS } from './support/oracle-words.js';
import type { PgForm } from './support/postgres-stores.js';

/** Rows of a store. A database takes long to make, and has few of the rows that only SQLite can hold. */
const ROWS = { SQLite: 110, PostgreSQL: 600 } as const;
/** What each engine has to fill at least, over all runs. */
const LEAST_ROWS = 1_000;

/** Insists that two are the same, and names the payloads that it is wrong for: the seed alone would leave the reader to look for them. */
async function expectSame<Value>(
  store: TestStore,
  expected: Map<string, Value>,
  actual: Map<string, Value>,
): Promise<void> {
  const show = (value: unknown): string => JSON.stringify(value ?? null).slice(0, 400);
  const keys = [...new Set([...expected.keys(), ...actual.keys()])];
  const wrong = keys.filter((key) => JSON.stringify(expected.get(key)) !== JSON.stringify(actual.get(key)));
  const differences = await Promise.all(
    wrong.map(async (key) => {
      const [payload] = await store.query(
        `SELECT CAST(payload AS TEXT) FROM task_audits WHERE audit_id = ${key}`,
      );
      return `row ${key}: expected ${show(expected.get(key))}, got ${show(actual.get(key))}, payload ${show(payload)}`;
    }),
  );
  if (differences.length > 0) throw new Error(differences.join('\n'));
}

/** The dumped table without the cells that are to be filled: what stood in them, be it of another type, is there. */
async function standing(store: TestStore): Promise<string[][]> {
  const isOurNull = new RegExp(`^(?:${COLUMNS.join('|')})=(?:null:|NULL)$`);
  return ((await store.dump()).tables.task_audits ?? []).map((row) =>
    row.split(' ').filter((cell) => !isOurNull.test(cell)),
  );
}

/** Fills hostile rows and compares everything with the oracle, which looks before; returns how many rows there were. */
async function fillHostile(
  engine: TestEngine,
  form: PgForm,
  { rows, batchRows, firstKey }: { rows: readonly HostileRow[]; batchRows: number; firstKey: number },
): Promise<number> {
  const options = {
    audits: 0,
    smallSchema: true,
    form,
    prepare: (db: Parameters<typeof insertHostileRows>[0]) => {
      for (const column of COLUMNS) db.exec(`ALTER TABLE task_audits ADD COLUMN ${column} TEXT`);
      insertHostileRows(db, rows, firstKey);
    },
  };
  return await engine.withStore(options, async (store) => {
    const [expected, before] = [await store.expected(), await standing(store)];
    const ledger = await fill(store, { batchRows });
    await expectSame(store, expected.cells, await store.cells());
    await expectSame(store, expected.skips, recordedSkips(ledger));
    const after = await standing(store);
    before.forEach((cells, i) => {
      expect(after[i], `row ${i}`).to.include.members(cells);
    });
    return before.length;
  });
}

for (const engine of ENGINES) {
  const forms: readonly (readonly [what: string, form: PgForm, runs: number])[] =
    engine.name === 'SQLite'
      ? [['', {}, 24]]
      : [
          [' of text', {}, isLong ? 7 : 4],
          [' of json', { payload: 'json' }, 1],
          [' of jsonb', { payload: 'jsonb' }, 1],
        ];

  const rows = ROWS[engine.name];
  const least = engine.name === 'SQLite' ? [1, 2, 7, 50] : [11, 50, 110];

  describe(`${engine.name}: up, with hostile rows`, () => {
    before(function () {
      needEngine(this, engine);
    });

    for (const [what, form, runs] of forms) {
      it(`fills ${runs * rows} generated rows with payloads${what} as the oracle says, cell by cell`, async () => {
        let filled = 0;
        const property = fc.asyncProperty(
          fc.record({
            rows: fc.array(hostileRow, { minLength: rows, maxLength: rows, size: 'max' }),
            batchRows: fc.constantFrom(...least, rows - 1, rows, rows + 1, 5000),
            firstKey: fc.constantFrom(-2000, 1, 2 ** 45),
          }),
          async (drawn) => {
            filled += await fillHostile(engine, form, drawn);
          },
        );
        // Shrinking so many rows takes minutes and says no more than the rows that differ.
        await fc.assert(property, { numRuns: runs, endOnFailure: true });
        if (form.payload === undefined) expect(filled).to.be.at.least(LEAST_ROWS);
        else expect(filled).to.be.greaterThan(50);
      });
    }
  });
}
