import { expect } from 'chai';
import { describe, it } from 'mocha';
import { defineSqlStep } from '../src/index.js';
import { passing } from './support/failpoints.js';
import { readLedger } from './support/ledger.js';
import { codeOf, down, name, stoppedAfter, up } from './support/migrate.js';
import { commandsOf, named, projectOf } from './support/project.js';
import { change, failureOf, query, schemaStep, withGeneratedStore } from './support/stores.js';

describe('a signal in the last batch', () => {
  it('stops what comes behind it, in both directions', () =>
    withGeneratedStore({ audits: 100 }, async (path) => {
      // All rows are in one batch, so that it is the last.
      const one = { batchRows: 5000, backup: false } as const;
      expect(codeOf(await up(path, { ...one, ...stoppedAfter(1) }))).to.equal('TERMINATED');
      expect(readLedger(path).step(name)?.status).to.equal('applying');
      expect(codeOf(await up(path, one))).to.equal(undefined);
      const stop = stoppedAfter(1, 'batch_reverted');
      expect(codeOf(await down(path, {}, { ...one, ...stop }))).to.equal('TERMINATED');
      expect(readLedger(path).step(name)?.status).to.equal('reverting');
      expect(codeOf(await down(path, {}, one))).to.equal(undefined);
      expect(readLedger(path).step(name)).to.equal(undefined);
    }));
});

describe('down of a schema step', () => {
  for (const [code, sql] of [
    ['COLUMN_HAS_VALUES', `UPDATE task_audits SET source_event_ts = 'own' WHERE audit_id = 1`],
    ['VERSION_TOO_NEW', `INSERT INTO schema_version (version) VALUES ('0.22.0')`],
  ] as const) {
    it(`refuses with ${code} what was written after its checks, and drops no column`, () =>
      withGeneratedStore({ audits: 20 }, async (path) => {
        expect(codeOf(await up(path, { backup: false }, { step: 1 }))).to.equal(undefined);
        // What another writer commits between the first transaction of a `down` and its last.
        let hasBegun = false;
        let isLate = false;
        const outcome = await passing(
          ({ at, detail }) => {
            if (detail.includes(`SET status = 'reverting'`)) hasBegun = true;
            if (at !== 'commit' || !hasBegun || isLate) return;
            isLate = true;
            change(path, sql);
          },
          () => down(path, {}, { backup: false }),
        );
        expect(isLate).to.equal(true);
        expect(codeOf(outcome)).to.equal(code);
        const columns = query<string>(path, `SELECT name FROM pragma_table_xinfo('task_audits')`);
        expect(columns).to.include.members(['source_event_ts', 'supervisor_processed_at']);
        expect(readLedger(path).step(schemaStep.name)?.status).to.equal('reverting');
      }));
  }
});

describe('an SQL step', () => {
  it('of one string with several statements is refused, as it could end its transaction', () =>
    withGeneratedStore({ audits: 20 }, async (path) => {
      const up = ['CREATE TABLE q (a); COMMIT; CREATE TABLE r (a)'];
      await failureOf('STEP_INVALID', () => defineSqlStep({ up }));
      // Nor is one that no declaration has looked at.
      const step = named('x', { ...defineSqlStep({ up: ['SELECT 1'] }), up });
      await failureOf('STEP_INVALID', () => commandsOf(projectOf([step]), { path }, { backup: false }).up());
      expect(query(path, `SELECT 1 FROM sqlite_schema WHERE name IN ('q', 'r')`)).to.deep.equal([]);
      expect(readLedger(path).step('x')).to.equal(undefined);
    }));
});
