import { expect } from 'chai';
import { before, describe, it } from 'mocha';
import { type CliResult, spawnCli } from '../support/cli.js';
import { useNewProject } from '../support/new-project.js';
import { untilFound, useCopies } from '../support/postgres-runs.js';
import { needServer, type TestDatabase, withDatabase } from '../support/postgres-server.js';

// PostgreSQL compiles a statement by the catalog of its moment, and reads by the snapshot: a look during which another commits DDL sees
// half of it. It must not take that for a fault.

const WAITING = `SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'umzug-backfill %'
  AND wait_event_type = 'Lock'`;

/** Runs a command that waits, in the middle of its look, for a transaction of this SQL; that commits then. */
async function besideDdl({ client, connect }: TestDatabase, sql: string, run: () => Promise<CliResult>) {
  const other = await connect();
  await other.query(`BEGIN; ${sql}`);
  const running = run();
  running.catch(() => undefined); // it is awaited below
  await untilFound(client, WAITING);
  await other.query('COMMIT');
  return await running;
}

const expectDone = ({ code, stdout, stderr }: CliResult): void =>
  expect(code, stdout + stderr).to.equal(0) as never;

describe('a look at a database', () => {
  before(function () {
    needServer(this);
  });
  const onV20 = useCopies({ audits: 60 });
  const onV21 = useCopies({ audits: 60, run: ['up'] });

  it('takes no column for a fault that another adds meanwhile', () =>
    onV20(async (copy) => {
      const add = 'ALTER TABLE task_audits ADD COLUMN source_event_ts text';
      const result = await besideDdl(copy, add, () =>
        spawnCli(['up', '--dry-run', '--json', '--database-url', copy.url]),
      );
      expectDone(result);
      const [{ statements }] = result.json().steps;
      const added = statements.filter(({ sql }: { sql: string }) => sql.includes('ADD COLUMN'));
      expect(added.map(({ sql }: { sql: string }) => sql.split(' ').at(-2))).to.deep.equal([
        '"supervisor_processed_at"',
      ]);
    }));

  it('takes no column for a fault that another drops meanwhile', () =>
    onV21(async (copy) => {
      const drop = 'ALTER TABLE task_audits DROP COLUMN source_event_ts';
      const result = await besideDdl(copy, drop, () =>
        spawnCli(['up', '--dry-run', '--json', '--database-url', copy.url]),
      );
      expectDone(result);
      const [{ statements }] = result.json().steps;
      expect(statements[0].sql).to.equal('ALTER TABLE "task_audits" ADD COLUMN "source_event_ts" TEXT');
    }));

  it('takes no ledger for a fault that a `down` drops meanwhile', () =>
    onV21(async (copy) => {
      const { rows } = await copy.client.query<{ name: string }>(
        `SELECT relname AS name FROM pg_class WHERE relname LIKE 'umzug_backfill_%' AND relkind = 'r'`,
      );
      const drop = `DROP TABLE ${rows.map(({ name }) => name).join(', ')} CASCADE`;
      const result = await besideDdl(copy, drop, () =>
        spawnCli(['status', '--json', '--database-url', copy.url]),
      );
      expectDone(result);
      expect(result.json().steps.map(({ state }: { state: string }) => state)).to.deep.equal([
        'pending',
        'pending',
      ]);
    }));

  const project = useNewProject();

  it('takes no index of ours for a fault while another is made', () =>
    withDatabase(async (database) => {
      const { client, url } = database;
      // The condition of an index is worked out while PostgreSQL plans: there it can be made to wait.
      await client.query(`CREATE FUNCTION least_id() RETURNS int IMMUTABLE LANGUAGE plpgsql AS
        'BEGIN PERFORM pg_advisory_xact_lock_shared(1); RETURN 0; END';
        CREATE TABLE events (id serial PRIMARY KEY, a text, n int);
        INSERT INTO events (n) SELECT -1 FROM generate_series(1, 5000);
        CREATE INDEX slow ON events (id) WHERE id > least_id()`);
      project.write('package.json', '{"type":"module"}');
      project.write(
        'umzug-backfill.config.mjs',
        `import { defineConfig } from 'umzug-backfill';
        export default defineConfig({ database: { path: 'none.db' }, steps: ['steps'] });`,
      );
      project.write(
        'steps/001-ours.mjs',
        `import { defineSchemaStep } from 'umzug-backfill';
        export default defineSchemaStep({ table: 'events', columns: { b: 'text' },
          indexes: { ours: { columns: ['b'], where: 'n < 0 AND a IS NULL' } } });`,
      );
      const run = (...args: string[]): Promise<CliResult> =>
        spawnCli([...args, '--database-url', url], { cwd: project.path });
      expectDone(await run('up'));
      await client.query(`UPDATE events SET b = repeat('x', 500) || id`);
      await client.query('VACUUM ANALYZE events');
      // The best way to read what the condition of ours says: it is there when PostgreSQL plans for the second time.
      const make = `CREATE INDEX others ON events (n) WHERE n < 0 AND a IS NULL; SELECT pg_advisory_xact_lock(1)`;
      expectDone(await besideDdl(database, make, () => run('down', '--dry-run')));
      await client.query('DROP INDEX others');
      expectDone(await besideDdl(database, make, () => run('status', '--check')));
    }));
});
