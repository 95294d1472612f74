import { expect } from 'chai';
import { before, describe, it } from 'mocha';
import { createMigrator, defineBackfill, defineSchemaStep, type MigratorEvent, sql } from '../src/index.js';
import { runCommand } from './support/cli.js';
import { useNewProject } from './support/new-project.js';
import { LEADING, OURS, until, untilAlone } from './support/postgres-runs.js';
import { column, needServer, type TestDatabase, withDatabase } from './support/postgres-server.js';

// Several workers of one process, each with a session of its own, as an application asks for them.

/** So many that a run is cut into eight ranges. */
const ROWS = 2000;

const TABLE = `CREATE TABLE people (id int PRIMARY KEY, name text);
  INSERT INTO people SELECT n, CASE WHEN n % 500 = 7 THEN 'bad' ELSE 'Ada ' || n END FROM generate_series(1, ${ROWS}) AS n`;

const columns = defineSchemaStep({ table: 'people', columns: { surname: 'text', code: 'text' } });
const codes = defineBackfill({ table: 'people', key: 'id', columns: { code: sql("'#' || id") } });
const names = defineBackfill({
  table: 'people',
  key: 'id',
  reads: ['name'],
  columns: ['surname'],
  process: (rows, { skip }) =>
    rows.map(({ name }) => {
      if (name === 'none') return skip('NO_NAME');
      if (name === 'bad') throw new RangeError('a bad name');
      return { surname: String(name).split(' ')[1] ?? null };
    }),
});
const steps = { '001-columns': columns, '002-names': names, '003-codes': codes };

/** Locks each row, in another session. */
async function holdRows({ connect }: TestDatabase) {
  const holder = await connect();
  await holder.query('BEGIN; SELECT FROM people FOR UPDATE');
  return holder;
}

/** Waits until so many sessions of ours have waited for a row. */
async function untilWaiting({ client }: TestDatabase, count: number): Promise<void> {
  const seen = new Set<string>();
  await until(`${count} sessions to wait`, async () => {
    for (const pid of await column(client, `SELECT pid ${OURS} AND wait_event_type = 'Lock'`)) seen.add(pid);
    return seen.size >= count;
  });
}

/** Begins a fill, and lets it go on only when so many sessions take part in it; returns what it gives. */
async function filledBy<Result>(
  database: TestDatabase,
  count: number,
  fill: () => Promise<Result>,
): Promise<Result> {
  const holder = await holdRows(database);
  const filling = fill();
  filling.catch(() => undefined); // it is awaited below
  await untilWaiting(database, count);
  await holder.query('ROLLBACK');
  return await filling;
}

const codeOf = (call: Promise<unknown>): Promise<unknown> =>
  call.then(
    () => undefined,
    ({ code }: { readonly code?: unknown }) => code,
  );

