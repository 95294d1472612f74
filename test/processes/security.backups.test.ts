import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  chownSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { expect } from 'chai';
import { before, describe, it } from 'mocha';
import { expectRefusal, runCli, spawnCli } from '../support/cli.js';
import { copiesOf, copyOf, filesOf } from '../support/copies.js';
import { interruptedAt, killedAt } from '../support/failpoints.js';
import { readLedger } from '../support/ledger.js';
import { modes, on, useStores } from '../support/on-store.js';
import { pausedAt } from '../support/pause.js';
import { SERVICE, STRANGER, stranger, useService } from '../support/service.js';
import { asAgentOs } from '../support/stores.js';
import { as, needUsers } from '../support/users.js';

const sha256 = (path: string): string => createHash('sha256').update(readFileSync(path)).digest('hex');

/** Runs the command of a hint. */
function expectMended(hint: string, command: RegExp): void {
  expect(spawnSync('sh', ['-c', command.exec(hint)?.[1] ?? 'false']).status, hint).to.equal(0);
}

describe('security, a backup', () => {
  const copy = useStores();

  it('is not made where every user may rename, and is made once the hint is followed', async () => {
    const store = copy('delete');
    const folder = join(dirname(store), "every user's");
    mkdirSync(folder);
    chmodSync(folder, 0o777);
    const was = [filesOf(store), readdirSync(dirname(store)), readdirSync(folder)];
    for (const command of [['up', '--dry-run'], ['up']]) {
      const refused = await runCli([...command, '--backup-dir', folder, '--db-path', store]);
      const { hint } = expectRefusal(refused, 'BACKUP_FOLDER_UNUSABLE', 1);
      expect([filesOf(store), readdirSync(dirname(store)), readdirSync(folder)]).to.deep.equal(was);
      if (command.length === 1) expectMended(hint, /(chmod o-w [^;]+);/);
    }
    await on(store).run(['up', '--backup-dir', folder]);
    expect(copiesOf(store, 'backup', folder)).to.have.length(1);
  });

  for (const mode of modes) {
    it(`is finished in rollback mode, and known to the ledger by its size and SHA-256 (${mode})`, async () => {
      const store = copy(mode);
      const { backup } = (await on(store).run(['up', '--json'])).json();
      // The version for writing tells the mode of the store, that for reading is what SQLite goes by.
      expect([...readFileSync(backup.path).subarray(18, 20)]).to.deep.equal([mode === 'wal' ? 2 : 1, 1]);
      expect(
        readdirSync(dirname(store)).filter((name) => name.startsWith(`${basename(backup.path)}-`)),
      ).to.deep.equal([]);
      const record = { path: backup.path, bytes: statSync(backup.path).size, sha256: sha256(backup.path) };
      expect(backup).to.include(record);
      expect(readLedger(store).backups()).to.deep.equal([record]);
      await on(store).run(['down', '--to', '0', '--no-backup']);
      expect(readLedger(store).exists()).to.equal(false);
    });
  }
});

