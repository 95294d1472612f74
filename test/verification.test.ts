import { expect } from 'chai';
import fc from 'fast-check';
import { describe, it } from 'mocha';
import { defineBackfill, sql, type Verification } from '../src/index.js';
import { bytesOf } from './support/cli.js';
import { numbers } from './support/customers.js';
import { LEDGER_TABLES } from './support/ledger.js';
import {
  backfillStatus,
  checkOf,
  codeOf,
  fillOnly,
  name,
  only,
  stoppedAfter,
  troubles,
  up,
  verify,
} from './support/migrate.js';
import { withOwnTable } from './support/own-table.js';
import { commandsOf, projectOf } from './support/project.js';
import {
  applyAndObserve,
  type History,
  isNaive,
  life,
  microseconds,
  naive,
  readRows,
} from './support/row-by-row.js';
import {
  asAgentOs,
  backfillStep,
  change,
  failureOf,
  insertAudits,
  query,
  withGeneratedStore,
} from './support/stores.js';

function expectNaive(verification: Verification, path: string, history: History): void {
  const expected = naive(readRows(path), history);
  for (const { id, stats } of verification.checks)
    expect(stats, id).to.deep.equal(expected.stats[id as keyof typeof expected.stats]);
  const samples = verification.checks.flatMap(({ findings }) =>
    findings.flatMap(({ sampleKeys }) => (sampleKeys ? [sampleKeys] : [])),
  );
  expect(samples).to.deep.equal(expected.samples);
}

/** Leaves only rows in scope whose values will be past timestamps, in their order. */
function deleteOddTimes(path: string): void {
  const odd = readRows(path).filter(({ derived: [source = null, processed = null] }) => {
    const [from, to] = [microseconds(source), microseconds(processed)];
    if (from === undefined || to === undefined) return true;
    return to < from || isNaive(String(source)) !== isNaive(String(processed));
  });
  change(path, `DELETE FROM task_audits WHERE audit_id IN (${odd.map(({ key }) => key).join(', ')})`);
}

const allFilled = (count: number): Record<string, number> =>
  Object.fromEntries(backfillStep.columns.map((column) => [column.name, count]));

