import { expect } from 'chai';
import { describe, it } from 'mocha';
import {
  checkOf,
  expectIdle,
  fillOnly,
  only,
  troubles,
  up,
  verify,
  withAppliedStore,
  withPlainStore,
} from './support/migrate.js';
import { change, failureOf, schemaStep } from './support/stores.js';

describe('verification, indexes', () => {
  it('makes dropped indexes again before it verifies', () =>
    withPlainStore(async (path) => {
      await fillOnly(path);
      for (const { name: index } of schemaStep.indexes) change(path, `DROP INDEX ${index}`);
      const outcome = await up(path);
      expect(outcome.recreated).to.deep.equal([schemaStep.name]);
      expect(troubles(only(outcome.verifications))).to.deep.equal({});
    }));

  it('takes an index of the same definition under another name', () =>
    withAppliedStore(async (path) => {
      change(
        path,
        `DROP INDEX idx_task_audits_decision_lag;
        CREATE INDEX idx_task_audits_lag ON Task_Audits ("source_event_ts", supervisor_processed_at)
          where source_event_ts is not null AND "supervisor_processed_at" IS NOT NULL`,
      );
      const check = checkOf(await verify(path), 'index-use');
      expect(check.verdict).to.equal('pass');
      expect(check.findings.map(({ text }) => text)).to.include(
        'idx_task_audits_decision_lag (as idx_task_audits_lag) is used',
      );
      await expectIdle(path);
    }));

  it('fails for an index of another definition under our name', () =>
    withAppliedStore(async (path) => {
      change(
        path,
        `DROP INDEX idx_task_audits_source_event_ts;
        CREATE INDEX idx_task_audits_source_event_ts ON task_audits (source_event_ts) WHERE source_event_ts > 'a'`,
      );
      expect(checkOf(await verify(path), 'index-use').verdict).to.equal('fail');
      // `up` can't make ours beside it, and says whose name is taken.
      const refusal = await failureOf('SCHEMA_BLOCKED', () => up(path));
      expect(refusal.message).to.include('idx_task_audits_source_event_ts');
    }));

  it('warns when SQLite prefers another index to ours, which it could use', () =>
    withAppliedStore(async (path) => {
      // Of two that serve alike SQLite takes the one that was made last.
      change(
        path,
        `CREATE INDEX users_own ON task_audits (source_event_ts) WHERE source_event_ts >= '2026-01-01'`,
      );
      const check = checkOf(await verify(path), 'index-use');
      expect(check.findings.map(({ verdict }) => verdict)).to.deep.equal(['warn', 'pass', 'pass']);
      expect(check.hint).to.equal(undefined);
      await expectIdle(path);
    }));
});
