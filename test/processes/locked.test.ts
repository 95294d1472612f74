import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { hostname } from 'node:os';
import { dirname, join } from 'node:path';
import { expect } from 'chai';
import { before, describe, it } from 'mocha';
import { type CliResult, expectRefusal, runCli, spawnCli, useFolder } from '../support/cli.js';
import { killedAt } from '../support/failpoints.js';
import { useHolders } from '../support/lock.js';
import { expectLooked, look, looks, modes, on, useStores } from '../support/on-store.js';
import { LOCKED, pausedAt } from '../support/pause.js';

const up = (store: string, ...more: string[]): readonly string[] => ['up', '--db-path', store, ...more];

/** Insists that another run was in the way. */
function expectLocked(result: CliResult, pid: number): void {
  const { message, hint } = expectRefusal(result, 'RUN_LOCKED', 4);
  const [, told, host, since = ''] = /: process (\d+) on (.+), since (\S+)$/.exec(message) ?? [];
  expect({ told: Number(told), host }).to.deep.equal({ told: pid, host: hostname() });
  expect(new Date(since).toISOString()).to.equal(since);
  expect(hint).to.include('--lock-timeout');
}

describe('a store that another run works on', () => {
  const copy = useStores();
  const startHolder = useHolders();
  const folder = useFolder();
  let applied = '';

  before(async () => {
    applied = folder.file('applied.db');
    copyFileSync(copy('wal'), applied);
    await on(applied).run(['up', '--no-backup']);
    rmSync(`${applied}.lock`);
  });
  const appliedCopy = (): string => {
    const store = copy('wal');
    copyFileSync(applied, store);
    return store;
  };

  for (const mode of modes) {
    it(`is waited for by \`up\`, which then finds nothing to do (${mode})`, async () => {
      const store = copy(mode);
      let second: Promise<CliResult> | undefined;
      const first = await pausedAt(up(store), LOCKED, async (child) => {
        await new Promise<void>((waits, reject) => {
          const onStderr = (text: string): void => {
            const [line] = /\{.*"lock_waiting".*\}/.exec(text) ?? [];
            if (line === undefined) return;
            expect(JSON.parse(line)).to.include({ pid: child.pid, host: hostname() });
            waits();
          };
          second = spawnCli(up(store), { onStderr });
          second.then(() => reject(new Error('Expected the second to wait')), reject);
        });
      });
      expect(first.code, first.stderr).to.equal(0);
      expect(first.stdout).to.include('applied v021-2-decision-fields');
      const { code, stdout, stderr } = (await second) as CliResult;
      expect(code, stderr).to.equal(0);
      expect(stdout).to.match(/^Nothing to do/);
      expect(stderr.match(/lock_waiting/g)).to.have.length(1);
      expect(readdirSync(dirname(store)).filter((name) => name.includes('.backup-'))).to.have.length(1);
    });

    it(`is refused with exit code 4 and the name of that run when the wait is over (${mode})`, async () => {
      const store = copy(mode);
      const startedAt = new Date().toISOString();
      await pausedAt(up(store), LOCKED, async (child) => {
        const refusals = [
          ['--lock-timeout', '0', '--json'],
          ['--lock-timeout', '0'],
          ['--lock-timeout', '0.3'],
        ].map((options) => spawnCli(up(store, ...options)));
        for (const refused of await Promise.all(refusals)) {
          expectLocked(refused, child.pid ?? 0);
          expect(refused.stdout).not.to.match(/nothing to do|applied/i);
        }
        const { message } = (await refusals[0])?.json().error ?? {};
        const since = String(message).slice(-24);
        expect(since >= startedAt && since <= new Date().toISOString(), since).to.equal(true);
      });
    });

    it(`answers commands that only look, before the first run and after it (${mode})`, async () => {
      const store = copy(mode);
      let holder = await startHolder(store);
      for (const command of looks) expectLooked(command, await look(store, command));
      await holder.end();
      await on(store).run(['up']);
      holder = await startHolder(store);
      for (const command of looks) expect((await look(store, command)).code).to.equal(0);
      await holder.end();
    });
  }

  it('is told by `status`, and so is a run that was stopped', async () => {
    const store = copy('wal');
    const line = async (): Promise<string> =>
      (await runCli(['status', '--db-path', store])).stdout.split('\n')[1] ?? '';
    const lock = async (): Promise<unknown> =>
      (await runCli(['status', '--json', '--db-path', store])).json().lock;
    expect(await line(), 'nothing begun').to.match(/^┌/);
    const aBatch = { at: 'statement', detail: 'INSERT INTO temp.umzug_backfill_batch', nth: 2 };
    await killedAt(up(store, '--no-backup', '--batch-size', '50'), aBatch);
    expect(await line()).to.equal('No run in progress; the last one was stopped.');
    expect(await lock()).to.deep.equal({ state: 'free' });
    const holder = await startHolder(store);
    expect(await line()).to.match(
      new RegExp(`^Run in progress: process ${holder.pid} on ${hostname()}, since \\S+Z$`),
    );
    expect(await lock()).to.have.nested.property('holder.pid', holder.pid);
    await holder.end();
    await on(store).run(['up']);
    expect(await line(), 'all done').to.match(/^┌/);
  });

  it('is told of by commands that need what is being applied', async () => {
    const store = copy('wal');
    const filling = { at: 'statement', detail: 'INSERT INTO temp.umzug_backfill_batch', nth: 2 };
    const args = up(store, '--no-backup', '--batch-size', '50');
    const done = await pausedAt(args, filling, async ({ pid }) => {
      for (const command of [['verify'], ['backfill'], ['backfill', '--dry-run']]) {
        const { message, hint } = expectRefusal(
          await runCli([...command, '--db-path', store]),
          'STEP_NOT_APPLIED',
          1,
        );
        expect(message).to.match(
          new RegExp(
            `is only partly applied, and a run is in progress: process ${pid} on ${hostname()}, since `,
          ),
        );
        expect(hint).to.match(/^Wait until it has ended, /);
      }
      const chinese = await runCli(['verify', '--db-path', store, '--lang', 'zh']);
      expect(chinese.stderr).to.include('只应用了一部分，且有运行正在进行：');
    });
    expect(done.code, done.stderr).to.equal(0);
    await on(store).run(['verify']);
  });

  it('is refused to every command that would change it', async () => {
    const store = copy('wal');
    const { run } = on(store);
    await run(['up']);
    const holder = await startHolder(store);
    const commands = [['down'], ['backfill', '--rescan'], ['restore']];
    for (const command of commands)
      expectLocked(await run([...command, '--lock-timeout', '0'], 4), holder.pid);
    await holder.end();
    await run(['status', '--check']);
  });

  it('is no matter to a command that has nothing to do, which does not even make the lock', async () => {
    const store = appliedCopy();
    const { look: looksAt } = on(store);
    for (const command of [['up'], ['backfill']]) {
      expect((await looksAt([...command, '--lock-timeout', '0'])).stdout).to.match(/^Nothing to do/);
      expect(existsSync(`${store}.lock`)).to.equal(false);
    }
    const holder = await startHolder(store);
    for (const command of [['up'], ['backfill']]) await looksAt([...command, '--lock-timeout', '0']);
    await holder.end();
  });

  it('is free at once when that run was killed around its taking and its giving back of the lock', async () => {
    const store = copy('wal');
    const inodes: number[] = [];
    for (const detail of ['signed', 'taken', 'released']) {
      await killedAt(up(store, '--lock-timeout', '0'), { at: 'lock', detail });
      inodes.push(statSync(`${store}.lock`).ino);
    }
    await on(store).run(['status', '--check']);
    await on(store).run(['down', '--lock-timeout', '0']);
    expect(new Set([...inodes, statSync(`${store}.lock`).ino]).size, 'the file is never another').to.equal(1);
  });
});

