import { expect } from 'chai';
import { before, describe, it } from 'mocha';
import { revertBackfillStep, runAgain } from '../src/backfill/runner.js';
import { checkLosses, revertSchemaStep } from '../src/schema/run.js';
import { changedCells } from './support/compare-fill.js';
import {
  ENGINES,
  needEngine,
  type Opened,
  type TestStore,
  type TestStoreOptions,
} from './support/engines.js';
import { expectSameMap, expectSameTables } from './support/expect-same.js';
import { batchRows, filled, smallStore, written } from './support/resumable.js';
import { failure, refusal, stoppedAfter } from './support/run-up.js';
import { backfillStep, ledgeredCells, schemaStep } from './support/stores.js';

const NAME = backfillStep.name;
const plain: TestStoreOptions = { ...smallStore, rareShare: 0 };

const empty = ({ store, ledger }: Opened, run = {}) =>
  revertBackfillStep(store, ledger, backfillStep, { pace: 'full', ...run });
const revertSchema = ({ store, ledger }: Opened): void =>
  revertSchemaStep(store, ledger, schemaStep, { isConfirmed: true });
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
              expectSameMap((await filled(store)).cells, expected.cells);
              await store.opened(async (opened) => {
                const cells = ledgeredCells(opened.ledger).length;
                expect(await empty(opened)).to.deep.equal({ reverted: cells, kept: 0 });
                revertSchema(opened);
              });
              await expectAsBefore(store, before);
            }
          },
          { ...smallStore, prepare },
        ));
    }

    it('refuses to drop a column that has values, and counts them', () =>
      withStore(async (store) => {
        const losses = (isConfirmed = false) =>
          store.opened(({ store: opened, ledger }) =>
            checkLosses(opened, ledger, schemaStep, { isConfirmed }),
          );
        const counts = (cells: readonly string[]): string =>
          schemaStep.columns.map(({ name }) => `${keysOf(cells, name).length} in ${name}`).join(', ');
        const { ledger } = await filled(store);
        expect(await refusal(() => losses())).to.match(
          new RegExp(`^COLUMN_HAS_VALUES: .*: ${counts(ledger.cells)}$`),
        );
        expect(await losses(true)).to.equal(undefined);
        await store.opened(empty);
        expect(await losses()).to.equal(undefined);
        // An empty text is a value, too.
        await store.change(`UPDATE task_audits SET source_event_ts = '' WHERE audit_id <= 3`);
        expect(await refusal(() => losses())).to.include(
          '3 in source_event_ts, 0 in supervisor_processed_at',
        );
      }));

    it('stopped after any batch, and followed by up, fills again what it had taken back', () =>
      withStore(async (store) => {
        const [before, expected] = [await store.cells(), await store.expected()];
        const { ledger: whole } = await filled(store);
        for (let k = 1; k < whole.batches.length; k += 1) {
          const taken = await store.opened(async (opened) => {
            const error = await failure(() => empty(opened, stoppedAfter(k, batchRows)));
            expect(error).to.include({ code: 'TERMINATED' });
            expect(opened.ledger.step(NAME)?.status).to.equal('reverting');
            expect(opened.ledger.batches(NAME)).to.have.length(whole.batches.length - k);
            return ledgeredCells(opened.ledger).sort();
          });
          expect(changedCells(before, await store.cells())).to.deep.equal(taken);
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
        await store.opened(async ({ store: opened, ledger }) => {
          await runAgain(opened, ledger, backfillStep, 'rescan', { batchRows, pace: 'full' });
          expect(ledger.runs(NAME).map(({ kind }) => kind)).to.deep.equal(['first', 'catch-up', 'rescan']);
        });
        const batches = (): Promise<number> => store.opened(({ ledger }) => ledger.batches(NAME).length);
        const count = await batches();
        for (let k = 1; k < count && (await batches()) > k; k += 1) {
          await store.opened(async (opened) => {
            const error = await failure(() => empty(opened, stoppedAfter(k, batchRows)));
            expect(error).to.include({ code: 'TERMINATED' });
          });
          const { ledger, cells } = await filled(store);
          expectSameMap(cells, expected.cells);
          expect([...ledger.cells].sort()).to.deep.equal(changedCells(before, cells));
        }
        expect(await store.opened((opened) => empty(opened))).to.include({ kept: 0 });
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
        await store.opened(async (opened) => {
          await failure(() => empty(opened, stoppedAfter(1, batchRows)));
          expect(opened.ledger.step(NAME)?.keptCells).to.equal(2);
          await failure(() => empty(opened, stoppedAfter(whole.batches.length - 2, batchRows)));
        });
        // A cell that is NULL already is neither taken back nor kept.
        const result = await store.opened((opened) => empty(opened));
        expect(result).to.deep.equal({ reverted: whole.cells.length - 4, kept: 3 });
        const left = [...(await store.cells())].filter(([, cells]) => cells.some((cell) => cell !== null));
        expect(left).to.deep.equal([
          [first, ['theirs', null]],
          [last, ['theirs', 'theirs']],
        ]);
        expect(await store.opened(({ ledger }) => ledger.step(NAME))).to.equal(undefined);
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
        expect(await store.opened((opened) => empty(opened))).to.include({ kept: isBlob ? 6 : 4 });
        const cells = await store.cells();
        for (const key of isBlob ? [a, b, d] : [a, b]) expect(cells.get(key)).to.deep.equal(full.get(key));
        // It was NULL before up, and in scope or not it can be told from its payload.
        expect(cells.get(c)).to.deep.equal([null, null]);
      }, plain));
  });
}
