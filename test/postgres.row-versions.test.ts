import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { expect } from 'chai';
import { before, describe, it } from 'mocha';
import { postgresEngine } from './support/engine-postgres.js';
import { needEngine, type TestStore } from './support/engines.js';
import {
  after,
  backfillStatus,
  checkOf,
  codeOf,
  down,
  expectIdle,
  name,
  only,
  onPlainStore,
  processed,
  stoppedAfter,
  up,
  verify,
} from './support/migrate.js';
import { sharedServer, withDatabase } from './support/postgres-server.js';
import type { Audit } from './support/stores.js';

// A row tells which transaction wrote it: whether the cells that a run filled are as the run left them.

const time = '2026-05-05T05:05:05Z';
const payload = JSON.stringify({ source_ts: time, timestamp: time });
/** What PostgreSQL leaves to this program, by the token of Python's. */
const rare: Audit = {
  payload: `{"source_ts": "2026-01-20T10:00:00Z", "timestamp": "${processed}", "x": NaN}`,
};

/** Writes another value than the one that is derived, whenever the cell is filled. */
const corrupting = (when: 'BEFORE' | 'AFTER', body: string): string => `
  CREATE FUNCTION corrupt() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN ${body} END $$;
  CREATE TRIGGER corrupt ${when} UPDATE ON task_audits FOR EACH ROW WHEN (pg_trigger_depth() = 0) EXECUTE FUNCTION corrupt()`;

/** In a subtransaction, as each block with an EXCEPTION is one. */
const IN_SUBTRANSACTION = `
  BEGIN
    UPDATE task_audits SET source_event_ts = '${time}' WHERE audit_id = NEW.audit_id AND audit_id IN (3, 13);
  EXCEPTION WHEN division_by_zero THEN NULL;
  END;
  RETURN NULL;`;

const consistencyOf = (verification: Parameters<typeof checkOf>[0]) => {
  const { findings, stats } = checkOf(verification, 'consistency');
  const { changedInRun, changedMeanwhile, changedSince } = stats;
  const told = findings.flatMap(({ verdict, sampleKeys }) =>
    verdict === 'pass' ? [] : [[verdict, sampleKeys]],
  );
  return { told, stats: { changedInRun, changedMeanwhile, changedSince } };
};

