import { expect } from 'chai';
import { describe, it } from 'mocha';
import { errorText, outcomeJson, outcomeText, planText, verificationText } from '../src/cli/text.js';
import { LEDGER_TABLES } from '../src/ledger/tables.js';
import { planBackfill, planUp } from '../src/migrator/plan.js';
import type { RunOutcome } from '../src/migrator/session.js';
import {
  change,
  codeOf,
  down,
  type Extra,
  project,
  query,
  rescan,
  stoppedAfter,
  up,
  verify,
  withAppliedStore,
  withPlainStore,
} from './support/migrate.js';
import { type Audit, asAgentOs, insertAudits } from './support/stores.js';

describe('verification, contents', () => {
  const secret = 'hunter2';
  const secretive: readonly Audit[] = [
    { payload: `{"source_ts":"${secret} a","timestamp":"2026-${secret}"}` },
    { payload: `{"source_ts":"","reason":"${secret}"}`, createdAt: `${secret} c` },
    { payload: `{"source_ts":"${secret}"` },
    { payload: Buffer.from(`{"timestamp":"${secret}"}`) },
    { payload: `{"timestamp":"${secret}"}`, createdAt: null },
    // The widest range of times, so that a careless minimum or maximum would be one of these.
    { payload: `{"source_ts":"0000${secret}","timestamp":"9999${secret}"}` },
  ];

  it('never tells a payload’s contents, but timestamps', () =>
    withPlainStore(async (path) => {
      const told: unknown[] = [];
      const listening = (extra: Extra = {}): Extra => ({
        ...extra,
        onEvent: (event) => {
          told.push(event);
          extra.onEvent?.(event);
        },
      });
      const options = { project, path };
      told.push(planText('up', await planUp(options)));
      const outcomes: RunOutcome[] = [await up(path, listening(stoppedAfter(2)))];
      change(path, `UPDATE task_audits SET source_event_ts = '${secret} again' WHERE audit_id IN (1, 9)`);
      outcomes.push(await up(path, listening()), await rescan(path, listening()));
      asAgentOs(path, (db) => insertAudits(db, secretive));
      const verification = await verify(path, 100);
      told.push(
        planText('backfill', await planBackfill(options, { isRescan: true })),
        verificationText(verification, { say: (text: string) => text, columns: undefined }),
        verification,
      );
      outcomes.push(await up(path, listening()), await down(path, {}, listening()));
      expect(outcomes.map(codeOf)).to.deep.equal([
        'TERMINATED',
        'VERIFICATION_FAILED',
        undefined,
        undefined,
        undefined,
      ]);
      for (const outcome of outcomes) {
        told.push(
          outcomeJson('up', outcome),
          outcomeText([], outcome, { say: (text: string) => text, columns: undefined }),
          outcome.error && errorText(outcome.error),
        );
      }
      expect(JSON.stringify(told)).to.include('not a timestamp').and.not.to.include(secret);
    }, secretive));

  it('leaves none of it in the ledger', () =>
    withAppliedStore(async (path) => {
      expect(query<string>(path, 'SELECT payload FROM task_audits').join()).to.include(secret);
      for (const table of Object.values(LEDGER_TABLES)) {
        const rows = asAgentOs(path, (db) => db.prepare(`SELECT * FROM ${table}`).all());
        expect(rows, table).not.to.have.length(0);
        expect(JSON.stringify(rows), table).not.to.include(secret);
        // Packed keys, byte by byte.
        expect(rows.flatMap((row) => Object.values(row as object)).join(), table).not.to.include(secret);
      }
    }, secretive));
});
