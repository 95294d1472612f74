import { expect } from 'chai';
import { describe, it } from 'mocha';
import { applyBackfillStep, revertBackfillStep } from '../src/backfill/runner.js';
import { Ledger } from '../src/ledger/ledger.js';
import { absentColumns } from '../src/schema/inspect.js';
import { applySchemaStep, revertSchemaStep } from '../src/schema/run.js';
import { applySqlStep } from '../src/schema/run-sql.js';
import { defineSqlStep } from '../src/steps/sql-step.js';
import { backfillStep, failureOf, schemaStep, withGeneratedStore, withOpened } from './support/stores.js';

describe('a signal in the last batch', () => {
  it('stops what comes behind it, in both directions', () =>
    withGeneratedStore({ audits: 100 }, (path) =>
      withOpened(path, async ({ store, ledger }) => {
        applySchemaStep(store, ledger, schemaStep);
        for (const [act, event] of [
          [applyBackfillStep, 'batch_committed'],
          [revertBackfillStep, 'batch_reverted'],
        ] as const) {
          const stopper = new AbortController();
          const onEvent = (told: { readonly event: string }): void => {
            if (told.event === event) stopper.abort('SIGTERM');
          };
          // All rows are in one batch, so that it is the last.
          await failureOf('TERMINATED', () =>
            act(store, ledger, backfillStep, { signal: stopper.signal, onEvent }),
          );
          if (act === applyBackfillStep) await act(store, ledger, backfillStep);
        }
        await revertBackfillStep(store, ledger, backfillStep);
        expect(ledger.step(backfillStep.name)).to.equal(undefined);
      }),
    ));
});

describe('revertSchemaStep', () => {
  for (const [code, sql] of [
    ['COLUMN_HAS_VALUES', `UPDATE task_audits SET source_event_ts = 'own' WHERE audit_id = 1`],
    ['VERSION_TOO_NEW', `INSERT INTO schema_version (version) VALUES ('0.22.0')`],
  ] as const) {
    it(`refuses with ${code} what was written after its checks, and drops no column`, () =>
      withGeneratedStore({ audits: 20 }, (path) =>
        withOpened(path, async ({ store, ledger }) => {
          applySchemaStep(store, ledger, schemaStep);
          // What another writer commits between the first transaction of a `down` and its last.
          class Late extends Ledger {
            override beginRevert(name: string): void {
              super.beginRevert(name);
              store.run(sql);
            }
          }
          await failureOf(code, () =>
            revertSchemaStep(store, new Late(store), schemaStep, { isConfirmed: false }),
          );
          expect(
            absentColumns(store, 'task_audits', ['source_event_ts', 'supervisor_processed_at']).size,
          ).to.equal(0);
          expect(ledger.step(schemaStep.name)?.status).to.equal('reverting');
        }),
      ));
  }
});

describe('applySqlStep', () => {
  it('refuses a string of several statements, which could end its transaction', () =>
    withGeneratedStore({ audits: 20 }, (path) =>
      withOpened(path, ({ store, ledger }) => {
        const step = defineSqlStep({ up: ['CREATE TABLE q (a); COMMIT; CREATE TABLE r (a)'] });
        expect(() => applySqlStep(store, ledger, { ...step, name: 'x', path: 'x.ts' })).to.throw();
        expect(store.get(`SELECT 1 FROM sqlite_schema WHERE name IN ('q', 'r')`)).to.equal(undefined);
        expect(ledger.step('x')).to.equal(undefined);
      }),
    ));
});
