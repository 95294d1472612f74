import {
  chmodSync,
  chownSync,
  copyFileSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { expect } from 'chai';
import { before, beforeEach, describe, it } from 'mocha';
import { generateStore } from '../../demo/store-generator.js';
import {
  bin,
  expectRefusal,
  root,
  runCommand,
  type SpawnOptions,
  spawnCli,
  useFolder,
} from '../support/cli.js';
import { interruptedAt } from '../support/failpoints.js';
import { straceTrouble } from '../support/forms.js';
import { as, give, needUsers, OTHER, plant, SECOND } from '../support/users.js';

// Root runs the command line on a store in a folder of another user, who may replace any file there at any time.

describe('root on a store of another user', () => {
  const folder = useFolder();
  let count = 0;
  let own = '';
  let store = '';
  const at = (name: string): string => join(own, name);
  const secret = (): string => folder.file('secret');
  before(function () {
    needUsers(this);
    chmodSync(folder.path, 0o755);
    generateStore({ path: folder.file('v20.db'), audits: 50 });
  });
  beforeEach(() => {
    count += 1;
    own = folder.file(`case-${count}`);
    mkdirSync(own);
    store = at('store.db');
    copyFileSync(folder.file('v20.db'), store);
    give(OTHER, own, store);
    writeFileSync(secret(), 'root:x:0', { mode: 0o600 });
  });

  const cli = (args: readonly string[], options?: SpawnOptions) =>
    spawnCli([...args, '--db-path', store], options);
  async function run(...args: readonly string[]): Promise<string> {
    const { code, stdout, stderr } = await cli(args);
    expect(code, `${stdout}${stderr}`).to.equal(0);
    return stderr;
  }

  /** The ids of the process that runs a command, where it passes its first point. */
  async function idsIn(args: readonly string[], at: string): Promise<readonly string[]> {
    const file = folder.file('status');
    writeFileSync(file, '');
    chmodSync(file, 0o666);
    const point = { at };
    const record = ['sh', '-c', 'cat /proc/$PPID/status > "$0"', file];
    const { code, stderr } = await interruptedAt([...args, '--db-path', store], point, record);
    expect(code, stderr).to.equal(0);
    return ['Uid', 'Gid', 'Groups', 'CapEff', 'CapPrm'].map(
      (name) => new RegExp(`^${name}:\\s*(.*?)\\s*$`, 'm').exec(readFileSync(file, 'utf8'))?.[1] ?? '',
    );
  }

  it('gives up user, group, groups and capabilities for good, before the lock and the backup', async () => {
    const four = Array(4).fill(OTHER).join('\t');
    const none = '0000000000000000';
    for (const [command, point] of [
      ['up', 'lock'],
      ['down', 'copy'],
      ['up', 'statement'],
    ] as const)
      expect(await idsIn([command], point), point).to.deep.equal([four, four, String(OTHER), none, none]);
  });

  it('takes the store’s group for a user whom the system does not list, and none of root’s', async () => {
    const idsOf = (uid: number, gid: number): readonly string[] =>
      [uid, gid].map((id) => Array(4).fill(id).join('\t'));
    for (const [command, gid, taken] of [
      ['up', 4242, 4242],
      ['down', 0, 65_534],
    ] as const) {
      for (const path of [own, store]) chownSync(path, SECOND, gid);
      const ids = await idsIn([command], 'lock');
      expect(ids.slice(0, 3)).to.deep.equal([...idsOf(SECOND, taken), String(taken)]);
    }
  });

  it('takes the group of no other file, to which such a user has put a link', async () => {
    const other = folder.file('others.db');
    copyFileSync(folder.file('v20.db'), other);
    chownSync(other, 0, 42);
    chmodSync(other, 0o644);
    rmSync(store);
    plant(other, store, SECOND);
    chownSync(own, SECOND, SECOND);
    const { stderr } = await cli(['status']);
    expect(stderr).to.include(JSON.stringify({ uid: SECOND, gid: 65_534 }).slice(1, -1));
  });

  it('opens no debugger to that user, who may send it signals', async () => {
    const kill = ['sh', '-c', 'kill -USR1 $PPID'];
    const { code, stderr } = await interruptedAt(['up', '--db-path', store], { at: 'lock' }, kill);
    expect(code, stderr).to.equal(0);
    expect(stderr).not.to.include('Debugger listening');
  });

  it('hands nothing of the environment of root to processes that the user may look into', async function () {
    const trouble = straceTrouble();
    if (trouble !== undefined) {
      console.log(`    skipped: ${trouble}`);
      this.skip();
    }
    const log = folder.file('execve.log');
    const strace = ['strace', '-f', '-qq', '-v', '-s', '65536', '-o', log, '-e', 'trace=execve'];
    const up = [process.execPath, bin, 'up', '--db-path', store];
    const { code, stderr } = await runCommand([...strace, ...up], { env: { SECRET_OF_ROOT: 'told' } });
    expect(code, stderr).to.equal(0);
    const lines = readFileSync(log, 'utf8').split('\n');
    const [first = '', ...children] = lines.filter((line) => line.includes('execve('));
    expect(first).to.include('SECRET_OF_ROOT');
    expect(children).not.to.have.length(0);
    for (const child of children) expect(child).not.to.include('SECRET_OF_ROOT');
  });

  describe('names that user and what is not theirs, with the command that helps:', () => {
    /** Makes what is in the way, and gives the path of it. */
    const cases: readonly (readonly [what: string, code: string, make: () => string])[] = [
      ['a store that they may not write', 'STORE_READONLY', () => mine(store, 0o644)],
      ['a store that they may not read', 'STORE_READONLY', () => mine(store, 0o640)],
      ['a store that nobody may write', 'STORE_READONLY', () => mine(store, 0o444)],
      ['a folder that they may not write', 'STORE_FOLDER_READONLY', () => mine(own, 0o755)],
      ['a folder for backups', 'BACKUP_FOLDER_UNUSABLE', () => mine(backups(), 0o755)],
    ];
    const backups = (): string => {
      if (!existsSync(at("root's"))) mkdirSync(at("root's"));
      return at("root's");
    };
    function mine(path: string, mode: number): string {
      give(0, path);
      chmodSync(path, mode);
      return path;
    }
    for (const [what, code, make] of cases) {
      it(what, async () => {
        const args = what.endsWith('backups') ? ['up', '--backup-dir', backups()] : ['up'];
        const path = make();
        const { message, hint } = expectRefusal(await cli(args), code, 1);
        expect(message).to.include(path).and.include(`this user (user id ${OTHER})`);
        const [, chown = '', chmod = 'true'] = /: sudo (chown .*?)(?: && sudo (chmod .*))?$/.exec(hint) ?? [];
        expect((await runCommand(['sh', '-c', `${chown} && ${chmod}`])).code, hint).to.equal(0);
        await run(...args);
      });
    }

    it('a folder that they may not enter', async () => {
      mkdirSync(folder.file(`closed-${count}`), { mode: 0o700 });
      const within = join(folder.file(`closed-${count}`), 'copies');
      mkdirSync(within);
      const { message, hint } = expectRefusal(
        await cli(['up', '--backup-dir', within]),
        'STORE_FOLDER_READONLY',
        1,
      );
      expect(message)
        .to.include(`The folder ${folder.file(`closed-${count}`)} of ${within} cannot`)
        .and.include(`user id ${OTHER}`);
      const [, chmod = ''] = /: sudo (chmod .*)$/.exec(hint) ?? [];
      give(OTHER, within);
      expect((await runCommand(['sh', '-c', chmod])).code, hint).to.equal(0);
      await run('up', '--backup-dir', within);
    });

    it('what the system refuses', async () => {
      give(OTHER, backups());
      chmodSync(backups(), 0o300); // it may be written, and not be listed
      const { message } = expectRefusal(
        await cli(['up', '--backup-dir', backups()]),
        'STORE_FOLDER_READONLY',
        1,
      );
      expect(message).to.include(backups()).and.include(`User id ${OTHER}`);
    });
  });

  it('makes every file as that user, and says whom it has become', async () => {
    mkdirSync(at('out'));
    give(OTHER, at('out'));
    const told = JSON.stringify({ event: 'user_changed', uid: OTHER, gid: OTHER, store }).slice(1);
    const commands = [
      ['status'],
      ['verify', '--print-sql'],
      ['up', '--dry-run'],
      ['lint'],
      ['up', '--metrics-file', at('out/up.prom'), '--report', at('out/up.html')],
      ['verify'],
      ['report', '--out', at('out/report.html')],
      ['backfill', '--rescan', '--backup-dir', at('out')],
      ['skips'],
      ['down'],
      ['deploy'],
      ['restore'],
    ];
    for (const command of commands) expect(await run(...command), command.join(' ')).to.include(told);
    expect(await run('status', '--log-level', 'warn')).not.to.include('user_changed');
    const files = readdirSync(own, { recursive: true }).map(String);
    expect(files).to.include.members(['store.db.lock', 'out/up.prom', 'out/up.html', 'out/report.html']);
    for (const file of files) expect(lstatSync(at(file)).uid, file).to.equal(OTHER);
  });

  it('opens no file of the store before it has become that user', async function () {
    const trouble = straceTrouble();
    if (trouble !== undefined) {
      console.log(`    skipped: ${trouble}`);
      this.skip();
    }
    for (const command of [['status'], ['up'], ['verify'], ['restore', '--dry-run']]) {
      const log = folder.file('strace.log');
      const calls = 'trace=open,openat,creat,setuid,setresuid';
      const strace = ['strace', '-f', '--seccomp-bpf', '-qq', '-s', '4096', '-o', log, '-e', calls];
      const result = await runCommand([...strace, process.execPath, bin, ...command, '--db-path', store]);
      expect(result.code, result.stderr).to.equal(0);
      const lines = readFileSync(log, 'utf8').split('\n');
      const changed = lines.findLastIndex((line) => line.includes(` setuid(${OTHER}`)); // of every thread
      const opened = lines.findIndex((line) => line.includes(`"${store}`) && line.includes('open'));
      expect(changed, command.join(' ')).to.be.above(0);
      expect(opened, command.join(' ')).to.be.above(changed);
    }
  });

  it('leads nowhere that the user may not go, however they swap what is in their folder', async () => {
    // At each step of the copy every file in the folder but the store becomes a link to a file of root's.
    const swap = `for f in ${own}/*partial* ${own}/store.db.lock; do [ -e "$f" ] && ln -sf ${secret()} "$f"; done; exit 0`;
    for (const detail of ['made', 'begun', 'copied', 'checked', 'synced']) {
      const point = { at: 'copy', detail };
      await interruptedAt(['up', '--db-path', store], point, ['sh', '-c', swap]);
      await interruptedAt(['restore', '--db-path', store], point, ['sh', '-c', swap]);
      const { uid, mode, nlink } = lstatSync(secret());
      expect([uid, mode & 0o777, nlink, readFileSync(secret(), 'utf8')], detail).to.deep.equal([
        0,
        0o600,
        1,
        'root:x:0',
      ]);
      for (const name of readdirSync(own))
        if (name !== 'store.db') renameSync(at(name), folder.file(`${count}-${detail}-${name}`));
    }
  });

  it('does not become a user whom a link points at, nor open root’s file through one of theirs', async () => {
    const roots = folder.file('roots.db');
    if (!existsSync(roots)) copyFileSync(folder.file('v20.db'), roots);
    chmodSync(roots, 0o600);
    renameSync(store, at('real.db'));
    plant(roots, store);
    const bytes = readFileSync(roots);
    expectRefusal(await cli(['up']), /^STORE_/, 1);
    expect(readFileSync(roots).equals(bytes)).to.equal(true);
    plant(store, at('second.db'), SECOND);
    const refused = await spawnCli(['status', '--db-path', at('second.db')]);
    expectRefusal(refused, 'STORE_UNTRUSTED', 1);
  });

  it('is refused where several users own the path, with what the hint puts right', async () => {
    const inner = at('inner');
    mkdirSync(inner);
    renameSync(store, join(inner, 'store.db'));
    store = join(inner, 'store.db');
    give(SECOND, inner, store);
    const { message, hint } = expectRefusal(await cli(['up']), 'STORE_UNTRUSTED', 1);
    expect(message).to.include(
      `user id ${OTHER} owns a part of its path, and user id ${SECOND} owns ${inner}`,
    );
    expect(hint).to.include(`sudo -u '#${SECOND}'`); // the store is theirs
    expect(readdirSync(inner)).to.deep.equal(['store.db']);
    const there = await cli(['status'], { prefix: as(SECOND) });
    expect(there.code, there.stderr).to.equal(0);
  });

  it('is refused, with nothing done, to a process that may not become another user', async () => {
    const prefix = ['setpriv', '--bounding-set=-setuid,-setgid', '--inh-caps=-setuid,-setgid'];
    const { message } = expectRefusal(await cli(['up'], { prefix }), 'ROOT_REFUSED', 1);
    expect(message).to.include('this process may not become that user (EPERM)');
    expect(readdirSync(own)).to.deep.equal(['store.db']);
  });

  it('is refused where that user could not read the project, in whichever language', async () => {
    const project = folder.file(`project-${count}`);
    mkdirSync(join(project, 'steps'), { recursive: true });
    mkdirSync(join(project, 'node_modules'));
    symlinkSync(root, join(project, 'node_modules/umzug-backfill'));
    writeFileSync(
      join(project, 'umzug-backfill.config.mjs'),
      `import { defineConfig } from ${JSON.stringify(pathToFileURL(join(root, 'dist/src/index.js')).href)};
       export default defineConfig({ database: { path: 'store.db' }, steps: ['steps'] });`,
    );
    await spawnCli(['create', 'view', '--sql'], { cwd: project });
    chmodSync(project, 0o700);
    const file = join(project, 'umzug-backfill.config.mjs');
    const refused = expectRefusal(await cli(['up'], { cwd: project }), 'ROOT_REFUSED', 1);
    expect(refused.message).to.include(`that user may not read ${file}`);
    expect(refused.hint).to.include('mode 755').and.to.include(`sudo -u '#${OTHER}'`);
    const chinese = await cli(['up', '--lang', 'zh'], { cwd: project });
    expect(chinese.stderr).to.include(`该用户无权读取 ${file}`);
    expect(readdirSync(own)).to.deep.equal(['store.db']);
    chmodSync(project, 0o755);
    expect((await cli(['status'], { cwd: project })).code).to.equal(0);
  });

  it('is not touched where it does not exist, and root stays root on its own', async () => {
    const missing = await spawnCli(['status', '--db-path', at('none.db')]);
    expectRefusal(missing, 'STORE_MISSING', 1);
    expect(missing.stderr).not.to.include('user_changed');
    const roots = await spawnCli(['status', '--db-path', folder.file('v20.db')]);
    expect(roots.stderr).not.to.include('user_changed');
    expect(roots.code).to.equal(0);
  });

  it('is found by `~` in the home folder of root, where no HOME is set', async () => {
    const command = [
      process.execPath,
      bin,
      'up',
      '--no-backup',
      '--metrics-file',
      '~/nowhere/x',
      '--db-path',
      store,
    ];
    const result = await runCommand(['env', '-u', 'HOME', ...command]);
    const { message } = expectRefusal(result, 'OUTPUT_UNWRITABLE', 1);
    expect(message).to.match(/ to \/root\/nowhere\/x: this user may not write there$/);
  });
});
