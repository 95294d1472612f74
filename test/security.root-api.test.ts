import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  mkdirSync,
  readdirSync,
  renameSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { expect } from 'chai';
import { before, beforeEach, describe, it } from 'mocha';
import { generateStore } from '../demo/store-generator.js';
import {
  backfillStep,
  createMigrator,
  importExecuted,
  ledgerStorage,
  migrateOnDeploy,
  startBackfills,
} from '../src/index.js';
import { bytesOf, expectRefusal, root, runCli, useFolder } from './support/cli.js';
import { commandsOf, projectOf } from './support/project.js';
import { failureOf, backfillStep as fillStep, schemaStep } from './support/stores.js';
import { GROUP, give, needUsers, OTHER, plant, SECOND } from './support/users.js';

// Within a program root cannot become another user for good: it must not touch that user's store at all.

describe('a store of another user, used by root within a program', () => {
  const folder = useFolder();
  let count = 0;
  let own = '';
  let store = '';
  const at = (name: string): string => join(own, name);
  before(function () {
    needUsers(this);
  });
  beforeEach(() => {
    count += 1;
    own = folder.file(`case-${count}`);
    mkdirSync(own);
    store = at('store.db');
    generateStore({ path: store, audits: 20 });
  });

  /** Insists that a call is refused, and that it neither changed nor made a file. */
  async function untouched(code: 'ROOT_REFUSED' | 'STORE_UNTRUSTED', act: () => unknown) {
    const before = { bytes: bytesOf(store), files: readdirSync(own) };
    const error = await failureOf(code, act);
    expect({ bytes: bytesOf(store), files: readdirSync(own) }).to.deep.equal(before);
    return error;
  }

  const deploy = (path: string) => ({ folder: root, path, backup: false }) as const;
  const migrator = (path: string) =>
    createMigrator({ database: path, steps: { a: schemaStep, b: fillStep }, backup: false });
  const commands = (path: string) => commandsOf(projectOf([schemaStep, fillStep]), { path });

  const calls: Readonly<Record<string, (path: string) => unknown>> = {
    'createMigrator().up()': (path) => migrator(path).up(),
    'createMigrator().down()': (path) => migrator(path).down(),
    'createMigrator().pending()': (path) => migrator(path).pending(),
    'createMigrator().executed()': (path) => migrator(path).executed(),
    'createMigrator().status()': (path) => migrator(path).status(),
    'createMigrator().verify()': (path) => migrator(path).verify(),
    'createMigrator().backfill()': (path) => migrator(path).backfill(),
    'createMigrator().skips()': (path) => migrator(path).skips(),
    'createMigrator().report()': (path) => migrator(path).report(at('report.html')),
    'backfillStep().up()': (path) => backfillStep({ name: 'b', database: path, backfill: fillStep }).up(),
    'backfillStep().down()': (path) => backfillStep({ name: 'b', database: path, backfill: fillStep }).down(),
    'ledgerStorage().executed()': (path) => ledgerStorage(path).executed(),
    'ledgerStorage().logMigration()': (path) => ledgerStorage(path).logMigration({ name: 'a' }),
    'ledgerStorage().unlogMigration()': (path) => ledgerStorage(path).unlogMigration({ name: 'a' }),
    'importExecuted()': (path) => importExecuted({ from: { table: 'task_audits' }, to: path }),
    'importExecuted() as a dry run': (path) =>
      importExecuted({ from: { table: 'task_audits' }, to: path, dryRun: true }),
    'migrateOnDeploy()': (path) => migrateOnDeploy(deploy(path)),
    'startBackfills()': (path) => startBackfills({ ...deploy(path), onEvent: () => undefined }).done,
    'an embedded `up`': (path) => commands(path).up(),
    'an embedded `deploy`': (path) => commands(path).deploy(),
    'an embedded `status`': (path) => commands(path).status(),
    'an embedded `verify`': (path) => commands(path).verify(),
    'an embedded dry run': (path) => commands(path).plan(['up']),
  };
  for (const [title, call] of Object.entries(calls)) {
    it(`is refused with ROOT_REFUSED: ${title}`, async () => {
      give(OTHER, store);
      const { message, hint } = await untouched('ROOT_REFUSED', () => call(store));
      expect(message).to.equal(
        `Root does not use the store at ${store} from within a program: it belongs to user id ${OTHER}`,
      );
      expect(hint).to.include(`sudo -u '#${OTHER}'`);
    });
  }

  it('is refused to commands of the command line that run in another program’s process, and to restore', async () => {
    give(OTHER, store);
    for (const command of [
      ['up'],
      ['restore'],
      ['lint'],
      ['report', '--out', at('r.html')],
      ['up', '--metrics-file', at('m')],
    ])
      expectRefusal(await runCli([...command, '--db-path', store]), 'ROOT_REFUSED', 1);
    expect(readdirSync(own)).to.deep.equal(['store.db']);
  });

  const openings: Readonly<
    Record<string, readonly [act: () => void, code: 'ROOT_REFUSED' | 'STORE_UNTRUSTED', told: () => string]>
  > = {
    'its folder is another user’s': [() => give(OTHER, own), 'ROOT_REFUSED', () => `user id ${OTHER}`],
    'a link of another user leads to it': [
      () => {
        renameSync(store, at('real.db'));
        plant('real.db', store);
      },
      'ROOT_REFUSED',
      () => `user id ${OTHER}`,
    ],
    'its -wal is a link of another user’s': [
      () => plant('/nonexistent', `${store}-wal`),
      'STORE_UNTRUSTED',
      () => `${store}-wal next to it is not a file`,
    ],
    'its -journal is a link of another user’s': [
      () => plant('/nonexistent', `${store}-journal`),
      'STORE_UNTRUSTED',
      () => `${store}-journal next to it is not a file`,
    ],
    'its -wal is a link of another user’s, where a link of root’s leads': [
      () => {
        renameSync(store, at('real.db'));
        symlinkSync('real.db', store);
        plant('/nonexistent', at('real.db-wal'));
      },
      'STORE_UNTRUSTED',
      () => `${at('real.db-wal')} next to it is not a file`,
    ],
    'several users own its path': [
      () => {
        give(OTHER, own);
        give(SECOND, store);
      },
      'STORE_UNTRUSTED',
      () => `user id ${OTHER} owns a part of its path, and user id ${SECOND} owns ${store}`,
    ],
    'everyone may write its folder': [
      () => chmodSync(own, 0o777),
      'STORE_UNTRUSTED',
      () => `every user may replace files in ${own}`,
    ],
    'everyone may write its folder, and it is another user’s': [
      () => {
        chmodSync(own, 0o777);
        give(OTHER, store);
      },
      'STORE_UNTRUSTED',
      () => `every user may replace files in ${own}`,
    ],
    'a group may write the folder of root’s own store': [
      () => {
        chownSync(own, 0, GROUP);
        chmodSync(own, 0o775);
      },
      'STORE_UNTRUSTED',
      () => `the group of ${own} may replace it`,
    ],
  };
  for (const [title, [act, code, told]] of Object.entries(openings)) {
    it(`is refused where ${title}`, async () => {
      act();
      const { message } = await untouched(code, () => commands(store).status());
      expect(message).to.include(told());
    });
  }

  it('is refused until the hint of STORE_UNTRUSTED is followed', async () => {
    chmodSync(own, 0o777);
    const { hint } = await failureOf('STORE_UNTRUSTED', () => commands(store).status());
    expect(hint).to.equal(`Remove that permission: chmod o-w ${own}`);
    chmodSync(own, 0o775); // as that does: the group is root's
    await commands(store).status();
  });

  it('is used where it is root’s own, also in a folder of its own within a sticky one', async () => {
    for (const [path, mode] of [
      [folder.path, 0o1777],
      [own, 0o700],
    ] as const)
      chmodSync(path, mode);
    expect((await migrateOnDeploy(deploy(store))).applied).to.have.length(2);
    await commands(store).status();
    chmodSync(folder.path, 0o755);
  });

  it('is refused directly in a sticky folder, where a stranger could put a journal beside it, until the hint is followed', async () => {
    chmodSync(own, 0o1777);
    new Database(store).exec('PRAGMA journal_mode = DELETE').close();
    writeFileSync(`${store}-wal`, '');
    const { message, hint } = await untouched('STORE_UNTRUSTED', () => commands(store).status());
    expect(message).to.equal(
      `Root does not use the store at ${store}: other users may create files next to it in ${own}`,
    );
    const moved = `${store}.d`;
    const [, command = ''] = /(mkdir -m 700 .*)$/.exec(hint) ?? [];
    expect(command).to.equal(`mkdir -m 700 ${moved} && mv ${store} ${store}-wal ${moved}`);
    const { status, stderr } = spawnSync('sh', ['-c', command], { encoding: 'utf8' });
    expect(status, stderr).to.equal(0);
    expect((await migrateOnDeploy(deploy(join(moved, 'store.db')))).applied).to.have.length(2);
    // A group may write it.
    chownSync(own, 0, GROUP);
    for (const name of readdirSync(moved)) renameSync(join(moved, name), at(name));
    chmodSync(own, 0o1770);
    await untouched('STORE_UNTRUSTED', () => commands(store).status());
  });

  it('is missing where it is missing, whoever owns the folder', async () => {
    give(OTHER, own);
    await failureOf('STORE_MISSING', () => commands(at('none.db')).status());
  });
});