describe('verification', () => {
  for (const seed of [1, 2, 3]) {
    it(`counts what a row by row computation counts, before and after AgentOS goes on (store ${seed})`, () =>
      withGeneratedStore({ audits: 700, rareShare: 0.25, seed, smallSchema: seed === 2 }, async (path) => {
        const history = await applyAndObserve(path);
        expectNaive(await verify(path), path, history);
        change(path, life);
        asAgentOs(path, (db) => insertAudits(db, [{}, { payload: '{' }, { cells: ['own', null] }]));
        const verification = await verify(path);
        expectNaive(verification, path, history);
        expect(troubles(verification)).to.deep.equal({
          coverage: 'fail',
          consistency: 'warn',
          timestamps: 'warn',
          integrity: 'warn',
        });
      }));
  }

  it('counts likewise on a store whose columns AgentOS has filled in part', () =>
    withGeneratedStore({ audits: 400, rareShare: 0.2, journalMode: 'delete' }, async (path) => {
      await up(path);
      // A store in which every third row has its own value, as ours would be, and every fifth another one; no ledger.
      for (const table of LEDGER_TABLES) change(path, `DROP TABLE ${table}`);
      change(
        path,
        `UPDATE task_audits SET source_event_ts = NULL WHERE audit_id % 3 <> 0;
        UPDATE task_audits SET supervisor_processed_at = iif(audit_id % 5 = 0, '2026-05-05 05:05:05', NULL)`,
      );
      const history = await applyAndObserve(path);
      expect(history.recorded).to.be.greaterThan(history.ours.size);
      expectNaive(await verify(path), path, history);
    }));

  it('passes every check of a store without rare rows, and gives no hint', () =>
    withGeneratedStore({ audits: 500, rareShare: 0 }, async (path) => {
      deleteOddTimes(path);
      const { verifications, error } = await up(path);
      expect(error).to.equal(undefined);
      for (const verification of [only(verifications), await verify(path, 100)]) {
        expect(verification.verdict).to.equal('pass');
        expect(verification.checks.map(({ id }) => id)).to.deep.equal([
          ...['coverage', 'consistency', 'groups', 'index-use', 'timestamps', 'nulls', 'lag', 'integrity'],
        ]);
        for (const { id, verdict, findings, hint } of verification.checks) {
          expect(new Set([verdict, ...findings.map((finding) => finding.verdict)]), id).to.deep.equal(
            new Set(['pass']),
          );
          expect(hint, id).to.equal(undefined);
        }
      }
    }));

  for (const audits of [0, 80]) {
    it(`calls the coverage of nothing 100%, with ${audits} rows out of scope`, () =>
      withGeneratedStore({ audits, supervisorShare: 0 }, async (path) => {
        expect(only((await up(path)).verifications).verdict).to.equal('pass');
        const verification = await verify(path, 100);
        expect(verification.verdict).to.equal('pass');
        expect(checkOf(verification, 'coverage').stats).to.deep.include({
          rowsInScope: 0,
          columns: backfillStep.columns.map((column) => ({
            name: column.name,
            filled: 0,
            percent: 100,
            fillable: 0,
            waiting: 0,
            refused: 0,
            withoutValue: 0,
          })),
        });
        expect(checkOf(verification, 'lag').stats).to.deep.equal({});
        expect(checkOf(verification, 'groups').stats.groups).to.deep.equal([]);
      }));
  }

  it('warns of rows that wait, with their keys, and fails below the coverage asked for', () =>
    withGeneratedStore({ audits: 0 }, async (path) => {
      asAgentOs(path, (db) => insertAudits(db, [{}, {}, {}]));
      await up(path);
      asAgentOs(path, (db) => insertAudits(db, [{ cells: ['2026-01-20 10:00:00', null] }]));
      for (const minCoverage of [undefined, 0, 75]) {
        const verification = await verify(path, minCoverage);
        expect(troubles(verification)).to.deep.equal({ coverage: 'warn' });
        const warnings = checkOf(verification, 'coverage').findings.filter(
          ({ verdict }) => verdict !== 'pass',
        );
        expect(warnings).to.deep.equal([
          {
            verdict: 'warn',
            text: '1 cells of supervisor_processed_at are pending catch-up',
            sampleKeys: ['4'],
          },
        ]);
      }
      for (const minCoverage of [75.01, 100]) {
        const coverage = checkOf(await verify(path, minCoverage), 'coverage');
        expect(coverage.verdict).to.equal('fail');
        expect(coverage.hint).to.match(new RegExp(`^Run: umzug-backfill backfill ${name} --rescan$`));
        const failed = coverage.findings.filter(({ verdict }) => verdict === 'fail').map(({ text }) => text);
        expect(failed).to.deep.equal([
          `supervisor_processed_at: 3 of 4 filled (75%), below the required ${minCoverage}%`,
        ]);
      }
    }));

  it('advises no rescan for coverage that none can mend', () =>
    withGeneratedStore({ audits: 0 }, async (path) => {
      asAgentOs(path, (db) => insertAudits(db, [{}, { payload: '{' }]));
      await up(path);
      const { verdict, hint } = checkOf(await verify(path, 60), 'coverage');
      expect({ verdict, hint }).to.deep.equal({
        verdict: 'fail',
        hint: `Run umzug-backfill skips ${name} to list the rows without a value, or pass a lower --min-coverage`,
      });
    }));

  it('takes for the future what lies more than a day ahead', () =>
    withGeneratedStore({ audits: 0 }, async (path) => {
      await up(path);
      const times = ['2026-06-02T00:00:00Z', '2026-06-02T00:00:00.001Z', '2026-06-02 02:00:00.000+02:00'];
      const rows = [...times, '1780358400', '1780358401'].map((time) => ({ cells: [time, time] as const }));
      asAgentOs(path, (db) => insertAudits(db, rows));
      const now = (): Date => new Date('2026-06-01T00:00:00Z');
      const verification = await verify(path, undefined, { now });
      const future = checkOf(verification, 'timestamps').findings.filter(({ text }) =>
        text.includes('future'),
      );
      expect(future.map(({ verdict, sampleKeys }) => [verdict, sampleKeys])).to.deep.equal([
        ['warn', ['2', '5']],
        ['warn', ['2', '5']],
      ]);
    }));

  it('tells 200 event types apart and counts the others together', () =>
    withGeneratedStore({ audits: 0 }, async (path) => {
      const types = Array.from({ length: 503 }, (_, i) => `SUPERVISOR_${String(i % 251).padStart(3, '0')}`);
      asAgentOs(path, (db) =>
        insertAudits(
          db,
          types.map((eventType) => ({ eventType })),
        ),
      );
      await up(path);
      const { groups } = checkOf(await verify(path), 'groups').stats as {
        groups: { name: string; total: number; filled: Record<string, number> }[];
      };
      expect(groups.map((group) => group.name)).to.deep.equal(['(others)', ...types.slice(0, 200)]);
      expect(groups[0]).to.deep.include({ total: 102, filled: allFilled(102) });
      expect(groups.reduce((sum, { total }) => sum + total, 0)).to.equal(503);
    }));

  for (const journalMode of ['wal', 'delete'] as const) {
    it(`writes nothing and records no verdict (journal mode ${journalMode})`, () =>
      withGeneratedStore({ audits: 100, journalMode }, async (path) => {
        await fillOnly(path);
        const before = bytesOf(path);
        expect((await verify(path)).verdict).not.to.equal('fail');
        expect(bytesOf(path)).to.deep.equal(before);
        expect(query(path, 'SELECT count(*) FROM umzug_backfill_verifications')).to.deep.equal([0]);
        expect(await backfillStatus(path)).to.include({ verdict: 'unverified', isPending: true });
      }));
  }

  it('is refused until the backfill is applied', () =>
    withGeneratedStore({ audits: 20 }, async (path) => {
      await failureOf('STEP_NOT_APPLIED', () => verify(path));
      // Filled in part there is nothing to judge yet.
      await up(path, stoppedAfter(1));
      await failureOf('STEP_NOT_APPLIED', () => verify(path));
    }));
});

