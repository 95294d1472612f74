import { expect } from 'chai';
import { ledgeredCells, readLedger } from './ledger.js';
import { name } from './migrate.js';
import { actualCells, type Cells, targets } from './reference.js';
import { asAgentOs } from './stores.js';

// What must hold of a store at any instant, a run killed or ended.

/** Insists that SQLite finds nothing wrong with the file. */
export function expectIntact(path: string): void {
  asAgentOs(path, (db) => expect(db.pragma('integrity_check', { simple: true })).to.equal('ok'));
}

/** The cells that differ between two states of the table, as `key column`. */
const changedCells = (before: Map<string, Cells>, after: Map<string, Cells>): string[] =>
  [...after].flatMap(([key, cells]) =>
    targets.flatMap(({ column }, i) =>
      (cells[i] ?? null) === (before.get(key)?.[i] ?? null) ? [] : [`${key} ${column}`],
    ),
  );

/**
 * Insists that batches are numbered 1 to n, and that the ledger, the totals of its runs and the table tell of the same
 * cells.
 *
 * @param before what the table held before anything was filled
 * @param mostRuns how many runs there are at most
 */
export function expectLedger(
  { path }: { readonly path: string },
  before: Map<string, Cells>,
  mostRuns = 1,
): void {
  const ledger = readLedger(path);
  const batches = ledger.batches(name);
  expect(batches.map(({ number }) => number)).to.deep.equal(batches.map((_, i) => i + 1));
  const cells = ledgeredCells(ledger, name);
  expect(new Set(cells).size, 'each cell once').to.equal(cells.length);
  expect(cells.sort()).to.deep.equal(changedCells(before, actualCells(path)).sort());
  expect(batches.reduce((sum, { cellsFilled }) => sum + cellsFilled, 0)).to.equal(cells.length);
  const runs = ledger.runs(name);
  expect(runs).to.have.length.at.most(mostRuns);
  expect(runs.map(({ run }) => run)).to.include.members(batches.map(({ run }) => run));
  for (const run of runs) {
    const own = batches.filter((batch) => batch.run === run.run);
    const total = (of: 'rowsScanned' | 'cellsFilled' | 'cellsSkipped') =>
      own.reduce((sum, batch) => sum + batch[of], 0);
    expect(run, `run ${run.run}`).to.include({
      batches: own.length,
      rowsScanned: total('rowsScanned'),
      cellsFilled: total('cellsFilled'),
      cellsSkipped: total('cellsSkipped'),
      cursor: own.at(-1)?.lastKey ?? run.startKey,
    });
  }
}
