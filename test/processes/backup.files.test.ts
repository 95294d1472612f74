import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { expect } from 'chai';
import { before, describe, it } from 'mocha';
import { bin, expectRefusal, runCli, runCommand, spawnCli, useFolder } from '../support/cli.js';
import { addNotes, asBackup, copiesOf, copyOf, damageTable, filesOf, stateOf } from '../support/copies.js';
import { interruptedAt } from '../support/failpoints.js';
import { on, useStores } from '../support/on-store.js';
import { asAgentOs } from '../support/stores.js';

const isRoot = process.getuid?.() === 0;
const modeOf = (path: string): string => (statSync(path).mode & 0o777).toString(8);

/** Runs a command as a user who is not root, under `prefix`. */
const asUser = (uid: number, gid: number): string[] => [
  'setpriv',
  `--reuid=${uid}`,
  `--regid=${gid}`,
  '--clear-groups',
];

/** Skips a test that needs another user where none can be had. */
function needUsers(test: Mocha.Context): void {
  if (isRoot && spawnSync('setpriv', ['--version']).status === 0) return;
  console.log('    skipped: it takes root, and setpriv, to be another user');
  test.skip();
}

describe('backup, who may read it', () => {
  const copy = useStores();

  for (const [point, umask] of [
    ['made', '000'],
    ['begun', '000'],
    ['copied', '077'],
    ['checked', '000'],
  ] as const) {
    it(`is for this user alone while it is being made: ${point}, umask ${umask}`, async () => {
      const store = copy('wal');
      chmodSync(store, 0o664);
      const result = `${dirname(store)}/seen`;
      const script = `const fs = require('node:fs'); const [folder, result] = process.argv.slice(1);
        const found = fs.readdirSync(folder).filter((name) => name.includes('.partial'));
        for (const name of [...found]) found.push(...fs.readdirSync(folder + '/' + name).map((file) => name + '/' + file));
        const modes = found.map((name) => [name, (fs.statSync(folder + '/' + name).mode & 0o777).toString(8)]);
        fs.writeFileSync(result, JSON.stringify(modes));`;
      const { code, stderr } = await interruptedAt(
        ['up', '--db-path', store],
        { at: 'copy', detail: point },
        [process.execPath, '-e', script, dirname(store), result],
        { prefix: ['sh', '-c', `umask ${umask}; exec "$@"`, 'sh'] },
      );
      expect(code, stderr).to.equal(0);
      const seen = JSON.parse(readFileSync(result, 'utf8')) as [name: string, mode: string][];
      const [around, ...within] = seen;
      expect(around?.[0]).to.match(/^store\.db\.backup\.partial-\w{6}$/);
      expect(around?.[1]).to.equal('700');
      expect(within).not.to.deep.equal([]);
      for (const [name, mode] of within) expect(mode, name).to.equal('600');
      expect(modeOf(copyOf(store))).to.equal('664');
    });
  }

  it('has the owner, the group and the mode of the store, here and in another folder, as root becomes that owner', async function () {
    if (!isRoot) {
      console.log('    skipped: only root can become another user');
      this.skip();
    }
    const store = copy('wal');
    const other = `${dirname(store)}/other`;
    mkdirSync(other);
    chmodSync(join(store, '../..'), 0o755);
    for (const path of [store, dirname(store), other]) chownSync(path, 12_345, 54_321);
    chmodSync(store, 0o640);
    for (const command of [['up'], ['down', '--backup-dir', other]]) {
      const { code, stderr } = await spawnCli([...command, '--db-path', store]);
      expect(code, stderr).to.equal(0);
    }
    for (const path of [copyOf(store), copyOf(store, 'backup', other)]) {
      const { uid, gid } = statSync(path);
      expect([uid, gid, modeOf(path)]).to.deep.equal([12_345, 54_321, '640']);
    }
  });

  it('keeps out a group that this user can not give it to', async function () {
    needUsers(this);
    const store = copy('delete');
    chmodSync(join(store, '../..'), 0o755);
    chownSync(dirname(store), 12_345, 12_345);
    chownSync(store, 12_345, 54_321);
    chmodSync(store, 0o660);
    const { code, stderr } = await spawnCli(['up', '--db-path', store], { prefix: asUser(12_345, 12_345) });
    expect(code, stderr).to.equal(0);
    const { uid, gid } = statSync(copyOf(store));
    expect([uid, gid, modeOf(copyOf(store))]).to.deep.equal([12_345, 12_345, '600']);
  });
});

