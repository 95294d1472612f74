import { expect } from 'chai';
import { describe, it } from 'mocha';
import { backfillStatus, stoppedAfter, up } from './support/migrate.js';
import { change, query, withGeneratedStore } from './support/stores.js';

/** Rows that are read at most to find out whether some wait. */
const MOST_ROWS = 50_000;
const AUDITS = 30;

/** Writes rows as an application does: many that are nothing to the backfill, then perhaps one that waits for it. */
function write(path: string, others: number, waits: boolean): void {
  const insert = 'INSERT INTO task_audits (event_type, payload, created_at)';
  change(
    path,
    `WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${others})
    ${insert} SELECT 'TASK_CREATED', '{}', '2026-02-01' FROM n`,
  );
  if (waits) change(path, `${insert} VALUES ('SUPERVISOR_PAUSED', '{}', '2026-02-01')`);
}

async function look(path: string): Promise<unknown> {
  const { needsCatchUp, isPending } = await backfillStatus(path);
  return [needsCatchUp, isPending];
}

describe('status', () => {
  for (const waits of [false, true]) {
    it(`reads 50,000 rows at most to find whether some wait, where ${waits ? 'one does' : 'none does'}`, () =>
      withGeneratedStore({ audits: AUDITS, smallSchema: true }, async (path) => {
        await up(path);
        expect(await look(path)).to.deep.equal([false, false]);
        // Keys that may be used again are read from the first: those that are done, too.
        write(path, MOST_ROWS + 1 - AUDITS, waits);
        expect(await look(path)).to.deep.equal(['unknown', 'unknown']);
        change(
          path,
          `DELETE FROM task_audits WHERE audit_id IN (${AUDITS + 1}, ${AUDITS + 2}, ${AUDITS + 3})`,
        );
        expect(await look(path)).to.deep.equal([waits, waits]);
      }));
  }

  it('knows of a table whose filled cells are NULL again, however many rows come before them', () =>
    withGeneratedStore({ audits: AUDITS, smallSchema: true }, async (path) => {
      write(path, MOST_ROWS + 1, true);
      change(path, `DELETE FROM task_audits WHERE audit_id <= ${AUDITS}`);
      await up(path);
      expect(await look(path)).to.deep.equal(['unknown', 'unknown']);
      change(path, 'UPDATE task_audits SET source_event_ts = NULL, supervisor_processed_at = NULL');
      expect(await look(path)).to.deep.equal([true, true]);
    }));

  it('says that something is pending for another reason, though it does not know of rows that wait', () =>
    withGeneratedStore({ audits: AUDITS, smallSchema: true }, async (path) => {
      await up(path);
      write(path, MOST_ROWS + 1, false);
      change(path, 'DROP INDEX idx_task_audits_decision_lag');
      expect(await look(path)).to.deep.equal(['unknown', true]);
    }));

  it('says how far a run is, by the keys between its first one and its watermark', () =>
    withGeneratedStore({ audits: 400 }, async (path) => {
      const percent = async (): Promise<number> => (await backfillStatus(path)).percent;
      await up(path, stoppedAfter(4));
      const [first = 0] = query<number>(path, 'SELECT min(first_key) FROM umzug_backfill_batches');
      const [cursor = 0] = query<number>(path, 'SELECT cursor FROM umzug_backfill_ranges');
      const [watermark = 0] = query<number>(path, 'SELECT watermark FROM umzug_backfill_runs');
      expect(await percent()).to.equal(Math.floor((1000 * (cursor - first)) / (watermark - first)) / 10);
      expect(await percent()).to.be.within(1, 60);
      await up(path);
      expect(await percent()).to.equal(100);
    }));
});
