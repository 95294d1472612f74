import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  copyFileSync,
  existsSync,
  lstatSync,
  readFileSync,
  renameSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { expect } from 'chai';
import { before, describe, it } from 'mocha';
import { bin, expectRefusal, runCli, runCommand, startScript, useFolder } from '../support/cli.js';
import { copiesOf, copyOf, filesOf, overwrite, stateOf } from '../support/copies.js';
import { interruptedAt } from '../support/failpoints.js';
import { modes, on, useStores, WRITER } from '../support/on-store.js';
import { SERVICE, type Service, STRANGER, stranger, useService } from '../support/service.js';
import { asAgentOs } from '../support/stores.js';
import { hasTerminal, screenOf, terminalCommand } from '../support/terminal.js';
import { as, needUsers } from '../support/users.js';

/** The words of a hint that are a command, up to a semicolon. */
const commandsIn = (hint: string): string[] =>
  [...hint.matchAll(/(?:install |sqlite3 |umzug-backfill )(?:\\.|"[^"]*"|'[^']*'|[^;"'\\])*/g)].map(
    ([command]) => command.trim(),
  );

/** Writes something into a backup that leaves it sound. */
const touchUp = (path: string): void => {
  asAgentOs(path, (db) => db.pragma('user_version = 4711'));
};

describe('security, restore', () => {
  const copy = useStores();
  const folder = useFolder();
  before(() => symlinkSync(bin, folder.file('umzug-backfill')));

  /** Runs a command that was printed, as a person would who has the program on the path. */
  async function typed(command: string): Promise<string> {
    const { code, stdout, stderr } = await runCommand(['sh', '-c', command], {
      env: { PATH: `${folder.path}:${process.env.PATH}` },
    });
    expect(code, `${command}\n${stderr}`).to.equal(0);
    return stdout;
  }

  /** Insists that `restore` is refused, with nothing changed, and returns its hint. */
  async function refused(store: string, code: string, ...args: string[]): Promise<string> {
    const was = filesOf(store);
    const { hint } = expectRefusal(await runCli(['restore', ...args, '--db-path', store]), code, 1);
    expect(filesOf(store)).to.deep.equal(was);
    return hint;
  }

  it('takes no backup whose bytes are not those that were made, but with --yes', async () => {
    for (const [i, dryRun] of [[], ['--dry-run']].entries()) {
      const store = copy(modes[i] ?? 'wal');
      await on(store).run(['up']);
      const backup = copyOf(store);
      touchUp(backup);
      for (const given of [[], [backup], [basename(backup)]]) {
        const hint = await refused(store, 'BACKUP_CHANGED', ...given, ...dryRun);
        expect(commandsIn(hint).at(-1)).to.match(/ --yes$/);
      }
      await typed(commandsIn(await refused(store, 'BACKUP_CHANGED')).at(-1) ?? '');
      expect(stateOf(store).header.user_version).to.equal(4711);
    }
  });

  it('takes no backup that has grown or shrunk', async () => {
    const store = copy('delete');
    await on(store).run(['up']);
    const backup = copyOf(store);
    writeFileSync(backup, Buffer.alloc(4096), { flag: 'a' });
    expect(await refused(store, 'BACKUP_CHANGED')).to.include('--yes');
  });

  it('knows a backup by its bytes, wherever that and the store have been moved', async () => {
    const store = copy('wal');
    const v20 = stateOf(store);
    await on(store).run(['up']);
    const moved = `${dirname(store)}-moved`;
    renameSync(dirname(store), moved);
    const there = join(moved, 'store.db');
    const outcome = (await on(there).run(['restore', '--dry-run', '--json'])).json();
    expect(outcome).to.include({ isVerified: true, from: copyOf(there) });
    renameSync(copyOf(there), join(moved, 'another name'));
    expect(
      (await on(there).run(['restore', join(moved, 'another name'), '--json'])).json().isVerified,
    ).to.equal(true);
    expect(stateOf(there)).to.deep.equal(v20);
  });

  it('restores what it has checked, whatever becomes of the backup in between', async () => {
    const store = copy('wal');
    const v20 = stateOf(store);
    await on(store).run(['up']);
    const backup = copyOf(store);
    const other = `${store}-other`;
    copyFileSync(backup, other);
    touchUp(other);
    const result = await interruptedAt(
      ['restore', '--db-path', store],
      { at: 'restore', detail: 'taken in' },
      ['cp', other, backup],
    );
    expect(result.code, result.stderr).to.equal(0);
    expect(readFileSync(backup).equals(readFileSync(other)), 'it was replaced').to.equal(true);
    expect(stateOf(store)).to.deep.equal(v20);
  });

  for (const mode of modes) {
    for (const [what, lose] of [
      ['lost', (store: string) => truncateSync(store, 0)],
      ['damaged', (store: string) => overwrite(store, 0, Buffer.alloc(100, 0xa5))],
      [
        'without a ledger',
        (store: string) => asAgentOs(store, (db) => db.exec('DROP TABLE umzug_backfill_steps')),
      ],
    ] as const) {
      it(`wants the backup to be named where the store is ${what}, and tells the newest (${mode})`, async () => {
        const store = copy(mode);
        const v20 = stateOf(store);
        await on(store).run(['up']);
        lose(store);
        const hint = await refused(store, 'BACKUP_UNKNOWN');
        expect(await refused(store, 'BACKUP_UNKNOWN', '--dry-run')).to.equal(hint);
        const [command = '', ...more] = commandsIn(hint);
        expect(more).to.deep.equal([]);
        expect(await typed(command)).to.include('has no record of this file');
        expect(stateOf(store)).to.deep.equal(v20);
      });
    }
  }

  it('can be done again, from a store that it has brought back: the newest wants to be named, unless the ledger knows it', async () => {
    const store = copy('wal');
    const { run } = on(store);
    const v20 = stateOf(store);
    await run(['up']);
    const first = copyOf(store);
    const v21 = stateOf(store);
    await run(['down']);
    const second = copiesOf(store).find((path) => path !== first) ?? '';
    await run(['restore']);
    expect(stateOf(store)).to.deep.equal(v21);
    // The ledger is that of before the second backup: it knows the first one alone, which is not gone back to unasked.
    const [newest = '', known = ''] = commandsIn(await refused(store, 'BACKUP_UNKNOWN'));
    expect(newest).to.include(second);
    expect(known).to.include(first);
    await run(['down', '--no-backup']);
    await typed(newest);
    expect(stateOf(store)).to.deep.equal(v21);
    await typed(known);
    expect(stateOf(store)).to.deep.equal(v20);
    // No ledger any more: of what is there, the newest is told.
    const [again = ''] = commandsIn(await refused(store, 'BACKUP_UNKNOWN'));
    expect(again).to.include(second);
    await typed(again);
    expect(stateOf(store)).to.deep.equal(v21);
    await run(['up']);
    await run(['status', '--check']);
  });

  it('takes the newest of an earlier version, of which the ledger knows no hash, from a folder that nobody else may write', async () => {
    const store = copy('wal');
    const v20 = stateOf(store);
    await on(store).run(['up']);
    asAgentOs(store, (db) => db.exec('DROP TABLE umzug_backfill_backups'));
    expect((await on(store).run(['restore', '--json'])).json().isVerified).to.equal(false);
    expect(stateOf(store)).to.deep.equal(v20);
  });

  it('takes a backup that every user may write, as they may the store, if its bytes are those that were made', async () => {
    const store = copy('delete');
    const v20 = stateOf(store);
    chmodSync(store, 0o666);
    await on(store).run(['up']);
    expect((await on(store).run(['restore', '--json'])).json().isVerified).to.equal(true);
    expect(stateOf(store)).to.deep.equal(v20);
    await on(store).run(['up']);
    const newest = copiesOf(store).sort().at(-1) ?? '';
    touchUp(newest);
    await refused(store, 'BACKUP_CHANGED');
  });

  it('takes no file that is a link, has another name, may be written by others, or is the store’s own lock', async () => {
    const store = copy('delete');
    const v20 = stateOf(store);
    await on(store).run(['up']);
    const given = join(dirname(store), "it's given");
    const rest: readonly (readonly [make: string, code: string])[] = [
      [`ln -s "$1" "$2"`, 'BACKUP_UNTRUSTED'],
      [`ln "$1" "$2"`, 'BACKUP_UNTRUSTED'],
      [`cp "$1" "$2"; chmod 666 "$2"`, 'BACKUP_UNTRUSTED'],
      [`mkfifo "$2"`, 'BACKUP_UNUSABLE'],
      [`ln "$1.lock" "$2"`, 'BACKUP_UNUSABLE'],
    ];
    for (const [make, code] of rest) {
      const backup = copyOf(store);
      const from = make.includes('.lock') ? store : backup;
      expect(spawnSync('sh', ['-c', make, 'sh', from, given]).status, make).to.equal(0);
      const hint = await refused(store, code, given);
      expect(await refused(store, code, given, '--dry-run')).to.equal(hint);
      if (code === 'BACKUP_UNTRUSTED') {
        await on(store).run(['up', '--no-backup']);
        // What is sure to be wanted can be had, by the command of the hint.
        await typed(commandsIn(hint)[0] ?? '');
        expect(stateOf(store), make).to.deep.equal(v20);
        await on(store).run(['up', '--no-backup']);
      }
      expect(spawnSync('rm', ['-f', given, `${store}.backup-to-restore`]).status).to.equal(0);
    }
    expectRefusal(await runCli(['restore', `${store}.lock`, '--db-path', store]), 'BACKUP_UNUSABLE', 1);
  });

  it('takes no backup with a -wal or a -journal that SQLite would read, and can have what is in it, or not', async function () {
    if (spawnSync('sqlite3', ['-version']).status !== 0) {
      console.log('    skipped: there is no sqlite3');
      this.skip();
    }
    const leave: readonly (readonly [sql: string, end: string])[] = [
      ["PRAGMA journal_mode = WAL; UPDATE tasks SET title = 'late'", '-wal'],
      [
        "PRAGMA cache_size = 1; BEGIN; CREATE TABLE late AS SELECT * FROM task_audits; UPDATE tasks SET title = 'lost'",
        '-journal',
      ],
    ];
    for (const [sql, end] of leave) {
      for (const which of [0, 1]) {
        const store = copy('delete');
        await on(store).run(['up']);
        const backup = copyOf(store);
        await (await startScript(WRITER, backup, sql)).end();
        const commands = commandsIn(await refused(store, 'BACKUP_UNTRUSTED'));
        expect(await refused(store, 'BACKUP_UNTRUSTED', '--dry-run')).to.include(commands[0]);
        expect(commands).to.have.length(2);
        if (which === 0 && end === '-journal') continue; // half of a transaction is in the file: that alone is damaged
        await typed(commands[which] ?? '');
        if (which === 1) await on(store).run(['restore', '--yes']);
        const titles = asAgentOs(store, (db) => db.prepare('SELECT DISTINCT title FROM tasks').pluck().all());
        expect(titles.includes('late'), end).to.equal(which === 1 && end === '-wal');
        expect(titles.includes('lost'), end).to.equal(false);
      }
    }
  });

  it('does not mind what SQLite leaves empty beside a backup, or a journal that it has zeroed', async () => {
    const store = copy('wal');
    const v20 = stateOf(store);
    await on(store).run(['up']);
    for (const end of ['-wal', '-shm']) writeFileSync(copyOf(store) + end, '');
    writeFileSync(`${copyOf(store)}-journal`, Buffer.alloc(512)); // as PRAGMA journal_mode = PERSIST does
    expect((await on(store).run(['restore', '--json'])).json().isVerified).to.equal(true);
    expect(stateOf(store)).to.deep.equal(v20);
  });
});

describe('security, restore beside other users', () => {
  before(function () {
    needUsers(this);
  });
  const serve = useService();

  const rowsOf = (store: string) => stateOf(store).tables.task_audits;

  /** A store that `up` has changed, with what it held before. */
  async function upgraded(mode: 'wal' | 'delete' = 'delete') {
    const service = serve(mode);
    const v20 = rowsOf(service.store);
    const { code, stderr } = await service.run('up');
    expect(code, stderr).to.equal(0);
    return { ...service, v20, backup: copyOf(service.store, 'backup', service.shared) };
  }

  it('is refused where every user may rename beside the store, until the hint is followed', async () => {
    const { store, home, v20, run } = await upgraded();
    chmodSync(home, 0o777);
    const was = filesOf(store);
    const { hint } = expectRefusal(await run('restore'), 'BACKUP_FOLDER_UNUSABLE', 1);
    expect(filesOf(store)).to.deep.equal(was);
    const [, mend = ''] = /(chmod o-w [^;]+);/.exec(hint) ?? [];
    expect(spawnSync('sh', ['-c', mend]).status, hint).to.equal(0);
    const { code, stderr } = await run('restore');
    expect(code, stderr).to.equal(0);
    expect(rowsOf(store)).to.deep.equal(v20);
  });

  /** Makes a store of the stranger's, in which every row is forged. */
  function forge({ backup }: { readonly backup: string }, path: string): void {
    copyFileSync(backup, path);
    chmodSync(path, 0o644);
    asAgentOs(path, (db) => db.exec("UPDATE task_audits SET task_id = 'FORGED'"));
    chownSync(path, STRANGER, STRANGER);
  }

  async function expectRestored(
    { store, v20 }: { store: string; v20: unknown },
    result: { code: number | null; stderr: string },
  ) {
    expect(result.code, result.stderr).to.equal(0);
    expect(rowsOf(store)).to.deep.equal(v20);
  }

  async function refused(service: Service, ...args: string[]): Promise<string[]> {
    const was = rowsOf(service.store);
    const { hint } = expectRefusal(await service.run('restore', ...args), 'BACKUP_UNTRUSTED', 1);
    expect(rowsOf(service.store)).to.deep.equal(was);
    return commandsIn(hint);
  }

  it('passes over what a stranger has put there as the newest: a file, a link, a pipe', async () => {
    for (const kind of ['file', 'link', 'pipe']) {
      const service = await upgraded();
      const newest = `${service.backup.replace(/-\w+Z$/, '')}-20991231T000000Z`;
      const forged = join(dirname(service.home), `forged-${kind}-${basename(service.home)}`);
      if (kind === 'file') forge(service, newest);
      if (kind === 'link') {
        forge(service, forged);
        await stranger(`ln -s "${forged}" "${newest}"`);
      }
      if (kind === 'pipe') await stranger(`mkfifo "${newest}"`);
      await expectRestored(service, await service.run('restore'));
      // Neither does the next backup go behind it.
      expect((await service.run('up', '--json')).json().backup.path).not.to.include('2099');
    }
  });

  it('takes no file of a stranger’s, though it is named, but as a copy of one’s own', async () => {
    const service = await upgraded();
    const theirs = join(service.shared, 'theirs.db');
    forge(service, theirs);
    const [command = ''] = await refused(service, theirs);
    const { code, stderr } = await service.typed(command);
    expect(code, stderr).to.equal(0);
    expect(
      rowsOf(service.store)?.every((row) =>
        row.includes(Buffer.from('FORGED').toString('hex').toUpperCase()),
      ),
    ).to.equal(true);
  });

  it('takes no link of a stranger’s to what only this user can read', async () => {
    const service = await upgraded();
    const secret = join(service.home, 'secret.db');
    copyFileSync(service.backup, secret);
    asAgentOs(secret, (db) => db.exec("UPDATE task_audits SET task_id = 'SECRET'"));
    chownSync(secret, SERVICE, SERVICE);
    const link = join(service.shared, 'link.db');
    await stranger(`ln -s "${secret}" "${link}"`);
    await refused(service, link);
  });

  it('does not make part of a backup what a stranger has put beside it', async () => {
    for (const end of ['-wal', '-journal']) {
      const service = await upgraded('wal');
      await stranger(`echo forged > "${service.backup}${end}"`);
      const [command = ''] = await refused(service, service.backup);
      expect(await refused(service)).to.include(command);
      await expectRestored(service, await service.typed(command));
      expect(lstatSync(service.backup + end).uid).to.equal(STRANGER);
    }
  });

  it('wants a backup of an earlier version to be named, of which the ledger knows no hash', async () => {
    const service = await upgraded();
    asAgentOs(service.store, (db) => db.exec('DROP TABLE umzug_backfill_backups'));
    const { hint } = expectRefusal(await service.run('restore'), 'BACKUP_UNKNOWN', 1);
    await expectRestored(service, await service.typed(commandsIn(hint)[0] ?? ''));
  });

  it('goes where the command printed for it leads, though a mount shows every folder as everybody’s, with --yes', async () => {
    for (const folder of ['', '--backup-dir']) {
      const service = serve();
      const v20 = rowsOf(service.store);
      chmodSync(service.home, 0o777); // as WSL, CIFS and FAT show each, which nobody can change there
      const up = await service.run('up');
      const [, printed] = /To restore it: (umzug-backfill restore .*)$/m.exec(up.stdout) ?? [];
      const at = `${printed} ${folder && `${folder} "${service.shared}"`}`;
      const was = filesOf(service.store);
      const { hint } = expectRefusal(await service.typed(at), 'BACKUP_FOLDER_UNUSABLE', 1);
      expect(filesOf(service.store)).to.deep.equal(was);
      expect(hint).to.match(/^Remove that permission: chmod o-w [^;]+; .* with --yes$/);
      await expectRestored({ ...service, v20 }, await service.typed(`${at} --yes`));
    }
  });

  it('asks on a terminal where every user may rename beside the store', async function () {
    if (!hasTerminal()) this.skip();
    const service = await upgraded();
    chmodSync(service.home, 0o777);
    for (const [answer, expected] of [
      ['n\n', 1],
      ['y\n', 0],
    ] as const) {
      const command = terminalCommand(['restore', ...service.args], 80, answer);
      const at = command.indexOf(process.execPath);
      const { code, stdout } = await runCommand(
        [...command.slice(0, at), ...as(SERVICE), ...command.slice(at)],
        { env: { CI: '', TERM: 'xterm' } },
      );
      expect(screenOf(stdout)).to.match(/BACKUP_FOLDER_UNUSABLE: .*\n.*--yes.*\n+Continue anyway\?/);
      expect(code, stdout).to.equal(expected);
    }
    expect(rowsOf(service.store)).to.deep.equal(service.v20);
  });

  it('saves the store to no folder of --backup-dir that is everybody’s, --yes or not', async () => {
    const service = await upgraded();
    chmodSync(service.shared, 0o777);
    const { hint } = expectRefusal(await service.run('restore', '--yes'), 'BACKUP_FOLDER_UNUSABLE', 1);
    expect(hint).not.to.include('--yes');
  });

  it('follows no link of a stranger’s under a name of its own beside the store', async () => {
    const service = await upgraded();
    // The store is in the shared folder, too, where nobody else may rename it.
    const store = join(service.shared, 'store.db');
    renameSync(service.store, store);
    const secret = join(service.home, 'secret');
    writeFileSync(secret, 'secret');
    chownSync(secret, SERVICE, SERVICE);
    for (const end of [
      '.restore.partial',
      '.restore.partial-lock',
      '.before-restore.partial',
      '.backup.partial',
    ])
      await stranger(`ln -s "${secret}" "${store}${end}"`);
    overwrite(store, 0, Buffer.alloc(100, 0xa5));
    const command = `umzug-backfill restore --db-path "${store}" --yes "${service.backup}"`;
    const { code, stderr } = await service.typed(command);
    expect(code, stderr).to.equal(0);
    expect(rowsOf(store)).to.deep.equal(service.v20);
    expect(readFileSync(secret, 'utf8')).to.equal('secret');
    expect(existsSync(`${store}.restore.partial`)).to.equal(true);
  });
});
