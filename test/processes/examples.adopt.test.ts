import { cpSync, mkdirSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { expect } from 'chai';
import { describe, it } from 'mocha';
import { bin, type CliResult, root, runCommand } from '../support/cli.js';
import { listening } from '../support/failpoints.js';
import { dumpSchema, dumpTable, query, withFolder } from '../support/stores.js';

// examples/adopt as it stands: the state before, the adoption, a backfill that is killed, resumed, verified and taken back.

const ORDERS = 5000;

/** Runs `act` in a copy of the example, with its packages installed. */
const withProject = (
  act: (run: (command: string, killAt?: object) => Promise<CliResult>, store: string) => Promise<void>,
): Promise<void> =>
  withFolder(async (folder) => {
    const [app, store] = [join(folder, 'app'), join(folder, 'orders.db')];
    cpSync(join(root, 'examples/adopt'), app, { recursive: true });
    mkdirSync(join(app, 'node_modules'));
    symlinkSync(root, join(app, 'node_modules/umzug-backfill'));
    for (const name of ['umzug', 'better-sqlite3'])
      symlinkSync(join(root, 'node_modules', name), join(app, 'node_modules', name));
    const env = { ORDERS_DB: store };
    const run = async (command: string, killAt?: object): Promise<CliResult> => {
      const [file = '', ...args] = command.split(' ');
      const words = [process.execPath, file === 'umzug-backfill' ? bin : file, ...args];
      const options = { cwd: app, env };
      return await runCommand(words, killAt ? listening(killAt, options) : options);
    };
    await act(run, store);
  });

describe('examples/adopt', () => {
  it('adopts, fills, is killed, goes on, verifies and takes back', () =>
    withProject(async (run, store) => {
      const done = async (command: string): Promise<CliResult> => {
        const result = await run(command);
        expect(result.code, `${command}\n${result.stdout}${result.stderr}`).to.equal(0);
        return result;
      };
      const placed = (): number => query<number>(store, 'SELECT count(placed_at) FROM orders')[0] ?? 0;

      await done('migrate.before.js up');
      expect(query(store, 'SELECT name FROM SequelizeMeta')).to.deep.equal([
        '001-orders.js',
        '002-placed-at.js',
      ]);
      new Database(store)
        .exec(`WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT ${ORDERS})
          INSERT INTO orders (body, created_at) SELECT '{"ts":"2026-01-20T10:00:00Z"}', '2026-01-21' FROM n`)
        .close();
      const before = { schema: dumpSchema(store), orders: dumpTable(store, 'orders') };

      expect((await done('adopt.js --dry-run')).stdout).to.include(
        `imported: [ '001-orders', '002-placed-at' ]`,
      );
      expect(dumpSchema(store)).to.deep.equal(before.schema);
      await done('adopt.js');
      expect((await done('adopt.js')).stdout).to.include('imported: []');
      const pending = (await done('migrate.js pending --json')).stdout;
      expect(JSON.parse(pending).map(({ name }: { name: string }) => name)).to.deep.equal([
        '003-fill-placed-at.js',
      ]);

      const third = { at: 'statement', detail: 'INSERT INTO umzug_backfill_batches', nth: 3 };
      expect((await run('migrate.js up', third)).signal).to.equal('SIGKILL');
      const [batches = 0, rows = 0] = query<number>(
        store,
        'SELECT count(*) FROM umzug_backfill_batches UNION ALL SELECT sum(rows_scanned) FROM umzug_backfill_batches',
      );
      expect(batches, 'the third was in flight').to.equal(2);
      expect(placed())
        .to.equal(rows)
        .and.to.be.within(1, ORDERS - 1);
      const kept = dumpTable(store, 'umzug_backfill_batches');

      await done('migrate.js up');
      expect(placed()).to.equal(ORDERS);
      expect(dumpTable(store, 'umzug_backfill_batches'), 'none was done twice').to.include.members(kept);
      expect((await done('umzug-backfill verify')).stdout).to.match(
        /Verification of 003-fill-placed-at: pass/,
      );
      expect((await done('umzug-backfill status')).stdout).to.include('003-fill-placed-at');

      await done('migrate.js down');
      expect(dumpTable(store, 'orders')).to.deep.equal(before.orders);
      expect(query(store, 'SELECT name FROM umzug_backfill_steps ORDER BY name')).to.deep.equal([
        '001-orders',
        '002-placed-at',
      ]);
      await done('migrate.js down --to 0');
      expect(dumpSchema(store).map((entry) => (entry as { name: string }).name)).to.deep.equal([
        'sqlite_autoindex_SequelizeMeta_1',
        'SequelizeMeta',
      ]);
    }));

  it('fills on the storage until now just as well', () =>
    withProject(async (run, store) => {
      const old = `import { Umzug } from 'umzug'; import { db } from './database.js'; import { sequelizeMeta } from './sequelize-meta.js';
        const umzug = new Umzug({ migrations: { glob: 'migrations/*.js' }, context: db, storage: sequelizeMeta(db), logger: undefined });
        await umzug.up();`;
      const app = join(store, '../app');
      const { code, stderr } = await runCommand([process.execPath, '--input-type=module', '-e', old], {
        cwd: app,
        env: { ORDERS_DB: store },
      });
      expect(code, stderr).to.equal(0);
      expect(query(store, 'SELECT name FROM SequelizeMeta')).to.have.length(3);
      expect((await run('umzug-backfill status --check')).code).to.equal(0);
    }));
});
