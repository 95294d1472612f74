import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import Database from 'better-sqlite3';
import { expect } from 'chai';
import { afterEach, before, beforeEach, describe, it } from 'mocha';
import { expectRefusal, runCli, type SpawnOptions, spawnCli, useFolder } from '../support/cli.js';
import { passing } from '../support/failpoints.js';
import {
  HOLDER_TABLE,
  HOSTILE_SCHEMAS,
  writePageBomb,
  writeRemovingJournal,
} from '../support/hostile-lock.js';
import { useStores } from '../support/on-store.js';

const isRoot = process.getuid?.() === 0;
const hasSetpriv = spawnSync('setpriv', ['--version']).status === 0;

/** Ends a command that hangs; its exit code is 137 then. */
const BOUNDED: SpawnOptions = { prefix: ['timeout', '-s', 'KILL', '60'] };

/** Commands that take the lock, and that look at it. */
const COMMANDS = [['up', '--no-backup', '--lock-timeout', '0'], ['status']] as const;

/** What of a file must not change: its contents, its owner and its mode. */
function stateOf(path: string) {
  const { ino, uid, gid, mode, size, nlink } = lstatSync(path);
  return { ino, uid, gid, mode, size, nlink, contents: readFileSync(path).toString('base64') };
}

describe('a run lock that another user has planted', () => {
  const copy = useStores();
  const folder = useFolder();
  let [store, lock, aside] = ['', '', ''];
  let count = 0;
  beforeEach(() => {
    store = copy('delete');
    lock = `${store}.lock`;
    count += 1;
    aside = folder.file(`aside-${count}`);
    mkdirSync(aside);
  });

  /** Insists that a command refuses the lock, soon; returns its hint. */
  async function refused(command: readonly string[], why: RegExp): Promise<string> {
    const { message, hint } = expectRefusal(
      await spawnCli([...command, '--db-path', store], BOUNDED),
      'LOCK_UNUSABLE',
      1,
    );
    expect(message).to.match(why);
    return hint;
  }

  /** Insists that what the hint tells to do mends it. */
  async function mendedBy(hint: string): Promise<void> {
    const [, command = ''] = /: ((?:rm|mv) .*)$/.exec(hint) ?? [];
    expect(spawnSync('sh', ['-c', command]).status, hint).to.equal(0);
    const { code, stderr } = await runCli([...COMMANDS[0], '--db-path', store]);
    expect(code, stderr).to.equal(0);
  }

  const target = (): string => join(aside, 'target');
  const targets: Readonly<Record<string, () => void>> = {
    'a database': () => void new Database(target()).exec('CREATE TABLE own (x)').close(),
    'an empty file': () => writeFileSync(target(), ''),
    'the lock of another store': () => void new Database(target()).exec(HOLDER_TABLE).close(),
  };
  const links = { 'a symbolic link': symlinkSync, 'a hard link': linkSync } as const;
  for (const [kind, link] of Object.entries(links)) {
    for (const [title, make] of Object.entries(targets)) {
      it(`is not opened where it is ${kind} to ${title}`, async () => {
        make();
        link(target(), lock);
        chmodSync(target(), 0o400);
        chmodSync(store, 0o666);
        const before = stateOf(target());
        let hint = '';
        for (const command of COMMANDS)
          hint = await refused(command, /is a symbolic link$|has a second name$/);
        expect(stateOf(target())).to.deep.equal(before);
        await mendedBy(hint);
        const { contents, mode } = before;
        expect(stateOf(target()), 'removed by its other name').to.include({ contents, mode });
      });
    }
  }

  it('is not made where a symbolic link leads to no file', async () => {
    symlinkSync(target(), lock);
    let hint = '';
    for (const command of COMMANDS) hint = await refused(command, /is a symbolic link$/);
    expect(readdirSync(aside)).to.deep.equal([]);
    await mendedBy(hint);
  });

  const others: Readonly<Record<string, () => void>> = {
    'a FIFO': () => expect(spawnSync('mkfifo', [lock]).status).to.equal(0),
    'a folder': () => mkdirSync(lock),
  };
  for (const [title, make] of Object.entries(others)) {
    it(`is not opened where it is ${title}`, async () => {
      make();
      let hint = '';
      for (const command of COMMANDS) hint = await refused(command, /is not a regular file$/);
      await mendedBy(hint);
    });
  }

  it('is not opened where a user owns it who is not the owner of the store', async function () {
    if (!isRoot) {
      console.log('    skipped: only root gives files away');
      this.skip();
    }
    writeFileSync(lock, '');
    chownSync(lock, 65534, 65534);
    let hint = '';
    for (const command of COMMANDS) hint = await refused(command, /belongs to user id 65534, who is neither/);
    expect(lstatSync(lock)).to.include({ uid: 65534, size: 0 });
    await mendedBy(hint);
  });

  for (const [title, schema] of Object.entries(HOSTILE_SCHEMAS)) {
    it(`is not read with ${title}, whether it is free or held`, async () => {
      const db = new Database(lock);
      db.exec(schema);
      db.close();
      const before = stateOf(lock);
      let hint = '';
      for (const command of COMMANDS) hint = await refused(command, /was not created by this program$/);
      const holder = new Database(lock);
      try {
        holder.exec('BEGIN IMMEDIATE');
        for (const suffix of ['-wal', '-shm'])
          expect(existsSync(lock + suffix)).to.equal(title.includes('WAL'));
        const why = /was not created by this program$|sidecar, .*-(?:wal|shm),/;
        for (const command of COMMANDS) await refused(command, why);
      } finally {
        holder.close();
      }
      expect(stateOf(lock)).to.deep.equal(before);
      await mendedBy(hint);
    });
  }

  it('is not read where its pages refer to each other', async () => {
    writePageBomb(lock);
    let hint = '';
    for (const command of COMMANDS) hint = await refused(command, /was not created by this program$/);
    await mendedBy(hint);
  });

  it('shows of its holder no more than the name of a host can have', async () => {
    const db = new Database(lock);
    const sign = (pid: unknown, host: string, since: string): void =>
      void db
        .exec('DELETE FROM holder')
        .prepare('INSERT INTO holder VALUES (?, ?, ?, ?)')
        .run('t', pid, host, since);
    db.exec(HOLDER_TABLE);
    sign(7, 'h'.repeat(3000), 'long ago');
    db.exec('BEGIN IMMEDIATE');
    const [up, status] = COMMANDS;
    const run = (command: readonly string[]) => runCli([...command, '--db-path', store]);
    expect(expectRefusal(await run(up), 'RUN_LOCKED', 4).message).to.match(/: process 7 on h{253}$/);
    expect((await run([...status, '--json'])).json().lock.holder).to.deep.equal({
      pid: 7,
      host: 'h'.repeat(253),
    });
    db.exec('ROLLBACK');
    sign('not a number', 'host', '2026-01-20T10:00:00.000Z');
    db.exec('BEGIN IMMEDIATE');
    expect(expectRefusal(await run(up), 'RUN_LOCKED', 4).message).to.match(
      /: a process that has just started$/,
    );
    db.close();
  });
});