describe('backup, where', () => {
  const copy = useStores();

  it('is made in a folder that is given, as a link or relative to where the command runs', async () => {
    const store = copy('wal');
    const was = stateOf(store);
    mkdirSync(`${store}-copies`);
    symlinkSync(`${store}-copies`, `${store}-link`);
    const { backup } = (await on(store).run(['up', '--json', '--backup-dir', `${store}-link`])).json();
    expect(dirname(backup.path)).to.equal(`${store}-copies`);
    expect(stateOf(backup.path)).to.deep.equal(asBackup(was));
    expect(copiesOf(store)).to.deep.equal([]);
  });

  it('is refused in a folder that is missing or a file, and made once the hint is followed', async () => {
    const store = copy('wal');
    writeFileSync(`${store}-file`, '');
    const folder = `${dirname(store)}/it's new`;
    for (const given of [`${store}-file`, folder]) {
      const was = filesOf(store);
      const refused = await runCli(['up', '--backup-dir', given, '--db-path', store]);
      expect(filesOf(store)).to.deep.equal(was);
      const { hint, message } = expectRefusal(refused, 'BACKUP_FOLDER_UNUSABLE', 1);
      expect(message).to.include(given);
      if (given !== folder) continue;
      const mend = /(mkdir .*)$/.exec(hint)?.[1] ?? '';
      expect(spawnSync('sh', ['-c', mend]).status, mend).to.equal(0);
      await on(store).run(['up', '--backup-dir', folder]);
      expect(copiesOf(store, 'backup', folder)).to.have.length(1);
    }
  });

  it('is refused in a folder that this user may not write', async function () {
    needUsers(this);
    const store = copy('delete');
    chmodSync(join(store, '../..'), 0o755);
    chmodSync(dirname(store), 0o777);
    chmodSync(store, 0o666);
    mkdirSync(`${store}-copies`);
    const was = filesOf(store);
    const refused = await spawnCli(['up', '--backup-dir', `${store}-copies`, '--db-path', store], {
      prefix: asUser(65_534, 65_534),
    });
    expectRefusal(refused, 'BACKUP_FOLDER_UNUSABLE', 1);
    expect(filesOf(store)).to.deep.equal(was);
    expect(readdirSync(`${store}-copies`)).to.deep.equal([]);
  });
});

describe('backup, looked at for damage', () => {
  const copy = useStores();

  for (const mode of ['wal', 'delete'] as const) {
    it(`is refused with STORE_CORRUPT as the store is damaged, where no other check sees it (${mode})`, async () => {
      const store = copy(mode);
      addNotes(store);
      damageTable(store, 'notes');
      const was = filesOf(store);
      const refused = await runCli(['up', '--db-path', store]);
      expectRefusal(refused, 'STORE_CORRUPT', 1);
      expect(filesOf(store)).to.deep.equal(was);
      // The check is the backup's.
      await on(store).run(['up', '--no-backup']);
    });
  }

  it('is compared with its indexes only when asked to', async () => {
    const store = copy('wal');
    addNotes(store);
    asAgentOs(store, (db) => {
      db.exec('CREATE INDEX note ON notes (text)');
      db.unsafeMode();
      db.pragma('writable_schema = ON');
      db.exec(`CREATE TABLE hidden AS SELECT * FROM sqlite_schema WHERE name = 'note';
        DELETE FROM sqlite_schema WHERE name = 'note'`);
    });
    asAgentOs(store, (db) => {
      db.exec("INSERT INTO notes (text) VALUES ('is in no index'); DELETE FROM notes WHERE id = 1");
      db.unsafeMode();
      db.pragma('writable_schema = ON');
      db.exec('INSERT INTO sqlite_schema SELECT * FROM hidden; DROP TABLE hidden');
    });
    expect(stateOf(store).header.integrity_check).not.to.equal('ok');
    const was = filesOf(store);
    const refused = await runCli(['up', '--check-backup', 'full', '--db-path', store]);
    expectRefusal(refused, 'STORE_CORRUPT', 1);
    expect(filesOf(store)).to.deep.equal(was);
    await on(store).run(['up']);
    expect(copiesOf(store)).to.have.length(1);
  });

  it('is kept, and said to be unchecked, when its schema uses what only the application has', async () => {
    const store = copy('wal');
    asAgentOs(store, (db) => {
      db.function('only_ours', { deterministic: true }, (text) => text);
      db.exec('CREATE TABLE notes (text CHECK (only_ours(text))); INSERT INTO notes VALUES (1)');
    });
    expect((await on(store).run(['up', '--json'])).json().backup.isChecked).to.equal(false);
    const { stdout } = await on(store).run(['down']);
    expect(stdout).to.match(/^Backup: .*\n {2}Integrity not checked/m);
  });
});

/** Runs a command that was printed, as a person would who has the program on the path. */
async function typed(pattern: RegExp, printed: string, path: string): Promise<string> {
  const command = pattern.exec(printed)?.[1] ?? '';
  const { code, stdout, stderr } = await runCommand(['sh', '-c', command], {
    env: { PATH: `${path}:${process.env.PATH}` },
  });
  expect(code, `${command}\n${stderr}`).to.equal(0);
  return stdout;
}

describe('backup, what is said of it', () => {
  const copy = useStores();
  const folder = useFolder();
  before(() => symlinkSync(bin, folder.file('umzug-backfill')));

  it('is how to go back to it, as a command that works as it stands', async () => {
    const home = copy('wal');
    const store = `${dirname(home)}/it's mine/the store.db`;
    mkdirSync(dirname(store));
    renameSync(home, store);
    const was = stateOf(store);
    const { stdout } = await on(store).run(['up']);
    const restored = await typed(/^Backup: .* To restore it: (umzug-backfill .*)$/m, stdout, folder.path);
    expect(stateOf(store)).to.deep.equal(was);
    // And so can that be taken back.
    await typed(/To restore that: (umzug-backfill .*)$/m, restored, folder.path);
    await on(store).run(['status', '--check']);
  });
});
