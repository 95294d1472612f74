import { expect } from 'chai';
import { changedCells } from './compare-fill.js';
import { type Ledger, ledgeredCells, readLedger } from './ledger.js';
import { actualCells, type Cells } from './reference.js';
import { asAgentOs, backfillStep } from './stores.js';

// What must hold of a store at any instant, a run killed or ended.

const { name } = backfillStep;

/** Insists that SQLite finds nothing wrong with the file. */
export function expectIntact(path: string): void {
  asAgentOs(path, (db) => expect(db.pragma('integrity_check', { simple: true })).to.equal('ok'));
}

/** Insists that the ledger, the totals of its batches and the table, in which these cells have changed, tell of the same cells. */
export function expectSameCells(ledger: Ledger, changed: readonly string[], mostRuns: number) {
  const cells = ledgeredCells(ledger, name);
  expect(new Set(cells).size, 'each cell once').to.equal(cells.length);
  expect(cells.sort()).to.deep.equal(changed);
  const [batches, runs] = [ledger.batches(name), ledger.runs(name)];
  expect(batches.reduce((sum, { cellsFilled }) => sum + cellsFilled, 0)).to.equal(cells.length);
  expect(runs).to.have.length.at.most(mostRuns);
  expect(runs.map(({ run }) => run)).to.include.members(batches.map(({ run }) => run));
  return { batches, runs };
}

/** The same of a store that held `before` before anything was filled; its batches are numbered 1 to n, and its runs have totals. */
export function expectLedger(path: string, before: Map<string, Cells>, mostRuns = 1): void {
  const changed = changedCells(before, actualCells(path));
  const { batches, runs } = expectSameCells(readLedger(path), changed, mostRuns);
  expect(batches.map(({ number }) => number)).to.deep.equal(batches.map((_, i) => i + 1));
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