describe('the run lock of a store that belongs to another user', () => {
  const copy = useStores();
  const user = 65534;
  const asOwner = ['setpriv', `--reuid=${user}`, `--regid=${user}`, '--clear-groups'];

  before(function () {
    const [file = '', ...args] = [...asOwner, process.execPath, '--version'];
    if (process.getuid?.() === 0 && spawnSync(file, args).status === 0) return;
    console.log('    skipped: it takes root and setpriv to be two users');
    this.skip();
  });

  function ownedCopy(): string {
    const store = copy('wal');
    chmodSync(join(store, '../..'), 0o755);
    for (const path of [store, dirname(store)]) chownSync(path, user, user);
    chmodSync(store, 0o600);
    return store;
  }

  for (const detail of ['signed', 'taken', 'released']) {
    it(`lets its owner run behind a run of root that was killed when it had ${detail} it`, async () => {
      const store = ownedCopy();
      await killedAt(up(store, '--step', '1'), { at: 'lock', detail });
      const { code, stdout, stderr } = await spawnCli(up(store, '--lock-timeout', '0'), { prefix: asOwner });
      expect(code, stderr).to.equal(0);
      expect(stdout).to.include('applied v021-2-decision-fields');
      const files = readdirSync(dirname(store)).map((name) => join(dirname(store), name));
      expect(files.filter((file) => statSync(file).uid !== user)).to.deep.equal([]);
    });
  }

  it('is mended by what LOCK_UNUSABLE tells to do when its owner may not open it', async () => {
    const store = ownedCopy();
    const bin = join(dirname(store), 'bin');
    mkdirSync(bin);
    writeFileSync(join(bin, 'sudo'), '#!/bin/sh\nexec "$@"\n', { mode: 0o755 }); // this is root already
    writeFileSync(`${store}.lock`, '', { mode: 0o600 });
    const { hint } = expectRefusal(await spawnCli(up(store), { prefix: asOwner }), 'LOCK_UNUSABLE', 1);
    const [, command = ''] = /: (sudo .*)$/.exec(hint) ?? [];
    const env = { ...process.env, PATH: `${bin}:${process.env.PATH}` };
    const { status, stderr } = spawnSync('sh', ['-c', command], { env, encoding: 'utf8' });
    expect(status, stderr).to.equal(0);
    const again = await spawnCli(up(store), { prefix: asOwner });
    expect(again.code, again.stderr).to.equal(0);
  });
});
