import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from 'chai';
import { describe, it } from 'mocha';
import { bin, bytesOf, expectRefusal, root, runCli, spawnCli } from '../support/cli.js';
import { codeOf, up } from '../support/migrate.js';
import { quick, withV20 } from '../support/schema-step.js';
import { change } from '../support/stores.js';

/** Views each of which reads the one before twice: SQLite does not end when it compiles the last. */
const compilesForEver = (): string => {
  const views = Array.from(
    { length: 15 },
    (_, i) => `CREATE VIEW v${i + 1} AS SELECT a.x FROM v${i} a, v${i} b`,
  );
  return `CREATE VIEW v0 AS SELECT audit_id AS x FROM task_audits; ${views.join('; ')};
    CREATE TRIGGER slow AFTER UPDATE ON task_audits BEGIN SELECT x FROM v15; END`;
};

/** Processes that try a step on a copy of a schema, by their parent, as Linux has them. */
function trials(): { readonly pid: number; readonly parent: number }[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((pid) => {
      try {
        const command = readFileSync(`/proc/${pid}/cmdline`, 'utf8');
        const parent = Number(/^PPid:\s*(\d+)$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]);
        return command.includes('trial-process.js') ? [{ pid: Number(pid), parent }] : [];
      } catch {
        return []; // it has ended
      }
    });
}

/** Waits until there is a value. */
async function until<Value>(find: () => Value | undefined): Promise<Value> {
  for (;;) {
    const found = find();
    if (found !== undefined) return found;
    await sleep(20);
  }
}

describe('the trial of a schema step', () => {
  for (const [when, isMade] of [
    ['before the columns are made', false],
    ['when they are', true],
  ] as const) {
    it(`is ended where SQLite does not end, with the store as it was: ${when}`, () =>
      withV20(async (path) => {
        if (isMade)
          expect(codeOf(await up(path, quick, { to: 'v021-1-decision-columns' }))).to.equal(undefined);
        change(path, compilesForEver());
        const before = bytesOf(path);
        const args = isMade ? ['up', '--no-backup', '--allow-triggers'] : ['up', '--dry-run'];
        const { message } = expectRefusal(
          await spawnCli([...args, '--db-path', path]),
          'SCHEMA_TRIAL_FAILED',
          1,
        );
        expect(message).to.include('took longer than 10 s');
        expect(bytesOf(path)).to.deep.equal(before);
      }));
  }

  it('is ended where SQLite takes ever more memory, with the store as it was', () =>
    withV20(async (path) => {
      const columns = Array.from({ length: 1900 }, (_, i) => `c${i}`).join();
      const views = Array.from(
        { length: 12 },
        (_, i) => `CREATE VIEW v${i + 1} AS SELECT a.* FROM v${i} a, v${i} b`,
      );
      change(
        path,
        `CREATE TABLE wide (${columns}); CREATE VIEW v0 AS SELECT * FROM wide; ${views.join('; ')};
        CREATE TRIGGER large AFTER UPDATE ON task_audits BEGIN SELECT * FROM v12; END`,
      );
      const before = bytesOf(path);
      expectRefusal(await spawnCli(['up', '--dry-run', '--db-path', path]), 'SCHEMA_TRIAL_FAILED', 1);
      expect(bytesOf(path)).to.deep.equal(before);
    }));

  it('ends by itself when the command that wanted it is killed', function () {
    if (process.platform !== 'linux') {
      console.log('        skipped: finds processes in /proc');
      this.skip();
    }
    return withV20(async (path) => {
      change(path, compilesForEver());
      const child = spawn(process.execPath, [bin, 'up', '--dry-run', '--db-path', path], {
        cwd: root,
        stdio: 'ignore',
      });
      const ended = once(child, 'exit');
      const trial = await until(() => trials().find(({ parent }) => parent === child.pid)?.pid);
      child.kill('SIGKILL');
      await ended;
      await until(() => (trials().some(({ pid }) => pid === trial) ? undefined : true));
    });
  });

  it('starts only where a schema step is to be made or taken back, or triggers would fire', () =>
    withV20(async (path) => {
      const { execPath } = process;
      process.execPath = '/nowhere/node';
      const on = (...args: string[]) => runCli([...args, '--db-path', path]);
      try {
        const { message } = expectRefusal(await on('up', '--no-backup'), 'SCHEMA_TRIAL_FAILED', 1);
        expect(message).to.include('ended early');
        for (const command of ['status', 'pending', 'skips', 'lint'])
          expect((await on(command)).code, command).to.equal(0);
        process.execPath = execPath;
        expect((await on('up', '--no-backup')).code).to.equal(0);
        process.execPath = '/nowhere/node';
        for (const command of ['up', 'verify', 'backfill', 'status', 'down'])
          expect((await on(command)).code, command).to.equal(0);
      } finally {
        process.execPath = execPath;
      }
    }, 'CREATE TABLE only_here (x)')); // the results of trials are remembered
});
