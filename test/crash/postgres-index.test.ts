import { expect } from 'chai';
import { before, describe, it } from 'mocha';
import { differences } from '../support/expect-same.js';
import { lasting, wholePgStore } from '../support/postgres-ledger.js';
import { argsOn, downOn, runOn, start, untilAlone, untilFound, useCopies } from '../support/postgres-runs.js';
import { column, needServer, type TestDatabase } from '../support/postgres-server.js';

// An index is made concurrently, outside of a transaction: whoever is killed meanwhile leaves one behind that is invalid.

const INVALID = `SELECT indexrelid::regclass FROM pg_index WHERE indrelid = 'task_audits'::regclass AND NOT indisvalid`;

/** Columns that the application has made itself, so that a `down` does not drop them, and what stands on them with them. */
const OWN_COLUMNS =
  'ALTER TABLE task_audits ADD COLUMN source_event_ts text, ADD COLUMN supervisor_processed_at text';

/** Kills an `up` that makes an index, and waits for a transaction that is older; that is ended behind it. */
async function killAtIndex({ url, client, connect }: TestDatabase, name: string): Promise<void> {
  const older = await connect();
  // Only in what the building of this index waits for: the columns are there by then, and the indexes before it.
  await older.query('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1');
  const running = start(argsOn(url, 'up'));
  await untilFound(
    client,
    `SELECT 1 FROM pg_stat_progress_create_index AS p JOIN pg_stat_activity AS a USING (pid)
    WHERE a.datname = current_database() AND p.phase LIKE 'waiting%' AND p.index_relid::regclass::text = '${name}'`,
  );
  process.kill(await running.pid(), 'SIGKILL');
  expect((await running.result).signal).to.equal('SIGKILL');
  await untilAlone(client);
  await older.query('ROLLBACK');
  expect(await column(client, INVALID)).to.deep.equal([name]);
}

describe('an `up` on PostgreSQL that is killed while it makes an index', () => {
  const onCopy = useCopies({ audits: 200, smallSchema: false });
  const onOwn = useCopies({ audits: 200, smallSchema: false, prepare: OWN_COLUMNS });
  before(function () {
    needServer(this);
  });

  it('makes it again when it is run again, and `down` drops it', () =>
    onCopy(async (copy) => {
      const { url, client } = copy;
      const v20 = await wholePgStore(client);
      const whole = await onCopy(async (other) => {
        await runOn(other.url, 'up');
        return await lasting(other.client);
      });
      await killAtIndex(copy, 'idx_task_audits_source_event_ts');
      await runOn(url, 'up');
      expect(differences(await lasting(client), whole)).to.deep.equal([]);
      await downOn(url);
      expect(differences(await wholePgStore(client), v20)).to.deep.equal([]);
    }));

  for (const [columns, on] of [
    ['of its own', onCopy],
    ["of the application's", onOwn],
  ] as const) {
    it(`leaves nothing of it behind its \`down\`, on columns ${columns}`, () =>
      on(async (copy) => {
        const { url, client } = copy;
        const v20 = await wholePgStore(client);
        await killAtIndex(copy, 'idx_task_audits_source_event_ts');
        await downOn(url);
        expect(await column(client, INVALID), 'indexes that are left').to.deep.equal([]);
        expect(differences(await wholePgStore(client), v20)).to.deep.equal([]);
      }));
  }
});
