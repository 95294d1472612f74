import { expect } from 'chai';
import { describe, it } from 'mocha';
import { revertBackfillStep, runAgain } from '../src/backfill/runner.js';
import { actualCells, expectedCells } from './support/reference.js';
import {
  applyBoth,
  asAgentOs,
  backfillStep,
  dumpTable,
  failureOf,
  ledgeredCells,
  type Opened,
  withStore,
} from './support/stores.js';

// An append-only audit log may refuse updates, or swallow them: then no batch may count what it did not write. See also
// refused-rows.test.ts.

const options = { audits: 20, supervisorShare: 1, rareShare: 0 };
const { name } = backfillStep;

const freeze = (what: string): string =>
  `CREATE TRIGGER frozen BEFORE UPDATE ON task_audits WHEN old.audit_id = 7 BEGIN SELECT RAISE(${what}); END`;
const down = ({ store, ledger }: Opened) => revertBackfillStep(store, ledger, backfillStep);

for (const [what, code, isWholeRow] of [
  ['IGNORE', 'UPDATE_IGNORED', false],
  [`ABORT, 'audits are never changed'`, 'SQLITE_CONSTRAINT_TRIGGER', true],
] as const) {
  const refused = async (act: () => unknown): Promise<void> => {
    if (!isWholeRow) {
      const error = await failureOf(code, act);
      expect(error.message).to.contain('1 rows').and.contain('task_audits');
      return;
    }
    const [result] = await Promise.allSettled([(async () => act())()]);
    expect(result).to.have.nested.property('reason.code', code);
  };

  describe(`a trigger with RAISE(${what})`, () => {
    it('keeps up from filling its row, which is recorded, and a rescan fills it when it is gone', () =>
      withStore({ ...options, prepare: (db) => db.exec(freeze(what)) }, async (opened) => {
        const { path, store, ledger } = opened;
        const whole = expectedCells(path);
        await applyBoth(opened, { batchRows: 5 });
        expect(actualCells(path)).to.deep.equal(new Map(whole).set('7', [null, null]));
        const targets = isWholeRow ? ['*'] : ['source_event_ts', 'supervisor_processed_at'];
        expect(ledger.skips(name)).to.deep.equal(
          targets.map((target) => ({ key: 7n, target, reason: code })),
        );
        expect(ledgeredCells(ledger)).to.have.lengthOf(38);
        expect(ledger.lastRun(name)).to.include({ status: 'filled', rowsScanned: 20, cellsSkipped: 2 });

        asAgentOs(path, (db) => db.exec('DROP TRIGGER frozen'));
        await runAgain(store, ledger, backfillStep, 'rescan');
        expect(actualCells(path)).to.deep.equal(whole);
        expect(ledger.skips(name)).to.deep.equal([]);
        expect(ledger.lastRun(name)).to.include({ kind: 'rescan', rowsScanned: 1, cellsFilled: 2 });
      }));

    it('stops down before its batch commits, and down goes on when it is gone', () =>
      withStore(options, async (opened) => {
        const { path, ledger } = opened;
        await applyBoth(opened, { batchRows: 5 });
        const before = dumpTable(path);
        asAgentOs(path, (db) => db.exec(freeze(what)));
        await refused(() => down(opened));
        // Batches go from the last: the two behind row 7's are taken back, row 7's is whole.
        expect(dumpTable(path).slice(0, 10)).to.deep.equal(before.slice(0, 10));
        expect(ledger.batches(name).map(({ number }) => number)).to.deep.equal([1, 2]);
        expect(ledger.step(name)).to.include({ status: 'reverting', revertedCells: 20 });

        asAgentOs(path, (db) => db.exec('DROP TRIGGER frozen'));
        expect(await down(opened)).to.deep.equal({ reverted: 40, kept: 0 });
        expect([...actualCells(path).values()].flat().every((cell) => cell === null)).to.equal(true);
      }));
  });
}

describe('a declaration that has lost a column', () => {
  it('is refused by down before it takes anything back', () =>
    withStore(options, async (opened) => {
      const { path, store, ledger } = opened;
      await applyBoth(opened);
      const before = dumpTable(path);
      const lost = { ...backfillStep, columns: backfillStep.columns.slice(0, 1) };
      const error = await failureOf('STEP_DRIFTED', () => revertBackfillStep(store, ledger, lost));
      expect(error.message).to.contain('supervisor_processed_at');
      expect(dumpTable(path)).to.deep.equal(before);
      expect(await down(opened)).to.deep.equal({ reverted: 40, kept: 0 });
    }));
});
