import { expect } from 'chai';
import { before, describe, it } from 'mocha';
import { createMigrator } from '../src/index.js';
import { changedCells } from './support/compare-fill.js';
import { ENGINES, needEngine, type TestStore, type TestStoreOptions } from './support/engines.js';
import { expectSameMap, expectSameTables } from './support/expect-same.js';
import { isLong } from './support/long.js';
import { codeOf, down, name as NAME } from './support/migrate.js';
import {
  emptied,
  filled,
  leftIn,
  options,
  rescanned,
  smallStore,
  stoppedEmptying,
  written,
} from './support/resumable.js';
import { backfillStep, failureOf, schemaStep } from './support/stores.js';

const plain: TestStoreOptions = { ...smallStore, rareShare: 0 };

const keysOf = (cells: readonly string[], column: string): string[] =>
  cells.filter((cell) => cell.endsWith(` ${column}`)).map((cell) => cell.split(' ')[0] ?? '');

/** Insists that the store is what it was, schema and every cell of every table. */
async function expectAsBefore(
  store: TestStore,
  before: Awaited<ReturnType<TestStore['dump']>>,
): Promise<void> {
  const after = await store.dump();
  expectSameTables(after.tables, before.tables);
  expect(after.schema).to.deep.equal(before.schema);
}