describe('a journal that another user has planted next to the run lock', () => {
  const copy = useStores();
  const folder = useFolder();
  let [store, lock] = ['', ''];
  beforeEach(async () => {
    store = copy('delete');
    lock = `${store}.lock`;
    const { code, stderr } = await runCli(['up', '--step', '1', '--no-backup', '--db-path', store]);
    expect(code, stderr).to.equal(0);
    expect(readdirSync(dirname(store))).to.have.members(['store.db', 'store.db.lock']);
  });

  async function refused(suffix: string): Promise<string> {
    let hint = '';
    for (const command of COMMANDS) {
      const told = expectRefusal(
        await spawnCli([...command, '--db-path', store], BOUNDED),
        'LOCK_UNUSABLE',
        1,
      );
      expect(told.message).to.include(`sidecar, ${lock}${suffix}, which`);
      hint = told.hint;
    }
    return hint;
  }

  async function mendedBy(hint: string): Promise<void> {
    const [, removal = ''] = /: ((?:rm|mv) .*)$/.exec(hint) ?? [];
    expect(spawnSync('sh', ['-c', removal]).status, hint).to.equal(0);
    const { code, stderr } = await runCli([...COMMANDS[0], '--db-path', store]);
    expect(code, stderr).to.equal(0);
  }

  it('removes no file that it names', async () => {
    const kept = folder.file('kept');
    writeFileSync(kept, 'of great value');
    writeRemovingJournal(`${lock}-journal`, kept);
    await mendedBy(await refused('-journal'));
    expect(readFileSync(kept, 'utf8')).to.equal('of great value');
  });

  for (const suffix of ['-journal', '-wal', '-shm']) {
    it(`is not opened as a FIFO, a link or a folder (${suffix})`, async () => {
      const path = lock + suffix;
      expect(spawnSync('mkfifo', [path]).status).to.equal(0);
      await refused(suffix);
      rmSync(path);
      symlinkSync(folder.file('none'), path);
      await refused(suffix);
      expect(existsSync(folder.file('none'))).to.equal(false);
      rmSync(path);
      mkdirSync(path);
      await mendedBy(await refused(suffix));
    });
  }
});