describe('a row that was changed while a run was under way, on PostgreSQL', () => {
  before(function () {
    needEngine(this, postgresEngine);
  });

  /** Lets a run fill 20 rows, changes the store, and lets it go on. */
  async function upAround(store: TestStore, ...changes: readonly string[]) {
    expect(codeOf(await up(store, stoppedAfter(2)))).to.equal('TERMINATED');
    for (const sql of changes) await store.change(sql);
    return await up(store);
  }

  async function expectFailure(store: TestStore, keys: readonly string[], ...changes: readonly string[]) {
    const outcome = await upAround(store, ...changes);
    expect(outcome.error).to.include({ code: 'VERIFICATION_FAILED', exitCode: 5 });
    const { told, stats } = consistencyOf(only(outcome.verifications));
    expect(told).to.deep.equal([['fail', keys]]);
    expect(stats).to.deep.equal({ changedInRun: keys.length, changedMeanwhile: 0, changedSince: 0 });
    expect(await backfillStatus(store)).to.include({ verdict: 'fail', isPending: true });
  }

  it('is a warning, be it a document or a cell, and `down` leaves what the application wrote', () =>
    onPlainStore(
      postgresEngine,
      async (store) => {
        const outcome = await upAround(
          store,
          `UPDATE task_audits SET payload = '${payload}' WHERE audit_id IN (1, 14)`,
          `UPDATE task_audits SET source_event_ts = '${time}' WHERE audit_id = 9`,
        );
        expect(codeOf(outcome)).to.equal(undefined);
        const { told, stats } = consistencyOf(only(outcome.verifications));
        expect(told).to.deep.equal([['warn', ['1', '1', '9', '14', '14']]]);
        expect(stats).to.deep.equal({ changedInRun: 0, changedMeanwhile: 5, changedSince: 0 });
        expect(await backfillStatus(store)).to.include({ verdict: 'warn', isPending: false });
        await expectIdle(store);
        // Verified by now, they are an earlier run's.
        expect(consistencyOf(await verify(store)).stats).to.deep.equal({
          changedInRun: 0,
          changedMeanwhile: 0,
          changedSince: 5,
        });
        expect((await down(store)).cells).to.deep.equal([
          { backfill: name, reverted: 95, kept: 5, gone: 0, underivable: 0 },
        ]);
      },
      Array<Audit>(10).fill(rare), // a whole batch
    ));

  it('is a warning each time, where the application goes on behind every batch', () =>
    onPlainStore(postgresEngine, async (store) => {
      let changed = 0;
      const outcome = await up(store, {
        onEvent: ({ event }) => {
          if (event !== 'batch_committed') return;
          changed += 1;
          store.changeNow(`UPDATE task_audits SET payload = '${payload}' WHERE audit_id % 10 < ${changed}`);
        },
      });
      expect(codeOf(outcome)).to.equal(undefined);
      const { changedInRun, changedMeanwhile } = consistencyOf(only(outcome.verifications)).stats;
      expect(changedInRun).to.equal(0);
      expect(changedMeanwhile).to.be.greaterThan(20);
    }));

  it('fails where the run itself has written something else: nobody has written the row since', () =>
    onPlainStore(
      postgresEngine,
      async (store) => {
        const corrupt = `IF NEW.audit_id IN (1, 4, 24) THEN NEW.source_event_ts := '${time}'; END IF; RETURN NEW;`;
        await store.change(corrupting('BEFORE', corrupt));
        const outcome = await up(store, { allowTriggers: true });
        expect(codeOf(outcome)).to.equal('VERIFICATION_FAILED');
        expect(consistencyOf(only(outcome.verifications)).told).to.deep.equal([['fail', ['1', '4', '24']]]);
      },
      [rare],
    ));

  it('fails where a trigger of the run’s own transaction has written it in a subtransaction', () =>
    onPlainStore(postgresEngine, async (store) => {
      await store.change(corrupting('AFTER', IN_SUBTRANSACTION));
      const outcome = await up(store, { allowTriggers: true });
      expect(codeOf(outcome)).to.equal('VERIFICATION_FAILED');
      expect(consistencyOf(only(outcome.verifications)).told).to.deep.equal([['fail', ['3', '13']]]);
    }));

  it('fails where a later batch has written the row once more, so that it does not tell any longer', () =>
    onPlainStore(postgresEngine, (store) =>
      expectFailure(
        store,
        ['6'],
        `UPDATE task_audits SET source_event_ts = '${time}', supervisor_processed_at = NULL WHERE audit_id = 6`,
      ),
    ));

  it('fails where the table was written anew since', () =>
    onPlainStore(postgresEngine, (store) =>
      expectFailure(
        store,
        ['6'],
        'ALTER TABLE task_audits ALTER COLUMN created_at TYPE varchar(90)', // in the catalog alone
        `UPDATE task_audits SET source_event_ts = '${time}' WHERE audit_id = 6`,
        'ALTER TABLE task_audits ALTER COLUMN event_type TYPE char(40)',
      ),
    ));

  it('fails in a restored dump, whose rows all have another transaction', function () {
    return onPlainStore(postgresEngine, async (store) => {
      expect(codeOf(await up(store, stoppedAfter(2)))).to.equal('TERMINATED');
      const { bin } = await sharedServer();
      const dump = spawnSync(join(bin, 'pg_dump'), ['--inserts', String(store.address.postgres?.url)], {
        encoding: 'utf8',
      });
      if (dump.error) {
        console.log('      skipped: the server has no pg_dump beside it');
        this.skip();
      }
      await withDatabase(async ({ url, client }) => {
        await client.query('DROP SCHEMA public CASCADE');
        await client.query(
          `CREATE SCHEMA public; ${dump.stdout.replaceAll(/^\\.*$/gm, '')}; SET search_path = public`,
        );
        await client.query(`UPDATE task_audits SET source_event_ts = '${time}' WHERE audit_id = 6`);
        // As a server that is made by the same script each time may number them.
        await client.query(
          `UPDATE umzug_backfill_xids SET relation = 'task_audits'::regclass::oid::int8, filenode = pg_relation_filenode('task_audits')`,
        );
        const outcome = await up({ ...store, address: { path: url, postgres: { url } } });
        expect(codeOf(outcome)).to.equal('VERIFICATION_FAILED');
        expect(consistencyOf(only(outcome.verifications)).told).to.deep.equal([['fail', ['6']]]);
      });
    });
  });

  it('is judged as before where the ledger has no transactions: a version before this one wrote it', () =>
    onPlainStore(postgresEngine, async (store) => {
      const changed = after(1, 'batches_finished', () =>
        store.changeNow(
          `DROP TABLE umzug_backfill_xids; UPDATE task_audits SET source_event_ts = '${time}' WHERE audit_id = 6`,
        ),
      );
      const outcome = await up(store, changed);
      expect(codeOf(outcome)).to.equal('VERIFICATION_FAILED');
      expect(consistencyOf(await verify(store)).told).to.deep.equal([['fail', ['6']]]);
    }));

  it('leaves no trace of its transactions behind `down`', () =>
    onPlainStore(postgresEngine, async (store) => {
      const before = await store.dump();
      expect(codeOf(await up(store))).to.equal(undefined);
      expect(await store.query('SELECT count(DISTINCT batch) FROM umzug_backfill_xids')).to.deep.equal(['5']);
      expect(codeOf(await down(store, { to: 0 }))).to.equal(undefined);
      expect(await store.dump()).to.deep.equal(before);
    }));
});
