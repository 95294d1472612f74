import { expect } from 'chai';
import { before, describe, it } from 'mocha';
import { argsOn, start, untilFound, useCopies } from '../support/postgres-runs.js';
import { column, needServer } from '../support/postgres-server.js';
import { insertPgAudits } from '../support/postgres-stores.js';

describe('an `up` that makes an index on PostgreSQL', () => {
  const onCopy = useCopies({
    audits: 200,
    smallSchema: false,
    prepare:
      'ALTER TABLE task_audits ADD COLUMN source_event_ts text, ADD COLUMN supervisor_processed_at text',
  });
  before(function () {
    needServer(this);
  });

  it('lets others write meanwhile', () =>
    onCopy(async ({ url, client, connect }) => {
      const [holder, writer] = [await connect(), await connect()];
      await holder.query('BEGIN; LOCK TABLE task_audits IN ROW EXCLUSIVE MODE');
      const { result } = start(argsOn(url, 'up'));
      const isWaiting = `SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'
        AND query LIKE 'CREATE INDEX CONCURRENTLY%'`;
      await untilFound(client, isWaiting);
      await writer.query(`SET lock_timeout = '200ms'`);
      const [key = ''] = await insertPgAudits(writer, [{ eventType: 'TASK_STARTED' }]);
      expect(await column(client, isWaiting), 'still waits').to.deep.equal(['1']);
      await holder.query('COMMIT');
      expect((await result).code).to.equal(0);
      expect(
        await column(client, `SELECT event_type FROM task_audits WHERE audit_id = ${key}`),
      ).to.deep.equal(['TASK_STARTED']);
      const all = `SELECT count(*) > 0 AND bool_and(indisvalid) FROM pg_index WHERE indrelid = 'task_audits'::regclass
        AND indexrelid::regclass::text LIKE '%source_event_ts%'`;
      expect(await column(client, all)).to.deep.equal(['true']);
    }));
});
