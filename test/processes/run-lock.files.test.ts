import { spawnSync } from 'node:child_process';
import fs, {
  chmodSync,
  chownSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { expect } from 'chai';
import { afterEach, before, beforeEach, describe, it } from 'mocha';
import type { BackfillError, MigratorEvent } from '../../src/index.js';
import { spawnCli, useFolder } from '../support/cli.js';
import { changing, commandsOn, makeStore, refused, useRuns } from '../support/lock-runs.js';
import { useStores } from '../support/on-store.js';

const isRoot = process.getuid?.() === 0;
const modeOf = (path: string): number => statSync(path).mode & 0o777;
const ownersOf = (path: string): readonly number[] => [statSync(path).uid, statSync(path).gid];

/** What `act` is refused with. */
async function failureOf(code: string, act: () => Promise<unknown>): Promise<BackfillError> {
  const thrown: unknown = await act().catch((error: unknown) => error);
  expect(thrown).to.include({ name: 'BackfillError', code });
  return thrown as BackfillError;
}

const hasTool = (name: string): boolean => spawnSync(name, ['--version']).status === 0;

describe('the file of the run lock', () => {
  const folder = useFolder();
  const begin = useRuns();
  let count = 0;
  let store = '';
  beforeEach(() => {
    count += 1;
    const own = folder.file(`it's number ${count}`);
    mkdirSync(own);
    store = join(own, 'store.db');
    makeStore(store);
  });

  /** Runs a command that takes it and gives it back. */
  const hold = (): Promise<unknown> => commandsOn(store)[changing(store)]();

  for (const mode of [0o600, 0o640, 0o660, 0o644, 0o666]) {
    it(`has the mode ${mode.toString(8)} of its store, and nothing else stays beside it`, async () => {
      chmodSync(store, mode);
      const { end } = await begin(store);
      expect(modeOf(`${store}.lock`).toString(8)).to.equal(mode.toString(8));
      await end();
      expect(readdirSync(join(store, '..'))).to.have.members(['store.db', 'store.db.lock']);
    });
  }

  it('keeps the mode that it was made with, as only a new file of this process is changed', async () => {
    chmodSync(store, 0o666);
    await hold();
    chmodSync(store, 0o600);
    await hold();
    expect(modeOf(`${store}.lock`)).to.equal(0o666);
  });

  it('can not be executed, whatever its store can', async () => {
    chmodSync(store, 0o755);
    await hold();
    expect(modeOf(`${store}.lock`)).to.equal(0o644);
  });

  it('has the group of its store', async function () {
    if (!isRoot) {
      console.log('    skipped: only root can give any group');
      this.skip();
    }
    for (const gid of [4243, 4242]) {
      chownSync(store, 0, gid);
      rmSync(`${store}.lock`, { force: true });
      await hold();
      expect(ownersOf(`${store}.lock`)).to.deep.equal([0, gid]);
    }
  });

  const damages: Readonly<Record<string, (lock: string) => void>> = {
    text: (lock) => writeFileSync(lock, 'pid 4711\n'),
    zeros: (lock) => writeFileSync(lock, Buffer.alloc(8192)),
    'half of it': (lock) => writeFileSync(lock, readFileSync(lock).subarray(0, 4096)),
    'its header alone being whole': (lock) => writeFileSync(lock, readFileSync(lock).fill(0xff, 100)),
    'the database of another program': (lock) => {
      writeFileSync(lock, '');
      const db = new Database(lock);
      db.exec('CREATE TABLE holder (name TEXT)');
      db.close();
    },
  };
  for (const [title, damage] of Object.entries(damages)) {
    it(`is mended by what LOCK_UNUSABLE tells to do: ${title}`, async () => {
      await hold();
      damage(`${store}.lock`);
      const { message, hint } = await failureOf('LOCK_UNUSABLE', hold);
      expect(message).to.match(
        /^The lock file .*\/store\.db\.lock (?:cannot be opened \(SQLITE_[A-Z]+\)|was not created by this program)$/,
      );
      const [, command = ''] = /: (rm .*)$/.exec(hint) ?? [];
      expect(spawnSync('sh', ['-c', command]).status, hint).to.equal(0);
      await hold();
    });
  }

  it('is taken when it is empty, as a run that was killed at once may leave it', async () => {
    writeFileSync(`${store}.lock`, '');
    await begin(store);
    await refused(store);
  });
});

describe('the file of the run lock of another user', () => {
  const copy = useStores();
  const [user, group] = [65534, 4242];
  /** As a user who is in these groups besides an own one. */
  const asUser = (groups: string): readonly string[] => [
    'setpriv',
    `--reuid=${user}`,
    `--regid=${user}`,
    groups,
  ];
  for (const [uid, gid] of [
    [user, user],
    [4243, group],
  ] as const) {
    it(`has that user and the store's group where root was to run: ${uid}`, async function () {
      if (!isRoot) {
        console.log('    skipped: only root can become another user');
        this.skip();
      }
      const store = copy('delete');
      chmodSync(join(store, '../..'), 0o755);
      for (const path of [store, join(store, '..')]) chownSync(path, uid, gid);
      const { code, stderr } = await spawnCli(['up', '--step', '1', '--no-backup', '--db-path', store]);
      expect(code, stderr).to.equal(0);
      expect(ownersOf(`${store}.lock`)).to.deep.equal([uid, gid]);
    });
  }

  const cases = [
    ['gets a group that this user is in', `--groups=${group}`, 0, 0o660, group, 0o660],
    ['gets a group that this user is in', `--groups=${group}`, user, 0o640, group, 0o640],
    ['lets no group in when it can not get that of the store', '--clear-groups', user, 0o660, user, 0o600],
    ['lets no group in when it can not get that of the store', '--clear-groups', 0, 0o666, user, 0o606],
    ['lets no group in when it can not get that of the store', '--clear-groups', user, 0o640, user, 0o600],
  ] as const;
  for (const [title, groups, owner, mode, gid, given] of cases) {
    it(`${title} (${mode.toString(8)})`, async function () {
      if (!isRoot || !hasTool('setpriv')) {
        console.log('    skipped: it takes root and setpriv to be another user');
        this.skip();
      }
      const store = copy('delete');
      chmodSync(join(store, '../..'), 0o755);
      chmodSync(join(store, '..'), 0o777);
      chownSync(store, owner, group);
      chmodSync(store, mode);
      const args = ['up', '--step', '1', '--no-backup', '--db-path', store];
      const { code, stderr } = await spawnCli(args, { prefix: asUser(groups) });
      expect(code, stderr).to.equal(0);
      expect(ownersOf(`${store}.lock`)).to.deep.equal([user, gid]);
      expect(modeOf(`${store}.lock`).toString(8)).to.equal(given.toString(8));
    });
  }
});

describe('the file of the run lock, as the system sees it', () => {
  const copy = useStores();
  before(function () {
    if (hasTool('strace')) return;
    console.log('    skipped: without strace no system call can be seen, or made to fail');
    this.skip();
  });

  it('is made on a file system without links, too, and left alone where it is as it should be', async () => {
    const store = copy('delete');
    chmodSync(store, 0o640);
    const run = async (command: readonly string[], strace: readonly string[]): Promise<void> => {
      const prefix = ['strace', '-f', '-qq', '-e', 'signal=none', ...strace];
      const result = await spawnCli([...command, '--no-backup', '--db-path', store], { prefix });
      expect(result.code, result.stderr).to.equal(0);
    };
    const [links, log] = ['link,linkat', join(store, '../strace.log')];
    const inject = ['-e', `trace=${links}`, '-e', `inject=${links}:error=EPERM`];
    await run(['up', '--step', '1'], ['-o', log, ...inject]);
    expect(readFileSync(log, 'utf8')).to.match(/\.lock".* = -1 EPERM .*\(INJECTED\)/);
    expect(modeOf(`${store}.lock`)).to.equal(0o640);
    const changes = 'trace=chmod,fchmodat,chown,lchown,fchownat';
    await run(['down'], ['-o', log, '-e', changes, '-P', `${store}.lock`]);
    expect(readFileSync(log, 'utf8')).to.equal('');
    expect(readdirSync(join(store, '..'))).to.have.members(['store.db', 'store.db.lock', 'strace.log']);
  });
});

describe('a store on a file system of a network', () => {
  const folder = useFolder();
  let count = 0;
  // The numbers are those of statfs(2), as Node gives them.
  const numbers: readonly (readonly [type: number, name: string | undefined])[] = [
    [0x6969, 'NFS'],
    [0xff534d42, 'CIFS'],
    [0xfe534d42, 'SMB2'],
    [0x01021997, '9P'],
    [0xef53, undefined], // ext4
    [0x01021994, undefined], // tmpfs
    [0x794c7630, undefined], // overlayfs
    [0x9123683e, undefined], // btrfs
    [0x58465342, undefined], // xfs
  ];
  const { statfsSync } = fs;
  afterEach(() => {
    fs.statfsSync = statfsSync;
    syncBuiltinESMExports();
  });
  /** What a run warns of, on a store of its own in the folder. */
  async function warnings(): Promise<readonly string[]> {
    count += 1;
    const store = folder.file(`store-${count}.db`);
    makeStore(store);
    const told: string[] = [];
    const onEvent = (event: MigratorEvent): void => {
      if (event.event === 'warning') told.push(event.text);
    };
    expect((await commandsOn(store).up({}, { onEvent })).applied).to.have.length(1);
    return told;
  }

  for (const [type, name] of numbers) {
    it(`is warned of where the system says 0x${type.toString(16)}: ${name ?? 'no network'}`, async () => {
      // No other than a disk of this machine can be had here.
      fs.statfsSync = ((path: string) => Object.assign(statfsSync(path), { type })) as typeof statfsSync;
      syncBuiltinESMExports();
      expect(await warnings()).to.deep.equal(
        name === undefined
          ? []
          : [
              `${realpathSync(folder.path)} is on ${name}: file locks may not work between machines, so use the store from one machine at a time`,
            ],
      );
    });
  }

  it('is not warned of on a disk of this machine', async () => {
    expect(await warnings()).to.deep.equal([]);
  });
});
