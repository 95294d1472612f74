import { spawnSync } from 'node:child_process';
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { describe, it } from 'mocha';
import { cleanEnv, root } from './support/cli.js';
import { EVENTS, withShop } from './support/shop.js';
import { query } from './support/stores.js';

const [schema, backfill] = ['001-order-column', '002-order-times'];

describe('runAsCLI', () => {
  /** Runs a script that makes a migrator and hands the command line over. */
  const asCli = (path: string, folder: string, args: readonly string[]) => {
    mkdirSync(join(folder, 'node_modules'), { recursive: true });
    symlinkOnce(root, join(folder, 'node_modules/umzug-backfill'));
    writeFileSync(
      join(folder, 'migrate.mjs'),
      `import { createMigrator, defineBackfill, defineSchemaStep, firstOf } from 'umzug-backfill';
      const migrator = createMigrator({
        database: ${JSON.stringify(path)},
        backup: false,
        batchRows: 10,
        steps: {
          '${schema}': defineSchemaStep({ table: 'events', columns: { ordered_at: 'TEXT' } }),
          '${backfill}': defineBackfill({ table: 'events', key: 'id', columns: { ordered_at: firstOf('body', ['ts'], 'created_at') } }),
        },
      });
      migrator.on('migrated', ({ name }) => console.error('told ' + name));
      const isDone = await migrator.runAsCLI();
      console.error('done ' + isDone);`,
    );
    return spawnSync(process.execPath, ['migrate.mjs', ...args], {
      cwd: folder,
      env: cleanEnv(folder),
      encoding: 'utf8',
    });
  };
  const symlinkOnce = (target: string, path: string): void => {
    try {
      symlinkSync(target, path);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
  };

  it('is this package’s command line on this project, with its settings and its listeners', () =>
    withShop(async (path, folder) => {
      const up = asCli(path, folder, ['up', '--json']);
      expect(up.status, up.stderr).to.equal(0);
      expect(JSON.parse(up.stdout)).to.deep.include({ applied: [schema, backfill] });
      expect(JSON.parse(up.stdout).backup).to.equal(undefined);
      expect(up.stderr).to.include(`told ${backfill}`).and.to.include('done true');
      const batches = query<number>(path, 'SELECT count(*) FROM umzug_backfill_batches');
      expect(batches[0]).to.equal(EVENTS / 10);
      const down = asCli(path, folder, ['down', '--backup-dir', folder, '--json']);
      expect(JSON.parse(down.stdout).backup.path).to.include(folder);
    }));

  it('ends with the exit code of its command, and names the script in hints and help', () =>
    withShop(async (path, folder) => {
      const check = asCli(path, folder, ['status', '--check']);
      expect(check.status).to.equal(3);
      expect(check.stderr).to.include('done false');
      const verify = asCli(path, folder, ['verify']);
      expect(verify.stderr)
        .to.include('STEP_NOT_APPLIED')
        .and.to.include('→ Apply it first: node migrate.mjs up');
      const help = asCli(path, folder, ['report', '--help']);
      expect(help.stdout)
        .to.include('Usage: node migrate.mjs report')
        .and.to.include('umzug-backfill-report.html')
        .and.to.include('node migrate.mjs report --out');
    }));
});