describe('a run lock that is replaced while it is opened', () => {
  const copy = useStores();
  const folder = useFolder();
  let [store, lock, target] = ['', '', ''];
  let count = 0;
  beforeEach(async () => {
    store = copy('delete');
    lock = `${store}.lock`;
    count += 1;
    target = folder.file(`target-${count}`);
    const { code } = await runCli(['up', '--step', '1', '--no-backup', '--db-path', store]);
    expect(code).to.equal(0);
  });
  /** Acts at points of the lock, the first time that each is passed, while a command is refused. */
  async function refusedWhile(acts: Readonly<Record<string, () => void>>): Promise<void> {
    const passed = new Set<string>();
    const result = await passing(
      ({ at, detail }) => {
        if (at !== 'lock' || passed.has(detail)) return;
        passed.add(detail);
        acts[detail]?.();
      },
      () => runCli([...COMMANDS[0], '--db-path', store]),
    );
    expect(expectRefusal(result, 'LOCK_UNUSABLE', 1).message).to.match(
      /was replaced while it was being opened$/,
    );
    expect([...passed]).to.include.members(Object.keys(acts));
    expect(passed).not.to.include('signed');
  }

  for (const [title, link] of Object.entries({ symbolic: symlinkSync, hard: linkSync })) {
    it(`by a ${title} link is not written to, even if it is put back before anybody looks`, async () => {
      new Database(target).exec(HOLDER_TABLE).close();
      const before = readFileSync(target);
      const plant = (): void => {
        renameSync(lock, `${lock}.own`);
        link(target, lock);
      };
      const putBack = (): void => {
        rmSync(lock);
        renameSync(`${lock}.own`, lock);
      };
      await refusedWhile({ found: plant, opened: putBack });
      await refusedWhile({ found: plant });
      expect(readFileSync(target)).to.deep.equal(before);
    });
  }

  it('with its whole folder is not written to, even if that is put back before anybody looks', async () => {
    const own = dirname(store);
    mkdirSync(target);
    new Database(join(target, 'store.db.lock')).exec(HOLDER_TABLE).close();
    const before = readFileSync(join(target, 'store.db.lock'));
    const plant = (): void => {
      renameSync(own, `${own}.own`);
      symlinkSync(target, own);
    };
    const putBack = (): void => {
      rmSync(own);
      renameSync(`${own}.own`, own);
    };
    await refusedWhile({ found: plant, opened: putBack });
    expect(readFileSync(join(target, 'store.db.lock'))).to.deep.equal(before);
  });
});

describe('a run of root on the store of another user', () => {
  const copy = useStores();
  const folder = useFolder();
  const user = 65534;
  const asOwner = ['setpriv', `--reuid=${user}`, `--regid=${user}`, '--clear-groups'];
  let [store, root] = ['', ''];
  before(function () {
    if (isRoot && hasSetpriv) return;
    console.log('    skipped: it takes root and setpriv to be two users');
    this.skip();
  });
  beforeEach(() => {
    store = copy('delete');
    chmodSync(join(store, '../..'), 0o755);
    for (const path of [store, dirname(store)]) chownSync(path, user, user);
    chmodSync(dirname(store), 0o700);
    chmodSync(store, 0o600);
    root = folder.file('root');
    mkdirSync(root, { mode: 0o700 });
  });
  afterEach(() => rmSync(root, { recursive: true }));

  const plant = (...command: readonly string[]): void => {
    const [file = '', ...args] = [...asOwner, ...command];
    const { status, stderr } = spawnSync(file, args, { encoding: 'utf8' });
    expect(status, stderr).to.equal(0);
  };

  const targets: Readonly<Record<string, (path: string) => void>> = {
    'an empty file': (path) => writeFileSync(path, '', { mode: 0o600 }),
    'a database': (path) => void new Database(path).exec('CREATE TABLE secret (x)').close(),
    'a text': (path) => writeFileSync(path, 'root:x:0\n', { mode: 0o600 }),
  };
  for (const [title, make] of Object.entries(targets)) {
    it(`neither gives away nor writes ${title} of root that the lock links to`, async () => {
      const target = join(root, 'target');
      make(target);
      chmodSync(target, 0o600);
      plant('ln', '-s', target, `${store}.lock`);
      const before = stateOf(target);
      for (const command of COMMANDS)
        expectRefusal(await spawnCli([...command, '--db-path', store], BOUNDED), 'LOCK_UNUSABLE', 1);
      expect(stateOf(target)).to.deep.equal(before);
    });
  }

  it('removes no file of root that a planted journal of the lock names', async () => {
    const [kept, planted] = [join(root, 'kept'), folder.file('journal')];
    writeFileSync(kept, 'of great value');
    new Database(`${store}.lock`).exec(HOLDER_TABLE).close();
    chownSync(`${store}.lock`, user, user);
    writeRemovingJournal(planted, kept);
    chmodSync(folder.path, 0o755);
    plant('cp', planted, `${store}.lock-journal`);
    for (const command of COMMANDS)
      expectRefusal(await spawnCli([...command, '--db-path', store], BOUNDED), 'LOCK_UNUSABLE', 1);
    expect(existsSync(kept)).to.equal(true);
  });

  it('leaves a lock that its owner has made as it is, and makes one that its owner can open', async () => {
    const run = (args: readonly string[], options?: SpawnOptions) =>
      spawnCli([...args, '--no-backup', '--db-path', store], options);
    expect((await run(['up', '--step', '1'])).code).to.equal(0);
    expect(lstatSync(`${store}.lock`)).to.include({ uid: user, gid: user });
    const own = await run(['up', '--step', '2'], { prefix: asOwner });
    expect(own.code, own.stderr).to.equal(0);
    chmodSync(`${store}.lock`, 0o640);
    const before = lstatSync(`${store}.lock`);
    expect((await run(['up', '--step', '3'])).code).to.equal(0);
    const { ino, uid, gid, mode } = before;
    expect(lstatSync(`${store}.lock`)).to.include({ ino, uid, gid, mode });
  });
});