for (const engine of ENGINES) {
  const withStore = (act: (store: TestStore) => Promise<void>, changed: TestStoreOptions = smallStore) =>
    engine.withStore(changed, act);
  /** Of the batches after which a run is stopped: on PostgreSQL, where each takes longer, every third. */
  const step = engine.name === 'SQLite' || isLong ? 1 : 3;

  describe(`${engine.name}: down`, () => {
    before(function () {
      needEngine(this, engine);
    });

    for (const [what, prepare] of [
      ['v20', ''],
      [
        'v20 with one of the columns and its values',
        `ALTER TABLE task_audits ADD COLUMN source_event_ts TEXT;
        UPDATE task_audits SET source_event_ts = created_at WHERE audit_id % 4 = 0`,
      ],
      [
        'v15, with both columns, an index and values',
        `ALTER TABLE task_audits ADD COLUMN source_event_ts TEXT;
        ALTER TABLE task_audits ADD COLUMN supervisor_processed_at TEXT;
        CREATE INDEX idx_task_audits_lag ON task_audits (source_event_ts, supervisor_processed_at);
        UPDATE task_audits SET source_event_ts = 'own' WHERE audit_id % 3 = 0;
        UPDATE task_audits SET supervisor_processed_at = created_at WHERE audit_id % 4 = 0`,
      ],
    ] as const) {
      it(`leaves nothing of ours behind on a store of ${what}, so that up can begin anew`, () =>
        withStore(
          async (store) => {
            const [before, expected] = [await store.dump(), await store.expected()];
            for (let i = 0; i < 2; i += 1) {
              const { ledger, cells } = await filled(store);
              expectSameMap(cells, expected.cells);
              expect(await emptied(store)).to.deep.equal({
                reverted: ledger.cells.length,
                kept: 0,
                gone: 0,
                underivable: 0,
              });
              expect(codeOf(await down(store, {}, options))).to.equal(undefined);
              await expectAsBefore(store, before);
            }
          },
          { ...smallStore, prepare },
        ));
    }

    it('refuses to drop a column that has values, and counts them', () =>
      withStore(async (store) => {
        // Alone, as an Umzug may be asked to: the command takes the backfill back before.
        const { path, postgres } = store.address;
        const migrator = createMigrator({
          database: postgres?.url ?? path,
          steps: { [schemaStep.name]: schemaStep, [NAME]: backfillStep },
          backup: false,
        });
        const losses = () =>
          failureOf('COLUMN_HAS_VALUES', () => migrator.down({ migrations: [schemaStep.name] }));
        const counts = (cells: readonly string[]): string =>
          schemaStep.columns.map(({ name }) => `${keysOf(cells, name).length} in ${name}`).join(', ');
        const { ledger } = await filled(store);
        expect((await losses()).message).to.match(new RegExp(`: ${counts(ledger.cells)}$`));
        await emptied(store);
        // An empty text is a value, too.
        await store.change(`UPDATE task_audits SET source_event_ts = '' WHERE audit_id <= 3`);
        expect((await losses()).message).to.match(/: 3 in source_event_ts, 0 in supervisor_processed_at$/);
        expect(codeOf(await down(store, {}, { ...options, confirmed: true }))).to.equal(undefined);
      }));

    it('stopped after any batch, and followed by up, fills again what it had taken back', () =>
      withStore(async (store) => {
        const [before, expected] = [await store.cells(), await store.expected()];
        const { ledger: whole } = await filled(store);
        for (let k = 1; k < whole.batches.length; k += step) {
          const left = await stoppedEmptying(store, k);
          expect(left.ledger.status).to.equal('reverting');
          expect(left.ledger.batches).to.have.length(whole.batches.length - k);
          expect(changedCells(before, left.cells)).to.deep.equal([...left.ledger.cells].sort());
          const again = await filled(store);
          expectSameMap(again.cells, expected.cells);
          // The run that was taken back goes on from there: its cells are not left to a catch-up.
          expect(again.ledger).to.deep.equal(whole);
        }
      }));

    it('stopped within a rescan, a catch-up or the first run, and followed by up, ends as before', () =>
      withStore(async (store) => {
        const before = await store.cells();
        await filled(store);
        await store.insert(...written(71), { key: 72, payload: '' });
        await filled(store, { batchRows: 1 });
        // On SQLite a catch-up does not look for them.
        await store.insert(...written(-1), { key: -2, payload: '' });
        const expected = await store.expected();
        const { runs } = (await rescanned(store)).ledger;
        expect(runs.map(({ kind }) => kind)).to.deep.equal(['first', 'catch-up', 'rescan']);
        const batches = async (): Promise<number> => (await leftIn(store)).ledger.batches.length;
        const count = await batches();
        for (let k = 1; k < count && (await batches()) > k; k += step) {
          await stoppedEmptying(store, k);
          const { ledger, cells } = await filled(store);
          expectSameMap(cells, expected.cells);
          expect([...ledger.cells].sort()).to.deep.equal(changedCells(before, cells));
        }
        expect(await emptied(store)).to.include({ kept: 0 });
        expect(changedCells(before, await store.cells())).to.deep.equal([]);
      }));

    it('leaves cells that AgentOS has changed, and counts them, over stops too', () =>
      withStore(async (store) => {
        const { ledger: whole } = await filled(store);
        const [first = '', second = ''] = keysOf(whole.cells, 'source_event_ts');
        const last = keysOf(whole.cells, 'supervisor_processed_at').at(-1) ?? '';
        await store.change(
          `UPDATE task_audits SET source_event_ts = 'theirs' WHERE audit_id IN (${first}, ${last});
          UPDATE task_audits SET supervisor_processed_at = 'theirs' WHERE audit_id = ${last};
          UPDATE task_audits SET source_event_ts = NULL WHERE audit_id = ${second}`,
        );
        await stoppedEmptying(store, 1);
        expect((await store.ledger()).step(NAME)?.keptCells).to.equal(2);
        await stoppedEmptying(store, whole.batches.length - 2);
        // A cell that is NULL already is neither taken back nor kept.
        expect(await emptied(store)).to.deep.equal({
          reverted: whole.cells.length - 4,
          kept: 3,
          gone: 0,
          underivable: 0,
        });
        const left = [...(await store.cells())].filter(([, cells]) => cells.some((cell) => cell !== null));
        expect(left).to.deep.equal([
          [first, ['theirs', null]],
          [last, ['theirs', 'theirs']],
        ]);
        expect((await store.ledger()).step(NAME)).to.equal(undefined);
      }, plain));

    it('leaves cells whose payload can not be read any more, or says something else', () =>
      withStore(async (store) => {
        const { ledger, cells: full } = await filled(store);
        const [a = '', b = '', c = '', d = ''] = keysOf(ledger.cells, 'source_event_ts');
        await store.change(
          `UPDATE task_audits SET payload = substr(payload, 2) WHERE audit_id = ${a};
          UPDATE task_audits SET payload = '{"source_event_ts":"new","timestamp":"new"}' WHERE audit_id = ${b};
          UPDATE task_audits SET event_type = 'TASK_CREATED' WHERE audit_id = ${c}`,
        );
        const isBlob = engine.name === 'SQLite';
        if (isBlob)
          await store.change(`UPDATE task_audits SET payload = CAST(payload AS BLOB) WHERE audit_id = ${d}`);
        expect(await emptied(store)).to.include({ kept: isBlob ? 6 : 4 });
        const cells = await store.cells();
        for (const key of isBlob ? [a, b, d] : [a, b]) expect(cells.get(key)).to.deep.equal(full.get(key));
        // It was NULL before up, and in scope or not it can be told from its payload.
        expect(cells.get(c)).to.deep.equal([null, null]);
      }, plain));
  });
}
