import { expect } from 'chai';
import { describe, it } from 'mocha';
import { status } from '../src/migrator/status.js';
import { optionsFor, stoppedAfter, up } from './support/migrate.js';
import { agentOs } from './support/run-up.js';
import { withGeneratedStore } from './support/stores.js';

/** Writes rows as an application does: many that are nothing to the backfill, then perhaps one that waits for it. */
const write = (path: string, others: number, waits: boolean): void =>
  agentOs(path, (db) => {
    const insert = db.prepare(
      `INSERT INTO task_audits (event_type, payload, created_at) VALUES (?, '{}', '2026-02-01')`,
    );
    for (let i = 0; i < others; i += 1) insert.run('TASK_CREATED');
    if (waits) insert.run('SUPERVISOR_PAUSED');
  });

async function look(path: string, probeRows?: number): Promise<unknown> {
  const { steps, isPending } = await status(optionsFor(path), probeRows === undefined ? {} : { probeRows });
  return [steps.find(({ backfill }) => backfill)?.backfill?.isWaiting, isPending];
}

describe('status', () => {
  for (const waits of [false, true]) {
    it(`reads so many rows at most to find whether some wait, where ${waits ? 'one does' : 'none does'}`, () =>
      withGeneratedStore({ audits: 30, smallSchema: true }, async (path) => {
        await up(path);
        write(path, 40, waits);
        // 30 rows that are done and 40 others before the one that waits: keys that may be used again are read from the first.
        expect(await look(path, 20)).to.deep.equal(['unknown', 'unknown']);
        expect(await look(path, 69)).to.deep.equal(['unknown', 'unknown']);
        expect(await look(path, 71)).to.deep.equal([waits, waits]);
        expect(await look(path, Number.POSITIVE_INFINITY)).to.deep.equal([waits, waits]);
        expect(await look(path)).to.deep.equal([waits, waits]);
      }));
  }

  it('says that something is pending for another reason, though it does not know of rows that wait', () =>
    withGeneratedStore({ audits: 30, smallSchema: true }, async (path) => {
      await up(path);
      agentOs(path, (db) => db.exec('DROP INDEX idx_task_audits_decision_lag'));
      expect(await look(path, 5)).to.deep.equal(['unknown', true]);
    }));

  it('says how far a run is, by the keys between its first one and its watermark', () =>
    withGeneratedStore({ audits: 400 }, async (path) => {
      const percent = async (): Promise<number | undefined> =>
        (await status(optionsFor(path))).steps.find(({ backfill }) => backfill)?.backfill?.percent;
      await up(path, stoppedAfter(4));
      const [first, cursor, watermark] = agentOs(path, (db) => [
        db.prepare('SELECT min(first_key) FROM umzug_backfill_batches').pluck().get(),
        ...(db.prepare('SELECT cursor, watermark FROM umzug_backfill_runs').raw().get() as unknown[]),
      ]).map(Number) as [number, number, number];
      expect(await percent()).to.equal(Math.floor((1000 * (cursor - first)) / (watermark - first)) / 10);
      expect(await percent()).to.be.within(1, 60);
      await up(path);
      expect(await percent()).to.equal(100);
    }));
});
