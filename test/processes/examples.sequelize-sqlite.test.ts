import { cpSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { expect } from 'chai';
import { describe, it } from 'mocha';
import { bin, type CliResult, root, runCommand } from '../support/cli.js';
import { listening } from '../support/failpoints.js';
import { change, dumpTable, query, withFolder } from '../support/stores.js';

// examples/sequelize-sqlite as it stands: Sequelize with its own copy of SQLite, beside which the backfill is killed, resumed, verified and reverted.

const ORDERS = 3000;

/** Puts the packages of the example into its folder. `sqlite3` compiles its module as it is installed; its fork brings one, with the same functions. */
function install(app: string): void {
  const installed = join(app, 'node_modules');
  mkdirSync(join(installed, 'sqlite3'), { recursive: true });
  symlinkSync(root, join(installed, 'umzug-backfill'));
  for (const name of ['umzug', 'sequelize'])
    symlinkSync(join(root, 'node_modules', name), join(installed, name));
  const fork = createRequire(import.meta.url).resolve('@appthreat/sqlite3');
  writeFileSync(
    join(installed, 'sqlite3/index.js'),
    `module.exports = require(${JSON.stringify(fork)}).default;`,
  );
}

describe('examples/sequelize-sqlite', () => {
  it('fills beside sqlite3, is killed, resumes, verifies and reverts', () =>
    withFolder(async (folder) => {
      const [app, store] = [join(folder, 'app'), join(folder, 'orders.db')];
      cpSync(join(root, 'examples/sequelize-sqlite'), app, { recursive: true });
      install(app);
      const run = async (command: string, killAt?: object): Promise<CliResult> => {
        const [file = '', ...args] = command.split(' ');
        const words = [process.execPath, file === 'umzug-backfill' ? bin : file, ...args];
        // For Sequelize, which is found by its real path.
        const options = { cwd: app, env: { ORDERS_DB: store, NODE_PATH: join(app, 'node_modules') } };
        return await runCommand(words, killAt ? listening(killAt, options) : options);
      };
      const done = async (command: string): Promise<CliResult> => {
        const result = await run(command);
        expect(result.code, `${command}\n${result.stdout}${result.stderr}`).to.equal(0);
        return result;
      };
      const names = (): string[] => query(store, 'SELECT name FROM SequelizeMeta ORDER BY name');
      const placed = (): number => query<number>(store, 'SELECT count(placed_at) FROM orders')[0] ?? 0;

      await done('migrate.js up --to 002-placed-at.js');
      change(
        store,
        `WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT ${ORDERS})
        INSERT INTO orders (body) SELECT iif(i = 7, '{}', json_object('seconds', 1768900000 + i)) FROM n`,
      );
      const before = dumpTable(store, 'orders');

      const second = { at: 'statement', detail: 'INSERT INTO umzug_backfill_batches', nth: 2 };
      const killed = await run('migrate.js up', second);
      expect(killed.code).to.equal(1);
      expect(killed.stderr).to.include('The process that worked on this store has ended (SIGKILL)');
      expect(placed())
        .to.equal(query<number>(store, 'SELECT sum(cells_filled) FROM umzug_backfill_batches')[0])
        .and.to.be.within(1, ORDERS - 2);
      expect(names()).to.deep.equal(['001-orders.js', '002-placed-at.js']);

      await done('migrate.js up');
      expect(placed()).to.equal(ORDERS - 1);
      expect(query(store, 'SELECT placed_at FROM orders WHERE id = 9')).to.deep.equal([
        new Date(1_768_900_009_000).toISOString(),
      ]);
      expect(names()).to.include('003-fill-placed-at.js');
      expect((await done('umzug-backfill verify')).stdout).to.match(
        /Verification of 003-fill-placed-at: (?:pass|warn)/,
      );
      await done('migrate.js down');
      expect(dumpTable(store, 'orders')).to.deep.equal(before);
      await done('migrate.js down --to 0');
      expect(names()).to.deep.equal([]);
    }));
});
