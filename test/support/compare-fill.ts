import { expect } from 'chai';
import type { RunOptions } from '../../src/backfill/run-options.js';
import { applyBackfillStep } from '../../src/backfill/runner.js';
import type { Ledger } from '../../src/ledger/ledger.js';
import { applySchemaStep } from '../../src/schema/run.js';
import { expectSameList, expectSameMap, expectSameTables } from './expect-same.js';
import { COLUMNS } from './oracle-words.js';
import type { Cells } from './reference.js';
import { backfillStep, ledgeredCells, schemaStep } from './stores.js';
import type { Dump, Opened, TestStore } from './test-store.js';

const NAME = backfillStep.name;

/** Applies both steps, as `up` does, and then looks at the ledger. */
export const fill = <Result>(
  store: TestStore,
  look: (opened: Opened) => Result,
  options: RunOptions = {},
): Promise<Result> =>
  store.opened(async (opened) => {
    applySchemaStep(opened.store, opened.ledger, schemaStep);
    await applyBackfillStep(opened.store, opened.ledger, backfillStep, { pace: 'full', ...options });
    return look(opened);
  });

/** The recorded skips in the oracle's words. */
export function recordedSkips(ledger: Ledger): Map<string, string[]> {
  const skips = new Map<string, string[]>();
  for (const { key, target, reason } of ledger.skips(NAME))
    skips.set(String(key), [...(skips.get(String(key)) ?? []), `${target}: ${reason}`].sort());
  return skips;
}

/** Cells that hold something else than before, as `key column`, sorted. */
export const changedCells = (
  before: ReadonlyMap<string, Cells>,
  after: ReadonlyMap<string, Cells>,
): string[] =>
  [...after]
    .flatMap(([key, cells]) =>
      COLUMNS.flatMap((name, i) => (cells[i] === (before.get(key)?.[i] ?? null) ? [] : [`${key} ${name}`])),
    )
    .sort();

/** Cells of a dumped row that may change. */
const OURS = new RegExp(` ?(?:${COLUMNS.join('|')})=(?:E?'(?:[^']|'')*'|\\S*)`, 'g');

/** The row that the schema step writes. */
const NEW_VERSION = /^version=(?:'0\.21\.0'|text:302E32312E30) /;

/** Every table of a dump that is not ours, without the columns that are filled and the version that the schema step writes. */
export const theirTables = ({ tables }: Dump): Dump['tables'] =>
  Object.fromEntries(
    Object.entries(tables)
      .filter(([name]) => !name.startsWith('umzug_backfill_') && name !== 'sqlite_sequence')
      .map(([name, rows]) => [
        name,
        rows.filter((row) => !NEW_VERSION.test(row)).map((row) => row.replace(OURS, '')),
      ]),
  );

const total = <Item>(items: readonly Item[], count: (item: Item) => number): number =>
  items.reduce((sum, item) => sum + count(item), 0);

/** Keys of the rows in scope: ASCII letters in either case, up to the first NUL. */
async function keysInScope(store: TestStore): Promise<Set<string | null>> {
  const types = await store.query('SELECT event_type FROM task_audits ORDER BY task_audits.audit_id');
  const keys = await store.query(
    'SELECT CAST(audit_id AS TEXT) FROM task_audits ORDER BY task_audits.audit_id',
  );
  return new Set(keys.filter((_, i) => /SUPERVISOR/i.test(types[i]?.split('\0')[0] ?? '')));
}

/** Fills a store and compares everything that can be compared with the oracle, which looks at it before. */
export async function fillAndCompare(store: TestStore, batchRows?: number): Promise<void> {
  const told: string[] = [];
  const [expected, before] = [await store.expected(), await store.cells()];
  const [rest, inScope] = [theirTables(await store.dump()), await keysInScope(store)];
  const onEvent: RunOptions['onEvent'] = (event) => {
    if (event.event === 'row_skipped') told.push(`${event.key} ${event.target} ${event.reason}`);
  };
  const found = await fill(
    store,
    ({ ledger }) => ({
      skips: recordedSkips(ledger),
      skipRecords: ledger.skips(NAME).map(({ key, target, reason }) => `${key} ${target} ${reason}`),
      cells: ledgeredCells(ledger).sort(),
      runs: ledger.runs(NAME),
      batches: ledger.batches(NAME),
    }),
    { batchRows, onEvent },
  );
  const actual = await store.cells();
  expectSameMap(actual, expected.cells);
  expectSameTables(theirTables(await store.dump()), rest);
  expectSameMap(found.skips, expected.skips);
  expectSameList(told.sort(), found.skipRecords.sort());

  const changed = changedCells(before, actual);
  expectSameList(found.cells, changed);
  const { runs, batches } = found;
  expect(runs.map(({ kind, status }) => `${kind} ${status}`)).to.deep.equal(['first filled']);
  const open = [...before].filter(([key, cells]) => inScope.has(key) && cells.includes(null)).length;
  expect(total(runs, (run) => run.rowsScanned)).to.equal(open);
  expect(total(runs, (run) => run.cellsFilled)).to.equal(changed.length);
  const left = [...actual].filter(([key]) => inScope.has(key)).flatMap(([, cells]) => cells);
  expect(total(runs, (run) => run.cellsSkipped)).to.equal(left.filter((cell) => cell === null).length);
  for (const count of ['rowsScanned', 'cellsFilled', 'cellsSkipped'] as const) {
    const sum = total(batches, (batch) => batch[count]);
    expect(sum, count).to.equal(total(runs, (run) => run[count]));
  }
  for (const batch of batches) expect(batch.rowsScanned).to.be.at.most(batchRows ?? 5000);
  expect(await store.damages()).to.deep.equal([]);
}
