import { expect } from 'chai';
import { describe, it } from 'mocha';
import { ledgeredCells, readLedger } from './support/ledger.js';
import { codeOf, down, name, only, project, rescan, up } from './support/migrate.js';
import type { Project } from './support/project.js';
import { actualCells, expectedCells } from './support/reference.js';
import { change, dumpTable, failureOf, withGeneratedStore } from './support/stores.js';

// An append-only audit log may refuse updates, or swallow them: then no batch may count what it did not write. See also
// refused-rows.test.ts.

const options = { audits: 20, supervisorShare: 1, rareShare: 0 };
const extra = { batchRows: 5, allowTriggers: true, backup: false } as const;

const freeze = (what: string): string =>
  `CREATE TRIGGER frozen BEFORE UPDATE ON task_audits WHEN old.audit_id = 7 BEGIN SELECT RAISE(${what}); END`;

/** Insists that `down` takes every cell back. */
async function expectTakenBack(path: string): Promise<void> {
  const outcome = await down(path, {}, extra);
  expect(codeOf(outcome), outcome.error?.message).to.equal(undefined);
  expect(only(outcome.cells)).to.include({ reverted: 40, kept: 0, gone: 0, underivable: 0 });
  expect([...actualCells(path).values()].flat().every((cell) => cell === null)).to.equal(true);
}

const TRIGGERS = [
  {
    what: 'IGNORE',
    reason: 'UPDATE_IGNORED',
    targets: ['source_event_ts', 'supervisor_processed_at'],
    code: 'UPDATE_IGNORED',
    text: /task_audits.* 1 rows/,
  },
  {
    what: `ABORT, 'audits are never changed'`,
    reason: 'SQLITE_CONSTRAINT_TRIGGER',
    targets: ['*'],
    code: 'STATEMENT_REJECTED',
    text: /SQLITE_CONSTRAINT_TRIGGER/,
  },
] as const;

for (const { what, reason, targets, code, text } of TRIGGERS) {
  describe(`a trigger with RAISE(${what})`, () => {
    it('keeps up from filling its row, which is recorded, and a rescan fills it when it is gone', () =>
      withGeneratedStore(options, async (path) => {
        change(path, freeze(what));
        const whole = expectedCells(path);
        expect(codeOf(await up(path, extra))).to.equal(undefined);
        expect(actualCells(path)).to.deep.equal(new Map(whole).set('7', [null, null]));
        const ledger = readLedger(path);
        expect(ledger.skips(name)).to.deep.equal(targets.map((target) => ({ key: 7n, target, reason })));
        expect(ledgeredCells(ledger, name)).to.have.lengthOf(38);
        expect(ledger.runs(name).at(-1)).to.include({
          status: 'verified',
          rowsScanned: 20,
          cellsSkipped: 2,
        });

        change(path, 'DROP TRIGGER frozen');
        expect(codeOf(await rescan(path, extra))).to.equal(undefined);
        expect(actualCells(path)).to.deep.equal(whole);
        expect(readLedger(path).skips(name)).to.deep.equal([]);
        const last = readLedger(path).runs(name).at(-1);
        expect(last).to.include({ kind: 'rescan', rowsScanned: 1, cellsFilled: 2 });
      }));

    it('stops down before its batch commits, and down goes on when it is gone', () =>
      withGeneratedStore(options, async (path) => {
        expect(codeOf(await up(path, extra))).to.equal(undefined);
        const before = dumpTable(path);
        change(path, freeze(what));
        const { error } = await down(path, {}, extra);
        expect(error).to.include({ code });
        expect(error?.message).to.match(text);
        // Batches go from the last: the two behind row 7's are taken back, row 7's is whole.
        expect(dumpTable(path).slice(0, 10)).to.deep.equal(before.slice(0, 10));
        const ledger = readLedger(path);
        expect(ledger.batches(name).map(({ number }) => number)).to.deep.equal([1, 2]);
        expect(ledger.step(name)).to.include({ status: 'reverting', revertedCells: 20 });

        change(path, 'DROP TRIGGER frozen');
        await expectTakenBack(path);
      }));
  });
}

describe('a declaration that has lost a column', () => {
  it('is refused by down before it takes anything back, also with --yes, where the ledger does not say what filled', () =>
    withGeneratedStore(options, async (path) => {
      expect(codeOf(await up(path, extra))).to.equal(undefined);
      change(path, 'DELETE FROM umzug_backfill_declarations');
      const before = dumpTable(path);
      const steps = project.steps.map((step) =>
        step.kind === 'backfill' ? { ...step, columns: step.columns.slice(0, 1) } : step,
      );
      const lost: Project = { ...project, steps };
      await failureOf('STEP_DRIFTED', () => down(path, {}, { ...extra, project: lost }));
      const { error } = await down(path, {}, { ...extra, project: lost, confirmed: true });
      expect(error).to.include({ code: 'STEP_DRIFTED' });
      expect(error?.message).to.contain('supervisor_processed_at');
      expect(dumpTable(path)).to.deep.equal(before);
      await expectTakenBack(path);
    }));
});

describe('a trigger that writes to the ledger while a batch is filled', () => {
  for (const [what, sql] of [
    ['takes the part of its run away', 'DELETE FROM umzug_backfill_ranges'],
    ['ends it', 'UPDATE umzug_backfill_ranges SET is_done = 1'],
  ] as const)
    it(`ends the command where it ${what}, and its batch is rolled back`, () =>
      withGeneratedStore(options, async (path) => {
        expect(codeOf(await up(path, extra))).to.equal(undefined);
        const before = ledgeredCells(readLedger(path), name);
        change(
          path,
          `INSERT INTO task_audits (task_id, event_type, payload, created_at)
          SELECT task_id, event_type, payload, created_at FROM task_audits WHERE audit_id <= 10;
          CREATE TRIGGER meddler AFTER UPDATE ON task_audits WHEN old.audit_id = 22 BEGIN ${sql}; END`,
        );
        expect(codeOf(await up(path, extra))).to.equal('RUN_CONFLICT');
        const ledger = readLedger(path);
        expect(ledger.runs(name).at(-1)).to.include({ kind: 'catch-up', status: 'running', batches: 0 });
        expect(ledgeredCells(ledger, name)).to.deep.equal(before);
        expect(actualCells(path).get('22')).to.deep.equal([null, null]);
      }));
});