describe('several workers of one process', () => {
  const project = useNewProject();

  it('are refused for a file', async () => {
    const migrator = createMigrator({ database: `${project.path}/none.db`, steps, workers: 2 });
    for (const call of [migrator.up(), migrator.backfill()]) expect(await codeOf(call)).to.equal('USAGE');
    expect(() => createMigrator({ database: 'none.db', steps, workers: 1.5 })).to.throw(/`workers`/);
  });

  describe('on PostgreSQL', () => {
    before(function () {
      needServer(this);
    });

    it('fill a database together, and each tells its batches, its skips and what `process` threw', () =>
      withDatabase(async (database) => {
        const { url, client } = database;
        await client.query(TABLE);
        const events: MigratorEvent[] = [];
        const migrator = createMigrator({
          database: url,
          steps,
          batchRows: 100,
          pace: 'full',
          workers: 3,
          onEvent: (event) => events.push(event),
        });
        await migrator.up({ to: '001-columns' });
        await filledBy(database, 3, () => migrator.up());
        const rows: Record<string, number> = {};
        for (const event of events)
          if (event.event === 'batch_committed')
            rows[event.backfill] = (rows[event.backfill] ?? 0) + event.rowsScanned;
        expect(rows).to.deep.equal({ '002-names': ROWS, '003-codes': ROWS });
        const told = (name: string) => events.filter(({ event }) => event === name);
        for (const name of ['run_started', 'batches_started', 'batches_finished'])
          expect(told(name), name).to.have.length(2);
        expect(told('row_skipped')).to.have.length(4);
        const warnings = told('warning').map((event) => ('text' in event ? event.text : ''));
        expect(warnings.join('\n')).to.match(/`process` of 002-names threw: RangeError at .*:\d+/);
        expect(warnings.join('\n')).not.to.include('has ended early');
        const filled = `SELECT count(*) FROM people WHERE code = '#' || id AND (surname = id::text) IS DISTINCT FROM (name = 'bad')`;
        expect(await column(client, filled)).to.deep.equal([String(ROWS)]);
        expect(await column(client, `SELECT 1 ${OURS}`), 'sessions that are left').to.deep.equal([]);
      }));

    it('wait for each other without naming their own process as another', () =>
      withDatabase(async ({ url, client, connect }) => {
        await client.query(TABLE);
        const settings = { database: url, steps, batchRows: 100, pace: 'full', workers: 2 } as const;
        await createMigrator(settings).up({ to: '001-columns' });
        const holder = await connect();
        await holder.query('BEGIN; SELECT FROM people WHERE id = 1000 FOR UPDATE');
        const waits: MigratorEvent[] = [];
        const onEvent = (event: MigratorEvent): void => {
          if (event.event !== 'range_waiting') return;
          waits.push(event);
          holder.query('ROLLBACK').catch(() => undefined); // it ends with the test
        };
        await createMigrator({ ...settings, onEvent }).up();
        expect(waits).to.deep.equal([{ event: 'range_waiting', backfill: '002-names' }]);
      }));

    it('end with a stop, and leave no session', () =>
      withDatabase(async (database) => {
        const { url, client } = database;
        await client.query(TABLE);
        const stopper = new AbortController();
        const settings = { database: url, steps, batchRows: 100, pace: 'full', workers: 3 } as const;
        await createMigrator(settings).up({ to: '001-columns' });
        const onEvent = ({ event }: MigratorEvent): void => {
          if (event === 'batch_committed') stopper.abort('SIGTERM');
        };
        const stopped = createMigrator({ ...settings, signal: stopper.signal, onEvent });
        expect(await filledBy(database, 3, () => codeOf(stopped.up()))).to.equal('TERMINATED');
        expect(await column(client, `SELECT 1 ${OURS}`), 'sessions that are left').to.deep.equal([]);
        await createMigrator(settings).up();
        expect(await column(client, 'SELECT count(*) FROM people WHERE code IS NULL')).to.deep.equal(['0']);
      }));

    it('end when the one that leads loses its session, though they wait for rows', () =>
      withDatabase(async (database) => {
        const { url, client } = database;
        await client.query(TABLE);
        const settings = { database: url, steps, batchRows: 100, pace: 'full', workers: 3 } as const;
        await createMigrator(settings).up({ to: '001-columns' });
        const holder = await holdRows(database);
        const filling = codeOf(createMigrator(settings).up());
        await untilWaiting(database, 3);
        await client.query(`SELECT pg_terminate_backend(pid) FROM (${LEADING}) AS leaders`);
        expect(await filling).to.equal('STORE_UNREACHABLE');
        await untilAlone(client);
        await holder.query('ROLLBACK'); // not before: what they waited for was held all the time
        await createMigrator(settings).up();
        expect(await column(client, 'SELECT count(*) FROM people WHERE code IS NULL')).to.deep.equal(['0']);
      }));

    it('tell what `process` threw on rows of their own, though the same steps fill another database meanwhile', () =>
      withDatabase(async (first) =>
        withDatabase(async (second) => {
          const SKIPPED = `UPDATE people SET name = 'none' WHERE id % 40 = 7`; // a skip in each batch, and each tells what was thrown
          await first.client.query(TABLE);
          await second.client.query(`${TABLE}; UPDATE people SET name = 'Ada'; ${SKIPPED}`);
          const settings = { steps, batchRows: 100, pace: 'full', workers: 2 } as const;
          const told = async ({ url }: TestDatabase): Promise<string[]> => {
            const texts: string[] = [];
            const onEvent = (event: MigratorEvent): void => {
              if (event.event === 'warning') texts.push(event.text);
            };
            await createMigrator({ ...settings, database: url, onEvent }).up();
            return texts.filter((text) => text.includes(' threw: '));
          };
          const [own, other] = await Promise.all([told(first), told(second)]);
          expect(own).not.to.deep.equal([]);
          expect(other).to.deep.equal([]);
        }),
      ));

    it('are asked for by --workers where a program embeds the command line', () =>
      withDatabase(async (database) => {
        const { url, client } = database;
        await client.query(`${TABLE}; ALTER TABLE people ADD code text`);
        project.write(
          'migrate.mjs',
          `import { createMigrator, defineBackfill, sql } from 'umzug-backfill';
          const codes = defineBackfill({ table: 'people', key: 'id', columns: { code: sql("'#' || id") } });
          await createMigrator({ database: ${JSON.stringify(url)}, steps: { codes } }).runAsCLI();`,
        );
        const args = ['up', '--workers', '3', '--json'];
        const run = () => runCommand([process.execPath, 'migrate.mjs', ...args], { cwd: project.path });
        const { code, stdout, stderr } = await filledBy(database, 3, run);
        expect(code, stdout + stderr).to.equal(0);
        expect(await column(client, 'SELECT count(*) FROM people WHERE code IS NULL')).to.deep.equal(['0']);
      }));
  });
});
