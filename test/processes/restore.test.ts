import { spawnSync } from 'node:child_process';
import {
  copyFileSync,
  linkSync,
  mkdirSync,
  readFileSync,
  renameSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { basename, dirname, join, relative } from 'node:path';
import Database from 'better-sqlite3';
import { expect } from 'chai';
import { describe, it } from 'mocha';
import { bin, expectRefusal, root, runCli } from '../support/cli.js';
import { addNotes, asBackup, copiesOf, copyOf, damageTable, filesOf, stateOf } from '../support/copies.js';
import { interruptedAt, killedAt } from '../support/failpoints.js';
import { modes, on, useStores } from '../support/on-store.js';
import { asAgentOs } from '../support/stores.js';

function withNote(store: string, table: string): void {
  asAgentOs(store, (db) => db.exec(`CREATE TABLE ${table} (x); INSERT INTO ${table} VALUES ('here')`));
}

/** Makes a backup known to the ledger of a store, as if a command had made it: the store, the backup, another with the same bytes. */
const MAKE_KNOWN = `
  const [store, path, from = path] = process.argv.slice(1);
  const bytes = require('node:fs').readFileSync(from);
  const db = new (require('better-sqlite3'))(store);
  db.prepare('INSERT INTO umzug_backfill_backups VALUES (?, ?, ?)')
    .run(path, bytes.length, require('node:crypto').createHash('sha256').update(bytes).digest('hex'));
  db.close();`;

function makeKnown(store: string, backup: string): void {
  const { status, stderr } = spawnSync(process.execPath, ['-e', MAKE_KNOWN, store, backup], { cwd: root });
  expect(status, String(stderr)).to.equal(0);
}

describe('restore', () => {
  const copy = useStores();

  for (const mode of modes) {
    it(`brings every table back, saves what was there, and \`up\` and \`down\` work on it (${mode})`, async () => {
      const store = copy(mode);
      const { run } = on(store);
      const v20 = stateOf(store);
      await run(['up']);
      const v21 = stateOf(store);
      const outcome = (await run(['restore', '--json'])).json();
      expect(outcome).to.deep.include({
        command: 'restore',
        dryRun: false,
        from: copyOf(store),
        bytes: statSync(copyOf(store)).size,
        path: store,
        saved: copyOf(store, 'before-restore'),
        isVerified: true,
        wasDamaged: false,
        isReplaced: false,
      });
      expect(stateOf(store)).to.deep.equal(v20);
      expect(stateOf(outcome.saved)).to.deep.equal(asBackup(v21));
      expect(filesOf(store).sidecars).to.have.members(
        [outcome.from, outcome.saved].map((path) => basename(path)),
      );
      await run(['status', '--check'], 3);
      await run(['up']);
      await run(['down', '--to', '0']);
      const { tables } = stateOf(store);
      expect(tables).to.deep.equal(v20.tables);
      await run(['restore', outcome.saved]);
      expect(stateOf(store)).to.deep.equal(v21);
      await run(['status', '--check']);
    });
  }

  it('refuses the backup of another store without --yes, whichever of them the environment names', async () => {
    const [store, other] = [copy('wal'), copy('wal')];
    const renamed = other.replace(/store\.db$/, 'other.db');
    renameSync(other, renamed);
    for (const its of [renamed, copy('wal')]) {
      withNote(its, 'theirs');
      const { stdout } = await runCli(['up'], { env: { AGENTOS_DB_PATH: its } });
      const [, hint = ''] = /To restore it: umzug-backfill (.*)$/m.exec(stdout) ?? [];
      expect(hint, 'which store a hint is for').to.equal(`restore --db-path ${its} ${copyOf(its)}`);
      const before = filesOf(store);
      const refused = await runCli(['restore', copyOf(its), '--db-path', store]);
      expectRefusal(refused, 'CONFIRMATION_REQUIRED', 1);
      expect(filesOf(store)).to.deep.equal(before);
      expect((await runCli(hint.split(' '))).code).to.equal(0);
    }
    await on(store).run(['restore', copyOf(renamed), '--yes']);
    expect(stateOf(store)).to.deep.equal(stateOf(renamed));
  });

  it('tells stores of one name apart in a folder that they share', async () => {
    const [store, other] = [copy('wal'), copy('wal')];
    const shared = join(dirname(store), 'shared');
    mkdirSync(shared);
    const backupOf = async (path: string): Promise<string> =>
      (await on(path).run(['up', '--json', '--backup-dir', shared])).json().backup.path;
    const [own, theirs] = [await backupOf(store), await backupOf(other)];
    expectRefusal(await runCli(['restore', theirs, '--db-path', store]), 'CONFIRMATION_REQUIRED', 1);
    await on(store).run(['restore', own]);
    await on(store).run(['restore', theirs, '--yes']);
  });

  it('takes back what a killed run has done, so that the next begins anew, with a backup of its own', async () => {
    const store = copy('wal');
    const v20 = stateOf(store);
    const killing = { at: 'statement', detail: 'UPDATE "task_audits"', nth: 2 };
    await killedAt(['up', '--db-path', store, '--batch-size', '100'], killing);
    await on(store).run(['restore']);
    expect(stateOf(store)).to.deep.equal(v20);
    const { backup } = (await on(store).run(['up', '--json'])).json();
    expect(stateOf(backup.path)).to.deep.equal(asBackup(v20));
    await on(store).run(['status', '--check']);
  });

  it('takes the newest when none is named: by time, then by number', async () => {
    const store = copy('wal');
    await on(store).run(['up', '--no-backup']);
    const names = ['20250101T000000Z', '20260101T000000Z', '20260101T000000Z-2', '20260101T000000Z-10'];
    for (const [i, name] of names.entries()) {
      asAgentOs(store, (db) => db.pragma(`user_version = ${i}`));
      copyFileSync(store, `${store}.backup-${name}`);
    }
    for (const name of names) makeKnown(store, `${store}.backup-${name}`);
    asAgentOs(store, (db) => db.pragma('user_version = 99'));
    const { from } = (await on(store).run(['restore', '--json'])).json();
    expect(basename(from)).to.equal('store.db.backup-20260101T000000Z-10');
    expect(stateOf(store).header.user_version).to.equal(3);
  });

  it('takes the one that another run made while it waited for the lock', async () => {
    const store = copy('wal');
    await on(store).run(['up']);
    const [made = ''] = copiesOf(store);
    const newer = `${store}.backup-20980101T000000Z`;
    const restored = await interruptedAt(
      ['restore', '--json', '--db-path', store],
      { at: 'lock', detail: 'taken' },
      [
        'sh',
        '-c',
        'cp "$1" "$2"; shift 2; "$@"',
        'sh',
        made,
        newer,
        process.execPath,
        '-e',
        MAKE_KNOWN,
        store,
        newer,
        made,
      ],
    );
    expect(restored.json().from).to.equal(newer);
  });

  it('takes a file that is named from where the command runs, in whatever folder', async () => {
    const store = copy('delete');
    const v20 = stateOf(store);
    mkdirSync(`${store}-copies`);
    await on(store).run(['up', '--backup-dir', `${store}-copies`]);
    const [backup = ''] = copiesOf(store, 'backup', `${store}-copies`);
    await on(store).run(['restore', relative(root, backup)]);
    expect(stateOf(store)).to.deep.equal(v20);
    renameSync(backup, `${store}-copies/any name`);
    await on(store).run(['up', '--no-backup']);
    await on(store).run(['restore', `${store}-copies/any name`, '--backup-dir', `${store}-copies`]);
    expect(stateOf(store)).to.deep.equal(v20);
    expect(copiesOf(store, 'before-restore', `${store}-copies`)).to.have.length(1);
  });

  it('writes nothing in a dry run, nor makes a lock', async () => {
    for (const mode of modes) {
      const store = copy(mode);
      const backup = `${store}.backup-20260101T000000Z`;
      copyFileSync(store, backup);
      const { stdout } = await on(store).look(['restore', backup, '--dry-run']);
      expect(stdout).to.include('nothing was written').and.to.include('.backup-20260101T000000Z');
      const outcome = (await on(store).look(['restore', backup, '--dry-run', '--json'])).json();
      expect(outcome).to.include({ dryRun: true }).and.not.to.have.property('saved');
    }
  });

  it('keeps the journal mode of the store, whatever the backup’s is', async () => {
    for (const mode of modes) {
      const [store, other] = [copy(mode), copy(mode === 'wal' ? 'delete' : 'wal')];
      withNote(other, 'other');
      const { isReplaced } = (await on(store).run(['restore', other, '--json'])).json();
      expect(isReplaced).to.equal(false);
      const { header, ...state } = stateOf(other);
      expect(stateOf(store)).to.deep.equal({ ...state, header: { ...header, journal_mode: mode } });
    }
  });

  it('waits for no other run with --lock-timeout 0', async () => {
    const store = copy('wal');
    copyFileSync(store, `${store}.backup-20260101T000000Z`);
    const script = 'NODE_OPTIONS= "$@" > "$0.out"; echo $? >> "$0.out"';
    const command = [process.execPath, bin, 'restore', '--json', '--lock-timeout', '0', '--db-path', store];
    const up = await interruptedAt(
      ['up', '--db-path', store],
      { at: 'statement', detail: 'UPDATE "task_audits"' },
      ['sh', '-c', script, store, ...command],
    );
    expect(up.code, up.stderr).to.equal(0);
    const told = readFileSync(`${store}.out`, 'utf8');
    expect(told)
      .to.include('"RUN_LOCKED"')
      .and.to.match(/\n4\n$/);
    await on(store).run(['status', '--check']);
    expect(copiesOf(store, 'before-restore')).to.deep.equal([]);
  });
});

describe('restore, refused', () => {
  const copy = useStores();

  /** Insists that a file is refused, and that nothing is changed. */
  async function expectRefused(store: string, code: string, ...args: string[]): Promise<string> {
    const was = filesOf(store);
    const refused = await runCli(['restore', ...args, '--db-path', store]);
    expect(filesOf(store)).to.deep.equal(was);
    return expectRefusal(refused, code, 1).message;
  }

  it('without a backup, named or not', async () => {
    const store = copy('wal');
    await expectRefused(store, 'BACKUP_MISSING');
    expect(await expectRefused(store, 'BACKUP_MISSING', `${store}.none`)).to.include(`${store}.none`);
    await expectRefused(store, 'BACKUP_MISSING', 'x'.repeat(5000)); // longer than a name can be
    mkdirSync(`${store}-copies`);
    await expectRefused(store, 'BACKUP_MISSING', '--backup-dir', `${store}-copies`);
    await expectRefused(store, 'BACKUP_FOLDER_UNUSABLE', '--backup-dir', 'x'.repeat(5000));
    await expectRefused(store, 'BACKUP_FOLDER_UNUSABLE', '--backup-dir', `${store}-none`);
  });

  it('from what is no backup of such a store', async () => {
    const store = copy('delete');
    const file = `${store}.given`;
    const wrongs: Record<string, () => void> = {
      'no database': () => writeFileSync(file, 'not a database at all '.repeat(1000)),
      'an empty file': () => writeFileSync(file, ''),
      'a folder': () => mkdirSync(file),
      'the database of another program': () => {
        const db = new Database(file);
        db.exec('CREATE TABLE bookmarks (url TEXT)');
        db.close();
      },
      'below the version that is required': () => {
        copyFileSync(store, file);
        asAgentOs(file, (db) => db.exec("DELETE FROM schema_version WHERE version = '0.20.0'"));
      },
      'without a table that is required': () => {
        copyFileSync(store, file);
        asAgentOs(file, (db) => db.exec('DROP TABLE task_audits'));
      },
      'damaged in a table that nothing reads': () => {
        copyFileSync(store, file);
        addNotes(file);
        damageTable(file, 'notes');
      },
      'cut short': () => writeFileSync(file, readFileSync(store).subarray(0, 200_000)),
    };
    for (const [what, make] of Object.entries(wrongs)) {
      make();
      const message = await expectRefused(store, 'BACKUP_UNUSABLE', file);
      expect(message, what).to.include(file);
      spawnSync('rm', ['-r', file]);
    }
  });

  it('from the store itself, however it is named', async () => {
    const store = copy('wal');
    await expectRefused(store, 'BACKUP_UNUSABLE', store);
    await expectRefused(
      store,
      'BACKUP_UNUSABLE',
      `${dirname(store)}/../${basename(dirname(store))}/store.db`,
    );
    const second = `${dirname(store)}/second-name.db`;
    linkSync(store, second);
    await expectRefused(store, 'BACKUP_UNUSABLE', second);
  });
});