describe('security, a backup beside other users', () => {
  before(function () {
    needUsers(this);
  });
  const serve = useService();

  const swap = (folder: string, target: string): string =>
    `cd "${folder}" && for name in *.partial*; do mv "$name" "moved-$name"; ln -s "${target}" "$name"; done`;

  for (const point of ['made', 'checked']) {
    for (const kind of ['a file', 'a folder'] as const) {
      it(`lets the store’s owner lead root to no other file, whatever they put in its place: ${kind}, ${point}`, async () => {
        const { store, home } = serve();
        const secrets = `${home}-of-root`;
        mkdirSync(secrets, { mode: 0o700 });
        const secret = join(secrets, 'secret.db');
        asAgentOs(secret, (db) => db.exec("CREATE TABLE secret (x); INSERT INTO secret VALUES ('of root')"));
        const was = [sha256(secret), statSync(secret).uid, statSync(secret).mode, readdirSync(secrets)];
        // Root, or the owner that it has become, stands still while the owner acts; both are ended by refusals too.
        const target = kind === 'a file' ? secret : secrets;
        await interruptedAt(['up', '--db-path', store], { at: 'copy', detail: point }, [
          'sh',
          '-c',
          `if [ "$(id -u)" = 0 ]; then exec ${as(SERVICE).join(' ')} sh -c '${swap(home, target)}'; fi; ${swap(home, target)}`,
        ]);
        expect([
          sha256(secret),
          statSync(secret).uid,
          statSync(secret).mode,
          readdirSync(secrets),
        ]).to.deep.equal(was);
      });
    }
  }

  it('is made beside what a stranger has put under every name that it could have', async () => {
    const { store, home, shared, run } = serve('wal');
    const precious = join(home, 'precious');
    writeFileSync(precious, 'precious');
    chownSync(precious, SERVICE, SERVICE);
    const hash = createHash('sha256').update(store).digest('hex').slice(0, 8);
    for (const end of ['', '-wal', '-shm', '-journal', '-lock'])
      await stranger(`ln -s "${precious}" "${shared}/store.db-${hash}.backup.partial${end}"`);
    await stranger(
      `mkdir "${shared}/store.db-${hash}.backup.partial-abc123" && touch "${shared}/store.db-${hash}.backup.partial-abc123/theirs"`,
    );
    const planted = readdirSync(shared);
    const { code, stderr } = await run('up');
    expect(code, stderr).to.equal(0);
    expect(readFileSync(precious, 'utf8')).to.equal('precious');
    const [made = '', ...more] = readdirSync(shared).filter((name) => !planted.includes(name));
    expect(more).to.deep.equal([]);
    expect(made).to.match(new RegExp(`^store\\.db-${hash}\\.backup-\\w+Z$`));
    expect(readdirSync(shared)).to.include.members(planted);
  });

  it('neither follows nor replaces what a stranger gives the name that it is to have, in the last instant', async () => {
    const { store, home, shared, args } = serve();
    const precious = join(home, 'precious');
    writeFileSync(precious, 'precious');
    chownSync(precious, SERVICE, SERVICE);
    const hash = createHash('sha256').update(store).digest('hex').slice(0, 8);
    const plant = `n=$(date -u +%s); i=-5; while [ $i -le 30 ]; do
      ln -s "${precious}" "${shared}/store.db-${hash}.backup-$(date -u -d @$((n + i)) +%Y%m%dT%H%M%SZ)"; i=$((i + 1)); done`;
    const result = await pausedAt(
      ['up', '--json', ...args],
      { at: 'copy', detail: 'naming' },
      () => stranger(plant),
      { prefix: as(SERVICE) },
    );
    expect(result.code, result.stderr).to.equal(0);
    expect(readFileSync(precious, 'utf8')).to.equal('precious');
    const { path, bytes, sha256: hashed } = result.json().backup;
    expect(basename(path)).to.match(/Z-2$/);
    const found = lstatSync(path);
    expect([found.isFile(), found.nlink, found.uid, found.size]).to.deep.equal([true, 1, SERVICE, bytes]);
    expect(sha256(path)).to.equal(hashed);
    const links = readdirSync(shared).filter((name) => lstatSync(join(shared, name)).isSymbolicLink());
    expect(links).to.have.length(36);
  });

  it('leaves a private folder when it is killed, which the next run of the same user removes', async () => {
    const { shared, args, run } = serve();
    for (const detail of ['made', 'copied', 'checked', 'synced', 'renamed']) {
      await killedAt(['up', ...args], { at: 'copy', detail }, { prefix: as(SERVICE) });
      const [left = '', ...more] = readdirSync(shared).filter((name) => name.includes('.partial'));
      expect(more, detail).to.deep.equal([]);
      expect(lstatSync(join(shared, left)).mode & 0o7777, detail).to.equal(0o700);
    }
    expect((await run('up')).code).to.equal(0);
    expect(readdirSync(shared).filter((name) => name.includes('.partial'))).to.deep.equal([]);
    for (const name of readdirSync(shared)) expect(lstatSync(join(shared, name)).nlink, name).to.equal(1);
  });

  it('is removed when it is old, and what a stranger has put beside it is not waited for', async () => {
    const { store, shared, run } = serve();
    expect((await run('up')).code).to.equal(0);
    const first = copyOf(store, 'backup', shared);
    await stranger(`touch "${first}-wal"`);
    const { code, stderr, stdout } = await run('backfill', '--rescan', '--keep-backups', '1');
    expect(code, stdout + stderr).to.equal(0);
    expect(existsSync(first)).to.equal(false);
    expect(existsSync(`${first}-wal`)).to.equal(true);
  });

  it('is not made beside the store where every user may rename, but is in another folder, or once the hint is followed', async () => {
    const { store, home, run, alone } = serve();
    chmodSync(home, 0o777);
    const was = [filesOf(store), readdirSync(home)];
    const { hint } = expectRefusal(await alone('up'), 'BACKUP_FOLDER_UNUSABLE', 1);
    expect([filesOf(store), readdirSync(home)]).to.deep.equal(was);
    expect((await run('up')).code).to.equal(0);
    expectMended(hint, /(chmod o-w [^;]+);/);
    expect((await alone('down')).code).to.equal(0);
    expect(copiesOf(store)).to.have.length(1);
  });

  it('is not made in a folder of another user', async () => {
    const { store, shared, run } = serve();
    chownSync(shared, STRANGER, STRANGER);
    const { hint } = expectRefusal(await run('up'), 'BACKUP_FOLDER_UNUSABLE', 1);
    expect(readdirSync(shared)).to.deep.equal([]);
    expect(hint).to.equal('Pass another folder: --backup-dir /path/to/folder'); // the folder is left to its owner
    chownSync(shared, 0, 0);
    expect((await run('up')).code).to.equal(0);
    expect(copiesOf(store, 'backup', shared)).to.have.length(1);
  });

  it('is made elsewhere where the folder around that of the store is another user’s, whom no hint takes it from', async () => {
    const { store, home, alone, typed } = serve();
    const outer = `${home}-of-another`;
    mkdirSync(outer);
    renameSync(home, join(outer, 'home'));
    chownSync(outer, STRANGER, STRANGER);
    const there = store.replace(home, join(outer, 'home'));
    const command = `umzug-backfill up --db-path "${there}"`;
    const { message, hint } = expectRefusal(await typed(command), 'BACKUP_FOLDER_UNUSABLE', 1);
    expect(message).to.include(`user id ${STRANGER} owns ${outer}`);
    expect(hint).to.equal('Pass another folder: --backup-dir /path/to/folder');
    expect((await typed(`${command} --backup-dir /tmp`)).code).to.equal(0);
    for (const path of copiesOf(there, 'backup', '/tmp')) rmSync(path);
    // The store's own folder may be given to the one who uses it.
    renameSync(join(outer, 'home'), home);
    chownSync(home, STRANGER, STRANGER);
    chmodSync(home, 0o755);
    const own = expectRefusal(await alone('down'), 'BACKUP_FOLDER_UNUSABLE', 1);
    expect(own.hint).to.match(/^Pass another folder: --backup-dir/);
    expectMended(own.hint, /sudo (chown .+)$/);
  });

  it('is made in a user namespace in which root has no id, as in a build without rights', async function () {
    const { args } = serve();
    const prefix = [...as(SERVICE), 'unshare', '-U', '--map-current-user'];
    if (spawnSync(prefix[0] ?? '', [...prefix.slice(1), 'true']).status !== 0) {
      console.log('    skipped: there are no user namespaces');
      this.skip();
    }
    const { code, stderr } = await spawnCli(['up', ...args], { prefix });
    expect(code, stderr).to.equal(0);
  });

  it('is made where the group may write, as that is trusted, but not by root', async () => {
    const { store, shared, run } = serve();
    chownSync(shared, SERVICE, SERVICE);
    chmodSync(shared, 0o775);
    expect((await run('up')).code).to.equal(0);
    for (const path of [store, `${store}.lock`, dirname(store)]) chownSync(path, 0, 0);
    chownSync(shared, 0, STRANGER);
    const refused = await spawnCli(['down', '--db-path', store, '--backup-dir', shared]);
    const { hint } = expectRefusal(refused, 'BACKUP_FOLDER_UNUSABLE', 1);
    expectMended(hint, /(chmod g-w [^;]+);/);
    await on(store).run(['down', '--backup-dir', shared]);
  });
});