describe('a share in percent', () => {
  it('is rounded down to hundredths, exactly', async () => {
    // Each group is one share: every one of 100, and some of other wholes.
    const random = fc.sample(fc.tuple(fc.integer({ min: 1, max: 400 }), fc.nat()), { numRuns: 90, seed: 7 });
    const shares = [
      ...Array.from({ length: 101 }, (_, part) => [part, 100] as const),
      ...random.map(([whole, some]) => [some % (whole + 1), whole] as const),
    ];
    const rows = shares.map(
      ([part, whole], group) =>
        `${numbers(whole)} INSERT INTO items (part, value) SELECT ${group}, iif(i <= ${part}, 'x', NULL) FROM n;`,
    );
    const definition = defineBackfill({
      table: 'items',
      key: 'id',
      columns: { value: sql(`iif(value IS NULL, NULL, 'x')`) },
      checks: { groupBy: 'part' },
    });
    await withOwnTable(
      `CREATE TABLE items (id INTEGER PRIMARY KEY, part INTEGER, value TEXT); ${rows.join('\n')}`,
      definition,
      async ({ path, step, up, verify }) => {
        expect(codeOf(await up({ batchRows: 5000 }))).to.equal(undefined);
        const { groups } = checkOf(only(await verify()), 'groups').stats as {
          groups: { name: string; total: number; percent: { value: number } }[];
        };
        expect(groups).to.have.length(shares.length);
        for (const { name: group, percent } of groups) {
          const [part, whole] = shares[Number(group)] ?? [0, 0];
          const exact = Number((BigInt(part) * 10_000n) / BigInt(whole)) / 100;
          expect(percent.value, `${part} of ${whole}`).to.equal(exact);
        }
        // `--min-coverage 57` must take 57 of 100.
        asAgentOs(path, (db) => db.exec('DELETE FROM items WHERE part <> 57'));
        const commands = commandsOf(projectOf([step]), { path });
        for (const [asked, verdict] of [
          [57, 'warn'],
          [57.01, 'fail'],
        ] as const)
          expect(checkOf(only(await commands.verify(asked)), 'coverage').verdict).to.equal(verdict);
      },
    );
  });
});
