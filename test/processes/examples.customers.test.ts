import { cpSync, mkdirSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { expect } from 'chai';
import { describe, it } from 'mocha';
import { bin, type CliResult, root, runCommand } from '../support/cli.js';
import { listening } from '../support/failpoints.js';
import { dumpSchema, dumpTable, query, withFolder } from '../support/stores.js';

// examples/customers as it stands: its own test, and its steps on a store, killed, resumed, verified and taken back.

const CUSTOMERS = 5000;

/** Every tenth has no name. */
const STORE = `CREATE TABLE customers (code TEXT PRIMARY KEY, name TEXT, email TEXT) WITHOUT ROWID;
  WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT ${CUSTOMERS})
  INSERT INTO customers SELECT 'C-' || i, iif(i % 10, ' Ada  Love lace ', ' '), ' Ada' || i || '@Example.COM' FROM n`;

/** Runs `act` in a copy of the example, with this package installed. */
const withProject = (
  act: (run: (command: string, killAt?: object) => Promise<CliResult>, store: string) => Promise<void>,
): Promise<void> =>
  withFolder(async (folder) => {
    const [app, store] = [join(folder, 'app'), join(folder, 'customers.db')];
    cpSync(join(root, 'examples/customers'), app, { recursive: true });
    mkdirSync(join(app, 'node_modules'));
    symlinkSync(root, join(app, 'node_modules/umzug-backfill'));
    const run = async (command: string, killAt?: object): Promise<CliResult> => {
      const words = command.split(' ').map((word) => (word === 'umzug-backfill' ? bin : word));
      const options = { cwd: app, env: { CUSTOMERS_DB: store } };
      return await runCommand([process.execPath, ...words], killAt ? listening(killAt, options) : options);
    };
    await act(run, store);
  });

describe('examples/customers', () => {
  it('passes its own test', () =>
    withProject(async (run) => {
      const { code, stdout, stderr } = await run('--test');
      expect(code, stdout + stderr).to.equal(0);
      expect(stdout).to.match(/pass 1\b/);
    }));

  it('fills, is killed, goes on, verifies and takes back', () =>
    withProject(async (run, store) => {
      const done = async (command: string): Promise<CliResult> => {
        const result = await run(command);
        expect(result.code, `${command}\n${result.stdout}${result.stderr}`).to.equal(0);
        return result;
      };
      new Database(store).exec(STORE).close();
      const before = { schema: dumpSchema(store), customers: dumpTable(store, 'customers') };
      const counts = (): string[] =>
        query(
          store,
          `SELECT count(first_name) || ' ' || count(last_name) || ' ' || count(normal_email) FROM customers
          WHERE first_name = 'Ada' AND last_name = 'Love lace' AND normal_email = lower(trim(email))`,
        );

      const third = { at: 'statement', detail: 'INSERT INTO umzug_backfill_batches', nth: 3 };
      expect((await run('umzug-backfill up', third)).signal).to.equal('SIGKILL');
      const kept = dumpTable(store, 'umzug_backfill_batches');
      expect(kept, 'the third was in flight').to.have.length(2);

      await done('umzug-backfill up');
      expect(counts()).to.deep.equal(['4500 4500 4500']);
      expect(dumpTable(store, 'umzug_backfill_batches'), 'none was done twice').to.include.members(kept);
      expect((await done('umzug-backfill verify')).stdout).to.match(/Verification of 002-split-names: warn/);
      expect((await done('umzug-backfill skips')).stdout).to.include('NO_NAME');
      await done('umzug-backfill lint');

      await done('umzug-backfill down');
      expect(counts()).to.deep.equal(['0 0 0']);
      await done('umzug-backfill down');
      expect({ schema: dumpSchema(store), customers: dumpTable(store, 'customers') }).to.deep.equal(before);
    }));
});
