import { cpSync, mkdirSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { before, describe, it } from 'mocha';
import { bin, type CliResult, root, runCommand } from '../support/cli.js';
import { listening } from '../support/failpoints.js';
import { dumpPgTable } from '../support/postgres-dump.js';
import { column, needServer, withDatabase } from '../support/postgres-server.js';
import { withFolder } from '../support/stores.js';

// examples/adopt-sequelize as it stands, with its packages installed: a backfill that is killed, resumed, verified and taken back.

const ORDERS = 5000;

describe('examples/adopt-sequelize', () => {
  before(function () {
    needServer(this);
  });

  it('fills, is killed, goes on, verifies and takes back', () =>
    withFolder((folder) =>
      withDatabase(async ({ url, client }) => {
        const app = join(folder, 'app');
        cpSync(join(root, 'examples/adopt-sequelize'), app, { recursive: true });
        mkdirSync(join(app, 'node_modules'));
        symlinkSync(root, join(app, 'node_modules/umzug-backfill'));
        for (const name of ['umzug', 'sequelize', 'pg'])
          symlinkSync(join(root, 'node_modules', name), join(app, 'node_modules', name));
        const run = async (command: string, killAt?: object): Promise<CliResult> => {
          const [file = '', ...args] = command.split(' ');
          const words = [process.execPath, file === 'umzug-backfill' ? bin : file, ...args];
          const options = { cwd: app, env: { DATABASE_URL: url } };
          return await runCommand(words, killAt ? listening(killAt, options) : options);
        };
        const done = async (command: string): Promise<string> => {
          const { code, stdout, stderr } = await run(command);
          expect(code, `${command}\n${stdout}${stderr}`).to.equal(0);
          return stdout;
        };
        const first = async (sql: string) => await column(client, sql);

        await done('migrate.js up --to 002-placed-at.js');
        await client.query(`INSERT INTO orders (body, created_at)
          SELECT '{"ts":"2026-01-20T10:00:00Z"}', '2026-01-21' FROM generate_series(1, ${ORDERS})`);
        const orders = await dumpPgTable(client, 'orders');

        const third = { at: 'statement', detail: 'INSERT INTO umzug_backfill_batches', nth: 3 };
        expect((await run('migrate.js up', third)).signal).to.equal('SIGKILL');
        const [batches, rows] = await first(
          'SELECT count(*) FROM umzug_backfill_batches UNION ALL SELECT sum(rows_scanned) FROM umzug_backfill_batches',
        );
        expect(batches, 'the third was in flight').to.equal('2');
        const placed = async () => (await first('SELECT count(placed_at) FROM orders'))[0];
        expect(await placed()).to.equal(rows);
        const kept = await dumpPgTable(client, 'umzug_backfill_batches');
        expect(await done('migrate.js pending')).to.include('003-fill-placed-at');

        await done('migrate.js up');
        expect(await placed()).to.equal(String(ORDERS));
        expect(await dumpPgTable(client, 'umzug_backfill_batches'), 'none was done twice').to.include.members(
          kept,
        );
        expect(await first('SELECT name FROM "SequelizeMeta" ORDER BY 1')).to.have.length(3);
        const verified = await done('umzug-backfill verify --postgres');
        expect(verified).to.match(/Verification of 003-fill-placed-at: pass/);

        await done('migrate.js down');
        expect(await dumpPgTable(client, 'orders')).to.deep.equal(orders);
        expect(await first(`SELECT to_regclass('umzug_backfill_steps')`)).to.deep.equal(['null']);
        await done('migrate.js down --to 0');
      }),
    ));
});
