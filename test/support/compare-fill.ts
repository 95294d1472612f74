import { expect } from 'chai';
import type { TestStore } from './engine-sqlite.js';
import { expectSameMap, expectSameTables, type State } from './expect-same.js';
import { type Ledger, ledgeredCells } from './ledger.js';
import { codeOf, type Extra, name as NAME, up } from './migrate.js';
import { COLUMNS } from './oracle-words.js';
import type { Cells } from './reference.js';

/** Applies both steps, and says what the ledger holds then. */
export async function fill(store: TestStore, extra: Extra = {}): Promise<Ledger> {
  const outcome = await up(store, { backup: false, batchRows: undefined, ...extra });
  expect(codeOf(outcome), outcome.error?.message).to.equal(undefined);
  return await store.ledger();
}

/** The recorded skips in the oracle's words. */
export function recordedSkips(ledger: Ledger): Map<string, string[]> {
  const skips = new Map<string, string[]>();
  for (const { key, target, reason } of ledger.skips(NAME))
    skips.set(String(key), [...(skips.get(String(key)) ?? []), `${target}: ${reason}`].sort());
  return skips;
}

/** Cells that hold something else than before, as `key column`, sorted. */
export const changedCells = (before: ReadonlyMap<string, Cells>, after: ReadonlyMap<string, Cells>) =>
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
export const theirTables = ({ tables }: { readonly tables: State }): State =>
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
async function keysInScope(store: TestStore): Promise<Set<string>> {
  const rows = await store.query(`SELECT CAST(audit_id AS TEXT) || ' ' || event_type FROM task_audits`);
  return new Set(rows.flatMap((row) => /^(\S+) [^\0]*SUPERVISOR/i.exec(row ?? '')?.[1] ?? []));
}

/** Fills a store and compares everything that can be compared with the oracle, which looks at it before. */
export async function fillAndCompare(store: TestStore, batchRows?: number): Promise<void> {
  const told: string[] = [];
  const [expected, before] = [await store.expected(), await store.cells()];
  const [rest, inScope] = [theirTables(await store.dump()), await keysInScope(store)];
  const onEvent: Extra['onEvent'] = (event) => {
    if (event.event === 'row_skipped') told.push(`${event.key} ${event.target} ${event.reason}`);
  };
  const ledger = await fill(store, { batchRows, onEvent });
  const actual = await store.cells();
  expectSameMap(actual, expected.cells);
  expectSameTables(theirTables(await store.dump()), rest);
  expectSameMap(recordedSkips(ledger), expected.skips);
  const skips = ledger.skips(NAME).map(({ key, target, reason }) => `${key} ${target} ${reason}`);
  expectSameTables({ skips: told.sort() }, { skips: skips.sort() });

  const changed = changedCells(before, actual);
  expectSameTables({ cells: ledgeredCells(ledger, NAME).sort() }, { cells: changed });
  const [runs, batches] = [ledger.runs(NAME), ledger.batches(NAME)];
  expect(runs.map(({ kind, status }) => `${kind} ${status}`)).to.deep.equal(['first verified']);
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
