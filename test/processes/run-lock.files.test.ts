import { spawnSync } from 'node:child_process';
import { chmodSync, chownSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { expect } from 'chai';
import { beforeEach, describe, it } from 'mocha';
import { RunLock } from '../../src/ledger/run-lock.js';
import { networkFileSystem, networkWarnings } from '../../src/store/disk.js';
import { createFollowing, follow } from '../../src/store/file.js';
import { locateStore } from '../../src/store/path.js';
import { root, useFolder } from '../support/cli.js';
import { failureOf } from '../support/stores.js';

const isRoot = process.getuid?.() === 0;
const modeOf = (path: string): number => statSync(path).mode & 0o777;
const ownersOf = (path: string): readonly number[] => [statSync(path).uid, statSync(path).gid];

/** Runs a script on `src/store/file.ts` in a process of its own, behind `prefix`. */
function fileScript(prefix: readonly string[], script: string, ...args: readonly string[]): void {
  const code = `(async () => { const file = await import(process.cwd() + '/dist/src/store/file.js');
    const [path, ...rest] = process.argv.slice(1); ${script} })();`;
  const [command = '', ...words] = [...prefix, process.execPath, '-e', code, ...args];
  const { status, stderr } = spawnSync(command, words, { cwd: root, encoding: 'utf8' });
  expect(status, stderr).to.equal(0);
}

const hasTool = (name: string): boolean => spawnSync(name, ['--version']).status === 0;

describe('the file of the run lock', () => {
  const folder = useFolder();
  let count = 0;
  let store = '';
  beforeEach(() => {
    count += 1;
    const own = folder.file(`it's number ${count}`);
    mkdirSync(own);
    store = join(own, 'store.db');
    writeFileSync(store, 'x');
  });

  const hold = async (act: () => unknown = () => undefined): Promise<void> => {
    const lock = await RunLock.acquire(locateStore(store), { timeoutMs: 0 });
    try {
      await act();
    } finally {
      lock.release();
    }
  };

  for (const mode of [0o600, 0o640, 0o660, 0o644, 0o666]) {
    it(`has the mode ${mode.toString(8)} of its store, and nothing else stays beside it`, async () => {
      chmodSync(store, mode);
      await hold(() => expect(modeOf(`${store}.lock`).toString(8)).to.equal(mode.toString(8)));
      expect(readdirSync(join(store, '..'))).to.have.members(['store.db', 'store.db.lock']);
    });
  }

  it('has the mode that its store got since', async () => {
    chmodSync(store, 0o666);
    await hold();
    chmodSync(store, 0o600);
    await hold();
    expect(modeOf(`${store}.lock`)).to.equal(0o600);
  });

  it('can not be executed, whatever its store can', async () => {
    chmodSync(store, 0o755);
    await hold();
    expect(modeOf(`${store}.lock`)).to.equal(0o644);
  });

  it('has the owner and the group of its store, also those that it got since', async function () {
    if (!isRoot) {
      console.log('    skipped: only root gives files away');
      this.skip();
    }
    const owners: readonly (readonly [uid: number, gid: number])[] = [
      [65534, 65534],
      [4243, 4242],
      [0, 4242],
    ];
    for (const [uid, gid] of owners) {
      chownSync(store, uid, gid);
      await hold();
      expect(ownersOf(`${store}.lock`)).to.deep.equal([uid, gid]);
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
      const { message, hint } = await failureOf('LOCK_UNUSABLE', () => hold());
      expect(message).to.match(
        /^The lock of this store, .*\/store\.db\.lock, can not be opened \(SQLITE_[A-Z]+\)$/,
      );
      const [, command = ''] = /: (rm .*)$/.exec(hint) ?? [];
      expect(spawnSync('sh', ['-c', command]).status, hint).to.equal(0);
      await hold();
    });
  }

  it('is taken when it is empty, as a run that was killed at once may leave it', async () => {
    writeFileSync(`${store}.lock`, '');
    await hold(() => failureOf('RUN_LOCKED', () => hold()));
  });

  it('is no lock that can not be opened when the disk is full', async function () {
    const disk = join(store, '..', 'disk');
    mkdirSync(disk);
    if (spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', disk]).status !== 0) {
      console.log('    skipped: this user may not mount a small disk');
      this.skip();
    }
    try {
      store = join(disk, 'store.db');
      writeFileSync(store, 'x');
      spawnSync('dd', ['if=/dev/zero', `of=${disk}/full`, 'bs=1k']);
      const { hint } = await failureOf('STORE_FULL', () => hold());
      expect(hint).to.match(/^Make room/);
      spawnSync('rm', [`${disk}/full`]);
      await hold();
    } finally {
      expect(spawnSync('umount', [disk]).status).to.equal(0);
    }
  });
});

describe('follow', () => {
  const folder = useFolder();
  const [user, group] = [65534, 4242];
  /** As a user who owns the file but not the store, in these groups besides an own one. */
  const asUser = (groups: string): readonly string[] => [
    'setpriv',
    `--reuid=${user}`,
    `--regid=${user}`,
    groups,
  ];
  const cases = [
    ['gives a group that this user is in', `--groups=${group}`, 0o660, group, 0o660],
    ['gives a group that this user is in', `--groups=${group}`, 0o640, group, 0o640],
    ['lets no group in when it can not give that of the store', '--clear-groups', 0o660, user, 0o600],
    ['lets no group in when it can not give that of the store', '--clear-groups', 0o666, user, 0o606],
    ['lets no group in when it can not give that of the store', '--clear-groups', 0o640, user, 0o600],
  ] as const;
  for (const [title, groups, mode, gid, given] of cases) {
    it(`${title} (${mode.toString(8)})`, function () {
      if (!isRoot || !hasTool('setpriv')) {
        console.log('    skipped: it takes root and setpriv to be another user');
        this.skip();
      }
      const path = folder.file(`${groups}-${mode}`);
      writeFileSync(path, '', { mode: 0o600 });
      chownSync(path, user, user);
      chmodSync(folder.path, 0o755);
      const script = 'file.follow(path, { uid: 0, gid: Number(rest[0]), mode: Number(rest[1]) });';
      fileScript(asUser(groups), script, path, String(group), String(mode));
      expect(ownersOf(path)).to.deep.equal([user, gid]);
      expect(modeOf(path).toString(8)).to.equal(given.toString(8));
    });
  }

  it('leaves a file alone that is as it should be', () => {
    const path = folder.file('same');
    writeFileSync(path, 'x', { mode: 0o600 });
    const { uid, gid, ctimeMs } = statSync(path);
    follow(path, { uid, gid, mode: 0o600 });
    expect(statSync(path).ctimeMs).to.equal(ctimeMs);
  });
});

describe('createFollowing', () => {
  const folder = useFolder();
  const ownership = { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0, mode: 0o640 };

  it('makes an empty file with the mode of the store, and leaves one that is there', () => {
    const path = folder.file('made');
    createFollowing(path, ownership);
    expect([statSync(path).size, modeOf(path)]).to.deep.equal([0, 0o640]);
    writeFileSync(path, 'kept');
    createFollowing(path, { ...ownership, mode: 0o600 });
    expect([readFileSync(path, 'utf8'), modeOf(path)]).to.deep.equal(['kept', 0o640]);
    expect(readdirSync(folder.path)).to.deep.equal(['made']);
  });

  it('makes it on a file system without links, too', function () {
    if (!hasTool('strace')) {
      console.log('    skipped: without strace no system call can be made to fail');
      this.skip();
    }
    const prefix = [
      'strace',
      '-f',
      '-o',
      '/dev/null',
      '-e',
      'trace=link,linkat',
      '-e',
      'inject=link,linkat:error=EPERM',
    ];
    const path = folder.file('without-links');
    fileScript(prefix, 'file.createFollowing(path, JSON.parse(rest[0]));', path, JSON.stringify(ownership));
    expect([statSync(path).size, modeOf(path)]).to.deep.equal([0, 0o640]);
    expect(readdirSync(folder.path).filter((name) => name.startsWith('without-links'))).to.have.length(1);
  });
});

describe('networkFileSystem', () => {
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
  for (const [type, name] of numbers) {
    it(`knows 0x${type.toString(16)} as ${name ?? 'no network'}`, () =>
      expect(networkFileSystem(type)).to.equal(name));
  }

  it('is what a folder on a disk of this machine is not warned of', () =>
    expect(networkWarnings(tmpdir())).to.deep.equal([]));
});
